"""The simulated exchange in the words of a session: rounding, phases, faults, snapshot, news."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from decimal import Decimal

import numpy as np
import pytest
from tests.adapters.simulator.exchange.trader import BTC, ETH, RULES

from tercel.adapters.simulator.exchange.exchange import Exchange
from tercel.adapters.simulator.exchange.records import NewOrder
from tercel.adapters.simulator.in_process import InProcessExchange, InProcessVenue
from tercel.app.ports import FeedBar, FeedQuote
from tercel.core.codes import OrderKind, Slot
from tercel.core.records import BAR
from tercel.domain.binance_numbers import FAULTS
from tercel.domain.events import (
    Answer,
    Event,
    Fault,
    FeedNews,
    Filled,
    FundingPaid,
    OrderUpdate,
    Outcome,
)
from tercel.domain.orders import OrderPhase, OrderRequest

D = Decimal
MARKET = OrderRequest("t-s1-0-0-1", BTC, 1, OrderKind.MARKET, 0.5)
LIMIT = replace(MARKET, kind=OrderKind.LIMIT, price=99.0)
STOP = OrderRequest(
    "t-s1-0-1-2", BTC, -1, OrderKind.STOP, 0.5, trigger_price=95.0, reduce_only=True,
    slot=Slot.STOP,
)  # fmt: skip


class Desk:
    """An exchange with a price of 100 in both symbols."""

    def __init__(self) -> None:
        self.now = 1_000
        self.exchange = Exchange(RULES, balance_quote=D(1_000), seed=1)
        self.world = InProcessExchange(self.exchange)
        for symbol in (BTC, ETH):
            self.price("100", symbol)
        self.world.take_news()

    def price(self, price: str, symbol: str = BTC) -> None:
        self.now += 10
        self.exchange.on_price(symbol, D(price), self.now)

    def place(self, request: OrderRequest) -> Answer:
        self.now += 10
        return self.world.place(request, self.now)

    def sent(self, request: OrderRequest) -> NewOrder:
        order = self.world.new_order(request)
        assert isinstance(order, NewOrder), order
        return order

    def news(self) -> list[Event]:
        return self.world.take_news()


@pytest.fixture
def desk() -> Desk:
    return Desk()


# --- numbers --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("asked", "sent"), [(0.5, "0.5"), (0.5004, "0.500"), (0.5006, "0.501"), (0.1 + 0.2, "0.300")]
)
def test_quantities_go_to_the_nearest_lot(desk: Desk, asked: float, sent: str) -> None:
    """The core has cut them to lots already: what is left is the noise of floats."""
    assert desk.sent(replace(MARKET, quantity=asked)).quantity == D(sent)


@pytest.mark.parametrize(
    ("request_", "sent"),
    [
        (replace(MARKET, quantity=0.3), 0.3),
        (replace(MARKET, quantity=0.301), None),
        (replace(LIMIT, quantity=0.4), None),
        (replace(STOP, quantity=0.9), 0.3),
        (replace(LIMIT, side=-1, price=110.0, quantity=0.45, slot=Slot.TARGET_1), 0.45),
        (replace(LIMIT, side=-1, price=110.0, quantity=0.9, slot=Slot.TARGET_1), 0.5),
    ],
)
def test_entries_are_refused_and_exits_are_cut_at_the_largest_order(
    desk: Desk, request_: OrderRequest, sent: float | None
) -> None:
    """As at the boundary of a real venue: paper and live act alike."""
    for quantity in (0.3, 0.3, 0.3):
        desk.place(replace(MARKET, quantity=quantity, client_id=""))
    one = desk.exchange.instrument(BTC)
    desk.exchange.change_instrument(
        replace(one, quantity_max=D("0.5"), market_quantity_max=D("0.3"))
    )
    answer = desk.place(request_)
    if sent is None:
        assert (answer.outcome, answer.fault) == (Outcome.REFUSED, Fault.FILTER)
        assert answer.text.endswith("the venue takes 0.3 at most")
        assert not desk.exchange.open_orders(BTC)
    else:
        assert (answer.outcome, answer.quantity) == (Outcome.DONE, sent)


@pytest.mark.parametrize(
    ("side", "asked", "sent"),
    [
        (-1, 95.01, "95.1"),
        (-1, 95.0, "95.0"),
        (-1, 95.1, "95.1"),
        (1, 105.09, "105.0"),
        (1, 105.0, "105.0"),
    ],
)
def test_a_trigger_is_never_farther_from_the_market_than_asked(
    desk: Desk, side: int, asked: float, sent: str
) -> None:
    """A stop that sells below goes up to the tick, one that buys above goes down."""
    order = desk.sent(replace(STOP, side=side, trigger_price=asked))
    assert order.trigger_price == D(sent)


@pytest.mark.parametrize(("asked", "sent"), [(99.04, "99.0"), (99.06, "99.1"), (99.0, "99.0")])
def test_limits_go_to_the_nearest_tick(desk: Desk, asked: float, sent: str) -> None:
    assert desk.sent(replace(LIMIT, price=asked)).price == D(sent)


# --- phases ---------------------------------------------------------------------------------------


def test_a_market_order_is_filled_at_once_and_told_by_its_trades(desk: Desk) -> None:
    answer = desk.place(MARKET)
    assert (answer.outcome, answer.phase, answer.filled_quantity) == (
        Outcome.DONE, OrderPhase.FILLED, 0.5,
    )  # fmt: skip
    events = desk.news()
    fills = [event.fill for event in events if isinstance(event, Filled)]
    assert sum(fill.quantity for fill in fills) == pytest.approx(0.5)
    assert all(fill.client_id == MARKET.client_id for fill in fills)
    for fill in fills:
        assert fill.fee_quote == pytest.approx(fill.price * fill.quantity * 0.0005)
    assert not any(fill.is_maker for fill in fills)
    last = [event for event in events if isinstance(event, OrderUpdate)][-1]
    assert (last.phase, last.filled_quantity) == (OrderPhase.FILLED, 0.5)
    assert last.venue_id == answer.venue_id
    assert desk.news() == [], "told once"


def test_a_limit_rests_fills_and_can_be_asked_about(desk: Desk) -> None:
    assert desk.place(LIMIT).phase is OrderPhase.ACKED
    found = desk.world.query(LIMIT.client_id, BTC, is_conditional=False)
    assert (found.phase, found.filled_quantity) == (OrderPhase.ACKED, 0.0)
    desk.price("98.5")
    found = desk.world.query(LIMIT.client_id, BTC, is_conditional=False)
    assert (found.phase, found.filled_quantity) == (OrderPhase.FILLED, 0.5)
    [fill] = [event.fill for event in desk.news() if isinstance(event, Filled)]
    assert (fill.price, fill.is_maker) == (99.0, True)


def test_cancelling_tells_what_had_filled(desk: Desk) -> None:
    desk.place(LIMIT)
    answer = desk.world.cancel(LIMIT.client_id, BTC, desk.now, is_conditional=False)
    assert (answer.outcome, answer.phase) == (Outcome.DONE, OrderPhase.CANCELLED)
    again = desk.world.cancel(LIMIT.client_id, BTC, desk.now, is_conditional=False)
    assert (again.outcome, again.fault) == (Outcome.REFUSED, Fault.NOT_FOUND)


def test_a_stop_is_a_conditional_order_and_triggers(desk: Desk) -> None:
    """Resting, triggered, filled: the fill carries our id, and comes before its order is over."""
    desk.place(MARKET)
    answer = desk.place(STOP)
    assert (answer.outcome, answer.phase) == (Outcome.DONE, OrderPhase.ACKED)
    with_kind = desk.world.query(STOP.client_id, BTC, is_conditional=True)
    assert with_kind.phase is OrderPhase.ACKED
    without = desk.world.query(STOP.client_id, BTC, is_conditional=False)
    assert without.fault is Fault.NOT_FOUND, "another universe of orders"
    desk.news()
    desk.price("94.9")
    events = desk.news()
    updates = [event for event in events if isinstance(event, OrderUpdate)]
    assert any(update.is_triggered for update in updates)
    assert not any(
        update.phase is OrderPhase.FILLED and update.filled_quantity < 0.5 for update in updates
    ), "a triggered stop is not a filled one"
    assert updates[-1].phase is OrderPhase.FILLED
    fills = [event.fill for event in events if isinstance(event, Filled)]
    assert {fill.client_id for fill in fills} == {STOP.client_id}
    assert sum(fill.quantity for fill in fills) == pytest.approx(0.5)
    assert desk.world.query(STOP.client_id, BTC, is_conditional=True).phase is OrderPhase.FILLED


def test_a_stop_is_cancelled_in_its_own_universe(desk: Desk) -> None:
    desk.place(MARKET)
    desk.place(STOP)
    wrong = desk.world.cancel(STOP.client_id, BTC, desk.now, is_conditional=False)
    assert wrong.fault is Fault.NOT_FOUND
    right = desk.world.cancel(STOP.client_id, BTC, desk.now, is_conditional=True)
    assert (right.outcome, right.phase) == (Outcome.DONE, OrderPhase.CANCELLED)


# --- faults ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("request_", "fault", "code"),
    [
        (replace(STOP, trigger_price=101.0, reduce_only=False), Fault.WOULD_TRIGGER, -2021),
        (replace(LIMIT, kind=OrderKind.POST_ONLY, price=101.0), Fault.WOULD_CROSS, -5022),
        (replace(MARKET, reduce_only=True), Fault.REDUCE_ONLY, -2022),
        (replace(MARKET, quantity=400.0), Fault.MARGIN, None),
        (replace(MARKET, quantity=0.001), Fault.FILTER, None),
        (replace(LIMIT, price=1.0), Fault.FILTER, None),
        (replace(LIMIT, quantity=0.01), Fault.FILTER, -4164),
        (replace(MARKET, symbol="DOGEUSDT"), Fault.OTHER, -1121),
    ],
)
def test_refusals_in_our_words(
    desk: Desk, request_: OrderRequest, fault: Fault, code: int | None
) -> None:
    answer = desk.place(request_)
    assert (answer.outcome, answer.fault) == (Outcome.REFUSED, fault), answer
    if code is not None:
        assert answer.code == code
    assert answer.text


def test_a_client_id_is_used_once(desk: Desk) -> None:
    desk.place(LIMIT)
    answer = desk.place(LIMIT)
    assert (answer.outcome, answer.fault) == (Outcome.REFUSED, Fault.DUPLICATE)


def test_an_order_that_never_was_is_not_found(desk: Desk) -> None:
    for conditional in (True, False):
        answer = desk.world.query("t-s1-0-0-99", BTC, is_conditional=conditional)
        assert (answer.outcome, answer.fault) == (Outcome.REFUSED, Fault.NOT_FOUND)


def test_every_fault_that_a_session_acts_on_has_a_number() -> None:
    told = set(FAULTS.values())
    assert told == set(Fault) - {Fault.NONE, Fault.OTHER}


# --- the account ----------------------------------------------------------------------------------


def test_a_snapshot_has_everything_of_the_asked_symbols(desk: Desk) -> None:
    desk.place(MARKET)
    desk.place(STOP)
    desk.place(replace(LIMIT, client_id="t-s1-0-4-3", side=-1, price=110.0, reduce_only=True))
    desk.place(replace(MARKET, client_id="t-s1-1-0-4", symbol=ETH, side=-1))
    seen = desk.world.read([BTC], 0, desk.now)
    [position] = seen.positions
    assert (position.symbol, position.quantity) == (BTC, 0.5)
    assert {order.client_id: order.is_conditional for order in seen.orders} == {
        STOP.client_id: True, "t-s1-0-4-3": False,
    }  # fmt: skip
    [stop] = [order for order in seen.orders if order.is_conditional]
    assert (stop.trigger_price, stop.price, stop.kind, stop.reduce_only) == (
        95.0, None, OrderKind.STOP, True,
    )  # fmt: skip
    assert {fill.symbol for fill in seen.fills} == {BTC}
    both = desk.world.read([BTC, ETH], 0, desk.now)
    assert {(each.symbol, each.quantity) for each in both.positions} == {(BTC, 0.5), (ETH, -0.5)}
    assert list(both.fills) == sorted(both.fills, key=lambda fill: (fill.time_ms, fill.trade_id))
    fees = sum(fill.fee_quote for fill in both.fills)
    assert both.wallet_quote == pytest.approx(1_000.0 - fees)
    assert both.available_quote < both.wallet_quote
    assert desk.world.read([BTC], desk.now + 1, desk.now).fills == ()


def test_flat_symbols_are_left_out(desk: Desk) -> None:
    desk.place(MARKET)
    desk.place(replace(MARKET, client_id="t-s1-0-3-5", side=-1, reduce_only=True))
    assert desk.world.read([BTC, ETH], 0, desk.now).positions == ()


@pytest.mark.parametrize("side", [1, -1])
def test_funding_is_told_with_its_sign(desk: Desk, side: int) -> None:
    """A positive rate: longs pay, shorts receive, rate x notional."""
    desk.place(replace(MARKET, side=side))
    desk.news()
    desk.exchange.settle_funding(BTC, D("0.001"), desk.now)
    [paid] = [event for event in desk.news() if isinstance(event, FundingPaid)]
    assert paid.symbol == BTC
    assert paid.amount_quote == pytest.approx(-side * 0.001 * 0.5 * 100.0)


def test_a_liquidation_is_a_fill_of_its_own_kind(desk: Desk) -> None:
    """Nobody's client id, so that it is not taken for an order of ours; no order news of it."""
    desk.place(MARKET)
    desk.news()
    desk.exchange.liquidate(BTC, desk.now)
    events = desk.news()
    fills = [event.fill for event in events if isinstance(event, Filled)]
    assert {fill.kind for fill in fills} == {"liquidation"}
    assert sum(fill.quantity for fill in fills) == pytest.approx(0.5)
    assert all(fill.client_id != MARKET.client_id for fill in fills)
    ids = {event.client_id for event in events if isinstance(event, OrderUpdate)}
    assert not any(client_id.startswith("autoclose-") for client_id in ids)
    snapshot = desk.world.read([BTC], 0, desk.now)
    assert [fill.kind for fill in snapshot.fills][-1] == "liquidation", "the same over REST"


# --- as a port ------------------------------------------------------------------------------------


async def collect(venue: InProcessVenue) -> list[Event]:
    return [event async for event in venue.news()]


async def test_the_venue_tells_news_as_it_comes_and_ends_with_close() -> None:
    now = [5_000]
    venue = InProcessVenue(Exchange(RULES, balance_quote=D(1_000), seed=1), lambda: now[0], "sim")
    await venue.connect()
    await venue.open()
    listening = asyncio.create_task(collect(venue))
    venue.see(FeedQuote(BTC, 99.9, 100.1, 50.0, 50.0, now[0], now[0]))
    answer = await venue.place(MARKET)
    assert answer.phase is OrderPhase.FILLED
    assert await venue.time_ms() == 5_000
    await venue.place(OrderRequest("t-s1-0-4-3", BTC, -1, OrderKind.LIMIT, 0.5, price=101.0))
    venue.see(FeedQuote(BTC, 101.2, 101.4, 50.0, 50.0, now[0], now[0]))
    await venue.close()
    await venue.close()
    events = await listening
    assert isinstance(events[0], FeedNews)
    assert (events[0].stream, events[0].is_up) == ("user", True)
    fills = [event.fill for event in events if isinstance(event, Filled)]
    assert [fill.side for fill in fills] == [1, -1]
    assert fills[0].price == 100.1, "a market order walks the book that was seen"
    assert fills[1].is_maker


@pytest.mark.parametrize(
    ("side", "trigger", "before", "at"),
    [(-1, 95.0, (95.1, 95.3), (95.0, 95.2)), (1, 105.0, (104.7, 104.9), (104.8, 105.0))],
)
async def test_a_quote_triggers_stops_before_the_bar_closes(
    side: int, trigger: float, before: tuple[float, float], at: tuple[float, float]
) -> None:
    """Sell stops at the bid, buy stops at the ask: there the market trades next, at the latest."""
    venue = InProcessVenue(Exchange(RULES, balance_quote=D(1_000), seed=1), lambda: 7_000, "sim")
    venue.see(FeedQuote(BTC, 99.9, 100.1, 50.0, 50.0, 7_000, 7_000))
    stop = replace(STOP, side=side, trigger_price=trigger)
    assert (await venue.place(replace(MARKET, side=-side))).phase is OrderPhase.FILLED
    assert (await venue.place(stop)).phase is OrderPhase.ACKED
    venue.see(FeedQuote(BTC, *before, 50.0, 50.0, 7_000, 7_000))
    waits = await venue.query(stop.client_id, BTC, is_conditional=True)
    assert waits.phase is OrderPhase.ACKED, "the other side of the book is no trigger"
    venue.see(FeedQuote(BTC, *at, 50.0, 50.0, 7_000, 7_000))
    found = await venue.query(stop.client_id, BTC, is_conditional=True)
    assert found.phase is OrderPhase.FILLED
    snapshot = await venue.read([BTC], 0)
    assert snapshot.positions == ()
    assert snapshot.fills[-1].price == trigger


async def test_a_quote_fills_no_limit_that_it_does_not_cross() -> None:
    """Ours at 100.0 is better than both: no trade is known that went through it."""
    venue = InProcessVenue(Exchange(RULES, balance_quote=D(1_000), seed=1), lambda: 7_000, "sim")
    venue.see(FeedQuote(BTC, 99.9, 100.1, 50.0, 50.0, 7_000, 7_000))
    assert (await venue.place(replace(LIMIT, price=100.0))).phase is OrderPhase.ACKED
    for bid, ask in ((99.8, 100.1), (100.0, 100.2), (99.9, 100.1)):
        venue.see(FeedQuote(BTC, bid, ask, 50.0, 50.0, 7_000, 7_000))
    found = await venue.query(LIMIT.client_id, BTC, is_conditional=False)
    assert (found.phase, found.filled_quantity) == (OrderPhase.ACKED, 0.0)
    venue.see(FeedQuote(BTC, 99.9, 100.0, 50.0, 50.0, 7_000, 7_000))
    found = await venue.query(LIMIT.client_id, BTC, is_conditional=False)
    assert found.phase is OrderPhase.FILLED


async def test_a_limit_that_takes_all_there_is_leaves_the_quote_its_prices() -> None:
    """A book of one level that our limit has emptied still says where stops trigger."""
    venue = InProcessVenue(Exchange(RULES, balance_quote=D(1_000), seed=1), lambda: 7_000, "sim")
    venue.see(FeedQuote(BTC, 99.9, 100.1, 50.0, 50.0, 7_000, 7_000))
    await venue.place(replace(MARKET, client_id="t-s1-0-0-3"))
    await venue.place(replace(LIMIT, price=95.0))
    await venue.place(STOP)
    venue.see(FeedQuote(BTC, 94.8, 94.9, 50.0, 0.2, 7_000, 7_000))
    limit = await venue.query(LIMIT.client_id, BTC, is_conditional=False)
    assert limit.filled_quantity == 0.2
    stop = await venue.query(STOP.client_id, BTC, is_conditional=True)
    assert stop.phase is OrderPhase.FILLED


async def test_quotes_move_the_last_price_that_a_new_stop_is_judged_by() -> None:
    """Before the first bar and long after the last one: -2021 where it would trigger at once."""
    venue = InProcessVenue(Exchange(RULES, balance_quote=D(1_000), seed=1), lambda: 7_000, "sim")
    venue.see(FeedQuote(BTC, 94.0, 94.2, 50.0, 50.0, 7_000, 7_000))
    assert (await venue.place(MARKET)).phase is OrderPhase.FILLED
    assert (await venue.place(STOP)).fault is Fault.WOULD_TRIGGER
    venue.see(FeedQuote(BTC, 96.0, 96.2, 50.0, 50.0, 7_000, 7_000))
    assert (await venue.place(STOP)).phase is OrderPhase.ACKED


async def test_a_bar_s_close_is_the_last_trade() -> None:
    """A stop between the close and the book triggers; a crossed quote is not believed."""
    venue = InProcessVenue(Exchange(RULES, balance_quote=D(1_000), seed=1), lambda: 7_000, "sim")
    venue.see(FeedQuote(BTC, 99.9, 100.1, 50.0, 50.0, 7_000, 7_000))
    venue.see(FeedQuote(BTC, 101.0, 100.0, 50.0, 50.0, 7_000, 7_000))
    assert (await venue.place(MARKET)).phase is OrderPhase.FILLED
    assert (await venue.place(STOP)).phase is OrderPhase.ACKED
    bar = np.zeros(1, BAR)
    bar["close"], bar["volume"] = 94.0, 1_000.0
    venue.see(FeedBar(BTC, bar, 7_000))
    found = await venue.query(STOP.client_id, BTC, is_conditional=True)
    assert found.phase is OrderPhase.FILLED
    snapshot = await venue.read([BTC], 0)
    assert snapshot.positions == ()
    cancelled = await venue.cancel(STOP.client_id, BTC, is_conditional=True)
    assert cancelled.fault is Fault.NOT_FOUND
