"""The KILL file: a kill switch that needs no socket, no terminal and no Python.

A session looks for `KILL` in its folder at every timer. Anybody who may write there can make one
(`touch session/KILL`); one that lies there when a session starts kills it at its first timer.
"""

from __future__ import annotations

import os
from pathlib import Path

from tercel.app.live.private_files import make_private

NAME = "KILL"


class KillFile:
    """The KILL file of the session in `folder`."""

    def __init__(self, folder: Path) -> None:
        self.path = folder / NAME
        self._stays = False
        """It was taken and could not be removed: it counts once."""

    def is_there(self) -> bool:
        """Whether it lies there, whatever it is."""
        return os.path.lexists(self.path)

    def take(self) -> bool:
        """Whether it lies there; it is removed.

        One that cannot be removed counts once, until it is gone: a kill is not asked for again at
        every timer.
        """
        try:
            self.path.unlink()
        except (FileNotFoundError, NotADirectoryError):
            self._stays = False
            return False
        except OSError:
            is_news, self._stays = not self._stays, True
            return is_news
        self._stays = False
        return True

    def write(self) -> None:
        """Put it there, in a folder that is there. Raises StorageError."""
        make_private(self.path)
