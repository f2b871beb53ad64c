"""A file being downloaded, on disk, so that a cut connection or a killed process loses little.

`<name>.part` holds the bytes so far and `<name>.part.etag` the server's name for that version of
the file: the rest is asked for only on the condition that the version is still the same.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from tercel.domain.errors import StorageError


class PartialFile:
    """The `.part` file of one download and the ETag it belongs to."""

    def __init__(self, target: Path) -> None:
        self._part = target.with_name(f"{target.name}.part")
        self._etag = target.with_name(f"{target.name}.part.etag")

    def held_bytes(self) -> int:
        """Bytes there already."""
        return self._part.stat().st_size if self._part.exists() else 0

    def resume_headers(self) -> dict[str, str]:
        """Request headers that ask for the rest; empty where it must start afresh."""
        held = self.held_bytes()
        if not held or not self._etag.exists():
            return {}
        return {"Range": f"bytes={held}-", "If-Range": self._etag.read_text(encoding="ascii")}

    @contextmanager
    def writing(self, *, resumed: bool, etag: str | None) -> Iterator[Callable[[bytes], None]]:
        """A function that writes a chunk: behind the others when `resumed`, else into a new file.

        Raises StorageError. Only the disk's errors become one: a lost connection is an OSError too,
        and passes through.
        """
        with self._disk_errors():
            self._part.parent.mkdir(parents=True, exist_ok=True)
            if not resumed:
                self._etag.unlink(missing_ok=True)
            file = self._part.open("ab" if resumed else "wb")
            # A weak ETag promises no equal bytes, so such a file cannot be resumed.
            if not resumed and etag and etag.isascii() and not etag.startswith("W/"):
                self._etag.write_text(etag, encoding="ascii")

        def write(chunk: bytes) -> None:
            with self._disk_errors():
                file.write(chunk)
                file.flush()  # A killed process leaves every byte it received.

        try:
            yield write
        finally:
            with self._disk_errors():
                file.close()

    def content(self) -> bytes:
        """Everything downloaded so far."""
        return self._part.read_bytes() if self._part.exists() else b""

    @contextmanager
    def _disk_errors(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            raise StorageError(f"{self._part}: cannot write the download: {error}") from error

    def discard(self) -> None:
        """Forget the download: it was wrong, or its bars are stored."""
        self._part.unlink(missing_ok=True)
        self._etag.unlink(missing_ok=True)


def sha256_of(content: bytes) -> str:
    """Hex digest."""
    return hashlib.sha256(content).hexdigest()
