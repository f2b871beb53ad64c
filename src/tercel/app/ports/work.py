"""Time, progress, workers, and what research keeps of its trials."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Protocol, TypeVar

from tercel.domain.trials import TrialRecord


class Clock(Protocol):
    """The one source of time."""

    def now_ms(self) -> int:
        """Milliseconds UTC."""
        ...

    async def sleep(self, seconds: float) -> None:
        """Return once `seconds` have passed on this clock."""
        ...


class Progress(Protocol):
    """Where long work says how far it is. Closing it is the caller's business."""

    def start(self, title: str, total: float | None) -> None:
        """Begin a bar of `total` units (None: unknown)."""
        ...

    def advance(self, amount: float = 1.0, note: str = "") -> None:
        """`amount` more units are done."""
        ...


class SilentProgress:
    """Progress for tests and scripts: says nothing."""

    def start(self, title: str, total: float | None) -> None:
        """Ignore."""

    def advance(self, amount: float = 1.0, note: str = "") -> None:
        """Ignore."""


_Shared = TypeVar("_Shared")
_Item = TypeVar("_Item")
_Done = TypeVar("_Done")


class Workers(Protocol):
    """Who carries out many independent pieces of work: threads of this machine, or a cluster."""

    def map(
        self,
        open_work: Callable[[_Shared], Callable[[_Item], _Done]],
        shared: _Shared,
        items: Sequence[_Item],
    ) -> Iterator[_Done]:
        """The result for each of `items`, in their order, whoever is done first.

        `open_work(shared)` is called once in each worker and returns the function that is called
        for each item there, so that buffers belong to one worker. It is a function that another
        process can import; `shared` and the items are plain data. The first error of a worker is
        raised here, and nothing is left running.
        """
        ...


class TrialLog(Protocol):
    """What is finished of a long sweep, kept so that the same command can go on after a stop."""

    def finished(self) -> Mapping[int, bytes]:
        """What was saved, by number. Raises StorageError, LakeBusyError."""
        ...

    def save(self, number: int, data: bytes) -> None:
        """Keep the result of `number`, whole or not at all. Raises StorageError."""
        ...

    def discard(self) -> None:
        """All is done: nothing of it is needed any more."""
        ...


class ResearchLedger(Protocol):
    """Every trial that was ever run. It is only ever added to: nothing can be taken back."""

    def append(self, trials: Sequence[TrialRecord]) -> None:
        """Add `trials` in one durable write. Raises StorageError, DataError; then none is added.

        Trials that are there already are added again: that they were repeated is kept too.
        """
        ...

    def read(self, strategy: str, symbol: str) -> tuple[TrialRecord, ...]:
        """All trials of that strategy name and symbol, oldest first, repeated ones repeatedly.

        Raises DataError when the ledger is damaged or of another version, StorageError when it
        cannot be read.
        """
        ...

    def notices(self) -> tuple[str, ...]:
        """What had to be repaired or passed over since it was opened, a line each."""
        ...
