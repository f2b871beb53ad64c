"""What can be asked of a running session from outside, and what it answers.

`adapters/control` carries requests and replies over a local socket; `ControlDesk` answers them.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Annotated, Literal

from pydantic import Field

from tercel.app.live.alerts import AlertCode
from tercel.app.live.recent import Recent
from tercel.app.live.status_records import Codec, SessionStatus
from tercel.domain.events import Operation

STATUS: Literal["status"] = "status"
"""Asks for the status alone."""


@dataclass(frozen=True, slots=True)
class Request:
    """One question or command."""

    operation: Operation | Literal["status"] = STATUS
    origin: Annotated[str, Field(max_length=60, pattern=r"^[\w .:@()/-]*$")] = "control"
    """Who asks, for journal and alerts."""


@dataclass(frozen=True, slots=True)
class Reply:
    """What came of a request."""

    is_done: bool
    """False: it was refused; `text` says why."""
    text: str = ""
    status: SessionStatus | None = None
    """After it."""


Ask = Callable[[Request], Awaitable[Reply]]
"""Whoever answers requests."""

REQUESTS: Codec[Request] = Codec(Request)
REPLIES: Codec[Reply] = Codec(Reply)

ANSWERS = frozenset(
    {
        AlertCode.PAUSED,
        AlertCode.RESUMED,
        AlertCode.BREAKER_RESUMED,
        AlertCode.AUTOMATION_ON,
        AlertCode.AUTOMATION_OFF,
        AlertCode.KILL_SWITCH,
        AlertCode.KILL_VERIFIED,
        AlertCode.KILL_REARMED,
        AlertCode.SESSION_ENDED,
        AlertCode.REFUSED_OPERATION,
    }
)
"""Alerts that answer an operation."""


class ControlDesk:
    """Answers requests: operations go to the session as events, its alerts are the answer."""

    def __init__(
        self,
        submit: Callable[[Operation, str], Awaitable[None]],
        status: Callable[[], SessionStatus],
        recent: Recent,
    ) -> None:
        """`submit` is done once the session has handled the operation."""
        self._submit = submit
        self._status = status
        self._recent = recent

    async def ask(self, request: Request) -> Reply:
        """Answer one request."""
        if request.operation == STATUS:
            return Reply(is_done=True, status=self._status())
        told = self._recent.alerts_told
        await self._submit(Operation(request.operation), request.origin)
        answers = [each for each in self._recent.alerts_since(told) if each.code in ANSWERS]
        refused = [each for each in answers if each.code == AlertCode.REFUSED_OPERATION]
        text = "; ".join(f"{each.code} {each.text}".strip() for each in refused or answers)
        return Reply(not refused, text, self._status())
