"""Tasks that last as long as their owner: one that ends by an error is told to the owner.

Nobody awaits such a task, so that without this its error would be seen when it is too late.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any


def watched(
    work: Coroutine[Any, Any, None], tell: Callable[[BaseException], None]
) -> asyncio.Task[None]:
    """`work` as a task; `tell` is given the error that ends it. One that is cancelled has none."""

    def settle(task: asyncio.Task[None]) -> None:
        error = None if task.cancelled() else task.exception()
        if error is not None:
            tell(error)

    task = asyncio.get_running_loop().create_task(work)
    task.add_done_callback(settle)
    return task
