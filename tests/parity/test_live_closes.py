"""A live session against the backtest of its own bars: on a simulated exchange that fills most of a
second after each close, every trade is entered and left at the closes of the backtest.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pytest
from tests.app.live.journals import record_of
from tests.desk import JIT
from tests.parity.test_decided_under_faults import JournaledWorld
from tests.simulation.market import MINUTE_MS
from tests.simulation.oracle import Oracle
from tests.simulation.scene import Scene
from tests.simulation.world import Calm

from tercel.app.backtest import simulate
from tercel.app.live.parity import SessionRecord
from tercel.app.live.trade_parity import _Seen, compare_with_backtest
from tercel.core.codes import ExitReason
from tercel.core.plan import TradePlan
from tercel.core.records import TRADE, Records
from tercel.domain.journal import SessionRow, TradeRow
from tercel.domain.live_settings import ParitySettings

MINUTES = 180 if JIT else 40
LATENCY_MS = (300, 450)
"""A bar comes so late, and an order arrives so much later: before the next price."""
TOLERANCES = ParitySettings(tolerance_r=0.25, missed_fraction_max=0.1)
Trades = list[tuple[int, int, int, ExitReason]]
"""Side, entry and exit in minutes, and why it was left."""


def world_of(plan: TradePlan, seed: int = 3) -> JournaledWorld:
    """One busy stream."""
    scene = Scene(seed, ((0, 0),), latency_ms=LATENCY_MS, eagerness=0.5, plan=plan)
    return JournaledWorld(scene, Calm(), Oracle())


def record(world: JournaledWorld) -> SessionRecord:
    """All lives as if they had been one."""
    first, *others = world.lives
    later = [row for life in others for row in life if not isinstance(row, SessionRow)]
    return record_of([*first, *later], ended=False)


def told(trades: Records) -> Trades:
    return [
        (
            int(each["side"]),
            int(each["entry_time"]) // MINUTE_MS,
            int(each["exit_time"]) // MINUTE_MS,
            ExitReason(int(each["exit_reason"])),
        )
        for each in trades
    ]


def rows_of(found: SessionRecord) -> Iterator[TradeRow]:
    for row in found.tables["trade"]:
        if isinstance(row, TradeRow) and row.desk == "main":
            yield row


def lived(found: SessionRecord) -> Trades:
    """Trades of the session."""
    return told(np.frombuffer(b"".join(row.record for row in rows_of(found)), TRADE))


def backtest_of(world: JournaledWorld, found: SessionRecord) -> Trades:
    """The backtest of the bars it was shown; what the end of the data closed is left out."""
    seen = _Seen(found, world.plan)
    specs, _ = seen.specs(world.plan)
    trades = simulate(specs, world.plan.account).trades
    return told(trades[trades["exit_reason"] != ExitReason.END_OF_DATA])


def check(world: JournaledWorld) -> Trades:
    """Both made the same trades; those of the session."""
    world.run_until(world.now + 10_000)  # what was asked for at the last close
    found = record(world)
    made = lived(found)
    assert made == backtest_of(world, found)
    for row in rows_of(found):
        # The venue's moments are not closes: there was something to count right.
        assert row.entry_time % MINUTE_MS > LATENCY_MS[0]
    return made


@pytest.mark.parametrize("minutes", [1.0, 2.0])
def test_time_exits_are_at_the_closes_of_the_backtest(minutes: float) -> None:
    world = world_of(TradePlan(hold_minutes_max=minutes))
    world.run_minutes(MINUTES)
    made = check(world)
    timed = [leaves - enters for _, enters, leaves, why in made if why is ExitReason.TIME]
    assert len(timed) > MINUTES / 10
    assert set(timed) == {int(minutes)}


@pytest.mark.parametrize("minutes", [1.0, 2.0])
def test_so_are_they_when_the_process_is_killed_in_every_trade(minutes: float) -> None:
    """Twice a minute: some seconds after the fill, and in the middle."""
    world = world_of(TradePlan(hold_minutes_max=minutes))
    for _ in range(MINUTES // 2):
        world.run_minutes(1)
        world.push(world.now + 2_000, lambda _: world.crash(3_000))
        world.push(world.now + 30_000, lambda _: world.crash(3_000))
    assert world.crashes > MINUTES // 2
    made = check(world)
    assert sum(why is ExitReason.TIME for *_, why in made) > MINUTES / 20


@pytest.mark.parametrize("minutes", [1.0, 2.0])
def test_entries_that_wait_with_a_limit(minutes: float) -> None:
    """A price that only touches fills one of both now and then; all others are of the same bars,
    and what differs in those is no matter of the queue.
    """
    world = world_of(TradePlan(hold_minutes_max=minutes, entry="limit", entry_wait_bars=2))
    world.run_minutes(MINUTES)
    found = record(world)
    made, wanted = lived(found), backtest_of(world, found)
    timed = [leaves - enters for _, enters, leaves, why in made if why is ExitReason.TIME]
    assert len(timed) > MINUTES / 20
    assert set(timed) == {int(minutes)}
    assert len(set(made) & set(wanted)) > 0.6 * len(wanted)
    totals = compare_with_backtest(found, world.plan, TOLERANCES).totals()
    assert totals["price"][0] > totals["queue"][0]
