"""Rate limits: weight by minute, orders by minute and ten seconds, 429 and then the ban."""

from __future__ import annotations

from tercel.adapters.simulator.binance.settings import Limits
from tercel.adapters.simulator.binance.wire import HTTP_BANNED, HTTP_TOO_MANY, RefusalError

MINUTE_MS = 60_000
TEN_SECONDS_MS = 10_000


class RateLedger:
    """What one address has used. Windows begin with the calendar's minutes."""

    def __init__(self, limits: Limits) -> None:
        self._limits = limits
        self._minute = self._order_ten_seconds = -1
        self.weight_used = 0
        self.orders_minute = 0
        self.orders_ten_seconds = 0
        self.banned_until_ms = 0
        self.refused_requests = 0
        """Requests answered with 429 or 418 so far: a client that behaves keeps it low."""
        self._violations = 0
        self._bans = 0

    def charge(self, weight: int, now_ms: int) -> None:
        """Count a request. Raises RefusalError 429 or 418."""
        self._turn(now_ms)
        if now_ms < self.banned_until_ms:
            self.refused_requests += 1
            raise self._banned(now_ms)
        self.weight_used += weight
        if self.weight_used <= self._limits.weight_minute_max:
            return
        self.refused_requests += 1
        self._violations += 1
        if self._violations > self._limits.violations_max:
            self.ban(now_ms, min(self._limits.ban_ms_first << self._bans, self._limits.ban_ms_max))
            raise self._banned(now_ms)
        wait_seconds = -(-(MINUTE_MS - now_ms % MINUTE_MS) // 1_000)
        raise too_many_requests(self._limits.weight_minute_max, wait_seconds)

    def charge_orders(self, count: int, now_ms: int) -> None:
        """Count new orders. Raises RefusalError -1015."""
        self._turn(now_ms)
        self.orders_minute += count
        self.orders_ten_seconds += count
        if self.orders_ten_seconds > self._limits.orders_ten_seconds_max:
            raise too_many_orders(self._limits.orders_ten_seconds_max, "10 SECOND")
        if self.orders_minute > self._limits.orders_minute_max:
            raise too_many_orders(self._limits.orders_minute_max, "1 MINUTE")

    def ban(self, now_ms: int, duration_ms: int) -> None:
        """Refuse everything for a while."""
        self._bans += 1
        self.banned_until_ms = now_ms + duration_ms

    def headers(self, *, with_orders: bool) -> tuple[tuple[str, str], ...]:
        """What every reply says about the limits."""
        used = (("X-MBX-USED-WEIGHT-1M", str(self.weight_used)),)
        if not with_orders:
            return used
        return (
            *used,
            ("X-MBX-ORDER-COUNT-10S", str(self.orders_ten_seconds)),
            ("X-MBX-ORDER-COUNT-1M", str(self.orders_minute)),
        )

    def _turn(self, now_ms: int) -> None:
        """Begin new windows where it is time."""
        if now_ms // MINUTE_MS != self._minute:
            self._minute = now_ms // MINUTE_MS
            self.weight_used = self.orders_minute = self._violations = 0
        if now_ms // TEN_SECONDS_MS != self._order_ten_seconds:
            self._order_ten_seconds = now_ms // TEN_SECONDS_MS
            self.orders_ten_seconds = 0

    def _banned(self, now_ms: int) -> RefusalError:
        wait_seconds = -(-(self.banned_until_ms - now_ms) // 1_000)
        return RefusalError(
            -1003,
            f"Way too many requests; IP banned until {self.banned_until_ms}. Please use the "
            "websocket for live updates to avoid bans.",
            HTTP_BANNED,
            (("Retry-After", str(wait_seconds)),),
        )


def too_many_requests(limit: int, retry_after_seconds: int) -> RefusalError:
    """429; without a Retry-After where that is 0."""
    told = (("Retry-After", str(retry_after_seconds)),) if retry_after_seconds else ()
    return RefusalError(
        -1003,
        f"Too many requests; current limit of IP is {limit} requests per minute. Please use the "
        "websocket for live updates to avoid polling the API.",
        HTTP_TOO_MANY,
        told,
    )


def too_many_orders(limit: int, window: str) -> RefusalError:
    """-1015."""
    return RefusalError(
        -1015, f"Too many new orders; current limit is {limit} orders per {window}.", HTTP_TOO_MANY
    )
