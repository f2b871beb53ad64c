"""REST calls to one venue through ccxt: each sent once, queued by the governor, judged by number.

Only ccxt's signing and transport are used. Its own retries and limiter are off; its answers are not
parsed into its unified orders, which invent fills of stops; and its error classes are not used:
they depend on the host name, and a loss of the answer and a refusal share a base class. What the
venue said reaches the dialect as HTTP status, number and words.
"""

from __future__ import annotations

import logging
import socket
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, Protocol

import structlog

from tercel.adapters.ccxt.addresses import Addresses, point_at, without_secrets
from tercel.adapters.ccxt.calls import Call, CallFailedError, Json
from tercel.adapters.ccxt.exchange_class import exchange_class
from tercel.adapters.ccxt.keys import ApiKeys
from tercel.app.dependencies import install_hint
from tercel.app.live.governor import ENTRIES, UNHURRIED, Governor, TooLateError
from tercel.app.ports import Clock
from tercel.domain.errors import UserError, VenueError
from tercel.domain.live_settings import VenueSettings

if TYPE_CHECKING:
    import aiohttp

log = structlog.get_logger(__name__)

WORDS_MAX = 200
"""Characters of a venue's words that are kept."""
READ_TRIES = 3
READ_PAUSE_SECONDS = 0.25
"""Before a read is tried again; doubled each time."""

Connect = Callable[[], "aiohttp.BaseConnector"]
"""Makes the connector of the client: a test puts memory or a refusing resolver there."""


class RestDialect(Protocol):
    """How a venue's REST answers read."""

    exchange: str
    """ccxt class."""

    def client_options(self, settings: VenueSettings) -> dict[str, Any]:
        """Options of the ccxt class."""
        ...

    def read_error(self, body: Json) -> tuple[int, str]:
        """(number, words) of an answer that is an error; (0, "") where it is none."""
        ...

    def used_weight(self, headers: Mapping[str, str]) -> int | None:
        """Request weight that the venue has counted in this minute, where it tells."""
        ...

    def is_clock_error(self, code: int) -> bool:
        """Whether a request was refused because its time was off."""
        ...

    def wait_seconds(self, status: int, text: str, now_ms: int) -> float | None:
        """How long an error asks callers to wait; None: not at all."""
        ...

    def held_category(self, status: int, text: str) -> str | None:
        """The category of calls that such an error asks to wait, governor.ENTRIES, or
        governor.UNHURRIED; None: everybody.
        """
        ...


class Link:
    """A ccxt exchange with one HTTP session behind a governor."""

    def __init__(
        self,
        dialect: RestDialect,
        settings: VenueSettings,
        addresses: Addresses,
        governor: Governor,
        clock: Clock,
    ) -> None:
        self._dialect = dialect
        self._settings = settings
        self._addresses = addresses
        self._governor = governor
        self._clock = clock
        self._keys: ApiKeys | None = None
        self._session: aiohttp.ClientSession | None = None
        self._exchange: Any = None
        self._is_up = True
        self.frames_failed = 0
        """Frames whose handling raised: a bug of ours each."""
        self.on_rest: Callable[[bool, str], None] = _ignore
        """Told when REST can no longer be reached, and when it can again."""
        self.on_clock_error: Callable[[], None] = _ignore
        """Told when a request was refused because its time was off."""
        self.on_frame: Callable[[Any, Any], None] = _ignore
        """Given every raw frame of every stream: (ccxt client, decoded frame)."""

    @property
    def exchange(self) -> Any:
        """The ccxt exchange. Raises VenueError before `open`."""
        if self._exchange is None:
            raise VenueError("the connection to the venue is closed")
        return self._exchange

    async def open(self, keys: ApiKeys | None = None, connect: Connect | None = None) -> None:
        """Make the client. Nothing is contacted. Raises UserError when ccxt is not installed."""
        try:
            made = exchange_class(self._dialect.exchange)
        except ImportError:
            hint = install_hint("ccxt", "live")
            raise UserError(f"trading needs the ccxt package; {hint}") from None
        self._keys = keys
        self._session = _session(self._addresses, connect)
        exchange = made(
            {
                **self._dialect.client_options(self._settings),
                "session": self._session,
                "enableRateLimit": False,
                "timeout": self._settings.timeout_ms,
                "timeout_on_exit": 0,
                "userAgent": "tercel",
                "apiKey": keys.key if keys else "",
                "secret": keys.secret if keys else "",
            }
        )
        point_at(exchange, self._addresses)
        # ccxt logs whole requests, the key's header included, at the level DEBUG.
        silent = logging.Logger("ccxt", logging.CRITICAL + 1)
        exchange.logger = silent
        exchange.nonce = self._clock.now_ms
        exchange.handle_errors = self._judge
        exchange.on_rest_response = self._note_headers
        # Before the first stream is opened: clients keep the handler that they are made with.
        exchange.handle_message = self._on_message
        self._exchange = exchange

    async def call(self, call: Call) -> Json:
        """The venue's answer. Raises CallFailedError.

        A write is sent at most once. A read is tried again where no answer came.
        """
        tries = 1 if call.is_write else READ_TRIES
        for number in range(1, tries + 1):
            try:
                answer = await self._send(call)
            except TooLateError as error:
                raise CallFailedError(str(error), was_sent=False) from None
            except CallFailedError as error:
                is_lost = error.status == 0 or error.status >= 500
                if not is_lost or number == tries:
                    if is_lost:
                        self._tell(is_up=False, detail=error.text)
                    raise
                await self._clock.sleep(READ_PAUSE_SECONDS * 2 ** (number - 1))
            else:
                self._tell(is_up=True, detail="")
                return answer
        raise AssertionError("unreachable: the last try returns or raises")

    async def ask(self, call: Call) -> Json:
        """As `call`, for those who only want to know: raises VenueError."""
        try:
            return await self.call(call)
        except CallFailedError as error:
            raise VenueError(f"{call.name}: {error.text}") from None

    @property
    def keys_origin(self) -> str:
        """Where the keys were read; empty: nobody said."""
        return self._keys.origin if self._keys else ""

    def words(self, text: str) -> str:
        """What others said as one line of readable length, without keys, signed addresses and
        listen keys: it goes into logs, news and the journal.
        """
        line = " ".join(text.split())
        # Hidden before it is cut: of a key that the end cuts through, the rest would stay.
        line = self._keys.redact(line) if self._keys else line
        return without_secrets(line)[:WORDS_MAX]

    def forget(self, client: Any) -> None:
        """Let the next stream of that address have a ccxt client of its own."""
        if self._exchange is not None and self._exchange.clients.get(client.url) is client:
            del self._exchange.clients[client.url]

    async def close(self) -> None:
        """Close every connection. May be called twice."""
        exchange, self._exchange = self._exchange, None
        session, self._session = self._session, None
        if exchange is not None:
            await exchange.close()
        if session is not None:
            await session.close()

    async def _send(self, call: Call) -> Json:
        import aiohttp
        from ccxt.base.errors import BaseError, RequestTimeout

        await self._governor.turn(
            call.name,
            category=call.category,
            priority=call.priority,
            weight=call.weight,
            may_be_late=call.may_be_late,
            may_be_held=not call.is_write,
        )
        try:
            answer = await getattr(self.exchange, call.method)(dict(call.params))
        except CallFailedError:
            raise
        except RequestTimeout as error:
            never_left = isinstance(error.__cause__, aiohttp.ConnectionTimeoutError)
            text = f"no answer within {self._settings.timeout_ms} ms"
            raise CallFailedError(text, was_sent=not never_left) from None
        except BaseError as error:
            cause = error.__cause__
            never_left = isinstance(cause, aiohttp.ClientConnectorError | socket.gaierror)
            why = _cause(cause) if cause is not None else type(error).__name__
            raise CallFailedError(self.words(why), was_sent=not never_left) from None
        if not isinstance(answer, dict | list):
            raise CallFailedError("the answer is not JSON", status=200)
        return answer

    def _judge(self, *said: Any) -> None:
        """ccxt's hook for errors: (status, reason, url, method, headers, body, parsed, ...)."""
        status, _reason, _url, _method, headers, body, parsed = said[:7]
        code, words = self._dialect.read_error(parsed)
        if status < 400 and code == 0:
            return
        if self._dialect.is_clock_error(code):
            self.on_clock_error()
        text = self.words(words or f"HTTP {status}: {body}")
        wait_seconds = self._dialect.wait_seconds(status, text, self._clock.now_ms())
        if wait_seconds is not None:
            held = self._dialect.held_category(status, text)
            self._hold(held, wait_seconds, _retry_after(headers))
        raise CallFailedError(text, status=status, code=code, is_told=bool(words))

    def _hold(self, held: str | None, wait_seconds: float, after_seconds: float) -> None:
        """Let wait whom an error is for. What protects or closes is tried as soon as the venue says
        that it may be asked again, and only where it does not say so, with everybody else.
        """
        self._governor.hold(max(wait_seconds, after_seconds), held)
        if held == UNHURRIED:
            self._governor.hold(after_seconds or wait_seconds)
        elif held == ENTRIES and after_seconds:
            self._governor.hold(after_seconds)

    def _note_headers(self, *said: Any) -> str:
        """ccxt's hook for every answer: (status, reason, url, method, headers, body, ...)."""
        used = self._dialect.used_weight(said[4])
        if used is not None:
            self._governor.note_weight(used)
        return str(said[5]).strip()

    def _on_message(self, client: Any, frame: Any) -> None:
        """ccxt's hook for every frame. An exception in here would end its reading loop in silence,
        so this is the one place that lets none out.
        """
        try:
            self.on_frame(client, frame)
        except Exception:
            self.frames_failed += 1
            log.exception("frame_failed", count=self.frames_failed)

    def _tell(self, *, is_up: bool, detail: str) -> None:
        if is_up != self._is_up:
            self._is_up = is_up
            self.on_rest(is_up, detail)


def _session(addresses: Addresses, connect: Connect | None) -> aiohttp.ClientSession:
    """The HTTP session: through the environment's proxy, but never for this machine."""
    import urllib.request

    import aiohttp

    proxy = None if addresses.is_loopback else urllib.request.getproxies().get("https")
    connector = connect() if connect is not None else aiohttp.TCPConnector()
    return aiohttp.ClientSession(connector=connector, proxy=proxy, middlewares=(_once,))


async def _once(request: aiohttp.ClientRequest, send: Any) -> aiohttp.ClientResponse:
    """Send a request once: aiohttp repeats a DELETE on its own when a kept connection was closed,
    and would follow a redirect with key and signature.
    """
    import aiohttp

    try:
        response: aiohttp.ClientResponse = await send(request)
    except aiohttp.ClientConnectorError:
        raise
    except (aiohttp.ClientOSError, aiohttp.ServerDisconnectedError) as error:
        raise aiohttp.ClientConnectionError(_cause(error)) from None
    if 300 <= response.status < 400 and response.status != 304:
        response.close()
        raise aiohttp.ClientConnectionError(f"redirected (HTTP {response.status}): not followed")
    return response


def _cause(error: BaseException) -> str:
    """What happened to the connection, without addresses of requests."""
    if isinstance(error, OSError) and error.strerror:
        return f"{type(error).__name__}: {error.strerror}"
    said = str(error)
    return f"{type(error).__name__}: {said}" if said and "://" not in said else type(error).__name__


def _retry_after(headers: Mapping[str, str]) -> float:
    for name, value in headers.items():
        if name.lower() == "retry-after":
            try:
                return max(0.0, float(value))
            except ValueError:
                return 0.0
    return 0.0


def _ignore(*_said: object) -> None:
    """Nobody listens yet."""
