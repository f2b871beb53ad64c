"""Somebody who throws the kill switch at bad moments: while an entry is on its way.

He waits until the session says that it is verified, and for some minutes more; then he rearms, and
switches automation on again. What he throws it at is drawn from the scene's seed.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from tercel.app.live.alerts import AlertCode
from tercel.core.codes import Slot
from tercel.domain.commands import Alert
from tercel.domain.events import Operation
from tercel.domain.orders import OrderRequest

if TYPE_CHECKING:
    from tests.simulation.world import World

SOON_MS = 1_500
"""He throws it so long after an entry was sent, at most."""
LOOK_MS = 10_000
LATCHED_MS = (0, 180_000)
"""How long he leaves it after it was verified, at least and at most."""


class Switch:
    """The hand on the kill switch of a world."""

    def __init__(self, world: World, chance: float) -> None:
        """`chance` of each entry that is sent."""
        self._world = world
        self._chance = chance
        self._draw = np.random.default_rng([world.scene.seed, 6])
        self.is_thrown = False
        """From the throw until the session is armed again."""
        self.is_verified = False
        self.throws = 0
        self._rearm_ms = 0

    def stop(self) -> None:
        """He keeps his hands off from now on."""
        self._chance = 0.0

    def on_order(self, order: OrderRequest) -> None:
        """An order leaves."""
        if self._chance == 0.0 or order.slot is not Slot.ENTRY or self.is_thrown:
            return
        if self._draw.random() < self._chance:
            wait = int(self._draw.integers(SOON_MS))
            self._world.push(self._world.now + wait, self._throw)

    def on_alert(self, alert: Alert) -> None:
        """The session says something."""
        if alert.code == AlertCode.KILL_SWITCH:
            self.is_verified = False
        elif alert.code == AlertCode.KILL_VERIFIED:
            self.is_verified = True
            self._rearm_ms = self._world.now + int(self._draw.integers(*LATCHED_MS))

    def _throw(self, _: object) -> None:
        session = self._world.session
        if session is None or self.is_thrown:
            return
        self.is_thrown, self.is_verified = True, False
        self.throws += 1
        self._world.ask(Operation.KILL)
        self._look(None)

    def _look(self, _: object) -> None:
        """Is it over? A session that died before it kept the latch is asked once more."""
        world, session = self._world, self._world.session
        if session is not None and session.is_ready:
            if not session.parts.flags.kill_latched:
                world.ask(Operation.KILL)
            elif self.is_verified and world.now >= self._rearm_ms:
                world.ask(Operation.REARM)
                world.ask(Operation.AUTOMATION_ON)
                if world.session is session and session.parts.flags.automation:
                    self.is_thrown = self.is_verified = False
                    return
        world.push(world.now + LOOK_MS, self._look)
