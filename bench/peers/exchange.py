"""What every peer's script shares: reading the market, timing the runs, writing the outcome.

Runs in the peers' environment: numpy and the standard library only.
"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

STOP_FRACTION = 0.005
TARGET_FRACTION = 0.01
FEE_RATE = 0.0005
CASH_QUOTE = 1e9

Floats = npt.NDArray[np.float64]
Row = tuple[int, int, float, float, float]
"""Entry bar, exit bar, entry price, exit price, profit after fees."""


class Market(NamedTuple):
    """Columns of the bars, and the fixed signals."""

    open_time: npt.NDArray[np.int64]
    open: Floats
    high: Floats
    low: Floats
    close: Floats
    volume: Floats
    entries: npt.NDArray[np.bool_]
    exits: npt.NDArray[np.bool_]

    @property
    def times(self) -> npt.NDArray[np.datetime64]:
        """Open times as numpy datetimes."""
        return self.open_time.astype("datetime64[ms]")


class Job(NamedTuple):
    """What the command line asked for."""

    market: Market
    out: Path
    repeats: int


def read_job() -> Job:
    """`MARKET.npz OUT.json REPEATS` of the command line."""
    market, out, repeats = sys.argv[1:4]
    with np.load(market) as stored:
        columns = Market(*(stored[name] for name in Market._fields))
    return Job(columns, Path(out), int(repeats))


def time_runs(
    job: Job, started: float, prepare: Callable[[], Any], run: Callable[[Any], Any]
) -> tuple[Any, dict[str, Any]]:
    """Run once and then `job.repeats` times; the last outcome and the times.

    `started` is the clock before the peer was imported: `first_s` holds the import, the preparation
    and the first run. `prepare` makes what a run needs afresh and is not part of the warm times.
    """
    outcome = run(prepare())
    first_s = time.perf_counter() - started
    warm_ms = []
    for _ in range(job.repeats):
        ready = prepare()
        began = time.perf_counter()
        outcome = run(ready)
        warm_ms.append((time.perf_counter() - began) * 1e3)
    return outcome, {"first_s": first_s, "warm_ms": warm_ms}


def write_outcome(job: Job, version: str, times: dict[str, Any], rows: list[Row]) -> None:
    """The peer's JSON file."""
    told = {"version": version, **times, "rows": rows}
    job.out.write_text(json.dumps(told), encoding="utf-8")
