"""The walk as a whole: deterministic, resumable, honest about folds without trades."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from tests.lakes import make_synthetic_lake
from tests.ledgers import MemoryLedger
from tests.market_data import JIT
from tests.walks import FOLLOWER, SHORT, TEST_HOURS, TRAIN_HOURS, MemoryLog, desk_on, quick_plan

from tercel.adapters.lake import LakeBarStore
from tercel.adapters.report import walk_folder
from tercel.adapters.report.walk_page import walk_page
from tercel.adapters.synthetic import generate, market_named
from tercel.adapters.workers import ThreadWorkers
from tercel.app.backtest import simulate
from tercel.app.folds import Part
from tercel.app.ledger import trials_of_sweep
from tercel.app.prepare import RunRequest
from tercel.app.strategies import load_strategy
from tercel.app.sweep import SweepBench
from tercel.app.walk_choice import NO_TRADES
from tercel.app.walk_verdict import WalkCode
from tercel.app.walkforward import LOST, Walk, as_chained, plan_walk, run_walk, tried_elsewhere
from tercel.domain.bars import SeriesKey
from tercel.domain.errors import UserError
from tercel.domain.times import parse_time


@pytest.fixture(scope="session")
def lake(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_synthetic_lake(tmp_path_factory.mktemp("walk") / "lake")


@pytest.fixture(scope="session")
def whole(lake: Path) -> Walk:
    """One walk in one go, by one thread."""
    return walked(lake)


def walked(lake: Path, *settings: str, workers: int = 1, log: MemoryLog | None = None) -> Walk:
    desk, plan = quick_plan(lake, *settings)
    return run_walk(desk, plan, ThreadWorkers(workers), log or MemoryLog())


def everything(walk: Walk) -> list[bytes]:
    """All files that are compared byte by byte."""
    return [
        walk_folder.walk_json(walk),
        walk_folder.trials_parquet(walk),
        walk_folder.returns_parquet(walk),
        walk.chain.result.equity.tobytes(),
        walk.chain.result.trades.tobytes(),
    ]


def test_only_the_choice_of_each_fold_is_chained(whole: Walk) -> None:
    walk = whole
    assert len(walk.folds) >= 2
    bench = SweepBench(walk.plan.job)
    product = 1.0
    for outcome in walk.folds:
        assert outcome.choice.chosen is not None
        number = outcome.choice.chosen.number
        window = walk.plan.job.windows[outcome.fold.number * 3 + Part.TEST]
        [alone] = bench.trade(number, [window])
        assert outcome.test is not None
        assert outcome.test.net_fraction == (alone.equity_quote - 10_000.0) / 10_000.0
        assert outcome.test.trades == len(alone.trades)
        assert outcome.values == walk.plan.choices[number]
        assert outcome.test_best >= outcome.test_median
        assert outcome.test_best >= outcome.test.net_fraction
        product *= 1.0 + outcome.net_fraction
    assert walk.statistics.end_quote == pytest.approx(10_000.0 * product, rel=1e-12)
    assert walk.held.statistics.start_time == walk.statistics.start_time


def test_choices_do_not_know_what_follows(lake: Path, whole: Walk) -> None:
    """Bars from the first test on are replaced: the first choice and its train stay."""
    desk, plan = quick_plan(lake)
    walk = whole
    test = plan.job.windows[Part.TEST]
    bars = plan.job.spec.series.bars.copy()
    for name in ("open", "high", "low", "close"):
        bars[name][test.first :] *= np.linspace(1.0, 3.0, len(bars) - test.first)
    series = replace(plan.job.spec.series, bars=bars, data_hash="bent")
    bent = replace(plan, job=replace(plan.job, spec=replace(plan.job.spec, series=series)))
    other = run_walk(desk, bent, ThreadWorkers(1), MemoryLog())
    assert walk.folds[0].choice == other.folds[0].choice
    assert repr(walk.folds[0].train) == repr(other.folds[0].train)
    assert repr(walk.folds[0].test) != repr(other.folds[0].test)


def test_workers_do_not_change_a_byte(lake: Path, whole: Walk) -> None:
    assert everything(whole) == everything(walked(lake, workers=3))


def test_a_stopped_walk_goes_on_and_gives_the_same_bytes(lake: Path, whole: Walk) -> None:
    log = MemoryLog(stop_after=2)
    with pytest.raises(KeyboardInterrupt):
        walked(lake, log=log)
    assert sorted(log.kept) == [0, 1]
    again = MemoryLog(log.kept)
    assert everything(walked(lake, log=again)) == everything(whole)
    assert again.saved == 2, "only what was missing is computed"
    finished = MemoryLog(again.kept)
    assert everything(walked(lake, log=finished)) == everything(whole)
    assert finished.saved == 0


def test_the_fingerprint_names_what_decides(lake: Path) -> None:
    def fingerprint(*settings: str, grid: str = "fast_len=2,4; adx_min=0,20") -> str:
        return quick_plan(lake, *settings, grid=grid)[1].fingerprint

    first = fingerprint()
    assert fingerprint() == first
    assert fingerprint("walk.candidates=1") == first, "choosing is not trading: trials stay"
    changed = {
        fingerprint("runs.start_quote=5000"),
        fingerprint("sizing.risk_fraction=0.02"),
        fingerprint("limits.positions_max=1"),
        fingerprint(f"walk.train_hours={TRAIN_HOURS - 1}"),
        fingerprint(grid="fast_len=2,4"),
    }
    assert len(changed | {first}) == 6


def test_whole_runs_fill_the_matrix(whole: Walk) -> None:
    walk = whole
    spec = walk.plan.job.spec
    for number, values in enumerate(walk.plan.job.combinations):
        alone = simulate((replace(spec, values=values),), walk.plan.job.account)
        assert walk.sweep.whole[number]["trades"] == len(alone.trades)
    assert walk.sweep.returns.shape == (len(walk.sweep.day_ends), 4)


def test_a_strategy_that_never_trades_stays_in_cash(lake: Path) -> None:
    """An ADX above 100 does not exist."""
    desk = desk_on(lake, *SHORT)
    request = RunRequest(
        (load_strategy("swing"),), ("BTCUSDT",), overrides={"decide_minutes": 1440}
    )
    plan = plan_walk(desk, request, "fast_len=400,450")
    walk = run_walk(desk, plan, ThreadWorkers(1), MemoryLog())
    assert {outcome.choice.why_none for outcome in walk.folds} == {NO_TRADES}
    assert all(outcome.test is None for outcome in walk.folds)
    assert walk.statistics.end_quote == 10_000.0
    assert walk.verdict.code is WalkCode.NOTHING_CHOSEN
    assert "stayed in cash" in str(walk.verdict)
    assert len(walk.chain.result.equity) > 0
    assert walk_page(walk).count("nothing chosen") == len(walk.folds)


def test_a_strategy_that_always_trades(lake: Path, tmp_path: Path) -> None:
    """A signal at every bar: what cannot be entered is refused and counted."""
    file = tmp_path / "follower.py"
    file.write_text(FOLLOWER)
    desk = desk_on(lake, *SHORT)
    request = RunRequest((load_strategy(str(file)),), ("BTCUSDT",), overrides={"ratio": 1.0})
    plan = plan_walk(desk, request, "direction=-1,1")
    walk = run_walk(desk, plan, ThreadWorkers(2), MemoryLog())
    bars = len(plan.job.spec.series.bars)
    assert set(walk.sweep.whole["signals"]) == {bars}
    assert all(walk.by_part(Part.TEST)["signals"].ravel() == 60 * TEST_HOURS)
    assert all(outcome.choice.chosen is not None for outcome in walk.folds)
    assert sum(walk.chain.result.refusals.values()) > 0


def test_trials_elsewhere_are_those_that_saw_the_tests_and_are_not_of_the_grid(whole: Walk) -> None:
    ledger, tested = MemoryLedger(), whole.chain.result
    own = trials_of_sweep(whole.plan.job, whole.sweep.whole, "free", 0)
    assert tried_elsewhere(None, own, tested) is None
    ledger.append([*own, *own])
    nothing = tried_elsewhere(ledger, own, tested)
    assert nothing is not None
    assert (nothing.trials, nothing.runs) == (0, 0)
    one = replace(own[0], parameters={"fast_len": 3}, sharpe=0.25, daily_returns=40)
    elsewhere = replace(one.series, symbol="ETHUSDT")
    ledger.append(
        [
            one,
            replace(one, time_ms=7, kind="backtest"),
            replace(one, strategy="momentum"),
            replace(one, series=elsewhere),
            replace(one, end_ms=tested.start_time),  # train of the first fold alone: saw no test
            replace(one, start_ms=tested.end_time, end_ms=tested.end_time + 1),
        ]
    )
    found = tried_elsewhere(ledger, own, tested)
    assert found is not None
    assert (found.trials, found.runs) == (1, 2)
    assert found.sharpes.tolist() == [0.25]
    assert found.daily_returns.tolist() == [40]


def test_the_verdict_is_told_what_the_ledger_knows(lake: Path, whole: Walk) -> None:
    """The same walk again changes nothing; another trial before it is in the figures."""
    desk, plan = quick_plan(lake)
    ledger = MemoryLedger()
    desk = replace(desk, ledger=ledger)
    first = run_walk(desk, plan, ThreadWorkers(1), MemoryLog())
    assert len(ledger.trials) == 4
    assert first.others is not None
    assert first.others.trials == 0
    ledger.append([replace(ledger.trials[0], parameters={"fast_len": 3})])
    second = run_walk(desk, plan, ThreadWorkers(1), MemoryLog())
    assert second.others is not None
    assert second.others.trials == 1
    assert everything(first) == everything(whole)


def test_a_fold_after_ruin_is_shown_in_cash(whole: Walk) -> None:
    outcome = whole.folds[0]
    assert as_chained(outcome, 0.5) is outcome
    for level in (0.0, 1e-7):
        lost = as_chained(outcome, level)
        assert lost.choice.chosen is None
        assert lost.choice.why_none == LOST
        assert lost.test is None
        assert lost.net_fraction == 0.0
        assert lost.values == {}
        assert lost.held_fraction == outcome.held_fraction


def test_one_strategy_and_one_symbol(lake: Path) -> None:
    desk = desk_on(lake, *SHORT)
    swing = load_strategy("swing")
    with pytest.raises(UserError, match="one strategy and one symbol"):
        plan_walk(desk, RunRequest((swing,), ("BTCUSDT", "ETHUSDT")), "fast_len=2,4")


@pytest.mark.slow
@pytest.mark.skipif(not JIT, reason="several days of bars: too slow as plain Python")
def test_a_planted_edge_is_found_more_often_than_not(tmp_path: Path) -> None:
    """Pressed bars drift to their side: following them is right, going against them is wrong."""
    store = LakeBarStore(tmp_path / "lake")
    market = market_named("BTCUSDT", seed=11, start_ms=parse_time("2024-01-01"), days=20, edge=1.0)
    store.merge(SeriesKey("synthetic", "BTCUSDT"), generate(market), source="test")
    file = tmp_path / "follower.py"
    file.write_text(FOLLOWER)
    desk = desk_on(
        tmp_path / "lake", "walk.train_hours=96", "walk.validate_hours=48", "walk.test_hours=24"
    )
    request = RunRequest((load_strategy(str(file)),), ("BTCUSDT",), costs="free")
    plan = plan_walk(desk, request, "direction=-1,1; ratio=1.5,2.5,4.0")
    walk = run_walk(desk, plan, ThreadWorkers(2), MemoryLog())
    followed = [outcome.values.get("direction") == 1 for outcome in walk.folds]
    assert len(followed) >= 10
    assert sum(followed) > 0.9 * len(followed)
    assert walk.statistics.net_fraction > 0.0
    assert sum(outcome.net_fraction > 0.0 for outcome in walk.folds) > len(followed) / 2
