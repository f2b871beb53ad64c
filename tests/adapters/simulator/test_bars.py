"""The exchange of replays: what a closed bar fills, told as events, order by order."""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import Any

import numpy as np
import pytest
from tests.desk import MINUTE_MS, START, candles, funding_known, stream, unknown_contexts

from tercel.adapters.simulator.bars import BarExchange
from tercel.core.codes import (
    EntryTiming,
    ExitReason,
    IntrabarMode,
    OrderKind,
    SlippageModel,
    Slot,
)
from tercel.core.plan import TradePlan
from tercel.core.records import STREAM
from tercel.domain.events import Event, Fault, Filled, FundingPaid, OrderUpdate, Outcome
from tercel.domain.orders import OrderPhase, OrderRequest

TWO_LEGS = TradePlan(legs=((1.0, 0.5), (2.0, 0.5)))
QUIET = "100 100 100 100"


class Desk:
    """One stream's orders at the exchange; bars come one after the other."""

    def __init__(self, plan: TradePlan = TWO_LEGS, **settings: Any) -> None:
        made = np.zeros(1, STREAM)
        made[0] = stream(plan, **settings)
        self.exchange = BarExchange(made)
        self.minute = 0
        self.numbers = 0

    def ask(
        self, slot: Slot, kind: OrderKind, side: int, quantity: float, price: float = math.nan
    ) -> str:
        """Place an order; its id."""
        self.numbers += 1
        name = f"o{self.numbers}"
        stop = kind == OrderKind.STOP
        known = None if math.isnan(price) else price
        request = OrderRequest(
            name,
            "BTCUSDT",
            side,
            kind,
            quantity,
            price=None if stop else known,
            trigger_price=known if stop else None,
            slot=slot,
            reason=int(ExitReason.NONE if slot is Slot.ENTRY else ExitReason.STOP),
        )
        answer = self.exchange.place(request)
        assert (answer.outcome, answer.phase) == (Outcome.DONE, OrderPhase.ACKED)
        return name

    def enter(self, side: int = 1, quantity: float = 1.0) -> None:
        """A position from the close of a quiet bar."""
        self.ask(Slot.ENTRY, OrderKind.MARKET, side, quantity)
        assert told(self.close(QUIET)) == [("o1", 100.0, quantity)]

    def bar(self, line: str) -> Any:
        """The next bar of the table."""
        self.minute += 1
        [made] = candles(line, START + self.minute * MINUTE_MS)
        return made

    def play(self, line: str, context: Any = None) -> list[Event]:
        """What the next bar fills of what rests."""
        known = unknown_contexts(1)[0] if context is None else context
        return list(self.exchange.on_bar(0, self.bar(line), known))

    def close(self, line: str) -> list[Event]:
        """What the close of the next bar fills."""
        return list(self.exchange.at_close(0, self.bar(line)))


def told(events: Iterable[Event]) -> list[tuple[str, float, float]]:
    """(id, price, quantity) of each fill."""
    return [
        (each.fill.client_id, round(each.fill.price, 9), round(each.fill.quantity, 9))
        for each in events
        if isinstance(each, Filled)
    ]


def phases(events: Iterable[Event]) -> list[tuple[str, OrderPhase, bool]]:
    """(id, phase, triggered) of each update."""
    return [
        (each.client_id, each.phase, each.is_triggered)
        for each in events
        if isinstance(each, OrderUpdate)
    ]


def test_a_market_entry_meets_the_close() -> None:
    desk = Desk(taker_fee_rate=0.001, slippage_model=SlippageModel.BPS, slippage_bps=10.0)
    name = desk.ask(Slot.ENTRY, OrderKind.MARKET, 1, 2.0)
    [filled] = desk.close("99 101 98 100")
    assert isinstance(filled, Filled)
    fill = filled.fill
    assert (fill.client_id, fill.reference_price) == (name, 100.0)
    assert fill.price == pytest.approx(100.1)
    assert fill.fee_quote == pytest.approx(100.1 * 2.0 * 0.001)
    assert filled.time_ms == fill.time_ms == START + 2 * MINUTE_MS
    assert not fill.is_maker


def test_a_market_entry_of_the_next_open() -> None:
    desk = Desk(entry_timing=EntryTiming.NEXT_OPEN)
    desk.ask(Slot.ENTRY, OrderKind.MARKET, 1, 2.0)
    assert desk.close("99 101 98 100") == []
    assert told(desk.play("103 104 102 103")) == [("o1", 103.0, 2.0)]


def test_what_a_market_entry_does_not_find_expires() -> None:
    """A tenth of a volume of 5 is 0.5: the rest is not waited for."""
    desk = Desk(participation_max=0.1)
    name = desk.ask(Slot.ENTRY, OrderKind.MARKET, 1, 2.0)
    events = desk.close("100 100 100 100 5")
    assert told(events) == [(name, 100.0, 0.5)]
    assert phases(events) == [(name, OrderPhase.EXPIRED, False)]
    assert desk.exchange.query(name).fault is Fault.NOT_FOUND


def test_a_limit_is_filled_once_price_goes_through_it() -> None:
    desk = Desk(maker_fee_rate=0.0002)
    name = desk.ask(Slot.ENTRY, OrderKind.LIMIT, 1, 1.0, 100.0)
    assert desk.play("101 102 100 101") == []  # touched: others were ahead in the queue
    [filled] = desk.play("101 102 99.9 101")
    assert told([filled]) == [(name, 100.0, 1.0)]
    assert isinstance(filled, Filled)
    assert filled.fill.is_maker
    assert filled.fill.fee_quote == pytest.approx(0.02)


def test_orders_are_taken_asked_about_and_taken_away() -> None:
    desk = Desk(participation_max=0.1)
    name = desk.ask(Slot.ENTRY, OrderKind.LIMIT, 1, 2.0, 100.0)
    assert desk.exchange.query(name).phase is OrderPhase.ACKED
    assert told(desk.play("101 102 99 101 5")) == [(name, 100.0, 0.5)]
    asked = desk.exchange.query(name)
    assert (asked.phase, asked.filled_quantity) == (OrderPhase.PARTLY_FILLED, 0.5)
    gone = desk.exchange.cancel(name)
    assert (gone.outcome, gone.phase, gone.filled_quantity) == (
        Outcome.DONE, OrderPhase.CANCELLED, 0.5,
    )  # fmt: skip
    for again in (desk.exchange.cancel(name), desk.exchange.query("nobody")):
        assert (again.outcome, again.fault) == (Outcome.REFUSED, Fault.NOT_FOUND)


def test_a_stop_fills_at_its_price_or_at_the_gap() -> None:
    for line, price in (("100 101 94 96", 95.0), ("93 94 92 93", 93.0)):
        desk = Desk()
        desk.enter()
        name = desk.ask(Slot.STOP, OrderKind.STOP, -1, 1.0, 95.0)
        assert desk.play("100 101 96 97") == []
        events = desk.play(line)
        assert told(events) == [(name, price, 1.0)]
        assert phases(events) == [(name, OrderPhase.ACKED, True)]


def test_a_triggered_stop_waits_for_volume_and_stays_triggered_when_resized() -> None:
    """Two of three are left: they take the next open, at whatever price, also from a new order."""
    desk = Desk(participation_max=0.1)
    desk.ask(Slot.ENTRY, OrderKind.MARKET, 1, 3.0)
    desk.close(f"{QUIET} 1000")
    first = desk.ask(Slot.STOP, OrderKind.STOP, -1, 3.0, 95.0)
    assert told(desk.play("100 101 94 96 10")) == [(first, 95.0, 1.0)]
    second = desk.ask(Slot.STOP, OrderKind.STOP, -1, 2.0, 95.0)
    desk.exchange.cancel(first)
    assert told(desk.play("97 99 96 98 1000")) == [(second, 97.0, 2.0)]


@pytest.mark.parametrize(
    ("mode", "line", "wanted"),
    [
        # A bar that reaches stop (95) and target (105) of a long.
        (IntrabarMode.STOP_FIRST, "100 106 94 101", ["stop"]),
        (IntrabarMode.OHLC_PATH, "100 106 94 101", ["stop"]),  # rising: its low came first
        (IntrabarMode.OHLC_PATH, "100 106 94 99", ["target", "stop"]),  # falling: its high
        (IntrabarMode.OPTIMISTIC, "100 106 94 101", ["target", "stop"]),
    ],
)
def test_what_comes_first_inside_a_bar(mode: IntrabarMode, line: str, wanted: list[str]) -> None:
    desk = Desk(intrabar=mode)
    desk.enter()
    stop = desk.ask(Slot.STOP, OrderKind.STOP, -1, 1.0, 95.0)
    target = desk.ask(Slot.TARGET_1, OrderKind.LIMIT, -1, 0.5, 105.0)
    names = {stop: "stop", target: "target"}
    found = []
    for event in desk.exchange.on_bar(0, desk.bar(line), unknown_contexts(1)[0]):
        if isinstance(event, Filled):
            found.append(names[event.fill.client_id])
            if found == ["target"]:  # what a session does between two fills: the stop shrinks
                names[desk.ask(Slot.STOP, OrderKind.STOP, -1, 0.5, 95.0)] = "stop"
                desk.exchange.cancel(stop)
            elif "target" not in found:
                desk.exchange.cancel(target)
    assert found == wanted


@pytest.mark.parametrize(
    ("mode", "line", "filled"),
    [
        (IntrabarMode.STOP_FIRST, "101 106 99.5 104", True),  # it is always taken to come back
        (IntrabarMode.OHLC_PATH, "104 106 99.5 101", True),  # falling: down to the low at last
        (IntrabarMode.OHLC_PATH, "101 106 99.5 104", False),  # rising: the low was before
        (IntrabarMode.OPTIMISTIC, "101 106 99.5 104", False),  # only where it closes beyond
        (IntrabarMode.OPTIMISTIC, "101 106 99 99.5", True),
    ],
)
def test_a_stop_that_a_target_has_moved(mode: IntrabarMode, line: str, filled: bool) -> None:
    """To the entry price, 100, in the bar of the target: it fills there or not at all."""
    desk = Desk(intrabar=mode)
    desk.enter()
    stop = desk.ask(Slot.STOP, OrderKind.STOP, -1, 1.0, 95.0)
    desk.ask(Slot.TARGET_1, OrderKind.LIMIT, -1, 0.5, 105.0)
    moved, found = "", []
    for event in desk.exchange.on_bar(0, desk.bar(line), unknown_contexts(1)[0]):
        found += told([event])
        if isinstance(event, Filled) and not moved:
            moved = desk.ask(Slot.STOP, OrderKind.STOP, -1, 0.5, 100.0)
            desk.exchange.cancel(stop)
    assert ((moved, 100.0, 0.5) in found) is filled


def test_after_a_limit_entry_only_the_stop_follows_in_its_bar() -> None:
    """Whether the high came after the fill is unknown; optimism says that it did."""
    for mode, wanted in ((IntrabarMode.STOP_FIRST, 1), (IntrabarMode.OPTIMISTIC, 2)):
        desk = Desk(TradePlan(legs=((1.0, 1.0),), entry="limit"), intrabar=mode)
        desk.ask(Slot.ENTRY, OrderKind.LIMIT, 1, 1.0, 100.0)
        found = []
        for event in desk.exchange.on_bar(0, desk.bar("101 106 99 101"), unknown_contexts(1)[0]):
            found += told([event])
            if len(found) == 1:
                desk.ask(Slot.STOP, OrderKind.STOP, -1, 1.0, 95.0)
                desk.ask(Slot.TARGET_1, OrderKind.LIMIT, -1, 1.0, 105.0)
        assert len(found) == wanted


def test_a_close_takes_the_close_and_then_the_next_open() -> None:
    desk = Desk(participation_max=0.1)
    desk.ask(Slot.ENTRY, OrderKind.MARKET, -1, 3.0)
    desk.close(f"{QUIET} 1000")
    name = desk.ask(Slot.CLOSE, OrderKind.MARKET, 1, 3.0)
    assert told(desk.close("100 100 100 100 10")) == [(name, 100.0, 1.0)]
    assert told(desk.play("101 101 101 101 1000")) == [(name, 101.0, 2.0)]


def test_funding_of_what_is_held_at_the_settlement() -> None:
    """Every two minutes: 0.1 % of 2 base at 110, paid by the long; the known rate goes first."""
    desk = Desk(funding_interval_ms=2 * MINUTE_MS, funding_rate=0.001)
    assert desk.play(QUIET) == []
    desk.enter(quantity=2.0)  # at minute 3: the next settlement is at 4
    assert desk.minute == 2
    [paid] = desk.play("110 110 110 110")
    assert isinstance(paid, FundingPaid)
    assert (paid.time_ms, paid.stream) == (START + 4 * MINUTE_MS, 0)
    assert paid.amount_quote == pytest.approx(-0.22)
    assert desk.play(QUIET) == []
    [known] = desk.play("110 110 110 110", funding_known(candles(QUIET), -0.002)[0])
    assert isinstance(known, FundingPaid)
    assert known.amount_quote == pytest.approx(0.44)


def test_what_is_entered_inside_a_bar_is_held_at_a_settlement_at_its_end() -> None:
    desk = Desk(
        TradePlan(legs=((1.0, 1.0),), entry="limit"),
        funding_interval_ms=2 * MINUTE_MS,
        funding_rate=0.001,
    )
    desk.ask(Slot.ENTRY, OrderKind.LIMIT, 1, 1.0, 100.0)
    filled, paid = desk.play("101 101 99 100")
    assert isinstance(filled, Filled)
    assert isinstance(paid, FundingPaid)
    assert paid.time_ms == START + 2 * MINUTE_MS
    assert paid.amount_quote == pytest.approx(-0.1)


def test_the_end_of_the_data_finds_a_counterpart_for_all() -> None:
    desk = Desk(participation_max=0.001)
    desk.ask(Slot.ENTRY, OrderKind.MARKET, 1, 1.0)
    desk.close(f"{QUIET} 1000")
    name = desk.ask(Slot.CLOSE, OrderKind.MARKET, -1, 1.0)
    assert told(desk.exchange.finish(0, desk.bar("100 100 100 102 1"))) == [(name, 102.0, 1.0)]
    assert list(desk.exchange.finish(0, desk.bar(QUIET))) == []


def test_a_stream_without_orders_is_not_looked_at() -> None:
    desk = Desk(funding_interval_ms=MINUTE_MS, funding_rate=0.001)
    assert desk.play("100 1000 1 100") == []
    assert desk.close("100 1000 1 100") == []
