"""What every journal does: SQLite in a file, PostgreSQL on a real server."""

from __future__ import annotations

import asyncio
import math
from collections.abc import AsyncIterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tests.contract.killed import killed_writer
from tests.journal_rows import row, rows, step

from tercel.adapters.sql_journal import SqlJournal
from tercel.adapters.sql_journal.values import NUL_SHOWN
from tercel.app.ports import Journal
from tercel.domain.errors import StorageError, UserError
from tercel.domain.journal import (
    TABLES,
    AlertRow,
    EquityRow,
    OrderRow,
    ScoreRow,
    SignalRow,
)


@dataclass
class Place:
    """Where a journal is kept; opened as often as a test likes."""

    url: str
    opened: list[Journal] = field(default_factory=list)

    def open(self, *, create: bool = True) -> Journal:
        self.opened.append(SqlJournal(self.url, create=create))
        return self.opened[-1]


@pytest.fixture(params=["sqlite", "postgres"])
async def place(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Place]:
    """An empty place of each kind."""
    if request.param == "sqlite":
        made = Place(f"sqlite+aiosqlite:///{tmp_path}/session/journal.sqlite")
    else:
        made = Place(request.getfixturevalue("postgres_database"))
    yield made
    for journal in made.opened:
        await journal.close()


async def test_a_new_journal_is_empty(place: Place) -> None:
    journal = place.open()
    for table in TABLES:
        assert await journal.read(table) == ()
    await journal.write([])


async def test_every_row_comes_back_as_it_was_to_whoever_opens_it(place: Place) -> None:
    writer = place.open()
    await writer.write([*rows(1), *rows(2)])
    await writer.write(rows(3))
    for reader in (writer, place.open()):
        for table, kind in TABLES.items():
            assert await reader.read(table) == tuple(row(kind, number) for number in (1, 2, 3))


async def test_rows_of_one_session_and_the_latest_ones(place: Place) -> None:
    journal = place.open()
    for number in range(1, 7):
        await journal.write(step(number, f"s{number % 2}"))

    async def found(session: str | None, limit: int | None) -> list[int]:
        read = await journal.read("signal", session, limit=limit)
        return [each.time_ms for each in read if isinstance(each, SignalRow)]

    assert await found(None, None) == [1, 2, 3, 4, 5, 6]
    assert await found("s1", None) == [1, 3, 5]
    assert await found("s1", 2) == [3, 5]
    assert await found(None, 2) == [5, 6]
    assert await found("s0", 100) == [2, 4, 6]
    assert await found("s", None) == []
    assert await found(None, 0) == []


async def test_a_table_that_there_is_not(place: Place) -> None:
    with pytest.raises(UserError, match="no table 'trades'; there are: session, "):
        await place.open().read("trades")


async def test_a_write_is_whole_or_not_at_all(place: Place) -> None:
    """The last row of the batch is refused: of a number with more than 64 bits."""
    journal = place.open()
    await journal.write(step(1))
    with pytest.raises(StorageError):
        await journal.write([*step(2), row(OrderRow, 3, code=2**63)])
    for table in ("signal", "intent", "order"):
        assert len(await journal.read(table)) == 1
    await journal.write(step(2))
    assert len(await journal.read("order")) == 2


async def test_nan_is_nan_and_where_there_may_be_none_it_is_none(place: Place) -> None:
    journal = place.open()
    odd = SignalRow("s1", 1, 0, 1, math.nan, -math.inf, math.nan, math.inf, "")
    await journal.write([odd, EquityRow("s1", 1, "main", math.nan, -0.0, 1e-320)])
    [signal] = await journal.read("signal")
    assert isinstance(signal, SignalRow)
    assert math.isnan(signal.price)
    assert replace(signal, price=0.0) == replace(odd, price=0.0, target_distance=None)
    [equity] = await journal.read("equity")
    assert isinstance(equity, EquityRow)
    assert math.isnan(equity.equity_quote)
    assert (equity.cash_quote, equity.exposure_quote) == (0.0, 1e-320)


async def test_texts_that_a_database_refuses_are_kept_readable(place: Place) -> None:
    journal = place.open()
    await journal.write([AlertRow("s1", 1, "info", "X", "a\0b\ud800c \U0001f680 \N{EM DASH}", 0)])
    [alert] = await journal.read("alert")
    assert isinstance(alert, AlertRow)
    assert alert.text == f"a{NUL_SHOWN}b?c \U0001f680 \N{EM DASH}"


async def test_scalars_of_numpy_are_numbers(place: Place) -> None:
    journal = place.open()
    odd: Any = (np.int64(5), "oi", np.float32(0.5))
    await journal.write([ScoreRow("s1", *odd), row(OrderRow, 2, code=np.int32(-2010))])
    assert await journal.read("score") == (ScoreRow("s1", 5, "oi", 0.5),)
    [order] = await journal.read("order")
    assert isinstance(order, OrderRow)
    assert order.code == -2010


async def test_many_may_open_a_new_journal_at_once(place: Place) -> None:
    journals = [place.open() for _ in range(5)]
    await asyncio.gather(*(journal.write(step(n)) for n, journal in enumerate(journals)))
    assert len(await place.open().read("order")) == 5


async def test_a_reader_sees_whole_writes_and_disturbs_none(place: Place) -> None:
    writer, reader = place.open(), place.open(create=False)
    await writer.write(step(0))

    async def write() -> None:
        for number in range(1, 40):
            await writer.write([*step(number), *step(number)])

    writing = asyncio.create_task(write())
    while not writing.done():
        assert len(await reader.read("intent")) % 2 == 1
    await writing
    assert len(await reader.read("intent")) == 79


async def test_writes_at_the_same_time_keep_their_rows_together(place: Place) -> None:
    journal = place.open()
    sessions = [f"s{number}" for number in range(8)]
    await asyncio.gather(*(journal.write(step(1, session)) for session in sessions))
    for session in sessions:
        assert list(await journal.read("order", session)) == step(1, session)[2:]


async def test_what_is_not_there_is_not_made_by_a_reader(place: Place, tmp_path: Path) -> None:
    with pytest.raises(UserError, match="there is no journal yet") as caught:
        await place.open(create=False).read("session")
    assert "\n" not in str(caught.value)
    with pytest.raises(UserError, match="there is no journal yet"):
        await place.open(create=False).read("session")
    assert not (tmp_path / "session").exists()
    await place.open().write(step(1))
    assert len(await place.open(create=False).read("order")) == 1


async def test_a_closed_journal_says_so_and_closes_again(place: Place) -> None:
    journal = place.open()
    await journal.write(step(1))
    await journal.close()
    await journal.close()
    with pytest.raises(StorageError, match="closed"):
        await journal.read("order")
    with pytest.raises(StorageError, match="closed"):
        await journal.write(step(2))


@pytest.mark.slow
async def test_a_killed_writer_leaves_whole_steps(place: Place) -> None:
    """kill -9 in the middle of writes, twice over the same journal."""
    kept = 0
    for lines in (3, 20):
        told = killed_writer("tests.contract.journal_writer", [place.url], lines)
        assert told[0] == kept + 1
        journal = place.open()
        found = [await journal.read(table) for table in ("signal", "intent", "order")]
        kept = len(found[0])
        assert kept >= told[-1]
        wanted = [step(number) for number in range(1, kept + 1)]
        assert [list(each) for each in zip(*found, strict=True)] == wanted
