"""Whose a database is, asked by the server itself in the step that changes something.

Two keys say it. `tercel:lease` names the session that has the database now and ends by itself;
`tercel:holder` names the last one that took it, and stays. A session that slept past the end of its
lease may go on only where nobody has had the database meanwhile, not even one that has ended.

Each step is one Lua script: nothing is watched, so a lost connection is no other session, and a
step that is repeated because its answer was lost does the same again.
"""

from __future__ import annotations

import json
from dataclasses import asdict
from typing import TYPE_CHECKING, Any, NoReturn

from tercel.adapters.redis_state.connection import asked
from tercel.domain.errors import LeaseLostError, StorageError
from tercel.domain.lease import LeaseHolder

if TYPE_CHECKING:
    from redis.asyncio import Redis

IF_OURS = """
local mine = ARGV[1]
local held, last = redis.call('GET', KEYS[1]), redis.call('GET', KEYS[2])
if held ~= mine and (held or (last and last ~= mine)) then return {held or last} end
if last ~= mine then redis.call('SET', KEYS[2], mine) end
"""
"""What follows it is done for the holder ARGV[1] alone, else the other one is the answer."""


def fence_keys(namespace: str) -> tuple[str, str]:
    """KEYS[1] and KEYS[2] of every script: the lease, and who took it last."""
    return f"{namespace}:lease", f"{namespace}:holder"


def token_of(holder: LeaseHolder) -> str:
    """What the keys hold."""
    return json.dumps(asdict(holder))


def holder_of(token: bytes | None) -> LeaseHolder | None:
    """Who that is; None: nobody, or nobody who can be understood."""
    if token is None:
        return None
    try:
        return LeaseHolder(**json.loads(token))
    except (ValueError, TypeError):
        return None


async def run_script(
    client: Redis,
    script: str,
    keys: tuple[str, ...],
    arguments: tuple[str | bytes, ...],
    place: str,
) -> Any:
    """What `script` answers; a list where the database is another's. Raises StorageError."""
    answer: Any = client.eval(script, len(keys), *keys, *arguments)
    return await asked(answer, place)


def raise_lost(token: bytes, place: str) -> NoReturn:
    """Raise LeaseLostError that names whose token it is, StorageError where it is nobody's."""
    other = holder_of(token)
    if other is None:
        raise StorageError(f"{place}: the key of the lease holds what no session wrote; delete it")
    raise LeaseLostError(
        f"{place}: session {other.session} on {other.host} (pid {other.pid}, {other.folder}) has "
        "taken this database; this session no longer writes its state there"
    )
