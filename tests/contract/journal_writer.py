"""Adds to a journal until it is killed, and prints the number of each step that is kept."""

from __future__ import annotations

import asyncio
import sys

from tests.journal_rows import step

from tercel.adapters.logs import configure_logs
from tercel.adapters.sql_journal import SqlJournal


async def main(url: str) -> None:
    """Never ends by itself."""
    journal = SqlJournal(url)
    number = len(await journal.read("order"))
    while True:
        number += 1
        await journal.write(step(number))
        sys.stdout.write(f"{number}\n")
        sys.stdout.flush()


if __name__ == "__main__":
    configure_logs()
    asyncio.run(main(*sys.argv[1:]))
