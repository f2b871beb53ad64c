"""ports.Venue over a real exchange: orders out, answers judged, the user stream's news in.

`open` in order: instruments, what the key may do, how the account is set up, prices of the coins
that fees are paid in, the user stream. A write is sent once; what is not certain is AMBIGUOUS, and
the session asks. While the venue wants to be left alone no order is held back to be sent late: it
is refused, for certain, and so is one that already waits for its turn.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import dataclass, replace

import structlog

from tercel.adapters.ccxt.addresses import addresses_of
from tercel.adapters.ccxt.calls import Call, CallFailedError, Json
from tercel.adapters.ccxt.fees import FeePrices
from tercel.adapters.ccxt.keys import ApiKeys
from tercel.adapters.ccxt.link import Connect, Link
from tercel.adapters.ccxt.live_dialects import AccountSide, live_dialect
from tercel.adapters.ccxt.precision import VenueRules
from tercel.adapters.ccxt.watched_tasks import watched
from tercel.app.live.governor import Governor
from tercel.app.ports import Clock
from tercel.app.tasks import end_tasks
from tercel.domain.errors import TercelError, VenueError
from tercel.domain.events import Answer, Event, Fault, FeedNews, FundingPaid, Outcome
from tercel.domain.live_settings import VenueSettings
from tercel.domain.orders import OrderPhase, OrderRequest, VenueSnapshot
from tercel.domain.times import HOUR_MS, MINUTE_MS

log = structlog.get_logger(__name__)

NEWS_MAX = 100_000
"""News that may wait to be taken up; beyond it the user stream counts as interrupted."""
RULES_HOURS = 1
"""Between two looks at the instruments: venues change ticks and lots while one trades."""
FUNDING_BACK_MS = 10 * MINUTE_MS


@dataclass(frozen=True, slots=True)
class VenueChoice:
    """Which venue, which symbols, and how it is set up."""

    venue: str
    symbols: tuple[str, ...]
    settings: VenueSettings
    kept: tuple[str, ...] = ()
    """Symbols in which an earlier session left orders or positions: their fills are always read."""


class CcxtVenue:
    """ports.Venue through ccxt."""

    def __init__(
        self,
        choice: VenueChoice,
        keys: ApiKeys,
        governor: Governor,
        clock: Clock,
        connect: Connect | None = None,
    ) -> None:
        """`clock` tells venue time. `connect` replaces the sockets (tests)."""
        self.name = choice.venue
        self._choice = choice
        self._keys = keys
        self._clock = clock
        self._connect = connect
        self._dialect = live_dialect(choice.venue)
        addresses = addresses_of(choice.venue, choice.settings)
        self._link = Link(self._dialect, choice.settings, addresses, governor, clock)
        self._prices = FeePrices(self._dialect.quote)
        self._account: AccountSide | None = None
        self._rules: dict[str, VenueRules] = {}
        self._news: deque[Event] = deque()
        self._arrived = asyncio.Event()
        self._is_closed = False
        self._tasks: list[asyncio.Task[None]] = []
        self._failure: BaseException | None = None
        """What one of them ended by."""
        self._funding_seen: deque[str] = deque(maxlen=1_000)
        self._funding_told: dict[str, int] = {}
        """When the stream last told of funding by symbol: that is not looked up again."""
        self._refreshing: asyncio.Task[None] | None = None

    def on_clock_error(self, tell: Callable[[], None]) -> None:
        """Call `tell` when the venue refuses a request because its time was off."""
        self._link.on_clock_error = tell

    async def connect(self) -> None:
        """Make the client without asking the venue anything: enough for `time_ms`, which a venue
        clock needs before `open`. Raises VenueError.
        """
        if self._account is None:
            await self._link.open(self._keys, self._connect)
            self._link.on_rest = self._on_rest
            self._account = self._dialect.account(
                self._link, self._clock, self._choice.settings, self._prices
            )
            for symbol in self._choice.kept:
                self._account.note(symbol)

    async def open(self) -> None:
        """Instruments, permissions, leverage, margin and position mode, and the user stream.

        Raises VenueError, UserError.
        """
        await self.connect()
        account = self._side
        symbols = self._choice.symbols
        self._rules = await self._dialect.rules(self._link, symbols)
        for rules in self._rules.values():
            if not rules.is_trading:
                log.warning("symbol_not_trading", symbol=rules.symbol)
        await account.set_up(symbols)
        await self._learn_prices()
        stream = account.user_stream
        stream.on_frame = self._on_frame
        stream.on_state = self._on_stream
        self._link.on_frame = lambda client, frame: (
            stream.take(frame) if stream.owns(client) else None
        )
        self._tasks = [
            watched(stream.run(), self._fail),
            watched(account.keep(), self._fail),
            watched(self._keep_rules(), self._fail),
        ]
        # An order placed before the stream is up would fill unheard. Where it does not come up the
        # session goes on over REST: it has not been told that the stream is there.
        await stream.wait_up(self._choice.settings.timeout_ms / 1000)

    async def place(self, request: OrderRequest) -> Answer:
        """Send one order, rounded to tick and lot here."""
        rules = self._rules.get(request.symbol)
        if rules is None:
            return _not_sent(Fault.OTHER, f"{request.symbol} is not a symbol of this session")
        call = self._dialect.place(request, rules)
        if isinstance(call, str):
            return _not_sent(Fault.FILTER, call)
        answer = await self._write(call, request.symbol, is_conditional=request.is_conditional)
        if answer.outcome is Outcome.DONE and not request.is_conditional:
            self._side.learn(request.symbol, answer.venue_id, request.client_id)
        if answer.fault is Fault.FILTER:
            self._refresh_rules()  # they may have changed since the last look
        return answer

    async def cancel(self, client_id: str, symbol: str, *, is_conditional: bool) -> Answer:
        """Cancel one order by our id."""
        call = self._dialect.cancel(client_id, symbol, is_conditional=is_conditional)
        answer = await self._write(call, symbol, is_conditional=is_conditional)
        if answer.outcome is Outcome.DONE and answer.phase is None:
            return replace(answer, phase=OrderPhase.CANCELLED)
        return answer

    async def query(self, client_id: str, symbol: str, *, is_conditional: bool) -> Answer:
        """What the venue knows of one order; REFUSED with NOT_FOUND: nothing. A question that
        failed is AMBIGUOUS: nothing was learnt.
        """
        call = self._dialect.query(client_id, symbol, is_conditional=is_conditional)
        self._note(symbol)
        try:
            row = await self._link.call(call)
            answer = self._dialect.answer(row, is_conditional=is_conditional)
            engine_id = self._dialect.engine_order(row) if is_conditional else ""
        except CallFailedError as error:
            return self._dialect.refused_query(error)
        except (VenueError, KeyError, TypeError, ValueError) as error:
            return _unreadable(error)
        if engine_id:
            self._side.learn_stop(symbol, engine_id, client_id)
            return await self._ask_engine(answer, engine_id, symbol)
        if not is_conditional:
            self._side.learn(symbol, answer.venue_id, client_id)
        return answer

    async def _ask_engine(self, stop: Answer, engine_id: str, symbol: str) -> Answer:
        """What became of a stop that was triggered: its engine order tells.

        Where that cannot be read, the stop is at work or filled as its own row says: taken for
        missing, it would get a second one beside it. Only of one that has ended without being
        filled whole does its row say too little, since it may lag: there the question has failed.
        """
        try:
            row = await self._link.call(self._dialect.query_engine(engine_id, symbol))
            engine = self._dialect.answer(row, is_conditional=False)
        except CallFailedError as error:
            failed = self._dialect.refused_query(error)
        except (VenueError, KeyError, TypeError, ValueError) as error:
            failed = _unreadable(error)
        else:
            return replace(stop, phase=engine.phase, filled_quantity=engine.filled_quantity)
        is_open = stop.phase is None or not stop.phase.is_over
        return stop if is_open or stop.phase is OrderPhase.FILLED else failed

    async def read(self, symbols: Sequence[str], since_ms: int) -> VenueSnapshot:
        """Positions, open orders of both kinds, fills since, balance. Raises VenueError."""
        return await self._side.read(symbols, since_ms, self._clock.now_ms())

    async def time_ms(self) -> int:
        """The venue's clock. Raises VenueError."""
        return await self._dialect.time_ms(self._link)

    async def news(self) -> AsyncIterator[Event]:
        """News as they come, until `close`; or the error that one of the venue's tasks ended by."""
        while True:
            while self._news:
                yield self._news.popleft()
            if self._failure is not None:
                raise self._failure
            if self._is_closed:
                return
            self._arrived.clear()
            await self._arrived.wait()

    async def close(self) -> None:
        """Release connections; nothing that rests at the venue is touched."""
        self._is_closed = True
        tasks, self._tasks = self._tasks, []
        await end_tasks((*tasks, self._refreshing))
        await self._link.close()
        self._arrived.set()

    def _fail(self, error: BaseException) -> None:
        self._failure = self._failure or error
        self._arrived.set()

    @property
    def rules(self) -> dict[str, VenueRules]:
        """The venue's rules by symbol, as last read."""
        return dict(self._rules)

    @property
    def _side(self) -> AccountSide:
        if self._account is None:
            raise VenueError("the venue is not open")
        return self._account

    def _note(self, symbol: str) -> None:
        if self._account is not None:
            self._account.note(symbol)

    async def _write(self, call: Call, symbol: str, *, is_conditional: bool) -> Answer:
        self._note(symbol)
        try:
            row = await self._link.call(call)
        except CallFailedError as error:
            return self._dialect.refused_write(error)
        except VenueError as error:
            return _not_sent(Fault.OTHER, str(error))
        finally:
            self._note(symbol)
        try:
            return self._dialect.answer(row, is_conditional=is_conditional)
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            return _unreadable(error)

    def _on_frame(self, frame: Json) -> None:
        for event in self._side.parse(frame):
            if isinstance(event, FundingPaid) and not event.symbol:
                self._spawn_funding()
                continue
            if isinstance(event, FundingPaid):
                self._funding_told[event.symbol] = self._clock.now_ms()
            self._tell(event)

    def _on_stream(self, is_up: bool, detail: str) -> None:
        self._side.hear(is_up=is_up)
        self._tell(FeedNews(0, "user", is_up, detail))

    def _on_rest(self, is_up: bool, detail: str) -> None:
        self._tell(FeedNews(0, "rest", is_up, detail))

    def _tell(self, event: Event) -> None:
        if len(self._news) >= NEWS_MAX:
            self._news.clear()
            self._news.append(FeedNews(0, "user", False, f"{NEWS_MAX} news were not taken up"))
            self._side.doubt()
            self._side.user_stream.drop("too many news waited")
        self._news.append(event)
        self._arrived.set()

    async def _learn_prices(self) -> None:
        """Prices of the coins that fees may be paid in; without them such fees are warned of."""
        for coin, symbol in self._dialect.fee_coins.items():
            try:
                price = await self._dialect.price(self._link, symbol)
            except VenueError as error:
                log.warning("fee_price_unknown", coin=coin, reason=str(error))
            else:
                self._prices.learn(coin, price, self._clock.now_ms())

    async def _keep_rules(self) -> None:
        while True:
            await self._clock.sleep(RULES_HOURS * HOUR_MS / 1000)
            await self._read_rules()
            await self._learn_prices()

    def _refresh_rules(self) -> None:
        if self._refreshing is None or self._refreshing.done():
            self._refreshing = asyncio.create_task(self._read_rules())

    async def _read_rules(self) -> None:
        try:
            self._rules = await self._dialect.rules(self._link, self._choice.symbols)
        except TercelError as error:
            log.warning("instruments_not_read", reason=str(error))

    def _spawn_funding(self) -> None:
        task = asyncio.create_task(self._find_funding())
        self._tasks.append(task)
        task.add_done_callback(
            lambda done: self._tasks.remove(done) if done in self._tasks else None
        )

    async def _find_funding(self) -> None:
        """Whose funding it was that the stream told of without a symbol (cross margin)."""
        since_ms = self._clock.now_ms() - FUNDING_BACK_MS
        try:
            paid = await self._side.funding(since_ms)
        except VenueError as error:
            log.warning("funding_not_assigned", reason=str(error))
            return
        for transaction, symbol, amount in paid:
            mark = f"{transaction} {symbol}"
            is_told = self._funding_told.get(symbol, 0) >= since_ms
            if mark not in self._funding_seen and not is_told:
                self._funding_seen.append(mark)
                self._tell(FundingPaid(0, symbol, amount))


def _not_sent(fault: Fault, text: str) -> Answer:
    """Refused here: the venue has never seen it."""
    return Answer(Outcome.REFUSED, fault=fault, text=text)


def _unreadable(error: Exception) -> Answer:
    """The venue's answer was none that is known: nobody knows what it means."""
    return Answer(Outcome.AMBIGUOUS, text=f"the answer cannot be read: {error!r}")
