"""The synthetic market has the habits of the real one: each figure in a band around real BTC."""

from __future__ import annotations

import pytest
from tests.adapters.synthetic.stylised import FACTS, Fact, facts_of, real_columns, synthetic_columns

pytestmark = pytest.mark.real_data


@pytest.fixture(scope="module")
def real() -> dict[str, float]:
    return facts_of(real_columns())


@pytest.fixture(scope="module", params=[1, 2])
def made(request: pytest.FixtureRequest) -> dict[str, float]:
    return facts_of(synthetic_columns(request.param))


@pytest.mark.parametrize("fact", FACTS, ids=lambda fact: fact.name)
def test_stylised_fact(fact: Fact, real: dict[str, float], made: dict[str, float]) -> None:
    away = made[fact.name] - real[fact.name]
    assert fact.low <= away <= fact.high, f"real {real[fact.name]:.3f} made {made[fact.name]:.3f}"
