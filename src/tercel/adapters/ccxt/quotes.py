"""Best bid and ask by symbol: only the newest is handed on, and every bar gets their means.

A burst of a thousand quotes of one symbol is one quote to whoever reads slowly: nothing queues.
"""

from __future__ import annotations

from tercel.app.live.health import OTHER_SPEED_MS, OVERTAKEN_MS_MAX
from tercel.app.ports import FeedQuote

BARS_KEPT = 3
"""Bars whose means are still being summed: the running one, and those whose end is on its way."""


class _Sums:
    """What a bar's means are made of."""

    __slots__ = ("ask_size", "bid_size", "count", "spread_bps")

    def __init__(self) -> None:
        self.count = 0
        self.bid_size = 0.0
        self.ask_size = 0.0
        self.spread_bps = 0.0


class QuoteBook:
    """The quotes of one symbol."""

    __slots__ = (
        "_ahead_ms",
        "_bar_ms",
        "_sums",
        "_sums_of_running",
        "_told_ms",
        "_until_ms",
        "is_new",
        "latest",
        "symbol",
    )

    def __init__(self, symbol: str, bar_ms: int) -> None:
        self.symbol = symbol
        self.latest: tuple[float, float, float, float, int, int] | None = None
        """(bid, ask, bid size, ask size, venue time, received)."""
        self.is_new = False
        """Whether the latest has not been handed on yet."""
        self._bar_ms = bar_ms
        self._sums: dict[int, _Sums] = {}
        self._sums_of_running = _Sums()
        self._until_ms = 0
        self._told_ms = 0
        self._ahead_ms = 0
        """Venue time of the quote before, taken or not, and how far ahead of our clock it was."""

    def add(self, quote: tuple[float, float, float, float, int, int]) -> bool:
        """Take (bid, ask, bid size, ask size, venue time, received). True: the first since the
        last was handed on. One that the latest has overtaken is left out.

        One far ahead of our clock raises ValueError: all later ones would count as overtaken.
        Unless the quote before it agrees, in its date or in how far ahead it was: then it is our
        clock that is off, and health has to see that.
        """
        bid, ask, bid_size, ask_size, time_ms, received_ms = quote
        ahead_ms, told_ahead_ms, told_ms = time_ms - received_ms, self._ahead_ms, self._told_ms
        self._ahead_ms, self._told_ms = ahead_ms, time_ms
        if ahead_ms > OTHER_SPEED_MS and (
            min(ahead_ms - told_ahead_ms, time_ms - told_ms) > OTHER_SPEED_MS
        ):
            raise ValueError(f"a quote of {self.symbol} is dated {ahead_ms} ms ahead")
        if self.latest is not None and 0 < self.latest[4] - time_ms <= OVERTAKEN_MS_MAX:
            return False
        self.latest = quote
        if not self._until_ms - self._bar_ms <= time_ms < self._until_ms:
            self._begin_bar(time_ms)
        if bid > 0.0 and ask > bid:
            sums = self._sums_of_running
            sums.count += 1
            sums.bid_size += bid_size
            sums.ask_size += ask_size
            sums.spread_bps += (ask - bid) * 2e4 / (ask + bid)
        was_new, self.is_new = self.is_new, True
        return not was_new

    def take(self) -> FeedQuote | None:
        """The latest, to be handed on."""
        self.is_new = False
        if self.latest is None:
            return None
        bid, ask, bid_size, ask_size, time_ms, received_ms = self.latest
        return FeedQuote(self.symbol, bid, ask, bid_size, ask_size, time_ms, received_ms)

    def means(self, open_time_ms: int) -> tuple[float, float, float]:
        """(bid size, ask size, spread in bps) over the bar; NaN where no quote fell into it."""
        sums = self._sums.get(open_time_ms)
        if sums is None or sums.count == 0:
            return (float("nan"),) * 3
        count = sums.count
        return sums.bid_size / count, sums.ask_size / count, sums.spread_bps / count

    def _begin_bar(self, time_ms: int) -> None:
        opened_ms = time_ms - time_ms % self._bar_ms
        self._until_ms = opened_ms + self._bar_ms
        self._sums_of_running = self._sums.setdefault(opened_ms, _Sums())
        while len(self._sums) > BARS_KEPT:
            del self._sums[next(iter(self._sums))]  # the first that began, whatever its date
