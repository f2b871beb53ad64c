"""The recursions of the synthetic market, compiled; all else is one numpy line per column.

They call nothing of the project, so that numba's own file check is enough for their cache.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from tercel.core.jit import kernel

Floats = npt.NDArray[np.float64]
Codes = npt.NDArray[np.int8]

VARIANCE_RATIO_MAX = 40.0
"""The GARCH variance is held below this multiple of its mean: one wild draw must not run away."""


@kernel
def walk_regimes(
    leave: Floats, choose: Floats, leave_rate: Floats, next_cumulative: Floats
) -> Codes:
    """The regime of each minute: a Markov chain that starts in regime 0.

    `leave` and `choose` are uniforms (n,); `leave_rate` (regimes,) is the chance a minute of
    leaving; `next_cumulative` (regimes, regimes) holds the cumulative chances of where to.
    """
    regimes = np.zeros(len(leave), np.int8)
    current = 0
    for i in range(len(leave)):
        if leave[i] < leave_rate[current]:
            entered = 0
            while choose[i] > next_cumulative[current, entered]:
                entered += 1
            current = entered
        regimes[i] = current
    return regimes


@kernel
def smooth_noise(noise: Floats, keep: float) -> Floats:
    """An AR(1) with unit variance from unit normals: `x = keep * x + sqrt(1 - keep^2) * noise`."""
    out = np.empty_like(noise)
    fresh = np.sqrt(1.0 - keep * keep)
    value = noise[0]
    out[0] = value
    for i in range(1, len(noise)):
        value = keep * value + fresh * noise[i]
        out[i] = value
    return out


@kernel
def cluster(shock: Floats, reaction: float, memory: float) -> Floats:
    """GARCH(1,1) factor on the standard deviation, mean variance one: what past shocks leave.

    `g[i+1] = (1 - reaction - memory) + g[i] * (reaction * shock[i]^2 + memory)`; returns sqrt(g),
    known before shock[i] is.
    """
    out = np.empty_like(shock)
    variance = 1.0
    for i in range(len(shock)):
        out[i] = np.sqrt(variance)
        variance = (1.0 - reaction - memory) + variance * (reaction * shock[i] * shock[i] + memory)
        variance = min(variance, VARIANCE_RATIO_MAX)
    return out


@kernel
def pressure_sides(pressed: Codes, horizon: int) -> Codes:
    """The side in force after each bar: of the latest pressed one of the last `horizon`, else 0."""
    sides = np.zeros(len(pressed), np.int8)
    side = 0
    left = 0
    for i in range(len(pressed)):
        left -= 1
        if pressed[i] != 0:
            side = pressed[i]
            left = horizon
        elif left <= 0:
            side = 0
        sides[i] = side
    return sides
