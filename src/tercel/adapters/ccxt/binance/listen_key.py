"""The key of Binance's user stream: made, renewed in time, and made again when it died.

ccxt renews it once and then never again, and does not look at `listenKeyExpired`; so it is kept
here. The key lives 60 minutes from its last renewal. POST answers with the same key as long as it
lives, and there is one for the whole account: another program's DELETE takes ours with it, which
shows as -1125 when ours is renewed. The socket stays open then, and answers pings: while the stream
brings nothing, the key is renewed every minute to find out.
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

LOOK_SECONDS = 60.0
"""A renewal that failed is tried again after so long, and so is a key whose stream is silent."""


class ListenKey:
    """The key of one user stream."""

    def __init__(self, link: Link, clock: Clock, minutes: float) -> None:
        self._link = link
        self._clock = clock
        self._seconds = minutes * 60.0
        self._key = ""
        self._heard_ms = self._renewed_ms = 0

    def hear(self) -> None:
        """Its stream brings something: the key lives."""
        self._heard_ms = self._clock.now_ms()

    async def fresh(self) -> str:
        """A living key: the account's, extended, or a new one. Raises CallFailedError."""
        call = Call("listen_key", "fapiPrivatePostListenKey", priority=Priority.URGENT)
        answer = await self._link.call(call)
        key = str(answer.get("listenKey") or "") if isinstance(answer, dict) else ""
        if not key.isalnum():
            raise CallFailedError("the venue gave no key for the user stream", status=200)
        self._key = key
        self._renewed_ms = self._clock.now_ms()
        return key

    async def keep(self, on_dead: Callable[[str], None]) -> None:
        """Renew for ever; `on_dead` is told why, when the key no longer serves the stream."""
        while True:
            await self._clock.sleep(min(self._seconds, LOOK_SECONDS))
            if not self._is_due():
                continue
            renewed = self._key
            try:
                call = Call("listen_key", "fapiPrivatePutListenKey", priority=Priority.URGENT)
                answer = await self._link.call(call)
            except CallFailedError as error:
                log.warning("listen_key_not_renewed", code=error.code, reason=error.text)
                if error.code == BAD_LISTEN_KEY:
                    on_dead("the user stream's key had died")
                continue
            self._renewed_ms = self._clock.now_ms()
            told = str(answer.get("listenKey") or renewed) if isinstance(answer, dict) else renewed
            if told != renewed and renewed == self._key:
                on_dead("the account has another key for its user stream")

    def _is_due(self) -> bool:
        """Whether the key is to be renewed now: in time, or because its stream is silent."""
        now_ms = self._clock.now_ms()
        is_silent = now_ms - self._heard_ms >= LOOK_SECONDS * 1000
        return is_silent or now_ms - self._renewed_ms >= self._seconds * 1000
