"""Tercel's own bars, measured one by one: each suite is a function of the desk.

In-process work is timed after a warm-up; whole commands are run as fresh processes (`child.py`).
"""

from __future__ import annotations

import shutil
import sys
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from bench.child import ChildRun, run_child
from bench.live import live
from bench.measurement import Measurement, time_ms
from bench.portfolio import portfolio
from bench.session import session
from bench.sma_cross import KEY, own_averages
from bench.sweep import sweep
from tercel.adapters.lake import LakeBarStore
from tercel.adapters.synthetic import generate, market_named
from tercel.app.backtest import AccountSpec, StreamSpec, simulate
from tercel.app.prepare import RunRequest, prepare
from tercel.app.strategies import load_strategy
from tercel.bootstrap import load_settings
from tercel.core.jit import cache_root, new
from tercel.core.records import Records

MIB = 1024 * 1024
RUNS_WARM = 15
RUNS_PROCESS = 5
RUNS_COLD = 2
RUNS_HELP = 7
COLD_LIMIT_S = 90.0
PROCESS_LIMIT_S = 60.0
SYNTH_START_MS = 1_688_169_600_000  # 2023-07-01
SYNTH_DAYS = 365


@dataclass(frozen=True, slots=True)
class Desk:
    """What every suite needs: the market, a lake that holds exactly it, and a scratch folder."""

    bars: Records
    lake: Path
    scratch: Path
    runs: int
    """Fewest runs of the warm in-process work."""

    def tercel(self, *words: str, cache: Path, limit_s: float) -> ChildRun:
        """A `tercel` command as a fresh process, with `cache` as its kernel cache."""
        program = Path(sys.executable).with_name("tercel")
        return run_child(
            [str(program), *words],
            timeout_s=limit_s,
            folder=self.scratch,
            environment={"TERCEL_CACHE_DIR": str(cache), "NO_COLOR": "1"},
        )

    def backtest(self, *words: str, cache: Path, limit_s: float = PROCESS_LIMIT_S) -> ChildRun:
        """`tercel backtest three_r BTCUSDT` over the whole market."""
        where = ("--lake", str(self.lake), "--runs", str(self.scratch / "runs"))
        what = ("backtest", "three_r", KEY.symbol, "--venue", KEY.venue)
        return self.tercel(*what, *where, *words, cache=cache, limit_s=limit_s)


def open_desk(bars: Records, scratch: Path, runs: int) -> Desk:
    """Write the market into a lake of its own."""
    lake = scratch / "lake"
    LakeBarStore(lake).merge(KEY, bars, source="bench")
    return Desk(bars, lake, scratch, max(runs, 1))


def three_r_specs(desk: Desk) -> tuple[tuple[StreamSpec, ...], AccountSpec]:
    """three_r on the market with the settings that a user has by default."""
    request = RunRequest((load_strategy("three_r"),), (KEY.symbol,), venue=KEY.venue)
    prepared = prepare(LakeBarStore(desk.lake), load_settings(), request)
    return prepared.specs, prepared.account


def three_r(desk: Desk) -> list[Measurement]:
    """Signals, trades and equity in a warm process."""
    specs, account = three_r_specs(desk)
    trades = len(simulate(specs, account).trades)
    samples = time_ms(lambda: simulate(specs, account), desk.runs)
    both = (specs[0], replace(specs[0], label=replace(specs[0].label, number=1)))
    paired = time_ms(lambda: simulate(both, account), desk.runs)
    crossing = time_ms(own_averages(desk.bars), desk.runs)
    return [
        Measurement(
            "three_r over 400,000 bars: signals, trades, equity",
            "ms",
            samples,
            60.0,
            f"warm, {trades:,} trades; aimed at 40",
        ),
        Measurement(
            "three_r twice on one account, 2 x 400,000 bars: signals, trades, equity",
            "ms",
            paired,
            note="warm",
        ),
        Measurement(
            "a user's two averages over 400,000 bars: signals, trades, equity",
            "ms",
            crossing,
            note="warm; bench/strategies/sma_cross.py",
        ),
    ]


def cold(desk: Desk) -> list[Measurement]:
    """A backtest on a machine that has never compiled anything."""
    samples = []
    for number in range(RUNS_COLD):
        cache = desk.scratch / f"cold-{number}"
        samples.append(desk.backtest("--no-report", cache=cache, limit_s=COLD_LIMIT_S).wall_s)
        shutil.rmtree(cache)
    work = "tercel backtest three_r, nothing compiled yet"
    return [Measurement(work, "s", tuple(samples), 15.0, "fresh process, empty kernel cache")]


def process(desk: Desk) -> list[Measurement]:
    """A whole `tercel backtest` process with compiled kernels: wall time and peak memory."""
    cache = desk.scratch / "warm-cache"
    desk.backtest("--no-report", cache=cache, limit_s=COLD_LIMIT_S)
    made = []
    for words, name in ((("--no-report",), "without report"), ((), "with report")):
        desk.backtest(*words, cache=cache)
        runs = [desk.backtest(*words, cache=cache) for _ in range(RUNS_PROCESS)]
        wall = tuple(run.wall_s for run in runs)
        peak = tuple(run.peak_bytes / MIB for run in runs)
        made.append(
            Measurement(f"tercel backtest three_r, {name}", "s", wall, 1.5, "fresh process")
        )
        made.append(Measurement(f"peak memory of that, {name}", "MiB", peak, 400.0))
    return made


def tool(desk: Desk) -> list[Measurement]:
    """`tercel --help`."""
    runs = [
        desk.tercel("--help", cache=cache_root(), limit_s=PROCESS_LIMIT_S) for _ in range(RUNS_HELP)
    ]
    return [Measurement("tercel --help", "s", tuple(run.wall_s for run in runs), 0.3)]


def lake(desk: Desk) -> list[Measurement]:
    """Reading the market from the lake, gaps and hash included."""
    store = LakeBarStore(desk.lake)
    samples = time_ms(lambda: store.read(KEY), desk.runs)
    return [Measurement("400,000 bars from the lake", "ms", samples, note="gaps, SHA-256")]


def indicators(desk: Desk) -> list[Measurement]:
    """Every indicator over the market, ns a bar, with the lengths of tests/naive/cases.py."""
    from tests.naive.cases import CASES, batch_of

    made = []
    for case in CASES:
        loop, out = batch_of(case.step), np.full((len(desk.bars), case.outputs), np.nan)
        samples = time_ms(lambda: loop(new(case.dtype), desk.bars, out), RUNS_PROCESS)  # noqa: B023
        per_bar = tuple(sample * 1e6 / len(desk.bars) for sample in samples)
        name = case.name.removesuffix("_case")
        made.append(Measurement(f"indicator {name}", "ns/bar", per_bar))
    return made


def synth(desk: Desk) -> list[Measurement]:
    """A synthetic year of one-minute bars."""
    market = market_named("BTCUSDT", 1, SYNTH_START_MS, SYNTH_DAYS, 0.0)
    samples = time_ms(lambda: generate(market), min(desk.runs, RUNS_PROCESS))
    return [Measurement("a synthetic year (525,600 bars)", "ms", samples)]


SUITES: dict[str, Callable[[Desk], list[Measurement]]] = {
    "three_r": three_r,
    "sweep": sweep,
    "cold": cold,
    "process": process,
    "help": tool,
    "lake": lake,
    "live": live,
    "session": session,
    "indicators": indicators,
    "synth": synth,
    "portfolio": portfolio,
}
"""By the name that `--only` takes, in the order they run."""
