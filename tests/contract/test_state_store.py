"""What every state store does: SQLite in a file, Redis on a real server."""

from __future__ import annotations

import asyncio
import dataclasses
import math
import sqlite3
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field
from pathlib import Path

import pytest
import redis
from tests.contract.killed import killed_writer
from tests.session_states import full_state

from tercel.adapters.redis_state import RedisStateStore
from tercel.adapters.sqlite_state import SqliteStateStore
from tercel.app.live.state_codec import NAMES
from tercel.app.ports import StateStore
from tercel.domain.errors import DataError, StorageError
from tercel.domain.session_state import SessionState


@dataclass
class Place:
    """Where a state is kept: opened as often as a test likes, and damaged behind its back."""

    kind: str
    address: str
    make: Callable[[], StateStore]
    spoil: Callable[[str, str | None], None]
    """Give the key of that name another text, or take it away (None)."""
    namespace: str = ""
    opened: list[StateStore] = field(default_factory=list)

    def open(self) -> StateStore:
        self.opened.append(self.make())
        return self.opened[-1]

    async def read(self) -> SessionState:
        """What somebody reads who opens it now."""
        return (await self.open().read_full_snapshot()).state


def sqlite_place(path: Path) -> Place:
    def spoil(name: str, text: str | None) -> None:
        connection = sqlite3.connect(path)
        if text is None:
            connection.execute("DELETE FROM state WHERE name = ?", (f"tercel:{name}",))
        else:
            connection.execute(
                "UPDATE state SET value = ? WHERE name = ?", (text, f"tercel:{name}")
            )
        connection.commit()
        connection.close()

    return Place("sqlite", str(path), lambda: SqliteStateStore(path), spoil)


def redis_place(url: str, namespace: str) -> Place:
    def spoil(name: str, text: str | None) -> None:
        client = redis.Redis.from_url(url)
        if text is None:
            client.delete(f"{namespace}:{name}")
        else:
            client.set(f"{namespace}:{name}", text)
        client.close()

    return Place("redis", url, lambda: RedisStateStore(url, namespace), spoil, namespace)


@pytest.fixture(params=["sqlite", "redis"])
async def place(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Place]:
    """An empty place of each kind."""
    if request.param == "sqlite":
        made = sqlite_place(tmp_path / "session" / "state.sqlite")
    else:
        named = request.getfixturevalue("redis_namespace")
        made = redis_place(request.getfixturevalue("redis_url"), named)
    yield made
    for store in made.opened:
        await store.close()


async def test_a_new_store_has_defaults_and_says_that_all_is_missing(place: Place) -> None:
    read = await place.open().read_full_snapshot()
    assert read.state == SessionState()
    assert read.missing == NAMES


async def test_what_was_written_is_read_by_whoever_opens_it(place: Place) -> None:
    store = place.open()
    await store.write(full_state(1))
    await store.write(full_state(2))
    await store.write(full_state(2))
    for reader in (store, place.open()):
        read = await reader.read_full_snapshot()
        assert read.state == full_state(2)
        assert read.missing == ()


async def test_defaults_that_were_written_are_not_missing(place: Place) -> None:
    store = place.open()
    await store.read_full_snapshot()
    await store.write(SessionState(automation_enabled=False))
    read = await place.open().read_full_snapshot()
    assert read.state == SessionState(automation_enabled=False)
    assert read.missing == ()


async def test_automation_defaulted_off(place: Place) -> None:
    """A flag that nobody set is None and named; the session then warns and counts it as off."""
    await place.open().write(dataclasses.replace(full_state(), automation_enabled=None))
    read = await place.open().read_full_snapshot()
    assert read.missing == ("automation_enabled",)
    assert read.state.automation_enabled is None
    place.spoil("automation_enabled", None)
    assert (await place.open().read_full_snapshot()).missing == ("automation_enabled",)


async def test_every_field_can_change_by_itself(place: Place) -> None:
    now, later = full_state(1), full_state(2)
    store = place.open()
    await store.write(now)
    for name in NAMES:
        now = dataclasses.replace(now, **{name: getattr(later, name)})
        await store.write(now)
        assert await place.read() == now, name
    assert now == later


async def test_only_what_changed_is_written(place: Place) -> None:
    store = place.open()
    await store.write(full_state())
    place.spoil("mode", '"by another"')
    await store.write(dataclasses.replace(full_state(), order_number=99))
    read = await place.read()
    assert (read.mode, read.order_number) == ("by another", 99)


async def test_whoever_does_not_know_what_is_kept_writes_everything(place: Place) -> None:
    await place.open().write(full_state(1))
    await place.open().write(full_state(2))
    assert await place.read() == full_state(2)


async def test_what_went_missing_is_written_again_after_a_read(place: Place) -> None:
    await place.open().write(full_state())
    place.spoil("consecutive_losses", None)
    store = place.open()
    read = await store.read_full_snapshot()
    assert read.missing == ("consecutive_losses",)
    await store.write(read.state)
    assert (await place.open().read_full_snapshot()).missing == ()


async def test_numbers_and_texts_of_every_kind(place: Place) -> None:
    odd = dataclasses.replace(
        full_state(),
        account_balance=math.inf,
        rolling_24h_pnl=0.1 + 0.2,
        cooldown_until=2**63 - 1,
        kill_latched='"\\ \u2028 é \0 \U0001f680',
        seen_fills=tuple(f"BTCUSDT:{number}" for number in range(5_000)),
    )
    await place.open().write(odd)
    assert await place.read() == odd


async def test_readers_never_see_half_a_write(place: Place) -> None:
    writer, reader = place.open(), place.open()
    await writer.write(full_state(1))

    async def write() -> None:
        for number in range(2, 40):
            await writer.write(full_state(number))

    writing = asyncio.create_task(write())
    seen = set()
    while not writing.done():
        state = (await reader.read_full_snapshot()).state
        assert state == full_state(state.order_number)
        seen.add(state.order_number)
    await writing
    assert seen


@pytest.mark.parametrize("name", NAMES)
async def test_damage_is_named(place: Place, name: str) -> None:
    await place.open().write(full_state())
    place.spoil(name, '{"cut')
    with pytest.raises(DataError, match=f"tercel:{name}: is damaged"):
        await place.open().read_full_snapshot()


async def test_a_closed_store_says_so_and_closes_again(place: Place) -> None:
    store = place.open()
    await store.write(full_state())
    await store.close()
    await store.close()
    with pytest.raises(StorageError, match="closed"):
        await store.read_full_snapshot()
    with pytest.raises(StorageError, match="closed"):
        await store.write(full_state(8))
    assert await place.read() == full_state()


@pytest.mark.slow
async def test_a_killed_writer_leaves_a_whole_state(place: Place) -> None:
    """kill -9 in the middle of writes, three times over the same store."""
    arguments = [place.kind, place.address, place.namespace]
    kept = 0
    for lines in (1, 7, 20):
        told = killed_writer("tests.contract.state_writer", arguments, lines)
        assert told[0] == kept + 1
        read = await place.open().read_full_snapshot()
        kept = read.state.order_number
        assert kept >= told[-1]
        assert read.state == full_state(kept)
        assert read.missing == ()
