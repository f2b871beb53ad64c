"""The key of Binance's user stream: made, renewed in time, and made again when it died.

ccxt renews it once and then never again, and does not look at `listenKeyExpired`; so it is kept
here. The key lives 60 minutes from its last renewal. POST answers with the same key as long as it
lives, and there is one for the whole account: another program's DELETE takes ours with it, which
shows as -1125 when ours is renewed.
"""

from __future__ import annotations

from collections.abc import Callable

import structlog

from tercel.adapters.ccxt.binance.errors import BAD_LISTEN_KEY
from tercel.adapters.ccxt.calls import Call, CallFailedError
from tercel.adapters.ccxt.link import Link
from tercel.app.live.governor import Priority
from tercel.app.ports import Clock

log = structlog.get_logger(__name__)

AGAIN_SECONDS = 60.0
"""A renewal that failed is tried again after so long."""


class ListenKey:
    """The key of one user stream."""

    def __init__(self, link: Link, clock: Clock, minutes: float) -> None:
        self._link = link
        self._clock = clock
        self._seconds = minutes * 60.0
        self._key = ""

    async def fresh(self) -> str:
        """A living key: the account's, extended, or a new one. Raises CallFailedError."""
        call = Call("listen_key", "fapiPrivatePostListenKey", priority=Priority.URGENT)
        answer = await self._link.call(call)
        key = str(answer.get("listenKey") or "") if isinstance(answer, dict) else ""
        if not key.isalnum():
            raise CallFailedError("the venue gave no key for the user stream", status=200)
        self._key = key
        return key

    async def keep(self, on_dead: Callable[[str], None]) -> None:
        """Renew for ever; `on_dead` is told why, when the key no longer serves the stream."""
        wait_seconds = self._seconds
        while True:
            await self._clock.sleep(wait_seconds)
            wait_seconds = self._seconds
            renewed = self._key
            try:
                call = Call("listen_key", "fapiPrivatePutListenKey", priority=Priority.URGENT)
                answer = await self._link.call(call)
            except CallFailedError as error:
                log.warning("listen_key_not_renewed", code=error.code, reason=error.text)
                if error.code == BAD_LISTEN_KEY:
                    on_dead("the user stream's key had died")
                else:
                    wait_seconds = min(self._seconds, AGAIN_SECONDS)
                continue
            told = str(answer.get("listenKey") or renewed) if isinstance(answer, dict) else renewed
            if told != renewed and renewed == self._key:
                on_dead("the account has another key for its user stream")
