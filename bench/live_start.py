"""A live session from its process's start to its streams.

Run as a script: the venue's process as JSON, a folder, when the process was started (ns of the
machine's monotonic clock), and settings. Its modules are loaded as `tercel run` loads them.
"""

from __future__ import annotations

import asyncio
import json
import sys
import time
from pathlib import Path

from tercel.bootstrap.live import nothing_collected


async def start_and_end(words: list[str]) -> None:
    """Start a session of three_r; print the seconds until its streams are up."""
    with nothing_collected():
        from bench.live_wire import asked_for, open_session
        from bench.stepped_venue import Stepped
        from tercel.bootstrap import load_settings
        from tercel.bootstrap.live import with_folder
        from tercel.domain.commands import Command
        from tercel.domain.events import Event, FeedNews, Operation

    streams = asyncio.Event()

    def told(what: Command | Event) -> None:
        if isinstance(what, FeedNews) and what.stream == "market" and what.is_up:
            streams.set()

    about, scratch, began_ns = Stepped(**json.loads(words[0])), Path(words[1]), int(words[2])
    settings = load_settings(None, words[3:]).with_lake(scratch / "lake")
    live = await open_session(about, with_folder(settings, scratch), asked_for("three_r"), told)
    running = asyncio.create_task(live.runner.run((live.row,)))
    waiting = asyncio.create_task(streams.wait())
    await asyncio.wait({running, waiting}, return_when=asyncio.FIRST_COMPLETED)
    print(f"started {(time.monotonic_ns() - began_ns) / 1e9:.4f}", flush=True)
    if not running.done():
        await live.runner.submit(Operation.STOP, "bench")
    await running


if __name__ == "__main__":
    asyncio.run(start_and_end(sys.argv[1:]))
