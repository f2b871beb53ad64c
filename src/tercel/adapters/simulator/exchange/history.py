"""A window of a history, looked for from its newest end: what is asked for is mostly recent."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import TypeVar

from tercel.adapters.simulator.exchange.records import Window

_Row = TypeVar("_Row")


def within(
    newest_first: Iterable[_Row], window: Window, key: Callable[[_Row], tuple[int, int]]
) -> list[_Row]:
    """The rows of `window`, oldest first; `key` tells a row's time (ms) and id. Neither goes back
    from an older row to a newer one.
    """
    begins = window.start_ms is not None or window.from_id is not None
    found: list[_Row] = []
    for row in newest_first:
        time_ms, row_id = key(row)
        if window.start_ms is not None and time_ms < window.start_ms:
            break
        if window.from_id is not None and row_id < window.from_id:
            break
        if window.end_ms is not None and time_ms > window.end_ms:
            continue
        if not begins and len(found) == window.limit:
            break
        found.append(row)
    found.reverse()
    return found[: window.limit]
