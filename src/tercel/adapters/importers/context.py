"""ports.ContextReader: funding, open interest and other context out of files of many makers.

A value's time becomes the moment it was known (context_shapes.py says how for each kind of file).
Rows without a value are left out and counted; so are those of a period that has not ended.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from tercel.adapters.importers.content import ENDINGS, read_table
from tercel.adapters.importers.context_shapes import Shape, plain_names, shapes_of
from tercel.adapters.importers.tables import find_columns, read_numbers, read_times
from tercel.app.ports import Clock, FileContext, NotBarsError, NotContextError, SourceHints
from tercel.domain.context import ContextSeries, on_the_minute
from tercel.domain.errors import DataError
from tercel.domain.times import DAY_MS, HOUR_MS, MINUTE_MS

if TYPE_CHECKING:
    import polars as pl


class ContextFileReader:
    """Reads .zip, .csv and .parquet."""

    def __init__(self, clock: Clock) -> None:
        self._now_ms = clock.now_ms()

    def read(self, path: Path, hints: SourceHints) -> FileContext:
        """The context in `path`, not validated. Raises NotContextError, DataError."""
        if path.suffix.lower() not in ENDINGS:
            raise NotContextError(f"not one of {', '.join(ENDINGS)}")
        try:
            frame, named = _peek(path)
            shapes = shapes_of(path, plain_names(frame.columns), hints) if named else ()
            if not shapes:
                raise _no_context(path, frame, hints, named=named)
            frame, _ = read_table(path)
        except NotBarsError as reason:
            raise NotContextError(str(reason)) from None
        if not frame.height:
            raise NotContextError("no rows")
        plain = plain_names(frame.columns)
        made = [self._series(path, frame, plain, shape) for shape in shapes]
        parts = tuple(series for series, _ in made if len(series))
        notes = dict.fromkeys(note for _, told in made for note in told)
        if not parts:
            raise NotContextError("no value in it")
        return FileContext(parts, tuple(notes))

    def _series(
        self, path: Path, frame: pl.DataFrame, plain: dict[str, str], shape: Shape
    ) -> tuple[ContextSeries, list[str]]:
        """One series of the file, and what was decided about it."""
        stamps, _ = read_times(path, frame[plain[shape.time]])
        values = read_numbers(path, shape.value, frame[plain[shape.value]]) * shape.unit
        notes = [f"{shape.key.kind} {_known(shape)}"]
        known = stamps + shape.delay_ms
        if shape.is_settlement:
            known, late = on_the_minute(known)
            if late:
                notes.append("settlements stamped milliseconds late were put on their minute")
        if shape.unit != 1.0:
            notes.append("percent were made fractions")
        if len(known) > 1 and known[0] > known[-1]:
            known, values = known[::-1], values[::-1]
        keep = np.isfinite(values)
        if lost := int((~keep).sum()):
            notes.append(f"{shape.key.kind}: {lost:,} rows without a value left out")
        if early := int((keep & (known > self._now_ms)).sum()):
            notes.append(f"{shape.key.kind}: {early:,} rows not published yet left out")
            keep &= known <= self._now_ms
        return ContextSeries(shape.key, known[keep], values[keep]), notes


def _peek(path: Path) -> tuple[pl.DataFrame, bool]:
    """The table of `path`, of a Parquet file without its rows, and whether its columns have names.

    Raises DataError, NotBarsError.
    """
    import polars as pl

    if path.suffix.lower() != ".parquet":
        return read_table(path)
    try:
        return pl.DataFrame(schema=pl.read_parquet_schema(path)), True
    except (pl.exceptions.PolarsError, pl.exceptions.PanicException, OSError) as error:
        reason = (str(error).strip().splitlines() or [type(error).__name__])[0]
        raise DataError(f"{path}: damaged Parquet ({reason}); get it again") from error


def _no_context(
    path: Path, frame: pl.DataFrame, hints: SourceHints, *, named: bool
) -> NotContextError:
    """The error of a table of no known shape, with a reason where it can hold no bars either."""
    if named:
        try:
            find_columns(path, frame, named=named, mapping=hints.columns)
        except NotBarsError as reason:
            return NotContextError(str(reason))
    return NotContextError()


def _known(shape: Shape) -> str:
    """When its values count as known, in words."""
    if shape.delay_ms == 0:
        return "known at its stamp"
    if shape.delay_ms % DAY_MS == 0:
        return "of a day known at the next midnight UTC"
    if shape.delay_ms % HOUR_MS == 0:
        return f"known at the end of its {shape.delay_ms // HOUR_MS} h"
    return f"known {shape.delay_ms // MINUTE_MS} min after its stamp"
