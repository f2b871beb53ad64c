"""Tick and lot of a symbol that nobody has told us about."""

from __future__ import annotations

import numpy as np
import pytest
from tests.market_data import invented_bars

from tercel.app.instruments import DECIMALS_MAX, Instrument, decimals_of, infer_instrument


@pytest.mark.parametrize(
    ("values", "decimals"),
    [
        ([1.0, 20.0, 300.0], 0),
        ([1.0, 20.5], 1),
        ([30_123.45, 30_123.4], 2),
        ([0.1 + 0.2, 0.7], 1),
        ([0.00001234, 1.0], 8),
        ([np.pi], DECIMALS_MAX),
        ([123_456_789.12], 2),
    ],
)
def test_decimals(values: list[float], decimals: int) -> None:
    assert decimals_of(np.array(values)) == decimals


def test_from_bars() -> None:
    bars = invented_bars(12_000)
    for name, decimals in (("close", 1), ("high", 2), ("volume", 3)):
        bars[name] = np.round(bars[name], decimals)
    bars["volume"][:3_000] = np.nan
    made = infer_instrument(bars)
    assert made == Instrument(0.01, 0.001, inferred=True)
    record = made.record()
    assert (record.tick_size, record.lot_size) == (0.01, 0.001)
    assert (record.quantity_min, record.notional_min) == (0.0, 0.0)


def test_bars_that_know_no_volume_allow_the_finest_lot() -> None:
    """Whole units as the lot would refuse every trade in a dear symbol."""
    bars = invented_bars(100)
    bars["volume"] = np.nan
    assert infer_instrument(bars).lot_size == pytest.approx(1e-8)
