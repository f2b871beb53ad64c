"""What somebody else holds in our symbols is his to close."""

from __future__ import annotations

import pytest

from tercel.app.live.foreign import Foreign
from tercel.domain.orders import VenueFill


def by_hand(side: int, quantity: float) -> VenueFill:
    return VenueFill("1", "web", "7", "BTCUSDT", side, 100.0, quantity, 0.0, False, 0)


def test_nobody_else_holds_anything_at_first() -> None:
    foreign = Foreign()
    assert foreign.held("BTCUSDT") == 0.0
    assert foreign.close(by_hand(-1, 2.0)) == 2.0


def test_what_he_opened_he_closes_first() -> None:
    foreign = Foreign()
    foreign.open(by_hand(1, 3.0), 3.0)
    assert foreign.close(by_hand(-1, 2.0)) == 0.0
    assert foreign.held("BTCUSDT") == pytest.approx(1.0)
    assert foreign.close(by_hand(-1, 4.0)) == pytest.approx(3.0)
    assert foreign.held("BTCUSDT") == 0.0


def test_more_on_his_side_closes_nothing() -> None:
    foreign = Foreign()
    foreign.open(by_hand(-1, 1.0), 1.0)
    assert foreign.close(by_hand(-1, 0.5)) == 0.5
    assert foreign.held("BTCUSDT") == -1.0


def test_the_venue_says_what_is_there() -> None:
    foreign = Foreign()
    foreign.open(by_hand(1, 1.0), 1.0)
    foreign.note("BTCUSDT", 0.0)
    assert foreign.held("BTCUSDT") == 0.0
    assert foreign.held("ETHUSDT") == 0.0
