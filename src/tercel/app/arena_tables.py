"""The tables of an arena in words: the ranking, profits by symbol, the allocator's test and its
latest rebalance. Adapters and the command line only draw them.
"""

from __future__ import annotations

import math

import numpy as np

from tercel.app.allocator_walk import AllocatorWalk
from tercel.app.arena import Arena, Contestant
from tercel.app.report import NamedRun
from tercel.app.wording import UNKNOWN, count, number, percent, r_multiple

Table = tuple[tuple[str, ...], ...]
"""A header and its rows."""

RANKING = (
    "#", "Strategy", "Net", "Gross", "Profit factor", "Drawdown", "Sharpe", "Trades", "Win rate",
    "Fees of gross", "P(Sharpe > 0)", "Deflated", "Verdict",
)  # fmt: skip
RANK_WORDS: dict[str, str] = {
    "net": "net return",
    "profit_factor": "net profit factor",
    "drawdown": "smallest drawdown",
    "sharpe": "Sharpe ratio",
}


def ranking(arena: Arena) -> Table:
    """The contestants, best first, then buy-and-hold without a rank."""
    rows = [_row(place, each) for place, each in enumerate(arena.contestants, start=1)]
    return (RANKING, *rows, _held_row(arena.benchmarks[0]))


def _row(place: int, contestant: Contestant) -> tuple[str, ...]:
    net = contestant.statistics
    return (
        str(place),
        contestant.name,
        percent(net.net_fraction),
        percent(net.gross_fraction),
        number(net.profit_factor_net),
        percent(net.drawdown_depth),
        number(net.sharpe),
        count(net.trades),
        percent(net.win_rate),
        percent(net.fee_share),
        percent(net.probabilistic_sharpe),
        percent(contestant.deflated),
        contestant.headline,
    )


def _held_row(held: NamedRun) -> tuple[str, ...]:
    net = held.statistics
    return (
        "",
        held.name,
        percent(net.net_fraction),
        percent(net.gross_fraction),
        "",
        percent(net.drawdown_depth),
        number(net.sharpe),
        count(net.trades),
        "",
        percent(net.fee_share),
        percent(net.probabilistic_sharpe),
        "",
        "",
    )


def symbol_ranking(arena: Arena, symbol: str) -> Table:
    """The contestants by their net profit on one symbol; those without a trade there last.

    Returns are shares of the whole account's capital, which the symbols have in common.
    """
    start = arena.first.start_quote
    traded = [(each, each.on_symbol(symbol)) for each in arena.contestants]
    traded.sort(key=lambda pair: -pair[1].net_quote if pair[1] else math.inf)
    rows = []
    for place, (each, group) in enumerate(traded, start=1):
        if group is None:
            rows.append((str(place), each.name, "", "", "", "0", ""))
            continue
        rows.append(
            (
                str(place),
                each.name,
                percent(group.net_quote / start),
                percent(group.gross_quote / start),
                number(group.profit_factor),
                count(group.trades),
                percent(group.win_rate),
            )
        )
    return (("#", symbol, "Net", "Gross", "Profit factor", "Trades", "Win rate"), *rows)


def allocation(walk: AllocatorWalk) -> Table:
    """Allocator, equal weights and hindsight, side by side."""
    rows = (
        ("Net", *(percent(path.net_fraction) for path in walk.paths)),
        ("Sharpe ratio", *(number(path.sharpe) for path in walk.paths)),
        ("Maximum drawdown, daily", *(percent(path.drawdown) for path in walk.paths)),
        ("Mean share at work", *(percent(path.invested_mean) for path in walk.paths)),
        ("Capital moved, times", *(number(float(path.turnover.sum()), 1) for path in walk.paths)),
    )
    return (("Figure", *(path.name for path in walk.paths)), *rows)


def stakes(walk: AllocatorWalk) -> Table:
    """Every strategy at the last rebalance, and its mean weight over all of them."""
    header = (
        "Last rebalance", "Standing", "Trades", "Expectancy", "P(expectancy > 0)", "Weight",
        "Mean weight",
    )  # fmt: skip
    if not walk.rebalances:
        return (header,)
    last = walk.rebalances[-1]
    means = np.mean([each.weights for each in walk.rebalances], axis=0)
    rows = [
        (
            name,
            str(stake.standing),
            count(stake.trades),
            r_multiple(stake.expectancy_r) if stake.trades else UNKNOWN,
            percent(stake.positive_probability),
            percent(stake.weight),
            percent(float(mean)),
        )
        for name, stake, mean in zip(walk.names, last.stakes, means, strict=True)
    ]
    cash = sum(each.cash_fraction for each in walk.rebalances) / len(walk.rebalances)
    rows.append(("cash", "", "", "", "", percent(last.cash_fraction), percent(cash)))
    return (header, *rows)
