"""What a session needs of a place that others can reach, too: the right to keep its state there."""

from __future__ import annotations

from typing import Protocol

from tercel.domain.lease import LeaseHolder


class StateLease(Protocol):
    """The right to keep a session's state in one place: one running session has it."""

    async def claim(self, holder: LeaseHolder) -> None:
        """Take it. Raises UserError where another running session has it, StorageError.

        It ends by itself a few seconds after its last renewal. One that the same folder had, or a
        process of this machine that is gone, is taken over at once.
        """
        ...

    async def renew(self) -> None:
        """Keep it. Raises StorageError where that cannot be said, UserError where it is lost."""
        ...

    async def release(self) -> None:
        """Give it back. May be called twice."""
        ...
