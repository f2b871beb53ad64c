"""The gate on trial: it refuses markets without an edge, and lets through those with one.

Preset `honest`: 30 trades, a net profit factor above 1, a deflated Sharpe ratio of 0.95. Seeds are
1, 2, 3 ...: 40 of them by default, all 200 with TERCEL_GATE_SEEDS=200; docs/gates.md has the rates
of the 200. The bounds are such that a gate that keeps its promise fails one of these tests in less
than one of 10,000 draws of seeds.
"""

from __future__ import annotations

import os

import pytest
from tests.market_data import JIT
from tests.statistical.planted_edges import COSTS, EDGE, Trial, binomial_above, passing

SEEDS = int(os.environ.get("TERCEL_GATE_SEEDS", "40"))
FALSE_FAILURE = 1e-4
FALSE_PASS_RATE = 0.05
"""Of markets without an edge, at most."""
LUCK_RATE = 0.07
"""Of luck alone at no cost: 0.05 of normal returns in long records, more in 30 days."""
FOUND_RATE = 0.80
"""Of markets with the planted edge, at least."""

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not JIT, reason="millions of bars: compiled kernels alone"),
]


def allowed(rate: float) -> int:
    """The fewest passes that a true rate of `rate` exceeds with a chance below FALSE_FAILURE."""
    return next(
        hits for hits in range(SEEDS + 1) if binomial_above(hits, SEEDS, rate) < FALSE_FAILURE
    )


def passes(trial: Trial) -> int:
    found = passing(range(1, SEEDS + 1), trial)
    print(f"{trial}: {found} of {SEEDS} passed")  # noqa: T201 (shown by pytest -s)
    return found


def test_the_bounds() -> None:
    """40 tosses of a fair coin: more than 31 heads in 1 of 10,991, more than 30 in 1 of 2,900."""
    assert binomial_above(31, 40, 0.5) == pytest.approx(9.1e-5, rel=0.01)
    assert binomial_above(30, 40, 0.5) == pytest.approx(3.4e-4, rel=0.02)
    assert binomial_above(40, 40, 0.5) == 0.0


def test_without_an_edge_it_refuses() -> None:
    assert passes(Trial(edge=0.0, costs=COSTS)) <= allowed(FALSE_PASS_RATE)


def test_luck_at_no_cost_passes_as_rarely_as_the_ratio_promises() -> None:
    assert passes(Trial(edge=0.0, costs="free", coin=True)) <= allowed(LUCK_RATE)


def test_a_planted_edge_above_its_costs_passes() -> None:
    refused = SEEDS - passes(Trial(edge=EDGE, costs=COSTS))
    assert refused <= allowed(1.0 - FOUND_RATE)


def test_an_edge_smaller_than_its_costs_is_refused() -> None:
    assert passes(Trial(edge=0.1, costs=COSTS)) <= allowed(FALSE_PASS_RATE)


@pytest.mark.skipif(SEEDS < 200, reason="rates of few seeds say little: TERCEL_GATE_SEEDS=200")
def test_the_rates_of_the_full_run() -> None:
    assert passes(Trial(edge=0.0, costs=COSTS)) <= FALSE_PASS_RATE * SEEDS
    assert passes(Trial(edge=EDGE, costs=COSTS)) >= FOUND_RATE * SEEDS
