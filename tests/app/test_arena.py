"""The arena: isolation to the bit, the same on any number of threads, ranking, missing inputs."""

from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path
from typing import get_args

import numpy as np
import pytest
from tests.adapters.report.arenas_made import account, idle, made_arena
from tests.adapters.report.results_made import make_record, make_result
from tests.lakes import make_synthetic_lake
from tests.ledgers import MemoryLedger
from tests.walks import desk_on

from tercel.adapters.workers import ThreadWorkers
from tercel.app import arena as arena_module
from tercel.app import prepare as prepare_module
from tercel.app.arena import (
    Arena,
    Contestant,
    correlations,
    daily_of,
    default_strategies,
    ranked,
    run_arena,
)
from tercel.app.overfitting.deflated import deflate
from tercel.app.prepare import RunRequest, own_overrides
from tercel.app.report import assess
from tercel.app.runs import run_backtest
from tercel.app.strategies import load_strategy
from tercel.app.trial_count import moments_of
from tercel.domain.arena_settings import RankBy
from tercel.domain.errors import UserError
from tercel.domain.results import BacktestResult

NAMES = ("three_r", "swing", "funding")
REQUEST = RunRequest(
    tuple(load_strategy(name) for name in NAMES),
    ("BTCUSDT", "ETHUSDT"),
    overrides={"ema_len": 25},
)


@pytest.fixture(scope="module")
def lake(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_synthetic_lake(tmp_path_factory.mktemp("arena") / "lake")


@pytest.fixture(scope="module")
def arena(lake: Path) -> Arena:
    return run_arena(desk_on(lake), REQUEST, ThreadWorkers(1))


def same(one: BacktestResult, two: BacktestResult) -> bool:
    """Equal to the bit."""
    return all(
        getattr(one, name).tobytes() == getattr(two, name).tobytes()
        for name in ("trades", "fills", "equity")
    ) and (one.labels, one.refusals, one.warnings, one.equity_quote) == (
        two.labels,
        two.refusals,
        two.warnings,
        two.equity_quote,
    )


def test_each_does_what_it_does_alone(lake: Path, arena: Arena) -> None:
    for contestant in arena.contestants:
        strategy = load_strategy(contestant.name)
        own = own_overrides(strategy, REQUEST)
        alone = run_backtest(desk_on(lake), replace(REQUEST, strategies=(strategy,), overrides=own))
        assert same(contestant.report.result, alone.result)
        assert repr(contestant.statistics) == repr(alone.statistics)
        assert contestant.report.verdict.code == alone.verdict.code


def test_threads_change_nothing(lake: Path, arena: Arena) -> None:
    other = run_arena(desk_on(lake), REQUEST, ThreadWorkers(3))
    for one, two in zip(arena.contestants, other.contestants, strict=True):
        assert one.name == two.name
        assert same(one.report.result, two.report.result)
    assert arena.daily.returns.tobytes() == other.daily.returns.tobytes()


def test_bars_are_read_and_joined_once(lake: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    read: list[str] = []
    original = prepare_module.read_series

    def counted(*given: object) -> object:
        read.append(str(given[1]))
        return original(*given)  # type: ignore[arg-type]

    monkeypatch.setattr(prepare_module, "read_series", counted)
    run_arena(desk_on(lake), REQUEST, ThreadWorkers(1))
    assert read == ["synthetic BTCUSDT 1m", "synthetic ETHUSDT 1m"]


def test_progress_adds_up_over_all_accounts(lake: Path, arena: Arena) -> None:
    desk = desk_on(lake)
    run_arena(desk, REQUEST, ThreadWorkers(2))
    bars = sum(len(each) for each in arena.contestants[0].report.bars or ())
    assert desk.progress.titles == ["arena"]  # type: ignore[attr-defined]
    assert desk.progress.done == desk.progress.total == 3 * bars  # type: ignore[attr-defined]


def test_a_missing_input_is_the_reason_and_ranks_last(arena: Arena) -> None:
    last = arena.contestants[-1]
    assert last.name == "funding"
    assert last.missing == ("funding_rate",)
    assert last.headline == "No trades: funding_rate unknown in every bar"
    assert math.isnan(last.deflated)
    assert [each.missing for each in arena.contestants[:-1]] == [(), ()]


def test_every_strategy_counts_as_a_trial(lake: Path) -> None:
    ledger = MemoryLedger()
    run_arena(replace(desk_on(lake), ledger=ledger), REQUEST, ThreadWorkers(1))
    found = [trial for name in NAMES for trial in ledger.read(name, "BTCUSDT")]
    assert {trial.strategy for trial in found} == set(NAMES)
    assert {trial.kind for trial in found} == {"arena"}


def test_the_luck_of_so_many_is_taken_off(arena: Arena) -> None:
    ratios = np.array([each.statistics.sharpe for each in arena.contestants]) / math.sqrt(365)
    for each in arena.contestants[:-1]:
        expected = deflate(moments_of(each.statistics), ratios, 3.0).probability
        assert each.deflated == pytest.approx(expected, nan_ok=True)


def contestant(name: str, result: BacktestResult) -> Contestant:
    return Contestant(name, assess(result, make_record()), (), math.nan)


@pytest.mark.parametrize("rank", get_args(RankBy))
def test_the_idle_rank_last_whatever_decides(rank: RankBy) -> None:
    assert [each.name for each in made_arena(rank).contestants] == ["edge", "loser", "waiting"]


def test_each_figure_ranks_in_its_own_direction() -> None:
    """`safe` earns less than `wild` and falls less; `spotless` never lost a trade."""
    wild, safe = contestant("wild", account("wild", 0.9, 5)), contestant("safe", idle("safe"))
    calm = contestant("calm", account("calm", 0.2, 6))
    order = {
        rank: [each.name for each in ranked([calm, safe, wild], rank)] for rank in get_args(RankBy)
    }
    assert order["net"] == ["wild", "calm", "safe"]
    falls = {each.name: each.statistics.drawdown_depth for each in (wild, calm)}
    assert order["drawdown"][:2] == sorted(falls, key=lambda name: falls[name])
    factors = {each.name: each.statistics.profit_factor_net for each in (wild, calm)}
    assert order["profit_factor"][:2] == sorted(factors, key=lambda name: -factors[name])


def test_winners_without_a_loss_have_the_best_profit_factor() -> None:
    from tests.adapters.report.results_made import Row

    spotless = make_result([Row(1.0), Row(2.0, exit_minute=20)], [(1.0, 103.0)])
    other = contestant("other", account("other", 0.9, 5))
    found = ranked([other, contestant("spotless", spotless)], "profit_factor")
    assert [each.name for each in found] == ["spotless", "other"]


def test_a_symbol_has_its_own_trades() -> None:
    best = made_arena().contestants[0]
    groups = [best.on_symbol(symbol) for symbol in ("BTCUSDT", "ETHUSDT")]
    assert [group.trades if group else 0 for group in groups] == [60, 60]
    nets = sum(group.net_quote for group in groups if group)
    assert nets == pytest.approx(best.statistics.net_quote)
    assert best.on_symbol("SOLUSDT") is None


def test_daily_returns_stand_side_by_side_and_stop_at_ruin() -> None:
    whole = make_result((), [(1.0, 110.0), (2.0, 99.0), (3.0, 99.0)])
    ruined = make_result((), [(1.0, 50.0), (2.0, 0.0), (3.0, 7.0)])
    found = daily_of([("whole", whole), ("ruined", ruined)])
    assert found.returns[:, 0] == pytest.approx([0.1, -0.1, 0.0])
    assert found.returns[:, 1].tolist() == [-0.5, -1.0, 0.0]
    assert found.begins.tolist() == [whole.start_time, *found.ends[:-1].tolist()]


def test_correlations_of_what_moves() -> None:
    returns = np.array([[0.1, -0.1, 0.0], [-0.1, 0.1, 0.0], [0.05, -0.05, 0.0]])
    found = correlations(returns)
    assert found[:2, :2] == pytest.approx(np.array([[1.0, -1.0], [-1.0, 1.0]]))
    assert np.isnan(found[2]).all()
    assert np.isnan(correlations(returns[:1])).all()


def test_the_default_is_everything_that_trades() -> None:
    names = [strategy.name for strategy in default_strategies()]
    assert {"three_r", "swing", "funding"} <= set(names)
    assert "order_flow" not in names


def test_what_cannot_stand_in_an_arena(lake: Path, tmp_path: Path) -> None:
    desk, crew = desk_on(lake), ThreadWorkers(1)
    with pytest.raises(UserError, match="order_flow is a filter"):
        run_arena(desk, replace(REQUEST, strategies=(load_strategy("order_flow"),)), crew)
    twin = replace(load_strategy("swing"), path=tmp_path / "swing.py")
    with pytest.raises(UserError, match="two strategies are called swing"):
        run_arena(desk, replace(REQUEST, strategies=(load_strategy("swing"), twin)), crew)


def test_an_error_in_one_worker_is_told(lake: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_: object, **__: object) -> BacktestResult:
        raise UserError("one of them failed")

    monkeypatch.setattr(arena_module, "simulate", broken)
    with pytest.raises(UserError, match="one of them failed"):
        run_arena(desk_on(lake), REQUEST, ThreadWorkers(2))
