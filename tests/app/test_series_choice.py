"""Which series is meant, and what is said when it is not there."""

from __future__ import annotations

import re

import pytest

from tercel.app.series_choice import choose, matching
from tercel.domain.bars import SeriesKey
from tercel.domain.errors import UserError

SPOT = SeriesKey("binance-spot", "BTCUSDT", "1m")
HOURS = SeriesKey("binance-spot", "BTCUSDT", "1h")
PERP = SeriesKey("binance-usdm", "BTCUSDT", "15m")
ETHER = SeriesKey("binance-usdm", "ETHUSDT", "5m")
KEYS = [HOURS, SPOT, PERP, ETHER]


def test_matching() -> None:
    assert matching(KEYS, "btcusdt") == [HOURS, SPOT, PERP]
    assert matching(KEYS, "BTCUSDT", "binance-usdm") == [PERP]
    assert matching(KEYS, "BTCUSDT", timeframe="1m") == [SPOT]


def test_the_shortest_timeframe_is_chosen() -> None:
    assert choose(KEYS, "BTCUSDT", "binance-spot") == SPOT
    assert choose(KEYS, "BTCUSDT", "binance-spot", "1h") == HOURS
    assert choose(KEYS, "ethusdt") == ETHER


def test_the_venue_is_never_guessed() -> None:
    with pytest.raises(UserError, match="binance-spot and binance-usdm; say which with --venue"):
        choose(KEYS, "BTCUSDT")


@pytest.mark.parametrize(
    ("symbols", "wanted", "words"),
    [
        (["BTCUSDT", "ETHUSDT"], "BTCUSD", "has no BTCUSD; did you mean BTCUSDT? Otherwise get it"),
        (["BTCUSDT", "ETHUSDT"], "BTC", "has no BTC; did you mean BTCUSDT? Otherwise get it"),
        (["BTCUSDT", "ETHUSDT"], "DOGE", "has no DOGE; it has BTCUSDT, ETHUSDT; get it with"),
        (list("ABCDEFG"), "DOGEUSDT", "it has A, B, C, D, E, ...; get it"),
        ([], "btcusdt", "the lake is empty; get it with `tercel data fetch BTCUSDT --since"),
    ],
)
def test_an_unknown_symbol_names_the_nearest_and_how_to_get_it(
    symbols: list[str], wanted: str, words: str
) -> None:
    keys = [SeriesKey("binance-spot", symbol) for symbol in symbols]
    with pytest.raises(UserError, match=re.escape(words)):
        choose(keys, wanted)


def test_a_known_symbol_elsewhere() -> None:
    with pytest.raises(UserError, match="no bybit-linear BTCUSDT; of BTCUSDT it has binance-spot"):
        choose(KEYS, "BTCUSDT", "bybit-linear")
    with pytest.raises(UserError, match="the lake has no ETHUSDT 1d; of ETHUSDT it has"):
        choose(KEYS, "ETHUSDT", timeframe="1d")


def test_symbols_with_commas_between_them_are_told_apart() -> None:
    with pytest.raises(UserError, match="no symbol has a comma: write BTCUSDT ETHUSDT"):
        matching([], "BTCUSDT,ETHUSDT")
