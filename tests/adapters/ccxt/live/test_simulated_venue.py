"""The adapter against the whole simulated exchange: an entry's life, and a fault at each of its
steps. What the adapter says of an order is held against what the venue knows.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field, replace
from decimal import Decimal
from typing import Any

import numpy as np
import pytest
from tests.adapters.ccxt.live.server import BUY, GOVERNOR, SETTINGS, STOP
from tests.adapters.simulator.binance.trading import START_MS, fault, flat_bars, venue_with
from tests.app.live.scenes import Cast, Script

from tercel.adapters.ccxt.feed import CcxtFeed
from tercel.adapters.ccxt.keys import ApiKeys
from tercel.adapters.ccxt.venue import CcxtVenue, VenueChoice
from tercel.adapters.simulator.binance.assembly import Venue, VenueOrder, build_venue
from tercel.adapters.simulator.binance.wire import Reply
from tercel.adapters.simulator.fault_codes import FaultCode
from tercel.adapters.simulator.faults import Fault
from tercel.adapters.simulator.mounts.in_memory import in_memory
from tercel.adapters.simulator.mounts.virtual_loop import LoopClock, run_virtually
from tercel.app.live.bar_collector import BarCollector
from tercel.app.live.beside import watch_beside
from tercel.app.live.governor import Governor
from tercel.app.live.known_context import KnownContext
from tercel.app.live.venue_clock import VenueClock
from tercel.app.ports import FeedBar, FeedQuote
from tercel.bootstrap import load_settings
from tercel.core.codes import OrderKind, Slot
from tercel.domain.bars import SeriesKey
from tercel.domain.errors import TercelError, VenueError
from tercel.domain.events import Answer, Event, FeedNews, Filled, OrderUpdate, Outcome
from tercel.domain.orders import OrderPhase, OrderRequest

ENTRY = replace(BUY, kind=OrderKind.MARKET, price=None, client_id="t-s-0-0-1")
STOP_BELOW = replace(STOP, trigger_price=39_000.0)
TARGET = replace(
    BUY,
    client_id="t-s-0-4-3",
    side=-1,
    price=41_000.0,
    quantity=0.004,
    reduce_only=True,
    slot=Slot.TARGET_1,
)


@dataclass
class Rehearsal:
    """The simulated venue, and the adapter at it."""

    simulated: Venue
    clock: LoopClock
    venue: CcxtVenue
    feed: CcxtFeed
    news: list[Event] = field(default_factory=list)
    items: list[object] = field(default_factory=list)

    async def collect(self) -> None:
        """Keep the venue's news."""
        async for event in self.venue.news():
            self.news.append(event)

    async def watch(self) -> None:
        """Keep the feed's items."""
        async for item in self.feed.items():
            self.items.append(item)

    def fills(self) -> dict[str, Filled]:
        """By trade id: a trade that was told twice is one."""
        return {each.fill.trade_id: each for each in self.news if isinstance(each, Filled)}

    def knows(self, request: OrderRequest) -> bool:
        """Whether the exchange itself has, or had, that order."""
        exchange = self.simulated.facade.state.exchange
        rows = (
            exchange.conditionals("BTCUSDT")
            if request.is_conditional
            else exchange.orders("BTCUSDT")
        )
        return any(row.client_id == request.client_id for row in rows)


def rehearse(play: Callable[[Rehearsal], Awaitable[None]], *faults: Fault) -> None:
    """Play on virtual time, with everything closed behind it."""

    async def main(clock: LoopClock) -> None:
        made = venue_with(*faults)
        keys = ApiKeys(made.settings.credentials.key, made.settings.credentials.secret)
        async with in_memory(made.facade, made.ticks(), clock) as mount:
            turns = Governor(GOVERNOR, clock)
            choice = VenueChoice("binance-usdm", ("BTCUSDT",), SETTINGS)

            async def ask() -> int:
                return await venue.time_ms()

            dated = VenueClock(clock, ask, SETTINGS.clock_minutes)
            venue = CcxtVenue(choice, keys, turns, dated, mount.connector)
            venue.on_clock_error(dated.nudge)
            feed = CcxtFeed("binance-usdm", SETTINGS, turns, dated, mount.connector)
            rehearsal = Rehearsal(made, clock, venue, feed)
            collectors = [
                asyncio.create_task(rehearsal.collect()),
                asyncio.create_task(rehearsal.watch()),
            ]
            try:
                await venue.connect()
                await dated.start()
                await play(rehearsal)
            finally:
                await venue.close()
                await feed.close()
                await turns.close()
                await asyncio.gather(*collectors)

    run_virtually(main, epoch_ms=START_MS)


def test_an_entry_its_stop_and_its_target_from_birth_to_death() -> None:
    async def lives(it: Rehearsal) -> None:
        await it.venue.open()
        entered = await it.venue.place(ENTRY)
        assert (entered.outcome, entered.phase) == (Outcome.DONE, OrderPhase.FILLED)
        assert (await it.venue.place(STOP_BELOW)).phase is OrderPhase.ACKED
        assert (await it.venue.place(TARGET)).phase is OrderPhase.ACKED
        picture = await it.venue.read(["BTCUSDT"], START_MS)
        assert [each.quantity for each in picture.positions] == [0.01]
        assert {each.client_id: each.is_conditional for each in picture.orders} == {
            STOP_BELOW.client_id: True,
            TARGET.client_id: False,
        }
        it.simulated.facade.state.exchange.on_price("BTCUSDT", _price(38_990), it.clock.now_ms())
        await it.clock.sleep(2.0)
        stopped = [each.fill for each in it.fills().values() if each.fill.side < 0]
        assert {each.client_id for each in stopped} == {STOP_BELOW.client_id}
        assert sum(each.quantity for each in stopped) == pytest.approx(0.01)
        phases = [
            each.phase
            for each in it.news
            if isinstance(each, OrderUpdate) and each.client_id == STOP_BELOW.client_id
        ]
        assert phases[-1] is OrderPhase.FILLED
        assert OrderPhase.FILLED not in phases[: phases.index(OrderPhase.FILLED)]
        gone = await it.venue.cancel(TARGET.client_id, "BTCUSDT", is_conditional=False)
        assert gone.outcome in (Outcome.DONE, Outcome.REFUSED)
        after = await it.venue.read(["BTCUSDT"], START_MS)
        assert (after.positions, after.orders) == ((), ())
        assert {each.trade_id for each in after.fills} == set(it.fills())
        assert {each.trade_id: each.client_id for each in after.fills} == {
            number: each.fill.client_id for number, each in it.fills().items()
        }

    rehearse(lives)


def test_a_restarted_adapter_learns_whose_fills_theirs_are() -> None:
    """A trade over REST carries the engine's order number alone; the fills of a stop that was
    triggered while nobody listened still have its name.
    """

    async def restarts(it: Rehearsal) -> None:
        await it.venue.open()
        await it.venue.place(ENTRY)
        await it.venue.place(STOP_BELOW)
        it.simulated.facade.state.exchange.on_price("BTCUSDT", _price(38_990), it.clock.now_ms())
        await it.clock.sleep(1.0)
        side = it.venue._side
        side._names._names.clear()  # type: ignore[attr-defined]
        side._names._stops.clear()  # type: ignore[attr-defined]
        picture = await it.venue.read(["BTCUSDT"], START_MS)
        assert {each.client_id for each in picture.fills} == {
            ENTRY.client_id,
            STOP_BELOW.client_id,
        }

    rehearse(restarts)


def test_what_somebody_traded_while_we_were_down_is_found_among_many_symbols() -> None:
    """In and out again in Ether: nothing rests, nothing is held, and the account paid for it. The
    others are not asked one by one.
    """

    async def main(clock: LoopClock) -> None:
        symbols = ("BTCUSDT", "ETHUSDT", "SOLUSDT", "BNBUSDT", "XRPUSDT")
        order = VenueOrder({each: flat_bars(40.0, 5) for each in symbols}, start_ms=START_MS)
        made = build_venue(load_settings(), order)
        asked: list[str] = []
        handle = made.facade.handle_request

        def handled(method: str, path: str, query: str, *rest: Any) -> Reply:
            asked.append(f"{path.rpartition('/')[2]} {query}")
            return handle(method, path, query, *rest)

        made.facade.handle_request = handled  # type: ignore[method-assign,assignment]
        keys = ApiKeys(made.settings.credentials.key, made.settings.credentials.secret)
        async with in_memory(made.facade, made.ticks(), clock) as mount:
            await clock.sleep(1.0)
            for side in (1, -1):
                made.facade.state.exchange.outside_fill("ETHUSDT", side, Decimal(1), clock.now_ms())
            turns = Governor(GOVERNOR, clock)
            choice = VenueChoice("binance-usdm", symbols, SETTINGS)
            venue = CcxtVenue(choice, keys, turns, clock, mount.connector)
            await venue.open()
            snapshot = await venue.read(symbols, START_MS)
            assert [(fill.symbol, fill.side) for fill in snapshot.fills] == [
                ("ETHUSDT", 1),
                ("ETHUSDT", -1),
            ]
            assert sum(each.startswith("income") for each in asked) == 1
            [trades] = [each for each in asked if each.startswith("userTrades")]
            assert "symbol=ETHUSDT" in trades
            await venue.close()
            await turns.close()

    run_virtually(main, epoch_ms=START_MS)


def test_bitcoin_s_move_is_known_to_a_session_that_trades_ether() -> None:
    """From the feed's bars beside, an hour after the first; its quotes are nobody's."""

    async def main(clock: LoopClock) -> None:
        made = venue_with(minutes=70)
        cast = Cast(symbols=("ETHUSDT",))
        plan = cast.session_plan(Script())
        async with in_memory(made.facade, made.ticks(), clock) as mount:
            turns = Governor(GOVERNOR, clock)
            feed = CcxtFeed("binance-usdm", SETTINGS, turns, clock, mount.connector)
            key, unknown = await watch_beside(feed, plan)
            assert (key, unknown) == (SeriesKey("binance-usdm", "BTCUSDT", "1m"), "")
            known = KnownContext(plan, load_settings().context, key)
            collector = BarCollector(plan.symbols, 1_500, known, beside=("BTCUSDT",))
            await feed.open(plan.symbols, "1m")
            moves: list[float] = []
            async for item in feed.items():
                if isinstance(item, FeedQuote):
                    assert item.symbol == "ETHUSDT"
                elif isinstance(item, FeedBar):
                    known.see(item)
                    events = collector.add(item, clock.now_ms())
                    moves += [float(each.contexts["btc_move_1h"][0]) for each in events]
                    if len(moves) == 65:
                        break
            assert np.isnan(moves[:60]).all()
            assert moves[60:] == [0.0] * 5, "a price that stays"
            await feed.close()
            await turns.close()

    run_virtually(main, epoch_ms=START_MS)


def test_bars_quotes_and_history_of_the_simulated_market() -> None:
    async def watches(it: Rehearsal) -> None:
        await it.feed.open(("BTCUSDT", "ETHUSDT"), "1m")
        await it.clock.sleep(3 * 60.0 + 1.0)
        bars = [each for each in it.items if isinstance(each, FeedBar)]
        assert [
            (int(each.bar["open_time"][0]) - START_MS) // 60_000
            for each in bars
            if each.symbol == "BTCUSDT"
        ] == [0, 1, 2]
        quotes = [each for each in it.items if isinstance(each, FeedQuote)]
        assert quotes
        assert all(each.bid < each.ask for each in quotes)
        start_ms = START_MS - 60 * 60_000
        history = await it.feed.history("BTCUSDT", "1m", start_ms, START_MS + 3 * 60_000)
        assert len(history) == 63
        told = next(each.bar for each in bars if each.symbol == "BTCUSDT")
        assert history["close"][60] == told["close"][0]
        assert it.feed.unreadable == 0

    rehearse(watches)


def _price(figure: int):  # type: ignore[no-untyped-def]
    from decimal import Decimal

    return Decimal(figure)


FAULTS = [
    *(FaultCode.T2, FaultCode.T3, FaultCode.T4, FaultCode.T5, FaultCode.T6),
    *(FaultCode.T7, FaultCode.T8, FaultCode.T10, FaultCode.O1, FaultCode.O2),
    *(FaultCode.O3, FaultCode.O4, FaultCode.O5, FaultCode.O8, FaultCode.O12),
    *(FaultCode.O21, FaultCode.U1, FaultCode.U5, FaultCode.U9, FaultCode.L1),
    *(FaultCode.L2, FaultCode.K1, FaultCode.K2, FaultCode.R3),
]


@pytest.mark.parametrize("code", FAULTS, ids=lambda code: code.name)
def test_what_is_said_of_an_order_is_true_whatever_goes_wrong(code: FaultCode) -> None:
    """DONE: the venue has it. REFUSED: the venue has never had it. Nothing is ever sent twice."""
    rehearse(said_is_true, fault(code, nth=2), fault(code, nth=5))


async def said_is_true(it: Rehearsal) -> None:
    """Open, enter, protect, look, cancel; then compare with the venue's own books."""
    try:
        await it.venue.open()
    except TercelError:
        return  # a start that fails says so, and nothing was sent
    answers: list[tuple[OrderRequest, Answer]] = []
    for request in (ENTRY, STOP_BELOW, TARGET):
        answers.append((request, await it.venue.place(request)))
        await it.clock.sleep(1.0)
    for request, answer in answers:
        if answer.outcome is Outcome.DONE:
            assert it.knows(request), (request.client_id, answer)
        if answer.outcome is Outcome.REFUSED and "ClientOrderId is duplicated" not in answer.text:
            assert not it.knows(request), (request.client_id, answer)
    await it.clock.sleep(400.0)  # bans and silences are over
    for _ in range(5):
        try:
            picture = await it.venue.read(["BTCUSDT"], START_MS)
            break
        except VenueError:
            await it.clock.sleep(60.0)
    else:
        raise AssertionError("the account could not be read once all faults were over")
    exchange = it.simulated.facade.state.exchange
    assert {int(each.trade_id) for each in picture.fills} == {
        row.trade_id for row in exchange.trades("BTCUSDT")
    }
    assert set(it.fills()) <= {each.trade_id for each in picture.fills}
    lost = set(it.fills()) != {each.trade_id for each in picture.fills}
    if lost:
        # A fill that the stream did not tell: then the stream said that it was down.
        assert any(isinstance(each, FeedNews) and not each.is_up for each in it.news)
    for request, answer in answers:
        found = await it.venue.query(
            request.client_id, "BTCUSDT", is_conditional=request.is_conditional
        )
        if found.outcome is not Outcome.AMBIGUOUS:
            assert (found.outcome is Outcome.DONE) == it.knows(request), (answer, found)
