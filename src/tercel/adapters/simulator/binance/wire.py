"""What crosses the wire: replies, refusals and frames, and the form of numbers in them."""

from __future__ import annotations

import json
from dataclasses import dataclass
from decimal import Decimal
from enum import Enum
from typing import Any

Json = Any
"""What `json.dumps` takes: the vendor's objects are made where they are rendered, and go straight
onto the wire.
"""

HTTP_BAD_REQUEST = 400
HTTP_UNAUTHORISED = 401
HTTP_FORBIDDEN = 403
HTTP_NOT_FOUND = 404
HTTP_TIMEOUT = 408
HTTP_BANNED = 418
HTTP_TOO_MANY = 429
HTTP_UNAVAILABLE = 503


class Breakage(Enum):
    """How the transport fails a reply."""

    NONE = "none"
    RESET = "reset"
    """The connection is reset and nothing of the reply is sent."""
    TRUNCATED = "truncated"
    """The headers promise the whole body; a part of it comes, then the end."""
    SLOW = "slow"
    """Half of the body, then the rest after `delay_ms`."""


@dataclass(frozen=True, slots=True)
class Reply:
    """The answer to a request. The mount sends it `delay_ms` after it was made."""

    status: int
    headers: tuple[tuple[str, str], ...]
    body: bytes
    delay_ms: int = 0
    breakage: Breakage = Breakage.NONE
    body_bytes_sent: int = 0
    """Of a truncated body."""

    def json(self) -> Json:
        """The body, read."""
        return json.loads(self.body)


class RefusalError(Exception):
    """A request is refused in the vendor's form: a number, a line, an HTTP status."""

    def __init__(
        self,
        code: int,
        message: str,
        status: int = HTTP_BAD_REQUEST,
        headers: tuple[tuple[str, str], ...] = (),
    ) -> None:
        super().__init__(f"{code}: {message}")
        self.code = code
        self.message = message
        self.status = status
        self.headers = headers

    def body(self) -> Json:
        """The vendor's error object."""
        return {"code": self.code, "msg": self.message}


class FrameKind(Enum):
    """What a stream sends."""

    TEXT = "text"
    PING = "ping"
    PONG = "pong"
    CLOSE = "close"


@dataclass(frozen=True, slots=True)
class Frame:
    """One frame to the client."""

    kind: FrameKind
    text: str = ""
    close_code: int = 1000
    """1006 is no code that can be sent: the connection is reset."""


def encode(value: Json) -> bytes:
    """JSON as the venue writes it: no spaces."""
    return json.dumps(value, separators=(",", ":")).encode()


def fixed(value: Decimal, decimals: int) -> str:
    """An amount with that many decimals: `0.10`."""
    return f"{value:.{decimals}f}"


def plain(value: Decimal) -> str:
    """An amount with as few decimals as it needs, never with an exponent: `1000000`, `0.05`."""
    whole, point, rest = f"{value:f}".partition(".")
    rest = rest.rstrip("0")
    return f"{whole}{point}{rest}" if rest else whole


def quote_text(value: Decimal) -> str:
    """An amount of quote currency: eight decimals."""
    return fixed(value, 8)
