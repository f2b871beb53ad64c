"""What the façade is told: keys, the dialect of the day, and the vendor's own limits."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field, replace


@dataclass(frozen=True, slots=True)
class Credentials:
    """The account's key. The secret is never shown by `repr`."""

    key: str
    secret: str = field(repr=False)
    can_withdraw: bool = False
    """What GET /sapi/v1/account/apiRestrictions says of it."""


@dataclass(frozen=True, slots=True)
class Dialect:
    """Where the venue's answers have changed over time, or differ between accounts."""

    order_reply_has_fills: bool = True
    """Whether the reply to a new order has avgPrice and cumQuote."""
    unrouted_streams: bool = False
    """Whether /ws and /stream carry every stream, as before 2026-04-23."""
    has_merged_fields: bool = True
    """Whether events have `st`, since the merge of the USD-M and COIN-M systems."""


@dataclass(frozen=True, slots=True)
class Limits:
    """The vendor's limits. Windows are calendar minutes and tens of seconds."""

    weight_minute_max: int = 2_400
    orders_minute_max: int = 1_200
    orders_ten_seconds_max: int = 300
    violations_max: int = 5
    """Requests answered with 429 in one minute before the ban."""
    ban_ms_first: int = 120_000
    ban_ms_max: int = 259_200_000
    """Each ban is twice as long as the one before, up to three days."""
    messages_second_max: int = 10
    """What a client may send on one stream."""
    streams_max: int = 1_024
    """Of one connection."""
    connection_ms_max: int = 86_400_000
    ping_every_ms: int = 180_000
    pong_within_ms: int = 600_000
    listen_key_ms: int = 3_600_000
    receive_window_ms_default: int = 5_000
    receive_window_ms_max: int = 60_000
    clock_ahead_ms_max: int = 1_000
    """How far a request's timestamp may lie in the future."""

    def stretched(self, speed: float) -> Limits:
        """The same limits where the venue's time runs `speed` times as fast as the clients'.

        What clients must do in their own time (renew a key, answer a ping) has as long as they
        think it has; what they may do in a minute is counted in minutes of the venue.
        """
        if speed <= 1.0:
            return self
        names = ("connection_ms_max", "ping_every_ms", "pong_within_ms", "listen_key_ms")
        return replace(self, **{name: round(getattr(self, name) * speed) for name in names})


@dataclass(frozen=True, slots=True)
class FacadeSettings:
    """All of it."""

    credentials: Credentials
    dialect: Dialect = Dialect()
    limits: Limits = Limits()


def credentials_of(seed: int) -> Credentials:
    """A key and a secret that belong to a seed: they open a simulation and nothing else."""
    key, secret = (
        hashlib.sha256(f"simulated exchange {what} {seed}".encode()).hexdigest()
        for what in ("key", "secret")
    )
    return Credentials(key, secret)
