"""app.live.lease.StateLease on a Redis server: a key that names the session and ends by itself.

`tercel:lease` holds who has the database, as JSON, for `LEASE_MS` from its last renewal. Whoever
comes takes it where it is free, where it is of an earlier process of the same folder, or of a
process of this machine that is gone; so a start after a crash waits for nothing, and only one on
another machine waits until the key has ended.
"""

from __future__ import annotations

import json
import os
import socket
from contextlib import suppress
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tercel.adapters.redis_state.connection import asked, connection_to
from tercel.app.live.state_codec import NAMESPACE
from tercel.domain.addresses import without_password
from tercel.domain.errors import StorageError, UserError
from tercel.domain.lease import LeaseHolder

if TYPE_CHECKING:
    from redis.asyncio import Redis

LEASE_MS = 10_000
"""How long a session that does not renew it keeps the database: several renewals."""
BOOT_ID = Path("/proc/sys/kernel/random/boot_id")
PROCESS_IDS = Path("/proc/self/ns/pid")
TRIES = 3
"""Of taking what somebody else changes at the same moment."""


class RedisLease:
    """The right to keep a session's state in the database at `url`."""

    def __init__(self, url: str, namespace: str = NAMESPACE, lease_ms: int = LEASE_MS) -> None:
        self._url = url
        self.place = without_password(url)
        """The address, as it may be shown."""
        self._key = f"{namespace}:lease"
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
        """Keep it. Raises StorageError where the server does not answer, UserError where another
        session has taken it meanwhile. Before `claim` nothing is done.
        """
        if self._holder is not None:
            await self._take(self._holder)

    async def release(self) -> None:
        """Give it back, where it is still ours, and close the connection. May be called twice."""
        holder, self._holder = self._holder, None
        client, self._client = self._client, None
        if client is None:
            return
        try:
            if holder is not None:
                await asked(self._give_back(client, holder), self.place)
        except StorageError:
            return  # it ends by itself
        finally:
            await client.aclose()

    async def _take(self, holder: LeaseHolder) -> None:
        if self._client is None:
            self._client = connection_to(self._url, self.place)
        for _ in range(TRIES):
            if await asked(self._taken(self._client, holder), self.place):
                return
        raise UserError(f"{self.place}: another session takes this database at the same moment")

    async def _taken(self, client: Redis, holder: LeaseHolder) -> bool:
        """Take or renew it; False where somebody changed it meanwhile. Raises UserError."""
        from redis.exceptions import WatchError

        transaction: Any  # redis-py types half of it
        async with client.pipeline(transaction=True) as transaction:
            await transaction.watch(self._key)
            other = _read(await transaction.get(self._key))
            if other is not None and not _may_follow(holder, other):
                left_ms = max(0, int(await transaction.pttl(self._key)))
                raise UserError(
                    f"{self.place} holds the state of session {other.session}, which runs on "
                    f"{other.host} (pid {other.pid}, {other.folder}); give each session a database "
                    f"of its own (state.url). Should that one be dead: wait {left_ms / 1000:.0f} s"
                )
            transaction.multi()
            transaction.set(self._key, json.dumps(asdict(holder)), px=self._lease_ms)
            try:
                await transaction.execute()
            except WatchError:
                return False
        return True

    async def _give_back(self, client: Redis, holder: LeaseHolder) -> None:
        from redis.exceptions import WatchError

        transaction: Any  # redis-py types half of it
        async with client.pipeline(transaction=True) as transaction:
            await transaction.watch(self._key)
            if _read(await transaction.get(self._key)) != holder:
                return
            transaction.multi()
            transaction.delete(self._key)
            try:
                await transaction.execute()
            except WatchError:
                return


def holder_here(session: str, folder: Path) -> LeaseHolder:
    """This process as the holder of a session in `folder`."""
    machine = [socket.gethostname()]
    # One boot of one machine; and where process ids mean the same (containers have their own).
    with suppress(OSError):
        machine.append(BOOT_ID.read_text(encoding="ascii").strip())
        machine.append(str(PROCESS_IDS.stat().st_ino))
    try:
        there = folder.stat()
        folder_id = f"{there.st_dev}:{there.st_ino}"
    except OSError:
        folder_id = str(folder.resolve())
    return LeaseHolder(
        session=session,
        host=machine[0],
        machine=" ".join(machine),
        pid=os.getpid(),
        folder=str(folder.resolve()),
        folder_id=folder_id,
    )


def _read(text: bytes | None) -> LeaseHolder | None:
    """Who has it; None: nobody, or nobody who can be understood."""
    if text is None:
        return None
    try:
        return LeaseHolder(**json.loads(text))
    except (ValueError, TypeError):
        return None


def _may_follow(holder: LeaseHolder, other: LeaseHolder) -> bool:
    """Whether `holder` may take what `other` has."""
    if holder == other:
        return True
    if holder.machine != other.machine:
        return False
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
