"""ports.StateLease on a Redis server: a key that names the session and ends by itself.

`tercel:lease` holds who has the database, as JSON, for `LEASE_MS` from its last renewal. Whoever
comes takes it where it is free, where it is of an earlier process of the same folder, or of a
process of this machine that is gone; so a start after a crash waits for nothing, and only one on
another machine, or on one that cannot be known again, waits until the key has ended.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

from tercel.adapters.redis_state.connection import connection_to
from tercel.adapters.redis_state.fence import (
    IF_OURS,
    fence_keys,
    holder_of,
    raise_lost,
    run_script,
    token_of,
)
from tercel.app.live.state_codec import NAMESPACE
from tercel.domain.addresses import without_password
from tercel.domain.errors import StorageError, UserError
from tercel.domain.lease import LeaseHolder

if TYPE_CHECKING:
    from redis.asyncio import Redis

LEASE_MS = 10_000
"""How long a session that does not renew it keeps the database: several renewals."""
TRIES = 3
"""Of taking what somebody else changes at the same moment."""

CLAIM = """
local held = redis.call('GET', KEYS[1])
if held and held ~= ARGV[1] and held ~= ARGV[3] then
  return {held, redis.call('PTTL', KEYS[1])}
end
redis.call('SET', KEYS[1], ARGV[1], 'PX', ARGV[2])
redis.call('SET', KEYS[2], ARGV[1])
return 1
"""
"""Take what is free, ours, or still of ARGV[3]; else who has it, and for how long."""
RENEW = IF_OURS + "redis.call('SET', KEYS[1], mine, 'PX', ARGV[2]) return 1"
RELEASE = "if redis.call('GET', KEYS[1]) == ARGV[1] then redis.call('DEL', KEYS[1]) end return 1"


class RedisLease:
    """The right to keep a session's state in the database at `url`."""

    def __init__(self, url: str, namespace: str = NAMESPACE, lease_ms: int = LEASE_MS) -> None:
        self._url = url
        self.place = without_password(url)
        """The address, as it may be shown."""
        self._keys = fence_keys(namespace)
        self._lease_ms = lease_ms
        self._client: Redis | None = None
        self._holder: LeaseHolder | None = None

    async def claim(self, holder: LeaseHolder) -> None:
        """Take the database for `holder`. Raises UserError where a running session has it,
        StorageError.
        """
        await self._take(holder)
        self._holder = holder

    async def renew(self) -> None:
        """Keep it. Raises StorageError where the server does not answer, LeaseLostError where
        another session has taken it meanwhile. Before `claim` nothing is done.
        """
        if self._holder is None:
            return
        answer = await self._run(RENEW, token_of(self._holder), str(self._lease_ms))
        if isinstance(answer, list):
            raise_lost(answer[0], self.place)

    async def release(self) -> None:
        """Give it back, where it is still ours, and close the connection. May be called twice."""
        holder, self._holder = self._holder, None
        client, self._client = self._client, None
        if client is None:
            return
        try:
            if holder is not None:
                ours = (token_of(holder),)
                await run_script(client, RELEASE, self._keys, ours, self.place)
        except StorageError:
            return  # it ends by itself
        finally:
            await client.aclose()

    async def _take(self, holder: LeaseHolder) -> None:
        ours = token_of(holder)
        gone = ours
        """Whose lease is taken over where it is still there; our own at first."""
        for _ in range(TRIES):
            answer = await self._run(CLAIM, ours, str(self._lease_ms), gone)
            if not isinstance(answer, list):
                return
            token, left_ms = answer
            other = holder_of(token)
            if other is not None and not _may_follow(holder, other):
                raise UserError(
                    f"{self.place} holds the state of session {other.session}, which runs on "
                    f"{other.host} (pid {other.pid}, {other.folder}); give each session a database "
                    f"of its own (state.url). Should that one be dead: wait "
                    f"{max(0, left_ms) / 1000:.0f} s"
                )
            gone = token
        raise UserError(f"{self.place}: other sessions take this database at the same moment")

    async def _run(self, script: str, *arguments: str | bytes) -> Any:
        if self._client is None:
            self._client = connection_to(self._url, self.place)
        return await run_script(self._client, script, self._keys, arguments, self.place)


def _may_follow(holder: LeaseHolder, other: LeaseHolder) -> bool:
    """Whether `holder` may take what `other` has."""
    if holder == other:
        return True
    if not holder.machine or holder.machine != other.machine:
        return False  # its folders and process ids say nothing about ours
    # Whoever runs in a folder has its lock: an earlier process of the same folder is dead.
    return holder.folder_id == other.folder_id or not _is_alive(other.pid)


def _is_alive(pid: int) -> bool:
    """Whether a process of that number runs on this machine."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except (PermissionError, OverflowError):
        return True
    return True
