"""ports.BarReader: a path and its content as BAR records of one series or several.

A table with a `symbol` column holds several series (a file of delivery contracts); each becomes
its own. One with an `expiry` column beside it may go on after a contract's end, with an empty bar
at the last price for each day nobody could trade: those are left out, and counted in a note.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from tercel.adapters.importers import names
from tercel.adapters.importers.content import ENDINGS, read_table
from tercel.adapters.importers.tables import find_columns, to_records
from tercel.app.ports import FileBars, NotBarsError, SourceHints
from tercel.core.records import Records
from tercel.domain.bars import SeriesKey
from tercel.domain.errors import DataError
from tercel.domain.times import DAY_MS, format_date

if TYPE_CHECKING:
    import polars as pl


class BarFileReader:
    """Reads .zip, .csv and .parquet."""

    def key_of(self, path: Path, hints: SourceHints) -> SeriesKey | None:
        """The series `path` belongs to; None: its rows tell. Raises NotBarsError, DataError."""
        names.check_hints(hints)
        if path.suffix.lower() not in ENDINGS:
            raise NotBarsError(f"not one of {', '.join(ENDINGS)}")
        facts = names.read_path(path)
        if facts.symbol is None and hints.symbol is None:
            return None
        return names.key_of(path, hints)

    def read(self, path: Path, hints: SourceHints) -> FileBars:
        """The bars of `path`, not validated. Raises NotBarsError, DataError."""
        frame, named = read_table(path)
        columns = find_columns(path, frame, named=named, mapping=hints.columns)
        if not frame.height:
            raise NotBarsError("no rows")
        if "symbol" in frame.columns and names.read_path(path).symbol is None:
            return self._read_contracts(path, frame, columns, hints)
        key = names.key_of(path, hints)
        bars, unit = to_records(path, frame, columns)
        return FileBars(((key, bars),), (f"times in {unit}",))

    def _read_contracts(
        self, path: Path, frame: pl.DataFrame, columns: dict[str, str], hints: SourceHints
    ) -> FileBars:
        """One series for each value of the column `symbol`."""
        parts = []
        notes = []
        for (symbol,), rows in frame.group_by("symbol", maintain_order=True):
            if not isinstance(symbol, str) or not symbol:
                raise DataError(f"{path}: a row has no symbol")
            if hints.symbol not in (None, symbol):
                continue
            key = names.key_of(path, hints, symbol=symbol)
            bars, unit = to_records(path, rows, columns)
            if "expiry" in rows.columns:
                bars, note = _until_expiry(symbol, bars, max(rows["expiry"].cast(int).to_list()))
                notes.extend(note)
            if len(bars):
                parts.append((key, bars))
        if not parts:
            wanted = (
                f"symbol {hints.symbol}" if hints.symbol else "bars before its contracts' expiry"
            )
            raise NotBarsError(f"it holds no {wanted}")
        summary = f"{len(parts)} contracts, each its own symbol; times in {unit}"
        return FileBars(tuple(parts), (summary, *notes))


def _until_expiry(symbol: str, bars: Records, expiry_ms: int) -> tuple[Records, list[str]]:
    """Bars a contract could trade in. An expiry at midnight names the day, all of which counts."""
    end = expiry_ms + DAY_MS if expiry_ms % DAY_MS == 0 else expiry_ms
    alive = bars["open_time"] < end
    late = int(np.count_nonzero(~alive))
    if not late:
        return bars, []
    return bars[alive], [
        f"{symbol}: {late} bars after its expiry {format_date(expiry_ms)} left out"
    ]
