"""Sessions in a world of faults, crashes and recoveries: every life of each decided again."""

from __future__ import annotations

from typing import Any

import pytest
from tests.app.live.journals import MOMENT, record_of
from tests.desk import JIT
from tests.market_data import BOUNDS_CHECKED
from tests.parity.live_cases import settings
from tests.simulation.oracle import Oracle
from tests.simulation.runs import plan_of
from tests.simulation.scene import drawn_scene
from tests.simulation.trouble import Trouble
from tests.simulation.world import World

from tercel.app.live.parity import decide_again
from tercel.app.live.session_row import session_row
from tercel.domain.commands import Command, WriteJournal
from tercel.domain.events import Event
from tercel.domain.journal import JournalRow

pytestmark = pytest.mark.skipif(
    BOUNDS_CHECKED, reason="sessions call the kernels of the other tests, and are mostly Python"
)

SEEDS = (0, 2, 3) if JIT else (2,)
HOURS = 2.0 if JIT else 0.5


class JournaledWorld(World):
    """A world whose sessions' journals are kept, one for each life."""

    def __init__(self, *given: Any, **named: Any) -> None:
        self.lives: list[list[JournalRow]] = []
        self._written = 0
        super().__init__(*given, journals=True, **named)

    def hand(self, event: Event) -> None:
        """An event; before a session's first one its row is written."""
        if self.session is not None and self.life != self._written:
            self._written = self.life
            self.lives.append([session_row(self.session, settings(), MOMENT)])
        super().hand(event)

    def _carry_out(self, command: Command) -> None:
        if isinstance(command, WriteJournal):
            self.lives[-1].extend(command.rows)
        super()._carry_out(command)


@pytest.mark.parametrize("seed", SEEDS)
def test_every_life_is_decided_again(seed: int) -> None:
    world = JournaledWorld(drawn_scene(seed), Trouble(plan_of(seed)), Oracle())
    world.run_hours(HOURS)
    inputs = 0
    for rows in world.lives:
        found = decide_again(record_of(rows, ended=False), world.plan)
        assert found.is_equal, f"{rows[0].session_id}: {found.difference}"
        inputs += found.inputs
    assert inputs > 50
