"""An arena made by hand: three strategies over 60 days, one of which never trades."""

from __future__ import annotations

import numpy as np
from tests.adapters.report.results_made import START, Row, make_record, make_result

from tercel.adapters.config import packaged_config_dir, read_settings
from tercel.app.allocator import results_of
from tercel.app.allocator_walk import walk_allocator
from tercel.app.arena import Arena, Contestant, correlations, daily_of, ranked
from tercel.app.benchmark import BUY_AND_HOLD
from tercel.app.report import assess, named_run
from tercel.domain.arena_settings import RankBy
from tercel.domain.results import BacktestResult, StreamLabel
from tercel.domain.times import DAY_MS, MINUTE_MS

DAYS = 60
MINUTES_A_DAY = DAY_MS // MINUTE_MS
SETTINGS = read_settings([packaged_config_dir()], environ={}).settings


def labels(strategy: str) -> tuple[StreamLabel, ...]:
    """Streams of one strategy on two symbols."""
    return tuple(
        StreamLabel(number, strategy, "binance-spot", symbol, "1m")
        for number, symbol in enumerate(("BTCUSDT", "ETHUSDT"))
    )


def account(strategy: str, edge_quote: float, seed: int) -> BacktestResult:
    """Two trades a day on alternating symbols, each risking 1 of 100 quote."""
    rng = np.random.default_rng(seed)
    results = rng.normal(edge_quote, 0.6, 2 * DAYS)
    rows = [
        Row(
            float(net),
            gross=float(net) + 0.1,
            risk=1.0,
            entry_minute=number * MINUTES_A_DAY // 2 + 5,
            exit_minute=number * MINUTES_A_DAY // 2 + 65,
            stream=number % 2,
        )
        for number, net in enumerate(results)
    ]
    curve = 100.0 + np.cumsum(results)[1::2]
    points = [(day + 1.0, float(value)) for day, value in enumerate(curve)]
    return make_result(rows, points, labels=labels(strategy), reasons=(("a", "b"),) * 2)


def idle(strategy: str) -> BacktestResult:
    """An account that never traded."""
    points = [(day + 1.0, 100.0) for day in range(DAYS)]
    return make_result((), points, labels=labels(strategy), reasons=(("a",),) * 2)


def made_arena(rank: RankBy = "net") -> Arena:
    """Edge, loser, and one whose input is missing."""
    held = named_run(BUY_AND_HOLD, account(BUY_AND_HOLD, 0.1, 9))
    results = [
        ("loser", account("loser", -0.2, 1), ()),
        ("waiting", idle("waiting"), ("open_interest",)),
        ("edge", account("edge", 0.3, 2), ()),
    ]
    contestants = ranked(
        [
            Contestant(name, assess(result, make_record(), benchmarks=[held]), missing, 0.42)
            for name, result, missing in results
        ],
        rank,
    )
    daily = daily_of([(each.name, each.report.result) for each in contestants])
    evidence = [results_of(each.report.result.trades) for each in contestants]
    return Arena(
        contestants=contestants,
        rank=rank,
        benchmarks=(held,),
        symbols=("BTCUSDT", "ETHUSDT"),
        daily=daily,
        correlations=correlations(daily.returns),
        walk=walk_allocator(daily, evidence, SETTINGS.allocator, SETTINGS.overfit),
        record=make_record(),
        warnings=("binance-spot BTCUSDT 1m: spot <bars>",),
    )


__all__ = ["DAYS", "START", "made_arena"]
