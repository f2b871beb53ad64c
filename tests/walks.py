"""Small walk-forwards for tests: a lake, quick settings, and a strategy that follows pressure."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from tests.fakes import CountingProgress
from tests.market_data import JIT

from tercel.app.prepare import RunRequest
from tercel.app.runs import Desk
from tercel.app.strategies import load_strategy
from tercel.app.walkforward import WalkPlan, plan_walk
from tercel.entry.cli.desk import open_desk

QUICK: Mapping[str, object] = {"decide_minutes": 5, "slow_len": 6, "adx_len": 3}
GRID = "fast_len=2,4; adx_min=0,20"
TRAIN_HOURS, VALIDATE_HOURS, TEST_HOURS = (8, 3, 3) if JIT else (2, 3, 1)
SHORT = (
    f"walk.train_hours={TRAIN_HOURS}",
    f"walk.validate_hours={VALIDATE_HOURS}",
    f"walk.test_hours={TEST_HOURS}",
    "walk.purge_hours=1",
    "walk.embargo_hours=0",
    "walk.trades_min=1",
    "walk.validate_trades_min=1",
    "walk.rank_by=net",
)
"""Several folds in the synthetic lake; so short a train has no daily returns to rank by."""

FOLLOWER = '''
"""Goes with whoever is stronger in the book, or against it."""
from tercel.strategy import *

PARAMS = parameters(
    Param("direction", 1, -1, 1, "sign", "1: with the stronger side, -1: against it"),
    Param("ratio", 2.0, 1.0, 100.0, "ratio", "how much stronger it has to be"),
)
REASONS = ("waiting", "pressed")
PLAN = TradePlan(legs=((2.0, 1.0),), hold_minutes_max=5)


def state_dtype(params):
    return rec(("bars", "i8"))


@kernel
def step(state, bar, context, params, signal):
    state.bars += 1
    no_signal(signal, 0)
    side = 0
    if bar.bid_size >= params.ratio * bar.ask_size:
        side = params.direction
    elif bar.ask_size >= params.ratio * bar.bid_size:
        side = -params.direction
    if side != 0:
        enter(signal, side, 0.003 * bar.close, 1)


@kernel
def signals(state, bars, contexts, params, out):
    for i in range(len(bars)):
        step(state, bars[i], contexts[0], params, out[i])
'''


def desk_on(lake: Path, *settings: str) -> Desk:
    """A desk on the lake in folder `lake` with `settings` as `--set` would give them."""
    made, _ = open_desk(None, list(settings), lake, CountingProgress())
    return made


def quick_plan(lake: Path, *settings: str, grid: str = GRID) -> tuple[Desk, WalkPlan]:
    """swing on BTCUSDT of `lake`, four combinations, short windows."""
    desk = desk_on(lake, *SHORT, *settings)
    request = RunRequest((load_strategy("swing"),), ("BTCUSDT",), overrides=QUICK)
    return desk, plan_walk(desk, request, grid)


class MemoryLog:
    """ports.TrialLog in a dict; it can be told to fail after some saves, as a kill would."""

    def __init__(self, kept: Mapping[int, bytes] | None = None, stop_after: int = -1) -> None:
        self.kept = dict(kept or {})
        self.saved = 0
        self._stop_after = stop_after

    def finished(self) -> Mapping[int, bytes]:
        return dict(self.kept)

    def save(self, number: int, data: bytes) -> None:
        if self.saved == self._stop_after:
            raise KeyboardInterrupt
        self.kept[number] = data
        self.saved += 1

    def discard(self) -> None:
        self.kept.clear()
