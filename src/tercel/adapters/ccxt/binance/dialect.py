"""live_dialects.VenueDialect for Binance USD-M."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from tercel.adapters.ccxt.binance import errors, orders, setup
from tercel.adapters.ccxt.binance.account import AccountReader, funding_since
from tercel.adapters.ccxt.binance.frames import UserFrames, symbols_of
from tercel.adapters.ccxt.binance.listen_key import ListenKey
from tercel.adapters.ccxt.binance.names import OrderNames
from tercel.adapters.ccxt.calls import Call, CallFailedError, Json
from tercel.adapters.ccxt.fees import FeePrices
from tercel.adapters.ccxt.link import Link
from tercel.adapters.ccxt.precision import VenueRules
from tercel.adapters.ccxt.stream import Stream, Target
from tercel.app.live.governor import PUBLIC, Priority
from tercel.app.ports import Clock
from tercel.domain.binance_numbers import FAULTS
from tercel.domain.errors import VenueError
from tercel.domain.events import Answer, Event, Fault, FeedNews
from tercel.domain.live_settings import VenueSettings
from tercel.domain.orders import OrderRequest, VenueSnapshot


class BinanceDialect:
    """Binance USD-M futures, one-way mode, quoted in USDT."""

    exchange = "binanceusdm"
    quote = "USDT"
    fee_coins: Mapping[str, str] = {"BNB": "BNBUSDT"}

    def client_options(self, settings: VenueSettings) -> dict[str, Any]:
        """Options of the ccxt class: nothing is called on its own account."""
        return {
            "options": {
                "recvWindow": settings.recv_window_ms,
                "fetchCurrencies": False,
                "fetchMargins": False,
                "fetchMarkets": {"types": ["linear"]},
                # Its pings are timed by the machine's clock, and its compression costs more than
                # loopback or a data centre gives back: our streams ping themselves.
                "ws": {"keepAlive": 0, "compress": 0},
            },
        }

    def read_error(self, body: Json) -> tuple[int, str]:
        """(number, words) of an answer that is an error."""
        return errors.read_error(body)

    def used_weight(self, headers: Mapping[str, str]) -> int | None:
        """What the venue has counted in this minute."""
        return errors.used_weight(headers)

    def is_clock_error(self, code: int) -> bool:
        """-1021: outside of recvWindow, or too far ahead."""
        return FAULTS.get(code) is Fault.CLOCK

    def wait_seconds(self, status: int, text: str, now_ms: int) -> float | None:
        """How long an error asks callers to wait."""
        return errors.wait_seconds(status, text, now_ms)

    def held_category(self, status: int, text: str) -> str | None:
        """Everybody where it is a ban, else those who can wait, or entries alone."""
        return errors.held_name(status, text)

    def account(
        self, link: Link, clock: Clock, settings: VenueSettings, prices: FeePrices
    ) -> BinanceAccount:
        """The account behind `link`."""
        return BinanceAccount(link, clock, settings, prices)

    async def rules(self, link: Link, symbols: Sequence[str]) -> dict[str, VenueRules]:
        """Rules of the symbols."""
        return await setup.read_rules(link, symbols)

    async def time_ms(self, link: Link) -> int:
        """`{"serverTime": 1499827319559}`."""
        call = Call("time", "fapiPublicGetTime", category=PUBLIC, priority=Priority.ORDER)
        answer = await link.ask(call)
        try:
            return int(answer["serverTime"])
        except (KeyError, TypeError, ValueError):
            raise VenueError("the venue's time cannot be read") from None

    async def price(self, link: Link, symbol: str) -> float:
        """`{"symbol": "BNBUSDT", "price": "600.10", "time": 1589437530011}`."""
        call = Call("price", "fapiPublicGetTickerPrice", {"symbol": symbol}, category=PUBLIC)
        answer = await link.ask(call)
        try:
            return float(answer["price"])
        except (KeyError, TypeError, ValueError):
            raise VenueError(f"the price of {symbol} cannot be read") from None

    def place(self, request: OrderRequest, rules: VenueRules) -> Call | str:
        """The call that sends an order, or why it cannot be sent."""
        return orders.place(request, rules)

    def cancel(self, client_id: str, symbol: str, *, is_conditional: bool) -> Call:
        """The call that cancels one order."""
        return orders.cancel(client_id, symbol, is_conditional=is_conditional)

    def query(self, client_id: str, symbol: str, *, is_conditional: bool) -> Call:
        """The call that asks for one order."""
        return orders.query(client_id, symbol, is_conditional=is_conditional)

    def engine_order(self, row: Json) -> str:
        """A stop that was triggered is only told by its engine order."""
        return orders.engine_order_id(row)

    def query_engine(self, engine_id: str, symbol: str) -> Call:
        """The call that asks for an engine order."""
        return orders.query_by_number(engine_id, symbol)

    def answer(self, row: Json, *, is_conditional: bool) -> Answer:
        """What a row of an order says."""
        return orders.answer(row, is_conditional=is_conditional)

    def refused_write(self, error: CallFailedError) -> Answer:
        """What a failed write came to."""
        return errors.answer_to_write(error)

    def refused_query(self, error: CallFailedError) -> Answer:
        """What a failed question came to."""
        return errors.answer_to_query(error)


class BinanceAccount:
    """live_dialects.AccountSide for Binance USD-M."""

    def __init__(
        self, link: Link, clock: Clock, settings: VenueSettings, prices: FeePrices
    ) -> None:
        self._link = link
        self._clock = clock
        self._settings = settings
        self._names = OrderNames()
        self._reader = AccountReader(link, prices, self._names)
        self._frames = UserFrames(prices, self._names)
        self._frames.on_key_expired = self._on_key_expired
        self._key = ListenKey(link, clock, settings.listen_key_minutes)
        self.user_stream = Stream(
            "user", link, clock, self._target, backoff_seconds_max=settings.backoff_seconds_max
        )

    async def set_up(self, symbols: Sequence[str]) -> None:
        """Permissions first: a key that may withdraw changes nothing."""
        await setup.refuse_withdrawals(self._link)
        await setup.set_up_account(self._link, symbols, self._settings)

    async def read(self, symbols: Sequence[str], since_ms: int, now_ms: int) -> VenueSnapshot:
        """The account's picture."""
        return await self._reader.read(symbols, since_ms, now_ms)

    def parse(self, frame: Json) -> list[Event]:
        """Events of a frame of the user stream."""
        self._key.hear()
        for symbol in symbols_of(frame):
            self.note(symbol)
        events = self._frames.parse(frame)
        if any(isinstance(event, FeedNews) for event in events):
            self.doubt()
        return events

    async def keep(self) -> None:
        """Renew the stream's key."""
        await self._key.keep(self.user_stream.drop)

    async def funding(self, since_ms: int) -> list[tuple[str, str, float]]:
        """Funding since."""
        return await funding_since(self._link, since_ms)

    def note(self, symbol: str) -> None:
        """Something happened in `symbol`."""
        self._reader.activity.note(symbol, self._clock.now_ms())

    def doubt(self) -> None:
        """Something may have gone unheard."""
        self._reader.activity.doubt()

    def hear(self, *, is_up: bool) -> None:
        """The user stream came or went."""
        self._reader.activity.hear(is_up=is_up)

    def learn(self, symbol: str, order_id: str, client_id: str) -> None:
        """An order's two ids were told together."""
        self._names.learn(symbol, order_id, client_id)

    def learn_stop(self, symbol: str, engine_order_id: str, client_id: str) -> None:
        """The stop `client_id` became that engine order."""
        self._names.learn_stop(symbol, engine_order_id, client_id)

    async def _target(self) -> Target:
        """A fresh key each time: the old one may be why the stream ended."""
        key = await self._key.fresh()
        base = self._link.exchange.get_ws_url("linear", "private")
        return Target(f"{base}?listenKey={key}")

    def _on_key_expired(self) -> None:
        self.user_stream.drop("the venue says that the user stream's key has expired")
