"""ports.Journal in SQL: rows go in, nothing is ever changed or taken out. SQLAlchemy makes tables
and statements; rows go straight to the driver.

The journal is opened by the first call: the file is made, the tables are brought up to date. From
then on a write is one transaction, a statement for each kind of row in it.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from pathlib import Path

from sqlalchemy import Dialect, select

from tercel.adapters.sql_journal.addresses import (
    explained,
    file_of,
    is_file,
    journal_url,
    place_of,
)
from tercel.adapters.sql_journal.database import Database, open_database
from tercel.adapters.sql_journal.hypertables import use_hypertables
from tercel.adapters.sql_journal.schema import KEY, kinds_of, tables
from tercel.adapters.sql_journal.upgrade import LATEST, bring_up_to_date, version_of
from tercel.adapters.sql_journal.values import rows_of, values_of
from tercel.app.live.private_files import make_private
from tercel.domain.errors import StorageError, UserError
from tercel.domain.journal import TABLES, JournalRow


def inserts_of(dialect: Dialect) -> dict[type[JournalRow], str]:
    """The INSERT of each kind of row as the database's driver takes it, values in the order of the
    fields.

    They stand between a bar's close and its order, and the way through a statement of SQLAlchemy
    costs more than SQLite needs to carry it out.
    """
    # Inline: nobody asks for the number of the new row.
    return {
        kind: str(
            table.insert().inline().compile(dialect=dialect, column_keys=list(kinds_of[kind]))
        )
        for kind, table in tables.items()
    }


class SqlJournal:
    """The journal at the address, or in the file, `url`.

    With `create` False one that is not there is an error and not made.
    """

    def __init__(self, url: str | Path, *, create: bool = True) -> None:
        self._url = journal_url(url)
        self.place = place_of(self._url)
        """Its file or address, as it may be shown."""
        self._create = create
        self._database: Database | None = None
        self._inserts: dict[type[JournalRow], str] = {}
        """As `inserts_of` makes them, once something was written."""
        self._opening = asyncio.Lock()
        self._is_closed = False

    async def write(self, rows: Sequence[JournalRow]) -> None:
        """Add `rows` in one transaction, durable when this returns. Raises StorageError.

        An answer that is lost leaves open whether they were added: written again, they may be
        there twice.
        """
        groups: dict[type[JournalRow], list[JournalRow]] = {}
        for row in rows:
            groups.setdefault(type(row), []).append(row)
        if not groups:
            return
        database = await self._open()
        self._inserts = self._inserts or inserts_of(database.dialect)
        with explained(self.place, "written"):
            await database.add(
                [(self._inserts[kind], values_of(group)) for kind, group in groups.items()]
            )

    async def read(
        self, table: str, session_id: str | None = None, *, limit: int | None = None
    ) -> tuple[JournalRow, ...]:
        """Rows of a table in the order they were added; with `limit` the latest ones.

        Raises StorageError, DataError; UserError for a table that there is not.
        """
        kind = TABLES.get(table)
        if kind is None:
            raise UserError(f"the journal has no table {table!r}; there are: {', '.join(TABLES)}")
        of = tables[kind]
        asked = select(*(of.columns[name] for name in kinds_of[kind]))
        if session_id is not None:
            asked = asked.where(of.columns.session_id == session_id)
        number = of.columns[KEY]
        asked = asked.order_by(number if limit is None else number.desc()).limit(limit)
        database = await self._open()
        with explained(self.place, "read"):
            found = await database.run(lambda connection: connection.execute(asked).all())
        return rows_of(kind, found if limit is None else reversed(found))

    async def close(self) -> None:
        """Close the connections. May be called twice."""
        self._is_closed = True
        database, self._database = self._database, None
        if database is not None:
            await database.close()

    async def _open(self) -> Database:
        async with self._opening:
            if self._is_closed:
                raise StorageError(f"{self.place}: the journal is closed")
            if self._database is None:
                self._database = await self._opened()
            return self._database

    async def _opened(self) -> Database:
        if is_file(self._url):
            file = file_of(self._url)
            if not self._create and not file.exists():
                raise self._absent()
            make_private(file)
        database = open_database(self._url)
        try:
            with explained(self.place, "opened"):
                await self._prepare(database)
        except BaseException:
            await database.close()
            raise
        return database

    async def _prepare(self, database: Database) -> None:
        version = await version_of(database)
        if version is None and not self._create:
            raise self._absent()
        if version != LATEST:
            await bring_up_to_date(database, self.place)
        # Whoever only reads makes no hypertables, and is not told about them.
        if self._create and not is_file(self._url):
            await use_hypertables(database, self.place)

    def _absent(self) -> UserError:
        return UserError(
            f"{self.place}: there is no journal yet; a session writes one, and journal.url and "
            "session.folder say where"
        )
