"""One REST call as a dialect asks for it, and what can go wrong with it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from tercel.app.live.governor import PRIVATE, Priority

Params = Mapping[str, str | int]
Json = Any
"""What a venue's JSON holds: read field by field, right where it arrives."""


@dataclass(frozen=True, slots=True)
class Call:
    """A request: ccxt's implicit method, its parameters, and how it queues."""

    name: str
    """What the governor's log calls it: the port's method that it is made for."""
    method: str
    params: Params = field(default_factory=dict)
    weight: int = 1
    priority: Priority = Priority.READ
    category: str = PRIVATE
    is_write: bool = False
    """Never sent twice, whatever happens to its answer."""
    may_be_late: bool = True
    """Whether it is still sent where it had to wait long for its turn."""


class CallFailedError(Exception):
    """A call without a good answer. Its text never holds an address, a signature or a key."""

    def __init__(
        self,
        text: str,
        *,
        was_sent: bool = True,
        status: int = 0,
        code: int = 0,
        is_told: bool = False,
    ) -> None:
        super().__init__(text)
        self.text = text
        self.was_sent = was_sent
        """False: it certainly never left this machine."""
        self.status = status
        """HTTP status; 0: no answer came."""
        self.code = code
        """The venue's own number; 0: none."""
        self.is_told = is_told
        """Whether the text is the venue's own words, rather than those of a proxy on the way."""
