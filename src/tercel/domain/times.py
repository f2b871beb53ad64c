"""UTC times as users write them and as the core counts them: whole milliseconds since 1970."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from tercel.domain.errors import UserError

DAY_MS = 86_400_000
HOUR_MS = 3_600_000
MINUTE_MS = 60_000


def parse_time(text: str, *, name: str = "time") -> int:
    """Milliseconds UTC of `2024-06-25`, `2024-06-25 13:30`, `2024-06-25T13:30:00Z`.

    A time without a zone is UTC. A zone other than UTC is refused rather than converted, since a
    silent shift of hours is a worse surprise than an error. Raises UserError.
    """
    cleaned = text.strip()
    try:
        moment = datetime.fromisoformat(cleaned)
    except ValueError:
        raise UserError(
            f"{name}: cannot read {text!r} as a time; write 2024-06-25 or 2024-06-25T13:30 (UTC)"
        ) from None
    if moment.tzinfo is None:
        moment = moment.replace(tzinfo=UTC)
    elif moment.utcoffset() != timedelta(0):
        raise UserError(
            f"{name}: {text!r} is not UTC; all times are UTC, so write "
            f"{moment.astimezone(UTC):%Y-%m-%dT%H:%M:%SZ}"
        )
    return int(moment.timestamp() * 1000)


def format_time(time_ms: int) -> str:
    """`2024-06-25 13:30` (UTC) of milliseconds."""
    return f"{to_datetime(time_ms):%Y-%m-%d %H:%M}"


def format_date(time_ms: int) -> str:
    """`2024-06-25` (UTC) of milliseconds."""
    return f"{to_datetime(time_ms):%Y-%m-%d}"


def to_datetime(time_ms: int) -> datetime:
    """An aware datetime of milliseconds UTC."""
    return datetime.fromtimestamp(time_ms / 1000, tz=UTC)
