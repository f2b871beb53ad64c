"""What a session needs of a place that others can reach, too: the right to keep its state there."""

from __future__ import annotations

from collections.abc import Callable

import structlog

from tercel.app.live.venue_clock import VenueClock
from tercel.app.ports import StateLease, StateStore
from tercel.domain.errors import LeaseLostError, StorageError
from tercel.domain.session_state import StateSnapshot

log = structlog.get_logger(__name__)

LEASE_SECONDS = 3.0
"""Between two renewals of the right to keep the state."""


class LeasedState:
    """A session's writes of its state, until another session keeps its own in the same place."""

    def __init__(self, on_lost: Callable[[str], None]) -> None:
        self.lost = ""
        """Who has the place; empty: we have. Then none of ours is written any more."""
        self._on_lost = on_lost

    async def write(self, store: StateStore, state: StateSnapshot | None) -> None:
        """Keep `state`. Raises StorageError, also where the place is another's."""
        if state is None:
            return
        if not self.lost:
            try:
                await store.write(state.state())
            except LeaseLostError as error:
                self._lose(str(error))
        if self.lost:
            raise StorageError(self.lost)

    async def keep(self, lease: StateLease, clock: VenueClock) -> None:
        """Renew `lease` until another session has it."""
        while not self.lost:
            try:
                await lease.renew()
            except StorageError as error:
                log.warning("lease_not_renewed", reason=str(error))
            except LeaseLostError as error:
                self._lose(str(error))
            await clock.sleep(LEASE_SECONDS)

    def _lose(self, why: str) -> None:
        if not self.lost:
            self.lost = why
            log.critical("state_lost", reason=why)
            self._on_lost(why)
