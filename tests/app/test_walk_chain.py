"""The chain of tests: what is multiplied, what is not, and that no cent is lost."""

from __future__ import annotations

import itertools
from dataclasses import replace

import numpy as np
import pytest
from tests.app.test_sweep import ACCOUNT, BARS, job_on, window
from tests.market_data import MINUTE_MS, invented_bars

from tercel.app.folds import Part
from tercel.app.sweep import SweepBench
from tercel.app.walk_chain import Chain, Link, chain

EDGES = (300, 600, 900, 1_200)


def chained(skip: int = -1) -> tuple[Chain, list[Link]]:
    """Three tests in a row on swing; fold `skip` stays in cash."""
    bars = invented_bars(BARS)
    job = job_on(bars)
    windows = [window(bars, first, end, Part.TEST) for first, end in itertools.pairwise(EDGES)]
    results = SweepBench(job).trade(0, windows)
    links = [
        Link(each, None if number == skip else result)
        for number, (each, result) in enumerate(zip(windows, results, strict=True))
    ]
    return chain(links, job.spec.series, ACCOUNT.start_quote, job.spec.label), links


def test_the_chain_is_the_product_of_its_folds() -> None:
    made, links = chained()
    growth = [link.result.equity_quote / 10_000.0 for link in links if link.result]
    assert len(set(growth)) == 3
    assert made.levels == pytest.approx((1.0, growth[0], growth[0] * growth[1]))
    result = made.result
    assert result.equity_quote == pytest.approx(10_000.0 * np.prod(growth), rel=1e-12)
    assert result.equity["equity"][-1] == pytest.approx(result.equity_quote, rel=1e-12)
    assert np.all(np.diff(result.equity["time"]) == MINUTE_MS)
    assert len(result.equity) == 900


def test_no_cent_is_lost() -> None:
    """net = gross - fees - slippage + funding = the sum of the trades, across levels."""
    result = chained()[0].result
    net = result.gross_quote - result.fee_quote - result.slippage_quote + result.funding_quote
    assert result.equity_quote - 10_000.0 == pytest.approx(net, abs=1e-6)
    assert result.trades["net_quote"].sum() == pytest.approx(net, abs=1e-6)
    assert result.fills["fee_quote"].sum() == pytest.approx(result.fee_quote, abs=1e-6)


def test_money_grows_and_prices_do_not() -> None:
    made, links = chained()
    last = made.result.trades[made.trade_folds == 2]
    alone = links[2].result
    assert alone is not None
    level = made.levels[2]
    assert level != 1.0
    for name in ("quantity", "net_quote", "fee_quote", "risk_quote"):
        assert np.array_equal(last[name], alone.trades[name] * level), name
    for name in ("entry_price", "exit_price", "stop_distance", "entry_time", "favourable_r"):
        assert np.array_equal(last[name], alone.trades[name]), name


def test_a_fold_without_a_choice_keeps_its_money() -> None:
    made, links = chained(skip=1)
    first = links[0].result
    assert first is not None
    idle = made.result.equity[300:600]
    assert np.all(idle["equity"] == first.equity_quote)
    assert np.all(idle["exposure"] == 0.0)
    assert made.levels[2] == made.levels[1]
    assert set(made.trade_folds) == {0, 2}
    nothing = chain(
        [Link(link.window, None) for link in links],
        job_on(invented_bars(BARS)).spec.series,
        10_000.0,
        job_on(invented_bars(BARS)).spec.label,
    )
    assert nothing.result.equity_quote == 10_000.0
    assert len(nothing.result.trades) == 0


@pytest.mark.parametrize("end_quote", [-500.0, 0.0, 0.001])
def test_after_ruin_nothing_is_traded(end_quote: float) -> None:
    """A fold that ends in debt (or with dust) is the last: the debt stays, no sign is flipped."""
    _, links = chained()
    assert all(link.result is not None and len(link.result.trades) for link in links)
    first = links[0].result
    assert first is not None
    equity = first.equity.copy()
    equity["equity"][-1] = end_quote
    ruined = replace(first, equity=equity, equity_quote=end_quote)
    spec = job_on(invented_bars(BARS)).spec
    made = chain([Link(links[0].window, ruined), *links[1:]], spec.series, 10_000.0, spec.label)
    left = max(end_quote / 10_000.0, 0.0)
    assert made.levels == (1.0, left, left)
    assert set(made.trade_folds) == {0}
    result = made.result
    assert len(result.fills) == len(first.fills)
    assert result.signals == first.signals
    assert result.refusals == dict(sorted(first.refusals.items()))
    assert result.fee_quote == first.fee_quote
    assert len(result.equity) == 900
    assert np.all(result.equity["equity"][299:] == pytest.approx(end_quote))
    assert np.all(result.equity["exposure"][300:] == 0.0)
    assert result.equity_quote == pytest.approx(end_quote)
