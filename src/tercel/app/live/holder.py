"""How another session may know this process again, wherever states are kept."""

from __future__ import annotations

import os
import socket
from contextlib import suppress
from pathlib import Path

from tercel.domain.lease import LeaseHolder

BOOT_ID = Path("/proc/sys/kernel/random/boot_id")
PROCESS_IDS = Path("/proc/self/ns/pid")


def holder_here(session: str, folder: Path) -> LeaseHolder:
    """This process as the holder of a session in `folder`."""
    host = socket.gethostname()
    machine = ""
    # One boot of one machine; and where process ids mean the same (containers have their own).
    # A name alone is no machine: where there is no more (macOS), only the end of a lease counts.
    with suppress(OSError):
        if boot := BOOT_ID.read_text(encoding="ascii").strip():
            machine = f"{host} {boot} {PROCESS_IDS.stat().st_ino}"
    try:
        there = folder.stat()
        folder_id = f"{there.st_dev}:{there.st_ino}"
    except OSError:
        folder_id = str(folder.resolve())
    return LeaseHolder(
        session=session,
        host=host,
        machine=machine,
        pid=os.getpid(),
        folder=str(folder.resolve()),
        folder_id=folder_id,
    )
