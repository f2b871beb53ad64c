"""One running session for one Redis database: who may take it, on a real server."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, replace
from pathlib import Path
from urllib.parse import urlsplit

import pytest
import redis

from tercel.adapters.clock import VirtualClock
from tercel.adapters.redis_state import RedisLease, RedisStateStore
from tercel.app.live import holder as holder_module
from tercel.app.live.holder import holder_here
from tercel.app.live.lease import LeasedState
from tercel.app.tasks import end_tasks
from tercel.domain.errors import LeaseLostError, StorageError, UserError
from tercel.domain.lease import LeaseHolder
from tercel.domain.session_state import SessionState

Open = Callable[[], RedisLease]
LONG_MS = 600_000
"""No test lasts so long."""


@pytest.fixture
async def opened(redis_url: str, redis_namespace: str) -> AsyncIterator[Open]:
    """Leases of one database, given back in the end."""
    made: list[RedisLease] = []

    def one() -> RedisLease:
        made.append(RedisLease(redis_url, redis_namespace, LONG_MS))
        return made[-1]

    yield one
    for each in made:
        await each.release()


@pytest.fixture
def here(tmp_path: Path) -> LeaseHolder:
    return holder_here("s1", tmp_path)


@pytest.fixture
def gone_pid() -> int:
    """Of a process that has ended."""
    gone = subprocess.Popen([sys.executable, "-c", ""])
    gone.wait()
    return gone.pid


def elsewhere(holder: LeaseHolder, **changes: object) -> LeaseHolder:
    """A session in another folder of the same machine."""
    made: LeaseHolder = replace(holder, session="s2", folder="/other", folder_id="0:1")
    return replace(made, **changes)  # type: ignore[arg-type]


async def test_a_second_session_is_refused_in_one_line_that_names_the_first(
    opened: Open, here: LeaseHolder
) -> None:
    await opened().claim(here)
    with pytest.raises(UserError) as refused:
        await opened().claim(elsewhere(here))
    told = str(refused.value)
    assert "\n" not in told
    for part in ("session s1", here.host, f"pid {os.getpid()}", here.folder, "state.url"):
        assert part in told
    with pytest.raises(UserError):
        await opened().claim(elsewhere(here, machine="another one", host="other"))


async def test_a_database_that_was_given_back_is_free(opened: Open, here: LeaseHolder) -> None:
    first = opened()
    await first.claim(here)
    await first.release()
    await first.release()
    await opened().claim(elsewhere(here))


async def test_a_restart_in_the_same_folder_waits_for_nothing(
    opened: Open, here: LeaseHolder
) -> None:
    """After `kill -9` the key is still there: whoever has the folder's lock knows who is dead."""
    before = replace(here, session="s0", pid=os.getppid())
    await opened().claim(before)
    again = opened()
    await again.claim(here)
    await again.renew()


async def test_what_a_dead_process_of_this_machine_had_is_taken_at_once(
    opened: Open, here: LeaseHolder, gone_pid: int
) -> None:
    await opened().claim(elsewhere(here, pid=gone_pid))
    await opened().claim(here)


async def test_a_number_of_another_machine_says_nothing_about_ours(
    opened: Open, here: LeaseHolder, gone_pid: int
) -> None:
    far = elsewhere(here, pid=gone_pid, machine="another one", folder_id=here.folder_id)
    await opened().claim(far)
    with pytest.raises(UserError):
        await opened().claim(here)


async def test_a_renewal_keeps_it_and_says_when_it_was_lost(
    opened: Open, here: LeaseHolder, redis_url: str, redis_namespace: str
) -> None:
    lease, key = opened(), f"{redis_namespace}:lease"
    await lease.renew()
    await lease.claim(here)
    client = redis.Redis.from_url(redis_url)
    client.pexpire(key, 1_000)
    await lease.renew()
    assert client.pttl(key) > LONG_MS / 2
    client.delete(key)  # the server forgot it, or did not answer for too long
    await lease.renew()
    assert client.pttl(key) > LONG_MS / 2
    client.delete(key)
    await opened().claim(elsewhere(here, machine="another one"))
    with pytest.raises(LeaseLostError, match="session s2"):
        await lease.renew()
    await lease.release()
    assert client.exists(key), "what is another's is not given back"
    client.close()


async def test_it_ends_by_itself(here: LeaseHolder, redis_url: str, redis_namespace: str) -> None:
    lease = RedisLease(redis_url, redis_namespace)
    await lease.claim(here)
    client = redis.Redis.from_url(redis_url)
    assert 0 < client.pttl(f"{redis_namespace}:lease") <= 10_000
    client.close()
    await lease.release()


async def test_nonsense_in_its_key_belongs_to_nobody(
    opened: Open, here: LeaseHolder, redis_url: str, redis_namespace: str
) -> None:
    client = redis.Redis.from_url(redis_url)
    client.set(f"{redis_namespace}:lease", "{}")
    client.close()
    await opened().claim(here)


async def test_a_server_that_is_not_there_is_named(here: LeaseHolder) -> None:
    lease = RedisLease("redis://127.0.0.1:1/0")
    with pytest.raises(StorageError, match="is the server there"):
        await lease.claim(here)
    await lease.release()


async def test_the_state_is_read_and_written_beside_it(
    opened: Open, here: LeaseHolder, redis_url: str, redis_namespace: str
) -> None:
    await opened().claim(here)
    store = RedisStateStore(redis_url, redis_namespace)
    await store.write(SessionState(order_number=7))
    assert (await store.read_full_snapshot()).state.order_number == 7
    await store.close()


# --- a session that lost it -----------------------------------------------------------------------


@dataclass
class Slept:
    """A session that slept past the end of its lease: its lease, its store and the server."""

    lease: RedisLease
    store: RedisStateStore
    keys: dict[str, str]
    client: redis.Redis

    def expire(self) -> None:
        self.client.delete(self.keys["lease"])

    def order_number(self) -> str:
        value = self.client.get(self.keys["order_number"])
        assert isinstance(value, bytes)
        return value.decode()


@pytest.fixture
async def slept(
    opened: Open, here: LeaseHolder, redis_url: str, redis_namespace: str
) -> AsyncIterator[Slept]:
    lease = opened()
    await lease.claim(here)
    store = RedisStateStore(redis_url, redis_namespace, here)
    await store.write(SessionState(order_number=1))
    client = redis.Redis.from_url(redis_url)
    names = ("lease", "holder", "order_number")
    yield Slept(lease, store, {name: f"{redis_namespace}:{name}" for name in names}, client)
    client.close()
    await store.close()


async def other_session(
    opened: Open, here: LeaseHolder, redis_url: str, redis_namespace: str
) -> tuple[RedisLease, RedisStateStore]:
    """Another session that has taken the database, and has written."""
    holder = elsewhere(here, machine="another one", host="other")
    lease, store = opened(), RedisStateStore(redis_url, redis_namespace, holder)
    await lease.claim(holder)
    await store.write(SessionState(order_number=50))
    return lease, store


async def test_a_session_that_lost_it_writes_nothing_into_the_state_of_the_other_one(
    slept: Slept, opened: Open, here: LeaseHolder, redis_url: str, redis_namespace: str
) -> None:
    slept.expire()
    _, store = await other_session(opened, here, redis_url, redis_namespace)
    for number in (2, 3):
        with pytest.raises(LeaseLostError, match=r"session s2 on other") as lost:
            await slept.store.write(SessionState(order_number=number))
        assert "\n" not in str(lost.value)
    assert slept.order_number() == "50"
    await store.write(SessionState(order_number=51))
    assert slept.order_number() == "51"
    await store.close()


async def test_it_is_lost_even_where_the_other_session_has_ended_meanwhile(
    slept: Slept, opened: Open, here: LeaseHolder, redis_url: str, redis_namespace: str
) -> None:
    """Its state is the later one: what it had opened would be unknown to what we write."""
    slept.expire()
    lease, store = await other_session(opened, here, redis_url, redis_namespace)
    await lease.release()
    with pytest.raises(LeaseLostError, match="session s2"):
        await slept.store.write(SessionState(order_number=2))
    with pytest.raises(LeaseLostError, match="session s2"):
        await slept.lease.renew()
    assert slept.order_number() == "50"
    assert not slept.client.exists(slept.keys["lease"])
    await store.close()


async def test_one_that_slept_goes_on_where_nobody_had_it_meanwhile(slept: Slept) -> None:
    slept.expire()
    await slept.store.write(SessionState(order_number=2))
    await slept.lease.renew()
    slept.client.delete(*slept.keys.values())  # a server without a disk was started again
    await slept.store.write(SessionState(order_number=3))
    assert slept.order_number() == "3"
    assert slept.client.exists(slept.keys["holder"])


async def test_a_renewal_takes_nothing_from_a_session_of_the_same_machine_that_has_ended(
    slept: Slept, opened: Open, here: LeaseHolder, gone_pid: int
) -> None:
    """A claim may follow the dead; a session that runs already knows another state than theirs."""
    slept.expire()
    await opened().claim(elsewhere(here, pid=gone_pid))
    with pytest.raises(LeaseLostError, match="session s2"):
        await slept.lease.renew()


async def test_a_lease_that_nobody_wrote_is_no_other_session(slept: Slept) -> None:
    slept.client.set(slept.keys["lease"], "{}")
    with pytest.raises(StorageError, match="no session wrote"):
        await slept.lease.renew()
    with pytest.raises(StorageError, match="no session wrote"):
        await slept.store.write(SessionState(order_number=2))


async def test_where_machines_cannot_be_told_apart_only_its_end_frees_it(
    opened: Open, tmp_path: Path, gone_pid: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without a boot id: two machines of one name have each other's process ids and inodes."""
    monkeypatch.setattr(holder_module, "BOOT_ID", tmp_path / "none")
    here = holder_here("s1", tmp_path)
    for there in (elsewhere(here, pid=gone_pid), replace(here, session="s0", pid=gone_pid)):
        lease = opened()
        await lease.claim(there)
        with pytest.raises(UserError, match=f"session {there.session}"):
            await opened().claim(here)
        await lease.release()
    await opened().claim(here)


_loop = VirtualClock(slept_seconds_max=1.0)


class _Clock:
    """Time that nobody waits for."""

    async def sleep(self, _: float) -> None:
        await asyncio.get_running_loop().create_future()


@pytest.mark.parametrize("turns", range(8))
async def test_a_renewal_that_is_cut_short_at_any_moment_ends(
    opened: Open, here: LeaseHolder, turns: int
) -> None:
    """A start that fails right after the claim: it hung for ever, and kept the database."""
    lease = opened()
    await lease.claim(here)
    keeping = asyncio.create_task(LeasedState(lambda _: None).keep(lease, _Clock()))  # type: ignore[arg-type]
    for _ in range(turns):
        await _loop.sleep(0.0)
    async with asyncio.timeout(30):
        await end_tasks([keeping])


# --- answers that do not come ---------------------------------------------------------------------


class Wire:
    """The way to the server; where it is cut, what changes something gets there, and its answer is
    lost.
    """

    def __init__(self, redis_url: str) -> None:
        self._url = urlsplit(redis_url)
        self._server: asyncio.Server | None = None
        self.cuts = 0
        """So many answers are lost from now on."""
        self.lost = 0

    async def open(self) -> str:
        """Its address."""
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        port = self._server.sockets[0].getsockname()[1]
        return f"redis://127.0.0.1:{port}/9"

    async def close(self) -> None:
        assert self._server is not None
        self._server.close()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if self._url.scheme == "unix":
            back, to = await asyncio.open_unix_connection(self._url.path)
        else:
            back, to = await asyncio.open_connection(self._url.hostname, self._url.port)
        try:
            while asked := await reader.read(65_536):
                to.write(asked)
                answer = await back.read(65_536)
                if self.cuts and (b"EVAL" in asked or b"EXEC" in asked):
                    self.cuts -= 1
                    self.lost += 1
                    return
                writer.write(answer)
        finally:
            to.close()
            writer.close()


@pytest.fixture
async def wire(redis_url: str) -> AsyncIterator[Wire]:
    made = Wire(redis_url)
    yield made
    await made.close()


async def test_a_lost_connection_is_no_other_session(
    wire: Wire, here: LeaseHolder, redis_namespace: str
) -> None:
    lease = RedisLease(await wire.open(), redis_namespace, LONG_MS)
    await lease.claim(here)
    wire.cuts = 100
    for _ in range(4):
        with pytest.raises(StorageError, match="is the server there"):
            await lease.renew()
    assert wire.lost >= 4
    wire.cuts = 1
    await lease.renew()
    assert wire.cuts == 0, "one answer was lost, and the question was asked again"
    await lease.release()


async def test_a_claim_and_a_write_whose_answers_were_lost_are_ours(
    wire: Wire, here: LeaseHolder, redis_namespace: str
) -> None:
    url = await wire.open()
    lease, store = RedisLease(url, redis_namespace), RedisStateStore(url, redis_namespace, here)
    wire.cuts = 1
    await lease.claim(here)
    wire.cuts = 1
    await store.write(SessionState(order_number=7))
    assert (wire.cuts, wire.lost) == (0, 2)
    assert (await store.read_full_snapshot()).state.order_number == 7
    await store.close()
    await lease.release()
