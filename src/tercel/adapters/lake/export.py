"""Bars out of the lake into one CSV or Parquet file for other tools."""

from __future__ import annotations

import io
from pathlib import Path

from tercel.adapters.lake import files, parquet
from tercel.core.records import Records
from tercel.domain.errors import UserError

FORMATS = (".csv", ".parquet")


def write_table(bars: Records, path: Path) -> None:
    """Write BAR records to `path`, whole or not at all; its ending names the format.

    Columns and units are those of the lake: `open_time` in milliseconds UTC; unknown is an empty
    cell (CSV) or NULL (Parquet). Raises UserError for another ending, StorageError when the disk
    refuses.
    """
    if path.suffix.lower() not in FORMATS:
        raise UserError(f"{path}: cannot tell the format; end the name in {' or '.join(FORMATS)}")
    if not path.parent.is_dir():
        raise UserError(f"{path}: there is no folder {path.parent}; create it first")
    frame = parquet.to_frame(bars)
    buffer = io.BytesIO()
    if path.suffix.lower() == ".csv":
        frame.write_csv(buffer)
    else:
        frame.write_parquet(buffer, compression="zstd")
    files.write_whole(path, buffer.getbuffer())
