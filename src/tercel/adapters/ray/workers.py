"""Workers as Ray actors, one for each processor of the cluster.

The shared data are put into the object store once. Each actor takes one item at a time; an actor
that is lost (killed, out of memory, its machine gone) is replaced and its item tried once more.
"""

from __future__ import annotations

import itertools
import os
import socket
import threading
from collections.abc import Callable, Iterator, Sequence
from importlib import import_module
from importlib.util import find_spec
from typing import Any, TypeVar

from tercel.adapters.ray.parcel import name_of, named, writable
from tercel.app.strategies import Strategy
from tercel.domain.errors import TercelError, UserError

Shared = TypeVar("Shared")
Item = TypeVar("Item")
Done = TypeVar("Done")

AUTO = "auto"
TRIES = 2
"""A lost worker's item is given to another one once."""


class ClusterError(TercelError):
    """The cluster does not answer, or lost workers. Names its address."""


class Bench:
    """What an actor is: the work, opened once, and its items one after the other."""

    def __init__(self, open_work: Callable[[Any], Callable[[Any], Any]], shared: Any) -> None:
        self._work = open_work(writable(shared))

    def do(self, item: Any) -> Any:
        """The result of one item."""
        return self._work(item)


class RayWorkers:
    """ports.Workers on the cluster at `address`; `auto`: the running one, else one of its own here.

    `count` workers; 0: one for each processor of the cluster. Where Ray is in use already, that one
    is used and left running. Raises UserError when Ray is not installed.
    """

    def __init__(self, address: str = AUTO, count: int = 0, wait_seconds: float = 30.0) -> None:
        if find_spec("ray") is None:
            raise UserError("--ray needs Ray: `make ray`, or pip install 'tercel[ray]'")
        self.address = address
        self.count = count
        self.wait_seconds = wait_seconds

    def map(
        self,
        open_work: Callable[[Shared], Callable[[Item], Done]],
        shared: Shared,
        items: Sequence[Item],
    ) -> Iterator[Done]:
        """Results in the order of `items`. Raises ClusterError, and what the work itself raises."""
        if not items:
            return
        ray = import_ray()
        ours = not ray.is_initialized()
        if ours:
            self._connect(ray)
        try:
            count = self.count or max(int(ray.cluster_resources().get("CPU", 1)), 1)
            ray.util.register_serializer(Strategy, serializer=name_of, deserializer=named)
            crew = _Crew(ray, open_work, ray.put(shared), self.address)
            yield from crew.work(items, min(count, len(items)))
        finally:
            if ours:
                ray.shutdown()

    def _connect(self, ray: Any) -> None:
        """Connect to the cluster. Raises ClusterError when nothing answers in time."""
        if self.address != AUTO:
            _knock(self.address, self.wait_seconds)
        failed: list[Exception] = []

        def begin() -> None:
            alone: dict[str, Any] = {"include_dashboard": False} if self.address == AUTO else {}
            address = None if self.address == AUTO else self.address
            try:
                ray.init(address=address, configure_logging=False, log_to_driver=False, **alone)
            except Exception as error:  # of Ray's many; told as one line
                failed.append(error)

        if self.address == AUTO:
            # Not in a thread: the processes of a Ray of its own die with the thread that began it.
            begin()
        else:
            # A thread, since nothing bounds how long it waits for what is not a Ray cluster.
            waiting = threading.Thread(target=begin, daemon=True)
            waiting.start()
            waiting.join(self.wait_seconds)
            if waiting.is_alive():
                raise ClusterError(
                    f"no Ray cluster answers at {self.address} within {self.wait_seconds:g} seconds"
                )
        if failed:
            said = (str(failed[0]).strip().splitlines() or [type(failed[0]).__name__])[0]
            raise ClusterError(f"Ray cannot be used at {self.address}: {said}")


def import_ray() -> Any:
    """Ray, told to send no statistics of its use."""
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    os.environ.setdefault("RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO", "0")
    return import_module("ray")


def _knock(address: str, wait_seconds: float) -> None:
    """Raise ClusterError when nothing listens at `address` (HOST:PORT or ray://HOST:PORT)."""
    host, colon, port = address.removeprefix("ray://").rpartition(":")
    if not (host and colon and port.isdigit()):
        raise UserError(f"--ray: expected auto or HOST:PORT, got {address!r}")
    try:
        socket.create_connection((host, int(port)), wait_seconds).close()
    except (OSError, OverflowError) as error:
        why = getattr(error, "strerror", None) or str(error)
        raise ClusterError(
            f"no Ray cluster answers at {address} within {wait_seconds:g} seconds: {why}"
        ) from None


class _Crew:
    """The actors of one piece of work, and what each of them is doing."""

    def __init__(self, ray: Any, open_work: Any, shared: Any, address: str) -> None:
        self._ray = ray
        self._open_work = open_work
        self._shared = shared
        self._address = address
        self._actor_class = ray.remote(num_cpus=1)(Bench)

    def work(self, items: Sequence[Any], count: int) -> Iterator[Any]:
        """Results in order; an item goes to whichever actor is free."""
        busy: dict[Any, tuple[Any, int]] = {}
        done: dict[int, Any] = {}
        tries = [0] * len(items)
        coming = iter(range(len(items)))
        following = 0
        for number in itertools.islice(coming, count):
            self._give(self._hire(), number, items, busy)
        while busy:
            [finished], _ = self._ray.wait(list(busy), num_returns=1)
            actor, number = busy.pop(finished)
            tries[number] += 1
            lost, result = self._take(finished)
            if lost and tries[number] >= TRIES:
                raise ClusterError(
                    f"Ray at {self._address}: {TRIES} workers were lost over item {number + 1} of "
                    f"{len(items)}: {result}"
                )
            if lost:
                self._give(self._hire(), number, items, busy)
                continue
            done[number] = result
            if (another := next(coming, None)) is not None:
                self._give(actor, another, items, busy)
            while following in done:
                yield done.pop(following)
                following += 1

    def _hire(self) -> Any:
        return self._actor_class.remote(self._open_work, self._shared)

    def _give(
        self, actor: Any, number: int, items: Sequence[Any], busy: dict[Any, tuple[Any, int]]
    ) -> None:
        busy[actor.do.remote(items[number])] = (actor, number)

    def _take(self, finished: Any) -> tuple[bool, Any]:
        """(whether the actor was lost, its result or what is known of its end)."""
        errors = self._ray.exceptions
        try:
            return False, self._ray.get(finished)
        except errors.RayActorError as error:
            cause = getattr(error, "cause", None)
            if isinstance(cause, TercelError):
                raise cause from None
            return True, (str(error).strip().splitlines() or ["lost"])[0]
        except errors.RayTaskError as error:
            if isinstance(error.cause, TercelError):
                raise error.cause from None
            raise ClusterError(
                f"Ray at {self._address}: a worker failed: {error.cause!r}"
            ) from error
