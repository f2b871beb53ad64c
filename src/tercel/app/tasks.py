"""Ending tasks that run beside something."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from typing import Any

AGAIN_SECONDS = 0.25
"""A task that goes on for so long after it was cancelled is cancelled again."""


async def end_tasks(tasks: Iterable[asyncio.Task[Any] | None]) -> None:
    """Cancel tasks and wait for their end, whatever it is; None is nobody.

    More than once where one goes on: `asyncio.wait_for` of Python 3.11, which redis-py sends every
    command through, loses a cancellation that comes as its work is done.
    """
    left = {task for task in tasks if task is not None}
    while left:
        for task in left:
            task.cancel()
        done, left = await asyncio.wait(left, timeout=AGAIN_SECONDS)
        for task in done:
            if not task.cancelled():
                task.exception()  # somebody has looked at it
