"""A venue's largest order: no entry that could not be closed at once, and every position becomes
flat, in as many orders as it takes.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import replace
from decimal import Decimal

import pytest
from tests.adapters.ccxt.live.server import (
    BUY,
    GOVERNOR,
    SETTINGS,
    STOP,
    SYMBOL,
    Bench,
    on_bench,
)
from tests.adapters.ccxt.live.test_bans import LATENCY, session_at
from tests.adapters.ccxt.live.test_precision import rules
from tests.adapters.simulator.binance.trading import START_MS, venue_with
from tests.app.live.scenes import settings
from tests.market_data import once

from tercel.adapters.ccxt.binance.orders import place
from tercel.adapters.ccxt.calls import Call
from tercel.adapters.ccxt.feed import CcxtFeed
from tercel.adapters.ccxt.keys import ApiKeys
from tercel.adapters.ccxt.venue import CcxtVenue, VenueChoice
from tercel.adapters.simulator.binance.assembly import Venue
from tercel.adapters.simulator.exchange.exchange import Exchange
from tercel.adapters.simulator.exchange.records import NewOrder, OrderType
from tercel.adapters.simulator.mounts.in_memory import in_memory
from tercel.adapters.simulator.mounts.virtual_loop import LoopClock, run_virtually
from tercel.app.live.governor import Governor, Priority
from tercel.app.live.runner import Runner
from tercel.app.live.venue_clock import VenueClock
from tercel.core.codes import OrderKind, Slot
from tercel.domain.events import Fault, Operation, Outcome
from tercel.domain.journal import AlertRow
from tercel.domain.live_settings import GovernorSettings
from tercel.domain.orders import OrderRequest
from tercel.domain.venue_instrument import LargestOrder

LARGEST = Decimal("0.3")
MARKET_ENTRY = replace(BUY, kind=OrderKind.MARKET, price=None)
CLOSE = replace(MARKET_ENTRY, side=-1, reduce_only=True, slot=Slot.CLOSE)
TARGET = replace(BUY, side=-1, reduce_only=True, slot=Slot.TARGET_1)


def limited(symbol: Mapping[str, object]) -> dict[str, object]:
    """A symbol that takes 0.5 in an order, and 0.3 at market."""
    most = {"LOT_SIZE": "0.5", "MARKET_LOT_SIZE": "0.3"}
    filters = symbol["filters"]
    assert isinstance(filters, list)
    return {
        **symbol,
        "filters": [
            {**each, "maxQty": most[each["filterType"]]} if each["filterType"] in most else each
            for each in filters
        ],
    }


@pytest.mark.parametrize(
    ("request_", "sent"),
    [
        (replace(MARKET_ENTRY, quantity=0.3), "0.3"),
        (replace(MARKET_ENTRY, quantity=0.301), None),
        (replace(BUY, quantity=0.4), None),
        (replace(CLOSE, quantity=0.301), "0.3"),
        (replace(CLOSE, quantity=0.2), "0.2"),
        (replace(STOP, quantity=0.9), "0.3"),
        (replace(TARGET, quantity=0.9), "0.5"),
    ],
)
def test_entries_are_refused_and_exits_are_cut(request_: OrderRequest, sent: str | None) -> None:
    """An entry at a limit too: it could not be closed by one order at market."""

    async def places(bench: Bench) -> None:
        bench.server.answers["GET /fapi/v1/exchangeInfo"] = {"symbols": [limited(SYMBOL)]}
        await bench.open()
        bench.server.asked.clear()
        answer = await bench.venue.place(request_)
        posted = [each for each in bench.server.asked if each.method == "POST"]
        if sent is None:
            assert (answer.outcome, answer.fault) == (Outcome.REFUSED, Fault.FILTER)
            assert "0.3 at most" in answer.text
            assert posted == []
        else:
            assert [each.params["quantity"] for each in posted] == [sent]

    on_bench(places)()


def test_the_feed_tells_it_too() -> None:
    """For the exchange of a paper session: at 0.001 a lot, a million lots and 120,000."""

    async def main(clock: LoopClock) -> None:
        made = venue_with(minutes=1)
        async with in_memory(made.facade, made.ticks(), clock) as mount:
            turns = Governor(GOVERNOR, clock)
            feed = CcxtFeed("binance-usdm", SETTINGS, turns, clock, mount.connector)
            told = (await feed.instruments(("BTCUSDT",)))["BTCUSDT"]
            assert told.largest == LargestOrder(Decimal(1_000), Decimal(120))
            assert told.rules.lot_size == Decimal("0.001")
            await feed.close()
            await turns.close()

    run_virtually(main, epoch_ms=START_MS)


@pytest.mark.parametrize(
    ("request_", "priority"),
    [
        (MARKET_ENTRY, Priority.ORDER),
        (BUY, Priority.ORDER),
        (STOP, Priority.URGENT),
        (TARGET, Priority.URGENT),
        (CLOSE, Priority.EXIT),
        (replace(CLOSE, slot=Slot.TRAIL), Priority.EXIT),
    ],
)
def test_what_closes_at_market_is_sent_before_stops(
    request_: OrderRequest, priority: Priority
) -> None:
    made = place(request_, rules())
    assert isinstance(made, Call)
    assert made.priority is priority


@asynccontextmanager
async def session_of(
    made: Venue, clock: LoopClock, governor: GovernorSettings = GOVERNOR, **own: object
) -> AsyncIterator[Callable[[], Runner]]:
    """What starts a session at the venue, whose market plays already; it is stopped in the end."""
    keys = ApiKeys(made.settings.credentials.key, made.settings.credentials.secret)
    async with in_memory(made.facade, made.ticks(), clock, LATENCY) as mount:
        turns = Governor(governor, clock)
        choice = VenueChoice("binance-usdm", ("BTCUSDT",), SETTINGS)
        venue = CcxtVenue(choice, keys, turns, clock, mount.connector)
        dated = VenueClock(clock, venue.time_ms, 30.0)
        feed = CcxtFeed("binance-usdm", SETTINGS, turns, dated, mount.connector)
        runner = session_at(venue, feed, dated, turns, **own)
        running: list[asyncio.Task[int]] = []

        def start() -> Runner:
            running.append(asyncio.create_task(runner.run(())))
            return runner

        yield start
        runner.submit(Operation.STOP, "test")
        assert await running[0] == 0


def held_in(exchange: Exchange) -> Decimal:
    """What the account holds in Bitcoin, base."""
    return abs(sum((row.quantity for row in exchange.positions("BTCUSDT")), Decimal(0)))


@once
@pytest.mark.parametrize("governor", [GOVERNOR, settings().governor], ids=["fast", "shipped"])
@pytest.mark.parametrize("lots", [6, 12, 36])
def test_an_adopted_position_beyond_the_largest_order_is_closed(
    governor: GovernorSettings, lots: int
) -> None:
    """Of 1.5, 3 and 9 of the largest: one stop cannot protect it, and rests until it is gone."""

    async def main(clock: LoopClock) -> None:
        made = venue_with(minutes=20)
        exchange = made.facade.state.exchange
        lot, most = Decimal("0.001"), Decimal("0.004")
        exchange.change_instrument(
            replace(exchange.instrument("BTCUSDT"), market_quantity_max=most)
        )
        exchange.set_margin_type("BTCUSDT", is_isolated=True, now_ms=START_MS)
        async with session_of(made, clock, governor, on_unknown_position="adopt") as start:
            await clock.sleep(1.0)
            for _ in range(lots // 3):
                exchange.place(NewOrder("BTCUSDT", 1, OrderType.MARKET, 3 * lot), clock.now_ms())
            runner = start()
            while not (stops := exchange.open_conditionals("BTCUSDT")):
                assert clock.now_ms() < START_MS + 40_000
                await clock.sleep(0.01)
            assert [row.quantity for row in stops] == [most]
            resting_ms = clock.now_ms()
            while held_in(exchange):
                assert exchange.open_conditionals("BTCUSDT"), "it rests until the close has filled"
                # A call a second: one for each close and question, and the readings beside them.
                assert clock.now_ms() < resting_ms + 20_000
                await clock.sleep(0.01)
            rows = exchange.orders("BTCUSDT")
            closes = [row for row in rows if row.reduce_only and row.filled_quantity]
            assert len(closes) == -(-lots // 4)
            await clock.sleep(10.0)
            assert not held_in(exchange)
            assert not exchange.open_conditionals("BTCUSDT")
            written = await runner._around.journal.read("alert")
            alerts = [row for row in written if isinstance(row, AlertRow)]
            told = [row.text for row in alerts if row.code == "SL_PLACEMENT_FAILED"]
            assert told == [
                "BTCUSDT: one stop protects 0.004 at most, of a position of "
                f"{lots * lot:f}; closing at market"
            ]

    run_virtually(main, epoch_ms=START_MS)


def test_a_position_beyond_the_largest_order_becomes_flat() -> None:
    """The venue allows less than it did when the position was opened: the close is refused, the
    rules are read again, and the close goes in parts.
    """

    async def main(clock: LoopClock) -> None:
        made = venue_with(minutes=20)
        exchange = made.facade.state.exchange
        async with session_of(made, clock) as start:
            runner = start()
            while not held_in(exchange):
                assert clock.now_ms() < START_MS + 600_000
                await clock.sleep(1.0)
            lot = Decimal("0.001")
            most = held_in(exchange) / 3 // lot * lot
            one = exchange.instrument("BTCUSDT")
            exchange.change_instrument(replace(one, market_quantity_max=most))
            runner.submit(Operation.KILL, "test")
            await clock.sleep(60.0)
            assert not held_in(exchange)
            assert runner.session.parts.flags.kill_latched
            closes = [
                row for row in exchange.orders("BTCUSDT") if row.reduce_only and row.filled_quantity
            ]
            assert len(closes) == 4

    run_virtually(main, epoch_ms=START_MS)
