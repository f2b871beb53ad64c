"""Files that nobody but their owner may read: a session's state, its journal."""

from __future__ import annotations

import os
from pathlib import Path

from tercel.domain.errors import StorageError

OWNER_ONLY = 0o600
FOLDER_OWNER_ONLY = 0o700


def make_private(path: Path) -> None:
    """Make `path` an existing file that only its owner may read or write, and its folder.

    A folder that is there keeps its rights; a file that is there loses those of others. Raises
    StorageError that names the path.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True, mode=FOLDER_OWNER_ONLY)
        # Never opened: closing a descriptor would drop the locks that SQLite holds on the file
        # elsewhere in this process (POSIX locks belong to the process).
        if not path.exists():
            os.close(os.open(path, os.O_CREAT | os.O_WRONLY | os.O_CLOEXEC, OWNER_ONLY))
        if path.stat().st_mode & 0o077:
            path.chmod(OWNER_ONLY)
    except OSError as error:
        raise StorageError(f"{path}: cannot be made: {error.strerror}") from error
