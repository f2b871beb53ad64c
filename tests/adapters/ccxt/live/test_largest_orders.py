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
from tests.adapters.ccxt.live.test_bans import session_at
from tests.adapters.simulator.binance.trading import START_MS, venue_with

from tercel.adapters.ccxt.feed import CcxtFeed
from tercel.adapters.ccxt.keys import ApiKeys
from tercel.adapters.ccxt.venue import CcxtVenue, VenueChoice
from tercel.adapters.simulator.binance.assembly import Venue
from tercel.adapters.simulator.exchange.exchange import Exchange
from tercel.adapters.simulator.exchange.records import NewOrder, OrderType
from tercel.adapters.simulator.mounts.in_memory import in_memory
from tercel.adapters.simulator.mounts.virtual_loop import LoopClock, run_virtually
from tercel.app.live.governor import Governor
from tercel.app.live.runner import Runner
from tercel.app.live.venue_clock import VenueClock
from tercel.core.codes import OrderKind, Slot
from tercel.domain.events import Fault, Operation, Outcome
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


@asynccontextmanager
async def session_of(
    made: Venue, clock: LoopClock, **own: object
) -> AsyncIterator[Callable[[], Runner]]:
    """What starts a session at the venue, whose market plays already; it is stopped in the end."""
    keys = ApiKeys(made.settings.credentials.key, made.settings.credentials.secret)
    async with in_memory(made.facade, made.ticks(), clock) as mount:
        turns = Governor(GOVERNOR, clock)
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


def test_stops_protect_an_adopted_position_beyond_the_largest_order() -> None:
    """Somebody opened it in three orders; one stop would protect a third of it."""

    async def main(clock: LoopClock) -> None:
        made = venue_with(minutes=20)
        exchange = made.facade.state.exchange
        most, rest = Decimal("0.004"), Decimal("0.003")
        exchange.change_instrument(
            replace(exchange.instrument("BTCUSDT"), market_quantity_max=most)
        )
        exchange.set_margin_type("BTCUSDT", is_isolated=True, now_ms=START_MS)
        async with session_of(made, clock, on_unknown_position="adopt") as start:
            await clock.sleep(1.0)
            for quantity in (most, most, rest):
                exchange.place(NewOrder("BTCUSDT", 1, OrderType.MARKET, quantity), clock.now_ms())
            start()
            stops: list[Decimal] = []
            while len(stops) < 3:
                await clock.sleep(0.1)
                stops = sorted(row.quantity for row in exchange.open_conditionals("BTCUSDT"))
                assert clock.now_ms() < START_MS + 40_000
            assert stops == [rest, most, most]
            await clock.sleep(5.0)
            assert held_in(exchange) == 2 * most + rest

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
