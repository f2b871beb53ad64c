"""A window of a history."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import TypeVar

from tercel.adapters.simulator.exchange.records import Window

_Row = TypeVar("_Row")


def within(
    rows: Iterable[_Row], window: Window, key: Callable[[_Row], tuple[int, int]]
) -> list[_Row]:
    """The rows of `window`, oldest first; `key` tells a row's time (ms) and id."""
    found = []
    for row in rows:
        time_ms, row_id = key(row)
        if (
            (window.start_ms is None or time_ms >= window.start_ms)
            and (window.end_ms is None or time_ms <= window.end_ms)
            and (window.from_id is None or row_id >= window.from_id)
        ):
            found.append(row)
    if window.start_ms is None and window.from_id is None:
        return found[max(0, len(found) - window.limit) :]
    return found[: window.limit]
