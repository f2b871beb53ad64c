"""Bars walked as ticks: nothing of a bar is lost, nothing is invented beyond it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from decimal import Decimal
from itertools import groupby

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.adapters.simulator.exchange.trader import BTC, ETH, INSTRUMENT, Trader
from tests.fakes import make_bars

from tercel.adapters.simulator.exchange.records import BUY, Instrument
from tercel.adapters.simulator.market.driver import MarketDriver
from tercel.adapters.simulator.market.path import prices_of
from tercel.adapters.simulator.market.shape import MarketShape, market_shape
from tercel.adapters.simulator.market.ticks import (
    BarTick,
    BookTick,
    FundingTick,
    MarketTick,
    MarkTick,
    TradeTick,
    apply_tick,
)
from tercel.adapters.synthetic import generate, market_named
from tercel.bootstrap import load_settings
from tercel.core.records import BAR, Records
from tercel.domain.errors import ConfigError

D = Decimal
START_MS = 1_704_067_200_000
SHAPE = MarketShape(book_levels=3)
NO_FUNDING = replace(SHAPE, funding_interval_ms=0)


def synthetic(bars: int = 200) -> Records:
    """The beginning of a synthetic day."""
    return generate(market_named(BTC, 3, START_MS, 1, 0.0))[:bars]


def walked(bars: Records, shape: MarketShape = NO_FUNDING, seed: int = 1) -> list[MarketTick]:
    """Every tick of one symbol."""
    return list(MarketDriver({BTC: bars}, [INSTRUMENT], shape, seed).ticks())


def by_bar(ticks: list[MarketTick]) -> Iterator[tuple[BarTick, list[MarketTick]]]:
    """Each closed bar, and the ticks before it."""
    inside: list[MarketTick] = []
    for tick in ticks:
        if isinstance(tick, BarTick):
            yield tick, inside
            inside = []
        else:
            inside.append(tick)


def check_bar(bar: BarTick, inside: list[MarketTick]) -> None:
    """What the ticks of any bar with a volume have to show."""
    trades = [tick for tick in inside if isinstance(tick, TradeTick)]
    assert trades[0].price == bar.open
    assert trades[-1].price == bar.close
    assert max(trade.price for trade in trades) == bar.high
    assert min(trade.price for trade in trades) == bar.low
    assert sum(trade.quantity for trade in trades) == bar.volume
    bought = sum(trade.quantity for trade in trades if trade.taker_side == BUY)
    assert bought == bar.taker_buy_volume
    assert all(trade.quantity > 0 for trade in trades)
    times = [tick.time_ms for tick in inside]
    assert times == sorted(set(times))
    assert bar.open_time_ms <= times[0]
    assert times[-1] < bar.time_ms == bar.open_time_ms + 60_000


def test_the_ticks_of_a_bar_make_the_bar() -> None:
    bars = synthetic()
    pairs = list(by_bar(walked(bars)))
    assert len(pairs) == len(bars)
    for record, (bar, inside) in zip(bars, pairs, strict=True):
        assert bar.open_time_ms == record["open_time"]
        assert float(bar.quote_volume) == record["quote_volume"]
        check_bar(bar, inside)


lots = st.integers(1, 10**7)


@settings(max_examples=60, deadline=None)
@given(
    corners=st.lists(st.integers(1, 10**6), min_size=4, max_size=4),
    volume=lots,
    bought=st.floats(0, 1),
    count=st.integers(4, 40),
    scale=st.sampled_from([1e-2, 1e-3, 1e-5]),
)
def test_any_bar_is_walked_exactly(
    corners: list[int], volume: int, bought: float, count: int, scale: float
) -> None:
    """Also prices that are off the grid, and volumes of less than a lot."""
    bars = make_bars(START_MS, 1)
    low, *inner, high = (corner / 100 for corner in sorted(corners))
    bars["open"], bars["close"] = inner
    bars["low"], bars["high"] = low, high
    bars["volume"] = volume * scale
    bars["taker_buy_volume"] = volume * scale * bought
    ((bar, inside),) = by_bar(walked(bars, replace(NO_FUNDING, trades_per_bar=count)))
    check_bar(bar, inside)


def test_a_rising_bar_visits_its_low_first() -> None:
    bars = synthetic(50)
    for bar, inside in by_bar(walked(bars)):
        prices = [tick.price for tick in inside if isinstance(tick, TradeTick)]
        first, last = prices.index(bar.low), len(prices) - 1 - prices[::-1].index(bar.high)
        if bar.close >= bar.open:
            assert first <= last


def test_a_taker_meets_the_best_price_of_the_book_before_it() -> None:
    book: BookTick | None = None
    for tick in walked(synthetic(50)):
        if isinstance(tick, BookTick):
            book = tick
            assert tick.bids[0][0] < tick.asks[0][0]
            assert len(tick.bids) == len(tick.asks) == 3
            assert [price for price, _ in tick.asks] == sorted(price for price, _ in tick.asks)
        elif isinstance(tick, TradeTick):
            assert book is not None
            best = book.asks if tick.taker_side == BUY else book.bids
            assert best[0][0] == tick.price
            assert tick.time_ms == book.time_ms + 1


def test_sizes_and_spread_come_from_the_bar_where_it_knows_them() -> None:
    bars = synthetic(1)
    bars["bid_size"], bars["ask_size"], bars["spread_bps"] = 1.5, 2.5, 1.0
    book = next(tick for tick in walked(bars) if isinstance(tick, BookTick))
    assert (book.bids[0][1], book.asks[0][1]) == (D("1.5"), D("2.5"))
    spread = book.asks[0][0] - book.bids[0][0]
    assert bars["open"][0] == 42_000.0
    assert spread == D("4.2")
    for name in ("bid_size", "ask_size", "spread_bps"):
        bars[name] = np.nan
    shape = replace(NO_FUNDING, spread_ticks=3, level_quote=42_000.0)
    book = next(tick for tick in walked(bars, shape) if isinstance(tick, BookTick))
    assert book.asks[0][0] - book.bids[0][0] == D("0.3")
    assert book.bids[0][1] == pytest.approx(D(1), abs=D("0.01"))


def test_a_bar_without_volume_has_no_trades() -> None:
    bars = make_bars(START_MS, 2)
    bars["volume"][0] = bars["taker_buy_volume"][0] = 0.0
    pairs = list(by_bar(walked(bars)))
    kinds = {type(tick) for tick in pairs[0][1]}
    assert kinds == {BookTick, MarkTick}
    assert any(isinstance(tick, TradeTick) for tick in pairs[1][1])


def test_unknown_volumes_are_made_up_and_not_reported() -> None:
    bars = make_bars(START_MS, 1)
    bars["volume"] = bars["taker_buy_volume"] = bars["quote_volume"] = np.nan
    ((bar, inside),) = by_bar(walked(bars))
    assert sum(tick.quantity for tick in inside if isinstance(tick, TradeTick)) > 0
    assert bar.volume == bar.quote_volume == 0


def test_the_mark_price_lags_behind() -> None:
    bars = make_bars(START_MS, 1)
    at_once = walked(bars, replace(NO_FUNDING, mark_lag=1.0))
    trades = [tick.price for tick in at_once if isinstance(tick, TradeTick)]
    assert [tick.mark_price for tick in at_once if isinstance(tick, MarkTick)][1:] == trades
    slow = [tick.mark_price for tick in walked(bars) if isinstance(tick, MarkTick)]
    assert max(slow) - min(slow) < max(trades) - min(trades)


def test_funding_comes_at_its_time_with_its_rate() -> None:
    bars = make_bars(START_MS + 8 * 3_600_000 - 120_000, 4)
    due = START_MS + 8 * 3_600_000
    for known, rate in (({}, D("0.0001")), ({BTC: {due: -0.0002}}, D("-0.0002"))):
        driver = MarketDriver({BTC: bars}, [INSTRUMENT], SHAPE, 1, known)
        ticks = list(driver.ticks())
        found = [tick for tick in ticks if isinstance(tick, FundingTick)]
        assert found == [FundingTick(due, BTC, rate)]
        place = ticks.index(found[0])
        assert isinstance(ticks[place - 1], BarTick)
        assert ticks[place - 1].time_ms == due


def test_long_bars_hold_several_settlements() -> None:
    bars = make_bars(START_MS, 1, 86_400_000)
    ticks = walked(bars, replace(SHAPE, bar_ms=86_400_000))
    times = [tick.time_ms for tick in ticks if isinstance(tick, FundingTick)]
    assert times == [START_MS + n * 8 * 3_600_000 for n in range(3)]
    assert [tick.time_ms for tick in ticks] == sorted(tick.time_ms for tick in ticks)


def test_the_same_seed_makes_the_same_ticks() -> None:
    bars = synthetic(30)
    assert walked(bars) == walked(bars)
    assert walked(bars) != walked(bars, seed=2)


def test_a_later_start_makes_the_same_trades() -> None:
    bars = synthetic(30)
    driver = MarketDriver({BTC: bars}, [INSTRUMENT], NO_FUNDING, 1)

    def trades(ticks: Iterator[MarketTick]) -> list[tuple[int, Decimal, Decimal]]:
        return [(t.time_ms, t.price, t.quantity) for t in ticks if isinstance(t, TradeTick)]

    later = trades(driver.ticks(int(bars["open_time"][20])))
    assert later == trades(driver.ticks())[-len(later) :]
    assert len(later) > 0


def test_several_symbols_in_one_stream() -> None:
    instruments = [INSTRUMENT, replace(INSTRUMENT, symbol=ETH)]
    series = {BTC: make_bars(START_MS, 3), ETH: make_bars(START_MS + 60_000, 3)}
    ticks = list(MarketDriver(series, instruments, SHAPE, 1).ticks())
    assert [tick.time_ms for tick in ticks] == sorted(tick.time_ms for tick in ticks)
    alone = [tick for tick in ticks if tick.symbol == BTC]
    assert alone == walked(series[BTC], SHAPE)
    ids = [tick.trade_id for tick in alone if isinstance(tick, TradeTick)]
    assert ids == list(range(1, len(ids) + 1))


def test_a_gap_is_silence() -> None:
    bars = make_bars(START_MS, 5)[[0, 4]]
    minutes = [time for time, _ in groupby((t.time_ms - 1) // 60_000 for t in walked(bars)[1:])]
    assert len(minutes) == 2 or minutes[-1] - minutes[0] == 4


def test_the_exchange_hears_of_every_tick() -> None:
    trader = Trader()
    bars = make_bars(START_MS, 3)
    driver = MarketDriver({BTC: bars}, [instrument_wide()], SHAPE, 1)
    trader.exchange.change_instrument(instrument_wide())
    for number, tick in enumerate(driver.ticks()):
        apply_tick(trader.exchange, tick)
        if number == 5:
            trader.buy(1)
            trader.stop(-1, 1, str(round(float(bars["low"][1]) + 0.2, 1)))
    row = trader.position()
    assert bars["low"].min() < row.mark_price < bars["high"].max()
    # The second bar goes below the stop.
    assert row.quantity == 0
    assert len(trader.exchange.trades(BTC)) == 2


def instrument_wide() -> Instrument:
    """The instrument with a band that no bar leaves."""
    return replace(INSTRUMENT, percent_price_up=D(10), percent_price_down=D("0.1"))


@pytest.mark.parametrize("count", [3, 5_000])
def test_trades_have_to_fit_into_a_bar(count: int) -> None:
    with pytest.raises(ConfigError, match="trades_per_bar"):
        MarketShape(trades_per_bar=count)


def test_the_shape_comes_from_settings() -> None:
    made = market_shape(load_settings(overrides=["simulator.book_levels=7"]), 60_000)
    assert made == MarketShape(book_levels=7)


def test_prices_are_those_of_the_data() -> None:
    bar = np.zeros(1, BAR)[0]
    bar["open"], bar["high"], bar["low"], bar["close"] = 0.1, 0.3, 0.07, 0.2
    assert prices_of(bar).corners() == (D("0.1"), D("0.07"), D("0.3"), D("0.2"))
    bar["close"] = 0.08
    assert prices_of(bar).corners() == (D("0.1"), D("0.3"), D("0.07"), D("0.08"))
