"""Workers as threads: kernels let go of the interpreter lock, so that each core runs one."""

from __future__ import annotations

import os
import threading
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TypeVar

Shared = TypeVar("Shared")
Item = TypeVar("Item")
Done = TypeVar("Done")

QUEUED_PER_THREAD = 4
"""Items handed out ahead of the one that is waited for: bounds finished results that pile up."""


def cores() -> int:
    """The cores this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0)) or 1
    return os.cpu_count() or 1


class ThreadWorkers:
    """ports.Workers on `count` threads; 0: one for each core."""

    def __init__(self, count: int = 0) -> None:
        self.count = count or cores()

    def map(
        self,
        open_work: Callable[[Shared], Callable[[Item], Done]],
        shared: Shared,
        items: Sequence[Item],
    ) -> Iterator[Done]:
        """Results in the order of `items`; on an error or a stop, what has begun is waited for."""
        own = threading.local()

        def one(item: Item) -> Done:
            if not hasattr(own, "work"):
                own.work = open_work(shared)
            done: Done = own.work(item)
            return done

        coming = iter(items)
        waiting: deque[Future[Done]] = deque()
        pool = ThreadPoolExecutor(min(self.count, max(len(items), 1)), "tercel-worker")
        try:
            for item in coming:
                waiting.append(pool.submit(one, item))
                if len(waiting) >= QUEUED_PER_THREAD * self.count:
                    yield waiting.popleft().result()
            while waiting:
                yield waiting.popleft().result()
        finally:
            pool.shutdown(wait=True, cancel_futures=True)
