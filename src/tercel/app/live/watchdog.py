"""Stops that ought to have filled and have not: whether a stop works, nobody else looks.

A venue may keep a stop while it is being triggered, leave it at rest though price has passed it, or
lose the order that it became; it goes on saying that the stop is there. So, for each stop at rest:

1. it ought to have filled since the venue said that it is triggered, or since price is beyond it:
   that of a bar's close, or of a quote that a timer brings. What close, bid and ask do not agree on
   changes nothing;
2. `session.query_ms` later the venue is asked about it: the news of its fill may have been lost;
3. after `session.trigger_ms_max` the position is closed at market, reduce-only. The stop rests
   until that has filled: whichever comes second finds nothing to reduce.

Only where the venue has a truth of its own. Over a replay nothing happens between two bars, and the
bar that passes a stop is the one that fills it. A paper session asks its venue as a live one does;
there the exchange has seen each price before the session, so that the fill has come by then.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence

from tercel.app.live.alerts import AlertCode
from tercel.app.live.desk import Numbers
from tercel.app.live.execution import EMPTY, Execution
from tercel.app.live.parts import SessionParts
from tercel.app.live.working import WorkingOrder
from tercel.core.codes import ExitReason, Slot
from tercel.domain.commands import Level
from tercel.domain.events import MarketView, Quote
from tercel.domain.orders import OrderSnapshot

UNSEEN = MarketView()


class Watchdog:
    """Closes what a stop should have closed."""

    def __init__(self, parts: SessionParts, execution: Execution) -> None:
        self._parts = parts
        self._execution = execution
        self._is_on = parts.rules.reads_venue and not parts.rules.is_exact

    def waiting_symbols(self) -> tuple[str, ...]:
        """Symbols with a stop at rest: their quotes are wanted."""
        return tuple(order.request.symbol for _, order in self._stops())

    def see_bars(
        self,
        close_time: int,
        closes: Numbers,
        series: Sequence[int],
        views: Mapping[int, MarketView],
    ) -> None:
        """The bars of `series` have closed at `close_time`: price was there at that moment."""
        for k, order in self._stops():
            row = self._parts.plan.streams[k].series
            # One that was sent later did not rest yet.
            if row in series and order.sent_ms < close_time:
                view = views.get(row, UNSEEN)
                self._see(order, close_time, (closes.item(row), view.bid, view.ask))

    def see_orders(self, orders: Sequence[OrderSnapshot]) -> None:
        """What a reading says of stops whose news may have been lost."""
        for each in orders:
            order = self._parts.orders.find(each.client_id) if each.is_triggered else None
            if order is not None and order.triggered_ms == 0:
                self._execution.note_trigger(order)

    def look(self, quotes: Sequence[Quote]) -> None:
        """Time has passed."""
        known = {quote.symbol: quote for quote in quotes}
        for k, order in list(self._stops()):
            quote = known.get(order.request.symbol)
            if quote is not None:
                self._see(order, self._parts.now, (quote.bid, quote.ask))
            since_ms = min(filter(None, (order.triggered_ms, order.beyond_ms)), default=0)
            if since_ms:
                self._judge(k, order, since_ms)

    def _stops(self) -> Iterator[tuple[int, WorkingOrder]]:
        """Stops at rest of every position that is held, each with its stream."""
        parts = self._parts
        if not self._is_on:
            return
        for k, quantity in enumerate(parts.desk.held.tolist()):
            if quantity > 0.0:
                for order in parts.orders.of(k, Slot.STOP):
                    if order.rests:
                        yield k, order

    def _see(self, order: WorkingOrder, moment: int, prices: Sequence[float]) -> None:
        """Price was at each of `prices` at `moment`."""
        trigger = order.request.trigger_price
        if trigger is None:
            return
        passed = [
            (price - trigger) * order.request.side >= 0.0
            for price in prices
            if not math.isnan(price)
        ]
        if passed and all(passed) and order.beyond_ms == 0:
            order.beyond_ms = moment
        elif not any(passed) and 0 < order.beyond_ms < moment:
            order.beyond_ms = 0
        else:
            return
        # A timer that changes nothing is not journaled: this one has to be.
        self._parts.changed = True

    def _judge(self, k: int, order: WorkingOrder, since_ms: int) -> None:
        """A stop that ought to have filled since then."""
        parts, rules = self._parts, self._parts.rules.session
        late_ms = parts.now - since_ms
        if late_ms < rules.query_ms or parts.desk.statuses.item(k, Slot.CLOSE) != EMPTY:
            return
        if order.asked_ms < since_ms:
            parts.query(order)
        # What came too late to be noticed in time is asked about first, all the same.
        elif late_ms >= rules.trigger_ms_max and parts.now - order.asked_ms >= rules.query_ms:
            request = order.request
            what = "was triggered" if order.triggered_ms else "price passed it"
            self._execution.ask_close(k, ExitReason.STOP)
            parts.alert(
                Level.CRITICAL,
                AlertCode.STOP_NOT_FILLED,
                f"{request.symbol}: the stop {request.client_id} at {request.trigger_price:g} has "
                f"not filled {late_ms} ms after {what}; closing at market",
                k,
            )
