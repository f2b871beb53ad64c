"""What can be wrong with a control socket."""

from __future__ import annotations

from tercel.domain.errors import TercelError, UserError


class NoSessionError(TercelError):
    """No session runs in the folder."""


class SilentSessionError(TercelError):
    """A session is there and does not answer, or not in a way that can be understood."""


class SessionRunsError(UserError):
    """Another session has the folder. Names its process."""
