"""Smart entry: how an entry is sent, and how long a resting one is chased.

In order, for each signal that may be traded, where `execution.entry` is smart:

1. `choose`, before the stream decides: market for a strong signal in a tight market, post-only
   while volatility is calm, else a limit; a signal without a score, or a spread that nobody knows,
   leaves it to the strategy's plan;
2. `post`, after it: a post-only entry rests at the best price of its own side (at the close, where
   a market order would leave half of them refused), and its time begins;
3. `chase`, whenever time has passed: an entry that has rested for `chase_seconds` is re-posted at
   the best price, `reposts_max` times; then an urgent one takes the market, any other is given up.
   Before each of these the session's own objections are asked again: one of them ends it.

The choice is written into the stream's plan for this one entry, and taken back once it is over. A
plan that waits CHASED_BY_TIME bars says that its entry is chased here: bars never end it.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from tercel.app.live.execution import Execution
from tercel.app.live.objections import KNOWN_NOTHING, Objections
from tercel.app.live.parts import SessionParts
from tercel.core import minute
from tercel.core.codes import OrderKind, OrderStatus, Refusal, Side, Slot
from tercel.domain.events import MarketView, Quote
from tercel.domain.live_settings import ExecutionSettings

CHASED_BY_TIME = 2**62
"""`PLAN.entry_wait_bars` of an entry that is chased by the clock, not by bars."""


def spread_bps_of(bid: float, ask: float) -> float:
    """Spread over mid, basis points; NaN where the quote is unknown or crossed."""
    return 2e4 * (ask - bid) / (ask + bid) if 0.0 < bid < ask else math.nan


def entry_kind(
    settings: ExecutionSettings, score: float, spread_bps: float, atr_ratio: float
) -> OrderKind | None:
    """How to send an entry; None: as the strategy's plan says (no score, or no known spread).

    `score` 0..100, `atr_ratio` the ATR over its own mean; a volatility that nobody knows is not
    calm.
    """
    if math.isnan(score) or math.isnan(spread_bps):
        return None
    if score >= settings.urgent_score and spread_bps <= settings.market_spread_bps_max:
        return OrderKind.MARKET
    if atr_ratio <= settings.post_only_atr_ratio_max:
        return OrderKind.POST_ONLY
    return OrderKind.LIMIT


class Entries:
    """Chooses how entries are sent, and chases those that rest."""

    def __init__(self, parts: SessionParts, execution: Execution, objections: Objections) -> None:
        self._parts = parts
        self._execution = execution
        self._objections = objections
        self._settings = parts.rules.execution
        self._chase_ms = round(self._settings.chase_seconds * 1_000.0)
        self._posted: dict[int, int] = {}
        """Streams whose entry is chased, and when it was last posted, ms."""
        self.is_smart = self._settings.entry == "smart"
        if self.is_smart:
            # Volatility is looked at whether or not a breaker asks for it.
            parts.desk.account.watches = True

    # --- one signal ------------------------------------------------------------------------------

    def choose(self, k: int, view: MarketView, score: float) -> None:
        """Stream `k` is about to answer a signal of `score`: how it enters, if it does."""
        if not self.is_smart or self._status(k) != OrderStatus.EMPTY:
            return
        self._take_back(k)
        series = self._parts.plan.streams[k].series
        atr_ratio = float(self._parts.desk.markets[series].atr_ratio)
        kind = entry_kind(self._settings, score, spread_bps_of(view.bid, view.ask), atr_ratio)
        if kind is not None:
            plan = self._parts.stream(k).plan
            plan.entry_kind = int(kind)
            plan.entry_wait_bars = CHASED_BY_TIME

    def post(self, k: int, view: MarketView) -> None:
        """Stream `k` has answered: its entry's time begins, or there is none to chase."""
        if not self._is_chosen(k) or k in self._posted:
            return
        if self._status(k) != OrderStatus.RESTING:
            self._take_back(k)
            return
        self._posted[k] = self._parts.now
        stream = self._parts.stream(k)
        order = stream.orders[Slot.ENTRY]
        if order.kind == OrderKind.POST_ONLY:
            price = view.bid if order.side == Side.LONG else view.ask
            minute.reprice_entry(self._parts.desk.account, stream, price, 0)

    # --- time passes -----------------------------------------------------------------------------

    def waiting_symbols(self) -> tuple[str, ...]:
        """Symbols in which an entry is chased: their quotes are wanted."""
        return tuple(dict.fromkeys(self._parts.symbol_of(k) for k in self._posted))

    def chase(self, quotes: tuple[Quote, ...]) -> None:
        """Every entry whose time is up."""
        if not self._posted:
            return
        known = {quote.symbol: quote for quote in quotes}
        for k, posted_ms in list(self._posted.items()):
            waited_ms = self._parts.now - posted_ms
            quote = known.get(self._parts.symbol_of(k))
            if self._status(k) != OrderStatus.RESTING:
                self._end(k)
            elif waited_ms >= self._chase_ms and quote is not None:
                self._go_on(k, quote)
            elif waited_ms >= 2 * self._chase_ms:
                # Nobody has seen the market for a whole turn: nothing is left to rest in the dark.
                self._give_up(k, Refusal.UNHEALTHY_FEED)

    def withdraw(self, views: Mapping[int, MarketView]) -> None:
        """A bar has closed, nobody has decided yet: an entry that rests by its plan goes where the
        session would make none on that bar, since the plan might post it again. Over a replay there
        are no views, and the plan decides alone.
        """
        for k, stream in enumerate(self._parts.plan.streams):
            view = views.get(stream.series)
            if view is None or k in self._posted or self._status(k) != OrderStatus.RESTING:
                continue
            # Its price is that of the close, or worse: it pays no spread.
            known = MarketView(late_ms=view.late_ms, trouble=view.trouble)
            if refusal := self._objections.against(k, known):
                self._give_up(k, refusal)

    def _go_on(self, k: int, quote: Quote) -> None:
        """Re-post, or end the chase."""
        stream = self._parts.stream(k)
        order, reposts = stream.orders[Slot.ENTRY], int(stream.orders[Slot.ENTRY].reposts)
        buys = order.side == Side.LONG
        account = self._parts.desk.account
        is_urgent = stream.position.score >= self._settings.urgent_score
        rests_on = reposts < self._settings.reposts_max
        # News has come since its signal: what could not be entered now is not sent again. Only what
        # takes the market pays its spread.
        view = KNOWN_NOTHING if rests_on else MarketView(quote.bid, quote.ask)
        refusal = self._objections.against(k, view)
        if not (rests_on or is_urgent):
            self._give_up(k, Refusal.NO_LIQUIDITY)
        elif refusal != Refusal.NONE:
            self._give_up(k, refusal)
        elif rests_on:
            self._posted[k] = self._parts.now
            price = quote.bid if buys else quote.ask
            minute.reprice_entry(account, stream, price, reposts + 1)
            self._sync(k)
        else:
            minute.take_entry(account, stream, quote.ask if buys else quote.bid)
            self._sync(k)
            self._end(k)

    def _give_up(self, k: int, refusal: Refusal) -> None:
        parts = self._parts
        stream = parts.stream(k)
        if not stream.position.quantity > 0.0:
            side = int(stream.orders[Slot.ENTRY].side)
            parts.recorder.refusal(k, parts.now, side, refusal)
        minute.withdraw_entry(parts.desk.account, stream, int(refusal))
        parts.desk.touch(k)
        self._sync(k)
        if k in self._posted:
            self._end(k)

    def _sync(self, k: int) -> None:
        """Whatever was refused before may be tried again: it asks for something else now."""
        self._parts.changed = True
        self._execution.release(k, Slot.ENTRY)
        self._execution.sync(k)

    # --- the plan --------------------------------------------------------------------------------

    def adopt(self) -> None:
        """After a restart: entries that wait are chased from now on; where entry is not smart any
        more, plans are what they were.
        """
        for k in range(len(self._parts.desk.rows)):
            if self.is_smart and self._status(k) == OrderStatus.RESTING:
                self._parts.stream(k).plan.entry_wait_bars = CHASED_BY_TIME
                self._posted[k] = self._parts.now
            elif self._is_chosen(k):
                self._take_back(k)

    def _end(self, k: int) -> None:
        """The entry is over."""
        del self._posted[k]
        self._take_back(k)
        self._parts.changed = True

    def _take_back(self, k: int) -> None:
        """The stream enters as its own plan says."""
        own: Any = self._parts.plan.streams[k].settings.plan
        plan = self._parts.stream(k).plan
        plan.entry_kind, plan.entry_wait_bars = own.entry_kind, own.entry_wait_bars
        self._posted.pop(k, None)

    def _is_chosen(self, k: int) -> bool:
        return self._parts.desk.entry_waits.item(k) == CHASED_BY_TIME

    def _status(self, k: int) -> int:
        return self._parts.desk.statuses.item(k, Slot.ENTRY)
