"""Errors a user can act on. Each message is one clear line: what was wrong and what to do.

The command line prints the line and exits with `exit_code`: 2 for the user's mistake, 1 for ours or
the world's (a full disk, an unreachable venue). Anything else is a bug and shows as such.
"""

from __future__ import annotations


class TercelError(Exception):
    """Base of every error with a message for the user."""

    exit_code = 1


def words_of(error: BaseException) -> str:
    """What an error says: our own are whole lines, of any other its kind matters."""
    return str(error) if isinstance(error, TercelError) else f"{type(error).__name__}: {error}"


class UserError(TercelError):
    """What the user said cannot be done: an unknown name, a bad date, an empty range."""

    exit_code = 2


class ConfigError(UserError):
    """A setting is unknown, mistyped or out of range. Names file, line, got and expected."""


class DataError(UserError):
    """Market data is missing, damaged or breaks a rule. Names file, row and rule."""


class StrategyError(UserError):
    """A strategy file cannot be loaded, compiled or run. Names its file and line."""


class LakeBusyError(TercelError):
    """Another process is writing the same part of the lake."""


class StorageError(TercelError):
    """The disk is full, read-only or failing. Names the path."""


class LeaseLostError(UserError):
    """Another session has taken the place where this one kept its state. Names both."""

    exit_code = 1


class VenueError(TercelError):
    """A venue or archive could not be reached or answered nonsense. Names what was tried and what
    was saved.
    """


class InterruptedWorkError(TercelError):
    """Ctrl-C in long work. Says what is kept and how to go on."""

    exit_code = 130
