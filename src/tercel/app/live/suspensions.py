"""Which streams do not look for entries since they hold a position, and what is said of it."""

from __future__ import annotations

from tercel.app.live.alerts import AlertCode
from tercel.app.live.parts import SessionParts
from tercel.domain.commands import Level


class Suspensions:
    """Told once when a position opens, once when it is closed; never at each bar."""

    def __init__(self, parts: SessionParts) -> None:
        self._parts = parts
        self._suspended: set[int] = set()

    def restore(self) -> None:
        """Positions of an earlier run were told by it."""
        held = self._parts.desk.held.tolist()
        self._suspended = {k for k, quantity in enumerate(held) if quantity}

    def tell(self) -> None:
        """What has changed since the last event."""
        parts = self._parts
        held = parts.desk.held.tolist()
        if not self._suspended and not any(held):
            return
        for k, quantity in enumerate(held):
            if quantity and k not in self._suspended:
                self._suspended.add(k)
                parts.alert(
                    Level.INFO,
                    AlertCode.EVALUATION_SUSPENDED,
                    f"{parts.symbol_of(k)}: active_position_open",
                    k,
                )
            elif not quantity and k in self._suspended:
                self._suspended.discard(k)
                parts.alert(Level.INFO, AlertCode.EVALUATION_RESUMED, parts.symbol_of(k), k)
