"""The control socket: a real one, in a folder of the test."""

from __future__ import annotations

import asyncio
import json
import os
import socket
import stat
import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path

import pytest
from tests.live_status import full_status

from tercel.adapters.control import (
    ControlClient,
    ControlServer,
    NoSessionError,
    SessionRunsError,
    SilentSessionError,
)
from tercel.adapters.control import place as places
from tercel.adapters.control.client import REPLY_BYTES_MAX
from tercel.adapters.control.server import CONNECTIONS_MAX, REQUEST_BYTES_MAX
from tercel.app.live.control import REPLIES, Reply, Request
from tercel.domain.errors import ConfigError, StorageError, UserError
from tercel.domain.events import Operation


class Session:
    """Whoever is asked: remembers what, and answers as told."""

    def __init__(self) -> None:
        self.asked: list[Request] = []
        self.answer = Reply(is_done=True, text="done", status=full_status())
        self.failure: Exception | None = None
        self.may_answer = asyncio.Event()
        self.may_answer.set()
        self.was_asked = asyncio.Event()

    async def ask(self, request: Request) -> Reply:
        self.asked.append(request)
        self.was_asked.set()
        await self.may_answer.wait()
        if self.failure is not None:
            raise self.failure
        return self.answer


@asynccontextmanager
async def running(folder: Path, session: Session) -> AsyncIterator[ControlServer]:
    server = ControlServer(folder, session.ask)
    await server.open()
    try:
        yield server
    finally:
        await server.close()


async def raw(folder: Path, sent: bytes) -> Reply:
    """The reply to bytes as they are."""
    with places.socket_address(folder) as address:
        reader, writer = await asyncio.open_unix_connection(address, limit=REPLY_BYTES_MAX)
    writer.write(sent)
    await writer.drain()
    reply = REPLIES.decode(await reader.readline())
    writer.close()
    with suppress(ConnectionError):
        await writer.wait_closed()
    return reply


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def make_folder(folder: Path, mode: int) -> None:
    folder.mkdir(exist_ok=True)
    folder.chmod(mode)


def die_listening(folder: Path) -> None:
    """A session of another process takes the folder and is killed."""
    program = f"""
import os
from pathlib import Path
from tercel.adapters.control import ControlServer
ControlServer(Path({str(folder)!r}), None).claim()
os._exit(9)
"""
    done = subprocess.run([sys.executable, "-c", program], check=False, capture_output=True)
    assert done.returncode == 9, done.stderr
    assert (folder / "control.sock").is_socket()


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "session"


@pytest.mark.parametrize("operation", [*Operation, "status"])
async def test_every_operation_is_asked_and_answered(folder: Path, operation: Operation) -> None:
    session = Session()
    async with running(folder, session):
        request = Request(operation, "cli (pid 7)")
        reply = await ControlClient(folder).ask(request)
    assert session.asked == [request]
    assert reply == session.answer


async def test_the_socket_is_its_owners_alone(folder: Path) -> None:
    async with running(folder, Session()):
        assert mode(folder) == 0o700
        for name in ("control.sock", "control.lock"):
            assert mode(folder / name) == 0o600
        assert (folder / "control.lock").read_text() == f"{os.getpid()}\n"
    assert not (folder / "control.sock").exists()


async def test_a_folder_that_others_may_write_to_is_refused(folder: Path) -> None:
    make_folder(folder, 0o770)
    with pytest.raises(ConfigError, match="chmod 700"):
        ControlServer(folder, Session().ask).claim()
    make_folder(folder, 0o755)
    async with running(folder, Session()):
        assert (await ControlClient(folder).ask(Request())).is_done


def test_a_folder_that_cannot_be_made_is_told(folder: Path) -> None:
    folder.write_text("a file")
    with pytest.raises(StorageError, match="cannot be made"):
        ControlServer(folder, Session().ask).claim()


async def test_others_are_not_heard(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    session = Session()
    async with running(folder, session):
        monkeypatch.setattr(
            "tercel.adapters.control.server.owner_of_peer", lambda _: os.geteuid() + 1
        )
        reply = await ControlClient(folder).ask(Request(Operation.KILL))
        assert (reply.is_done, session.asked) == (False, [])
        assert "only the user" in reply.text
        monkeypatch.setattr(
            "tercel.adapters.control.place.owner_of_peer", lambda _: os.geteuid() + 1
        )
        with pytest.raises(SilentSessionError, match="another user"):
            await ControlClient(folder).ask(Request())


@pytest.mark.skipif(sys.platform != "linux", reason="how Linux tells who is at the other end")
def test_the_system_says_who_is_at_the_other_end() -> None:
    one, other = socket.socketpair(socket.AF_UNIX)
    with one, other:
        assert places.owner_of_peer(one) == os.geteuid()
    assert places.is_owner(os.geteuid())
    assert places.is_owner(0)
    assert not places.is_owner(os.geteuid() + 1)


async def test_a_second_session_is_refused(folder: Path) -> None:
    session = Session()
    async with running(folder, session):
        with pytest.raises(SessionRunsError, match=rf"already running here \(pid {os.getpid()}\)"):
            ControlServer(folder, session.ask).claim()
        assert (await ControlClient(folder).ask(Request())).is_done, "the first one is left alone"
    async with running(folder, session):
        assert (await ControlClient(folder).ask(Request())).is_done


async def test_what_a_dead_session_left_is_replaced(folder: Path) -> None:
    die_listening(folder)
    with pytest.raises(NoSessionError):
        await ControlClient(folder).ask(Request())
    async with running(folder, Session()):
        assert (await ControlClient(folder).ask(Request())).is_done


async def test_asking_where_no_session_runs(folder: Path) -> None:
    with pytest.raises(NoSessionError, match=f"no session runs in {folder}"):
        await ControlClient(folder).ask(Request())


async def test_a_session_that_listens_and_does_not_answer_yet(folder: Path) -> None:
    server = ControlServer(folder, Session().ask)
    server.claim()
    try:
        asking = asyncio.ensure_future(ControlClient(folder).ask(Request()))
        await server.open()
        assert (await asking).is_done
    finally:
        await server.close()
        await server.close()


async def test_a_silent_session_is_told(folder: Path) -> None:
    session = Session()
    session.may_answer.clear()
    async with running(folder, session):
        with pytest.raises(SilentSessionError, match=rf"pid {os.getpid()}\) has not answered"):
            await ControlClient(folder, answer_seconds_max=0.01).ask(Request())


async def test_a_session_that_ends_meanwhile_is_told(folder: Path) -> None:
    session = Session()
    session.may_answer.clear()
    server = ControlServer(folder, session.ask)
    await server.open()
    asking = asyncio.ensure_future(ControlClient(folder).ask(Request()))
    await session.was_asked.wait()
    await server.close()
    with pytest.raises(NoSessionError, match="ended while it was asked"):
        await asking


@pytest.mark.parametrize(
    ("sent", "said"),
    [
        (b"kill\n", "JSON"),
        (b"\xff\xfe\n", "not understood"),
        (b'{"operation": "sell_everything"}\n', "operation"),
        (b'{"operation": "pause", "origin": "\\u001b[2J"}\n', "origin"),
        (b'{"operation": "pause", "origin": "' + b"x" * 61 + b'"}\n', "origin"),
        (b"[]\n", "not understood"),
        (b" " * (2 * REQUEST_BYTES_MAX) + b"\n", "at most 4096 bytes"),
    ],
)
async def test_nonsense_is_refused_and_the_next_one_is_heard(
    folder: Path, sent: bytes, said: str
) -> None:
    session = Session()
    async with running(folder, session):
        reply = await raw(folder, sent)
        assert not reply.is_done
        assert said in reply.text
        assert session.asked == []
        assert (await ControlClient(folder).ask(Request())).is_done


async def test_several_requests_on_one_connection(folder: Path) -> None:
    session = Session()
    async with running(folder, session):
        with places.socket_address(folder) as address:
            reader, writer = await asyncio.open_unix_connection(address, limit=REPLY_BYTES_MAX)
        for _ in range(3):
            writer.write(json.dumps({"operation": "status"}).encode() + b"\n")
            assert REPLIES.decode(await reader.readline()).is_done
        writer.close()
        await writer.wait_closed()
    assert len(session.asked) == 3


async def test_whoever_leaves_early_does_no_harm(folder: Path) -> None:
    session = Session()
    session.may_answer.clear()
    async with running(folder, session):
        with places.socket_address(folder) as address:
            _, writer = await asyncio.open_unix_connection(address)
        writer.write(b'{"operation": "status"}\n')
        await session.was_asked.wait()
        writer.transport.abort()
        session.may_answer.set()
        assert (await ControlClient(folder).ask(Request())).is_done


async def test_there_is_a_bound_to_connections(folder: Path) -> None:
    session = Session()
    async with running(folder, session):
        writers = []
        for _ in range(CONNECTIONS_MAX):
            with places.socket_address(folder) as address:
                reader, writer = await asyncio.open_unix_connection(address, limit=REPLY_BYTES_MAX)
            writer.write(b'{"operation": "status"}\n')
            await reader.readline()
            writers.append(writer)
        reply = await ControlClient(folder).ask(Request(Operation.PAUSE))
        assert not reply.is_done
        assert "connections already" in reply.text
        for writer in writers:
            writer.close()
            await writer.wait_closed()


@pytest.mark.parametrize(
    ("failure", "said"),
    [(UserError("not now"), "not now"), (KeyError("x"), "internal error: KeyError: 'x'")],
)
async def test_a_question_that_fails_does_not_end_the_session(
    folder: Path, failure: Exception, said: str
) -> None:
    session = Session()
    session.failure = failure
    async with running(folder, session):
        reply = await ControlClient(folder).ask(Request())
        assert (reply.is_done, reply.text) == (False, said)
        session.failure = None
        assert (await ControlClient(folder).ask(Request())).is_done


async def test_something_else_that_answers_is_told(folder: Path) -> None:
    make_folder(folder, 0o700)

    async def answer(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 400 Bad Request\n")
        writer.close()

    with places.socket_address(folder) as address:
        server = await asyncio.start_unix_server(answer, address)
    with pytest.raises(SilentSessionError, match="another version"):
        await ControlClient(folder).ask(Request())
    server.close()


async def test_a_long_path_is_reached_through_the_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    long = tmp_path / ("x" * 120) / "session"
    if places.PLATFORM == "linux":
        async with running(long, Session()):
            assert (await ControlClient(long).ask(Request())).is_done
            assert (long / "control.sock").is_socket()
        assert not (long / "control.sock").exists()
    monkeypatch.setattr(places, "PLATFORM", "darwin")
    with pytest.raises(ConfigError, match="too long"):
        ControlServer(long, Session().ask).claim()
    with pytest.raises(ConfigError, match="too long"):
        await ControlClient(long).ask(Request())
