"""Whether a feed can be trusted: pure, told everything that comes in, asked before each decision.

For every symbol: whether its next closed bar is overdue, the age of its quotes, bars that are
missing, a crossed book, the venue's time against ours, a bar's close against the quotes, and
whether the market stream is up at all. What is wrong blocks entries, never exits. A feed that was
wrong is trusted again once nothing has been wrong for `health.recover_ms`.

All times are those of one clock, the session's (venue time).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from tercel.app.ports import FeedBar, FeedQuote
from tercel.domain.events import FeedNews, MarketView, Quote
from tercel.domain.live_settings import HealthSettings

MARKET = "market"
_BARS = "bars "
OVERTAKEN_MS_MAX = 5_000
"""Quotes overtake each other by less: one that is older still shows that the last was wrong."""
OTHER_SPEED_MS = 60_000
"""No clock that is kept right is so far off."""
OTHER_SPEED = "; a venue that was started with --speed needs the same --speed of `tercel run`"


def bars_of(symbol: str) -> str:
    """Name of the news (FeedNews) that bars of `symbol` are missing, or there again."""
    return _BARS + symbol


@dataclass(frozen=True, slots=True)
class HealthChange:
    """A symbol's feed became unhealthy, or healthy again."""

    time_ms: int
    symbol: str
    is_up: bool
    detail: str
    """What is wrong; empty: healthy."""


@dataclass(slots=True)
class _Symbol:
    """What was last seen of one symbol."""

    begun_ms: int
    bar_close_ms: int = 0
    """End of the last bar; 0: none yet."""
    bar_received_ms: int = 0
    bar_close: float = float("nan")
    bid: float = float("nan")
    ask: float = float("nan")
    quote_time_ms: int = 0
    quote_received_ms: int = 0
    skew_ms: int = 0
    missing: str = ""
    """Bars that its feed waits for, or has given up."""
    wrong: str = ""
    """What was last wrong, and when."""
    wrong_ms: int = 0
    is_up: bool = True
    """As last reported."""
    is_traded: bool = True
    """One that is watched beside brings bars alone."""


class FeedHealth:
    """The health of every symbol of a session."""

    def __init__(
        self,
        symbols: Sequence[str],
        bar_ms: int,
        settings: HealthSettings,
        fresh_ms_max: int,
        now_ms: int,
    ) -> None:
        self._bar_ms = bar_ms
        self._settings = settings
        self._fresh_ms_max = fresh_ms_max
        self._symbols = {symbol: _Symbol(begun_ms=now_ms) for symbol in symbols}
        self._down = ""
        """Why the market stream is down; empty: it is up."""

    def watch_beside(self, symbol: str, now_ms: int) -> None:
        """Tell of the bars of `symbol` too, which nobody trades."""
        self._symbols[symbol] = _Symbol(begun_ms=now_ms, is_traded=False)

    def on_bar(self, item: FeedBar) -> None:
        """A closed bar came in."""
        seen = self._symbols[item.symbol]
        opened_ms = int(item.bar["open_time"][0])
        close_ms = opened_ms + self._bar_ms
        is_ahead = seen.bar_close_ms - item.received_ms > self._settings.skew_ms_max
        if close_ms <= seen.bar_close_ms and not is_ahead:
            return
        if seen.bar_close_ms and opened_ms > seen.bar_close_ms:
            missing = (opened_ms - seen.bar_close_ms) // self._bar_ms
            self._note(seen, f"gap: {missing} bars missing before this one", item.received_ms)
        seen.bar_close_ms = close_ms
        seen.bar_received_ms = item.received_ms
        seen.bar_close = float(item.bar["close"][0])

    def on_quote(self, item: FeedQuote) -> None:
        """A best bid and ask came in; one that the last has overtaken is left out."""
        seen = self._symbols[item.symbol]
        if 0 < seen.quote_time_ms - item.time_ms <= OVERTAKEN_MS_MAX:
            return
        seen.bid, seen.ask = item.bid, item.ask
        seen.quote_time_ms = item.time_ms
        seen.quote_received_ms = item.received_ms
        seen.skew_ms = item.time_ms - item.received_ms
        if not item.bid < item.ask:
            self._note(seen, self._crossed(seen), item.received_ms)

    def on_news(self, item: FeedNews, now_ms: int) -> None:
        """A stream of the venue went down or came back, or a symbol lacks bars."""
        if item.stream.startswith(_BARS):
            seen = self._symbols[item.stream.removeprefix(_BARS)]
            self._note(seen, seen.missing or item.detail, now_ms)
            seen.missing = "" if item.is_up else item.detail
        if item.stream != MARKET:
            return
        self._down = "" if item.is_up else (item.detail or "no connection")
        for seen in self._symbols.values():
            if item.is_up:
                seen.begun_ms = now_ms  # the first quote and bar have time to come
            else:
                self._note(seen, f"market stream down: {self._down}", now_ms)

    def view(self, symbol: str, now_ms: int) -> MarketView:
        """What is known of `symbol` as its bar is handed to the session at `now_ms`.

        Beside all else the bar itself must be fresh: closed at most `session.fresh_ms_max` ago.
        """
        seen = self._symbols[symbol]
        age_ms = now_ms - seen.bar_close_ms
        trouble = ""
        if seen.bar_close_ms and age_ms > self._fresh_ms_max:
            trouble = f"stale: the bar closed {age_ms} ms ago"
        return MarketView(
            bid=seen.bid,
            ask=seen.ask,
            late_ms=max(0, seen.bar_received_ms - seen.bar_close_ms),
            trouble=trouble or self.trouble(symbol, now_ms),
        )

    def trouble(self, symbol: str, now_ms: int) -> str:
        """What is wrong with the feed of `symbol` at any moment; empty: healthy."""
        seen = self._symbols[symbol]
        wrong = self._wrong(seen, now_ms)
        if wrong:
            self._note(seen, wrong, now_ms)
            return wrong
        quiet_ms = now_ms - seen.wrong_ms
        if seen.wrong and quiet_ms < self._settings.recover_ms:
            return f"recovering since {quiet_ms} ms from {seen.wrong}"
        seen.wrong = ""
        return ""

    def quotes(self, symbols: Sequence[str], now_ms: int) -> tuple[Quote, ...]:
        """Best bid and ask of `symbols`, but for those whose feed is unhealthy."""
        return tuple(
            Quote(symbol, self._symbols[symbol].bid, self._symbols[symbol].ask)
            for symbol in symbols
            if not self.trouble(symbol, now_ms)
        )

    def changes(self, now_ms: int) -> list[HealthChange]:
        """Symbols whose feed became unhealthy or healthy since the last call."""
        changes = []
        for symbol, seen in self._symbols.items():
            trouble = self.trouble(symbol, now_ms)
            if seen.is_up == bool(trouble):
                seen.is_up = not trouble
                changes.append(HealthChange(now_ms, symbol, seen.is_up, trouble))
        return changes

    def _wrong(self, seen: _Symbol, now_ms: int) -> str:
        """The first thing that is wrong right now."""
        limits = self._settings
        if self._down:
            return f"market stream down: {self._down}"
        if seen.missing:
            return seen.missing
        if seen.bar_close_ms - now_ms > limits.skew_ms_max:
            return self._skewed("the last bar ends", seen.bar_close_ms - now_ms)
        bar_age_ms = now_ms - max(seen.bar_close_ms, seen.begun_ms)
        if bar_age_ms > self._bar_ms + limits.bar_overdue_ms_max:
            return f"stale: no closed bar for {bar_age_ms} ms"
        if not seen.is_traded:
            return ""
        quote_age_ms = now_ms - max(seen.quote_received_ms, seen.begun_ms)
        if quote_age_ms > limits.quote_age_ms_max:
            return f"stale: no quote for {quote_age_ms} ms"
        if not seen.quote_received_ms:
            return "no quote yet"
        if not seen.bid < seen.ask:
            return self._crossed(seen)
        if abs(seen.skew_ms) > limits.skew_ms_max:
            return self._skewed("quotes are dated", seen.skew_ms)
        return self._bar_against_quote(seen)

    def _bar_against_quote(self, seen: _Symbol) -> str:
        """A close far from the quotes that came with it: one of both is wrong.

        Only looked at while the bar is fresh: the market moves on, the close does not.
        """
        if seen.quote_received_ms - seen.bar_close_ms > self._fresh_ms_max:
            return ""
        middle = (seen.bid + seen.ask) / 2
        apart_bps = abs(seen.bar_close / middle - 1.0) * 1e4
        if apart_bps > self._settings.bar_quote_bps_max:
            return (
                f"bar against quote: close {seen.bar_close:g} and mid {middle:g} differ by "
                f"{apart_bps:.0f} bps"
            )
        return ""

    @staticmethod
    def _skewed(what: str, skew_ms: int) -> str:
        text = f"clock skew: {what} {skew_ms:+d} ms against our clock"
        return text + (OTHER_SPEED if abs(skew_ms) >= OTHER_SPEED_MS else "")

    @staticmethod
    def _crossed(seen: _Symbol) -> str:
        return f"crossed book: bid {seen.bid:g}, ask {seen.ask:g}"

    @staticmethod
    def _note(seen: _Symbol, wrong: str, now_ms: int) -> None:
        seen.wrong, seen.wrong_ms = wrong, now_ms
