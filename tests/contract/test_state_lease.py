"""One running session for one Redis database: who may take it, on a real server."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import AsyncIterator, Callable
from dataclasses import replace
from pathlib import Path

import pytest
import redis

from tercel.adapters.redis_state import RedisLease, RedisStateStore, holder_here
from tercel.domain.errors import StorageError, UserError
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
    with pytest.raises(UserError, match="session s2"):
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
