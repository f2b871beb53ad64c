"""A file's bytes as a table: CSV, zipped CSV, Parquet. Damage is found here, meaning elsewhere.

A CSV is read as text, cell by cell; numbers are made of it later, where a bad one can be named by
row.
"""

from __future__ import annotations

import hashlib
import io
import re
import zipfile
import zlib
from pathlib import Path
from typing import TYPE_CHECKING

from tercel.app.ports import NotBarsError
from tercel.domain.errors import DataError

if TYPE_CHECKING:
    import polars as pl

ENDINGS = (".zip", ".csv", ".parquet")
CHECKSUM_ENDING = ".CHECKSUM"
MEMBER_BYTES_MAX = 1 << 30
"""A zip that unpacks to more than this is not a month of bars."""

_NUMBER = re.compile(rb"[-+]?\d+(\.\d*)?([eE][-+]?\d+)?|\d{4}-\d\d-\d\d[ T:\d.Z+]*")


def read_table(path: Path) -> tuple[pl.DataFrame, bool]:
    """The table in `path`, and whether its columns have names (a CSV may have no header line).

    Raises DataError for damage and for a checksum that does not match; NotBarsError for an empty
    file.
    """
    ending = path.suffix.lower()
    try:
        if ending == ".parquet":
            return _read_parquet(path), True
        verify_checksum(path)
        content = unzip(path) if ending == ".zip" else path.read_bytes()
    except OSError as error:
        raise DataError(f"{path}: cannot be read: {error.strerror or error}") from error
    return _read_csv(path, content)


def verify_checksum(path: Path) -> None:
    """Compare `path` with the `sha256  name` in the CHECKSUM file beside it, when there is one."""
    beside = path.with_name(path.name + CHECKSUM_ENDING)
    if not beside.exists():
        return
    words = beside.read_bytes().decode("utf-8", "replace").split()
    if not words or not re.fullmatch(r"[0-9a-fA-F]{64}", words[0]):
        raise DataError(f"{beside}: damaged: it does not begin with a SHA-256; download it again")
    with path.open("rb") as file:
        found = hashlib.file_digest(file, "sha256").hexdigest()
    if found != words[0].lower():
        raise DataError(
            f"{path}: its SHA-256 is {found[:12]}..., "
            f"but {beside.name} says {words[0][:12].lower()}...; download both again"
        )


def unzip(path: Path) -> bytes:
    """The one CSV in a zip. Raises DataError."""
    try:
        with zipfile.ZipFile(path) as archive:
            members = [one for one in archive.infolist() if one.filename.lower().endswith(".csv")]
            if not members:
                raise NotBarsError("a zip without a CSV in it")
            if len(members) > 1:
                raise DataError(
                    f"{path}: holds {len(members)} CSVs; unpack it and import the folder"
                )
            if members[0].file_size > MEMBER_BYTES_MAX:
                raise DataError(f"{path}: unpacks to more than {MEMBER_BYTES_MAX >> 20} MB")
            return archive.read(members[0])
    except (zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError, RuntimeError) as error:
        raise DataError(f"{path}: damaged zip ({error}); download it again") from error


def _read_parquet(path: Path) -> pl.DataFrame:
    import polars as pl

    # A panic of the reader is a BaseException; for a damaged file it means the same.
    try:
        return pl.read_parquet(path, glob=False, hive_partitioning=False)
    except (pl.exceptions.PolarsError, pl.exceptions.PanicException) as error:
        reason = (str(error).strip().splitlines() or [type(error).__name__])[0]
        raise DataError(f"{path}: damaged Parquet ({reason}); get it again") from error


def _read_csv(path: Path, content: bytes) -> tuple[pl.DataFrame, bool]:
    import polars as pl

    content = content.removeprefix(b"\xef\xbb\xbf")
    first_line = content[:4096].split(b"\n", 1)[0].strip()
    if not first_line:
        raise NotBarsError("empty")
    named = _NUMBER.fullmatch(first_line.split(b",", 1)[0].strip(b' "')) is None
    try:
        frame = pl.read_csv(io.BytesIO(content), has_header=named, infer_schema=False)
    except (pl.exceptions.PolarsError, pl.exceptions.PanicException) as error:
        reason = (str(error).strip().splitlines() or [type(error).__name__])[0]
        raise DataError(f"{path}: not a readable CSV ({reason})") from error
    return frame.rename({name: name.strip() for name in frame.columns}), named
