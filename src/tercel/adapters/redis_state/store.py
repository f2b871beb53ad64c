"""ports.StateStore on a Redis server: a string for each key, `tercel:<name>`, with its JSON text.

A write is one script that sets the keys that changed, a read one MGET: both are of one moment. How
durable it is, the server decides: `appendonly yes` and `appendfsync always` for what an SQLite file
gives. A server that keeps nothing, or evicts keys, is told with what is read, and a session that
begins to keep its state there is warned in its log.
"""

from __future__ import annotations

import asyncio
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import structlog

from tercel.adapters.redis_state.connection import asked, connection_to
from tercel.adapters.redis_state.fence import (
    IF_OURS,
    fence_keys,
    raise_lost,
    run_script,
    token_of,
)
from tercel.app.live.state_codec import NAMES, NAMESPACE, decode, encode
from tercel.domain.addresses import without_password
from tercel.domain.errors import StorageError
from tercel.domain.lease import LeaseHolder
from tercel.domain.session_state import SessionState, StateRead

if TYPE_CHECKING:
    from redis.asyncio import Redis

SET = """
for number = 2, #ARGV do redis.call('SET', KEYS[number + 1], ARGV[number]) end
return redis.call('EXISTS', unpack(KEYS, 3))
"""
"""KEYS from 3 on are the state's, those that get a text first."""

log = structlog.get_logger(__name__)


class RedisStateStore:
    """The state on the server at `url`: redis://, rediss:// (TLS) or unix://.

    `namespace` is what every key begins with; tests have their own. With a `holder` only it writes:
    nothing of a session that lost its lease gets into the state of the one that has it.
    """

    def __init__(
        self, url: str, namespace: str = NAMESPACE, holder: LeaseHolder | None = None
    ) -> None:
        self._url = url
        self.place = without_password(url)
        """The address, as it may be shown."""
        self._namespace = namespace
        self._holder = holder
        self._client: Redis | None = None
        self._notices: tuple[str, ...] = ()
        """How the server may lose the state."""
        self._kept: SessionState | None = None
        """What the server surely holds; None: it is not known."""
        self._turn = asyncio.Lock()
        self._is_closed = False

    async def read_full_snapshot(self) -> StateRead:
        """Every key, of one moment. Raises StorageError, DataError."""
        async with self._turn:
            client = await self._open()
            texts = await self._asked(client.mget([self._key(name) for name in NAMES]))
            read = decode(dict(zip(NAMES, texts, strict=True)), self.place)
            # What is missing has to be written even where it equals its default.
            self._kept = None if read.missing else read.state
            return replace(read, notices=self._notices)

    async def write(self, state: SessionState) -> None:
        """Keep what changed, all of it or nothing. Raises StorageError, LeaseLostError.

        An answer that is lost leaves open whether it was kept; the next write repeats every key. So
        does this one where keys turn out to be gone: a server without a disk was started again.
        """
        async with self._turn:
            texts = encode(state, self._kept)
            if not texts:
                return
            self._kept = None
            if await self._set(texts) < len(NAMES):
                await self._set(encode(state))
            self._kept = state

    async def _set(self, texts: dict[str, str]) -> int:
        """Set these keys in one step, if the database is ours; how many keys of the state there are
        then.
        """
        client = await self._open()
        changed, same = tuple(texts), tuple(name for name in NAMES if name not in texts)
        keys = (*fence_keys(self._namespace), *(self._key(name) for name in changed + same))
        ours = "" if self._holder is None else token_of(self._holder)
        script = SET if self._holder is None else IF_OURS + SET
        answer = await run_script(client, script, keys, (ours, *texts.values()), self.place)
        if isinstance(answer, list):
            raise_lost(answer[0], self.place)
        return int(answer)

    async def close(self) -> None:
        """Close the connections; the keys stay."""
        self._is_closed = True
        client, self._client = self._client, None
        if client is not None:
            await client.aclose()

    def _key(self, name: str) -> str:
        return f"{self._namespace}:{name}"

    async def _open(self) -> Redis:
        if self._is_closed:
            raise StorageError(f"{self.place}: the state store is closed")
        if self._client is None:
            client = connection_to(self._url, self.place)
            try:
                await self._warn_of_forgetfulness(client)
            except BaseException:
                await client.aclose()
                raise
            self._client = client
        return self._client

    async def _warn_of_forgetfulness(self, client: Redis) -> None:
        """Say so where the server would not have the state after its own restart."""
        from redis.exceptions import NoPermissionError

        try:
            told: dict[str, Any] = await self._asked(client.info("persistence", "memory"))
        except StorageError as error:
            if isinstance(error.__cause__, NoPermissionError):
                return  # a user who may not ask can still read and write
            raise
        found = []
        if not told.get("aof_enabled"):
            found.append(
                f"{self.place}: Redis loses the state when it is started again; "
                "`CONFIG SET appendonly yes` keeps it on a disk"
            )
            self._warn("state_not_durable", "appendonly yes")
        if told.get("maxmemory_policy", "noeviction") != "noeviction":
            found.append(
                f"{self.place}: Redis may throw the state away when its memory is full; "
                "`CONFIG SET maxmemory-policy noeviction` keeps it"
            )
            self._warn("state_may_be_evicted", "noeviction")
        self._notices = tuple(found)

    def _warn(self, event: str, wanted: str) -> None:
        if self._holder is not None:  # whoever only looks keeps nothing there
            log.warning(event, store=self.place, wanted=wanted)

    async def _asked(self, answer: Any) -> Any:
        return await asked(answer, self.place)
