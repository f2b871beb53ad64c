"""Writes state after state until it is killed, and prints the number of each that is kept."""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path

from tests.session_states import full_state

from tercel.adapters.logs import configure_logs
from tercel.adapters.redis_state import RedisStateStore
from tercel.adapters.sqlite_state import SqliteStateStore
from tercel.app.ports import StateStore


async def main(kind: str, place: str, namespace: str) -> None:
    """Never ends by itself."""
    store: StateStore = SqliteStateStore(Path(place))
    if kind == "redis":
        store = RedisStateStore(place, namespace)
    number = (await store.read_full_snapshot()).state.order_number
    while True:
        number += 1
        await store.write(full_state(number))
        sys.stdout.write(f"{number}\n")
        sys.stdout.flush()


if __name__ == "__main__":
    configure_logs()
    asyncio.run(main(*sys.argv[1:]))
