"""One running session for one state in a file: who may take it, and when it is free again."""

from __future__ import annotations

import asyncio
import os
import sys
from asyncio.subprocess import PIPE
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest

from tercel.adapters.control import FileLease
from tercel.domain.errors import LeaseLostError, StorageError, UserError
from tercel.domain.lease import LeaseHolder

HERE = LeaseHolder("s1", "host", "machine", os.getpid(), "/first", "1:2")
THERE = LeaseHolder("s2", "host", "machine", os.getpid(), "/second", "1:3")
Open = Callable[[Path], FileLease]


@pytest.fixture
async def opened() -> AsyncIterator[Open]:
    """Leases, given back in the end."""
    made: list[FileLease] = []

    def one(path: Path) -> FileLease:
        made.append(FileLease(path))
        return made[-1]

    yield one
    for each in made:
        await each.release()


async def test_a_second_session_is_refused_in_one_line_that_names_the_first(
    tmp_path: Path, opened: Open
) -> None:
    path = tmp_path / "new" / "state.sqlite"
    await opened(path).claim(HERE)
    with pytest.raises(UserError) as refused:
        await opened(path).claim(THERE)
    told = str(refused.value)
    assert "\n" not in told
    for part in (str(path), "session s1", "/first", f"pid {os.getpid()}", "state.url"):
        assert part in told
    assert not path.exists(), "the state itself is never opened"


async def test_the_same_file_by_another_path_is_the_same_state(
    tmp_path: Path, opened: Open
) -> None:
    (tmp_path / "a").mkdir()
    (tmp_path / "b").symlink_to(tmp_path / "a")
    await opened(tmp_path / "a" / "state.sqlite").claim(HERE)
    with pytest.raises(UserError):
        await opened(tmp_path / "b" / ".." / "b" / "state.sqlite").claim(THERE)
    await opened(tmp_path / "a" / "other.sqlite").claim(THERE)


async def test_a_lock_whose_file_is_gone_keeps_nobody_away_and_says_so(
    tmp_path: Path, opened: Open
) -> None:
    first = opened(tmp_path / "state.sqlite")
    await first.claim(HERE)
    (tmp_path / "state.sqlite.lock").unlink()
    await opened(tmp_path / "state.sqlite").claim(THERE)
    with pytest.raises(LeaseLostError, match=r"state\.sqlite\.lock is gone"):
        await first.renew()


async def test_what_was_given_back_is_free(tmp_path: Path, opened: Open) -> None:
    first = opened(tmp_path / "state.sqlite")
    await first.claim(HERE)
    await first.renew()
    await first.release()
    await first.release()
    await opened(tmp_path / "state.sqlite").claim(THERE)


async def test_what_a_killed_process_had_is_free_at_once(tmp_path: Path, opened: Open) -> None:
    path = tmp_path / "state.sqlite"
    script = (
        "import asyncio, pathlib, sys, time\n"
        "from tercel.adapters.control import FileLease\n"
        "from tercel.domain.lease import LeaseHolder\n"
        "lease = FileLease(pathlib.Path(sys.argv[1]))\n"
        "asyncio.run(lease.claim(LeaseHolder('s0', '', '', 1, '/gone', '')))\n"
        "print('held', flush=True)\n"
        "sys.stdin.read()\n"
    )
    other = await asyncio.create_subprocess_exec(
        *(sys.executable, "-c", script, str(path)), stdin=PIPE, stdout=PIPE
    )
    assert other.stdout is not None
    assert await other.stdout.readline() == b"held\n"
    with pytest.raises(UserError, match="session s0, which runs in /gone"):
        await opened(path).claim(HERE)
    other.kill()
    await other.wait()
    await opened(path).claim(HERE)


async def test_a_lock_that_says_nothing_is_respected_too(tmp_path: Path, opened: Open) -> None:
    await opened(tmp_path / "state.sqlite").claim(HERE)
    (tmp_path / "state.sqlite.lock").write_bytes(b"")
    with pytest.raises(UserError, match="of a running session;"):
        await opened(tmp_path / "state.sqlite").claim(THERE)


async def test_a_place_that_cannot_be_locked_is_told(tmp_path: Path, opened: Open) -> None:
    (tmp_path / "real").touch()
    (tmp_path / "state.sqlite.lock").symlink_to(tmp_path / "real")
    with pytest.raises(StorageError, match=r"state\.sqlite\.lock: cannot be locked"):
        await opened(tmp_path / "state.sqlite").claim(HERE)
