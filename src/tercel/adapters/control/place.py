"""Where the control socket of a session is, and whose folder that is.

In `session.folder`: `control.sock`, and `control.lock`, which a running session, or a replay that
journals there, keeps locked with its process id in it. The lock ends with the process, however it
ends: a socket file beside a lock that nobody holds is a dead session's.

A socket's address has room for about a hundred bytes. Where the folder's path is longer, Linux
reaches it through the number of the opened folder (`/proc/self/fd/7/control.sock`); elsewhere a
clear line asks for a shorter folder.
"""

from __future__ import annotations

import fcntl
import os
import socket
import struct
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from tercel.adapters.control.errors import SessionRunsError, SilentSessionError
from tercel.app.live.private_files import FOLDER_OWNER_ONLY, OWNER_ONLY, make_private
from tercel.domain.errors import ConfigError, StorageError

SOCKET_NAME = "control.sock"
LOCK_NAME = "control.lock"
PLATFORM: str = sys.platform
ADDRESS_BYTES_MAX = 107 if PLATFORM == "linux" else 103
"""Of a socket's path, without the closing zero."""
PEERS: dict[str, tuple[int, int, str]] = {
    "linux": (socket.SOL_SOCKET, getattr(socket, "SO_PEERCRED", 17), "3i"),  # pid, uid, gid
    "darwin": (0, 1, "2I"),  # SOL_LOCAL, LOCAL_PEERCRED: version, uid; groups follow
}
"""How a system tells who is at the other end; the user id comes second."""
WRITABLE_BY_OTHERS = 0o022


def hold_folder(folder: Path) -> None:
    """Make `folder` for its owner alone; one that is there must be ours, and only ours to write.

    Raises StorageError where it cannot be made, ConfigError where others may write to it: they
    could put another socket into its place.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True, mode=FOLDER_OWNER_ONLY)
        found = folder.stat()
    except OSError as error:
        raise StorageError(f"{folder}: cannot be made: {error.strerror}") from error
    if found.st_uid != os.geteuid():
        raise ConfigError(
            f"{folder}: belongs to another user; choose a folder of your own with --folder"
        )
    if found.st_mode & WRITABLE_BY_OTHERS:
        raise ConfigError(
            f"{folder}: others may write to it (mode {found.st_mode & 0o777:o}); run "
            f"`chmod 700 {folder}`, or choose another folder with --folder"
        )


@contextmanager
def lock_folder(folder: Path) -> Iterator[None]:
    """Inside no session starts in `folder`, which is there. Raises SessionRunsError where one runs
    already, OSError.
    """
    flags = os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW
    lock = os.open(folder / LOCK_NAME, flags, OWNER_ONLY)
    try:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise SessionRunsError(
                f"{folder}: a session is already running here{process_of(folder)}; "
                "`tercel status` shows it, --folder chooses another place"
            ) from None
        os.ftruncate(lock, 0)
        os.pwrite(lock, f"{os.getpid()}\n".encode("ascii"), 0)
        yield
    finally:
        os.close(lock)


@contextmanager
def replay_folder(folder: Path) -> Iterator[None]:
    """The folder of a replay, made and locked inside. It listens to nobody, so that others may
    write to the folder. Raises SessionRunsError, StorageError.
    """
    with ExitStack() as held:
        make_private(folder / LOCK_NAME)
        try:
            held.enter_context(lock_folder(folder))
        except OSError as error:
            what = f"{folder / LOCK_NAME}: cannot be locked: {error.strerror}"
            raise StorageError(f"{what}; choose another folder with --folder") from error
        except SessionRunsError as error:
            raise SessionRunsError(f"{error}, --no-journal writes nothing there") from None
        yield


@contextmanager
def socket_address(folder: Path) -> Iterator[str]:
    """The address of the socket in `folder`, valid inside. Raises ConfigError when it is too long,
    OSError when the folder is not there.
    """
    plain = str(folder.absolute() / SOCKET_NAME)
    if len(os.fsencode(plain)) <= ADDRESS_BYTES_MAX:
        yield plain
        return
    if PLATFORM != "linux":
        raise ConfigError(
            f"{folder}: the path is too long for a control socket (at most {ADDRESS_BYTES_MAX} "
            "bytes); choose a shorter folder with --folder"
        )
    opened = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        yield f"/proc/self/fd/{opened}/{SOCKET_NAME}"
    finally:
        os.close(opened)


def owner_of_peer(connected: socket.socket) -> int | None:
    """User id of the process at the other end; None where the system does not tell."""
    if PLATFORM not in PEERS:
        return None
    level, option, layout = PEERS[PLATFORM]
    fields = struct.Struct(layout)
    return int(fields.unpack(connected.getsockopt(level, option, fields.size))[1])


def is_owner(uid: int | None) -> bool:
    """Whether `uid` may speak to us: our own user and root, who can do anything here anyway."""
    return uid is None or uid in (os.geteuid(), 0)


def check_peer(connected: socket.socket, folder: Path) -> None:
    """Raise SilentSessionError where somebody else's process listens in `folder`."""
    if not is_owner(owner_of_peer(connected)):
        raise SilentSessionError(
            f"{folder}: the control socket belongs to another user; nothing was asked"
        )


def process_of(folder: Path) -> str:
    """` (pid N)` of the session that has the lock, as far as it is known."""
    try:
        text = (folder / LOCK_NAME).read_text(encoding="ascii").strip()
    except (OSError, ValueError):
        return ""
    return f" (pid {text})" if text.isdigit() else ""
