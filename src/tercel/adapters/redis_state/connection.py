"""A connection to a Redis server, and its errors in our words.

redis-py is an optional extra and is imported by the first connection.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from tercel.app.dependencies import install_hint
from tercel.domain.addresses import without_password
from tercel.domain.errors import ConfigError, StorageError, UserError

if TYPE_CHECKING:
    from redis.asyncio import Redis

CONNECT_SECONDS_MAX = 5.0
ANSWER_SECONDS_MAX = 5.0
"""Longest silence of the server within a command."""


def connection_to(url: str, place: str) -> Redis:
    """A client of the server at `url`; nothing is contacted. `place` is the address to be shown.

    Raises UserError where redis-py is not installed, ConfigError for an address that is none.
    """
    try:
        from redis.asyncio import Redis
        from redis.asyncio.retry import Retry
        from redis.backoff import NoBackoff
    except ImportError:
        raise UserError(
            f"{place}: the state on Redis needs the package redis; {install_hint('redis')}"
        ) from None
    try:
        _check_number(url)
        return Redis.from_url(
            url,
            socket_connect_timeout=CONNECT_SECONDS_MAX,
            socket_timeout=ANSWER_SECONDS_MAX,
            # Once more over a new connection: the old one may be of a server that was started
            # again. Every command of ours may be repeated.
            retry=Retry(NoBackoff(), 1),
        )
    except ValueError as error:
        raise ConfigError(f"state.url: {place}: {without_password(str(error))}") from None


async def asked(answer: Any, place: str) -> Any:
    """What the server answers. Raises StorageError."""
    from redis.exceptions import RedisError

    try:
        return await answer
    except (RedisError, OSError, TimeoutError) as error:
        why = without_password(str(error)).partition("\n")[0] or type(error).__name__
        raise StorageError(
            f"{place}: the state cannot be read or written: {why}; is the server there?"
        ) from error


def _check_number(url: str) -> None:
    """Raise ValueError for a database that is no number: redis-py would take number 0."""
    path = urlsplit(url).path.strip("/")
    if path and not path.isdecimal() and not url.startswith("unix:"):
        raise ValueError(f"expected the number of a database after the host, got {path!r}")
