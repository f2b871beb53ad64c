"""All randomness of the synthetic market: one PCG64 stream per seed, purpose and UTC day.

A day's draws depend on nothing but its date, so a market of 90 days begins with the market of 60.
"""

from __future__ import annotations

import zlib
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from tercel.app.synthesise import BARS_PER_DAY, SyntheticMarket
from tercel.domain.times import DAY_MS

Floats = npt.NDArray[np.float64]

TAIL_FREEDOM = 6.0
"""Degrees of freedom of the Student-t innovations, here scaled to unit variance."""


@dataclass(frozen=True, slots=True)
class Draws:
    """Independent draws, a row per quantity and a column per minute."""

    tail: Floats
    """Student-t, unit variance (minutes,)."""
    normal: Floats
    """Standard normals (rows, minutes)."""
    uniform: Floats
    """Uniforms in [0, 1) (rows, minutes)."""


def generator(seed: int, purpose: str, day: int) -> np.random.Generator:
    """The stream of one purpose (a symbol, `common`, ...) on one day since 1970."""
    return np.random.Generator(np.random.PCG64([seed, zlib.crc32(purpose.encode()), day]))


def draw(market: SyntheticMarket, purpose: str, normals: int, uniforms: int) -> Draws:
    """Every draw of `purpose` over the market's days."""
    minutes = market.days * BARS_PER_DAY
    made = Draws(np.empty(minutes), np.empty((normals, minutes)), np.empty((uniforms, minutes)))
    first_day = market.start_ms // DAY_MS
    unit = np.sqrt((TAIL_FREEDOM - 2.0) / TAIL_FREEDOM)
    for day in range(market.days):
        source = generator(market.seed, purpose, first_day + day)
        span = slice(day * BARS_PER_DAY, (day + 1) * BARS_PER_DAY)
        made.tail[span] = source.standard_t(TAIL_FREEDOM, BARS_PER_DAY) * unit
        made.normal[:, span] = source.standard_normal((normals, BARS_PER_DAY))
        made.uniform[:, span] = source.random((uniforms, BARS_PER_DAY))
    return made
