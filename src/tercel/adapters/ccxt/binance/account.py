"""The account as Binance tells it over REST, put together as one VenueSnapshot.

Orders are read first and fills last: a fill that happens in between is then in the fills, and a
position that has no stop in the picture got its stop after it or never. Four calls while nothing is
open: entry prices and liquidation prices are asked for only where the account holds something, and
fills only where there may be any (`activity`). Where nothing but doubt speaks for many symbols, as
at the start, the account's income says first in which of them anybody traded.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence

import structlog

from tercel.adapters.ccxt.activity import Activity
from tercel.adapters.ccxt.binance import orders
from tercel.adapters.ccxt.binance.names import OrderNames
from tercel.adapters.ccxt.binance.orders import number
from tercel.adapters.ccxt.calls import Call, CallFailedError, Json
from tercel.adapters.ccxt.fees import FeePrices
from tercel.adapters.ccxt.link import Link
from tercel.app.live.governor import Priority
from tercel.domain.errors import VenueError
from tercel.domain.orders import (
    OrderSnapshot,
    PositionSnapshot,
    VenueFill,
    VenueSnapshot,
)
from tercel.domain.times import DAY_MS, HOUR_MS

log = structlog.get_logger(__name__)

TRADES_PAGE = INCOME_PAGE = 1000
TRADES_SPAN_MS = 7 * DAY_MS - 1
"""Longest window that userTrades takes."""
TRADES_DAYS_MAX = 180
"""How far back the venue knows trades."""
INCOME_DAYS_MAX = 80
"""How far back the venue is asked for income; it knows three months."""
INCOME_FROM = 3
"""Symbols for which it is cheaper to ask for the income of all: it is one call, of weight 30."""
NAMES_ASKED_MAX = 50
"""Orders that are asked for by number in one read, to learn whose fills theirs are. Where there are
more, that read fails, and the next one goes on behind them.
"""
NO_SUCH_ORDER = -2013
UNKNOWN_MS_MAX = HOUR_MS
"""Longest time after a trade in which the venue may not know its order yet. Its servers lag by
seconds; what is unknown for longer was forgotten, and stays without a name.
"""


class AccountReader:
    """Reads what the venue knows of us."""

    def __init__(self, link: Link, prices: FeePrices, names: OrderNames) -> None:
        self._link = link
        self._prices = prices
        self._names = names
        self.activity = Activity()
        self._priority = Priority.ORDER
        """Of the calls of a reading. Until the first one nothing is decided, and no order waits
        behind it: it takes the tokens that reads leave to orders later on."""

    async def read(self, symbols: Sequence[str], since_ms: int, now_ms: int) -> VenueSnapshot:
        """The picture at `now_ms`, with the fills of `[since_ms, now]`. Raises VenueError."""
        try:
            resting = await self._orders(symbols)
            account = await self._link.ask(self._call("fapiPrivateV3GetAccount", weight=5))
            positions = await self._positions(symbols) if _holds_any(account) else ()
            wallet, available = self._balance(account)
            busy = {each.symbol for each in resting} | {each.symbol for each in positions}
            asked = self.activity.to_ask(symbols, busy, now_ms)
            quiet = await self._quiet(asked.doubtful, since_ms, now_ms)
            asked = asked.without(quiet)
            trades: list[Json] = []
            for symbol in asked.symbols:
                trades += await self._trades_since(symbol, since_ms, now_ms)
            await self._learn_names(trades, now_ms)
            fills = [self._fill(row) for row in trades]
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            raise VenueError(f"the account cannot be read: {error!r}") from None
        self.activity.were_read(asked)
        self.activity.clear(asked, quiet)
        self._priority = Priority.READ
        fills.sort(key=lambda fill: (fill.time_ms, int(fill.trade_id)))
        return VenueSnapshot(
            time_ms=now_ms,
            wallet_quote=wallet,
            available_quote=available,
            positions=positions,
            orders=resting,
            fills=tuple(fills),
        )

    async def _orders(self, symbols: Sequence[str]) -> tuple[OrderSnapshot, ...]:
        one = {"symbol": symbols[0]} if len(symbols) == 1 else {}
        weight = 1 if one else 40
        plain = await self._rows(self._call("fapiPrivateGetOpenOrders", one, weight))
        algos = await self._rows(self._call("fapiPrivateGetOpenAlgoOrders", one, weight))
        found = [orders.snapshot(row) for row in plain]
        found += [orders.algo_snapshot(row) for row in algos]
        for each in found:
            if not each.is_conditional:
                self._names.learn(each.symbol, each.venue_id, each.client_id)
        return tuple(each for each in found if each.symbol in symbols)

    async def _positions(self, symbols: Sequence[str]) -> tuple[PositionSnapshot, ...]:
        one = {"symbol": symbols[0]} if len(symbols) == 1 else {}
        rows = await self._rows(self._call("fapiPrivateV3GetPositionRisk", one, weight=5))
        held = []
        for row in rows:
            quantity = number(row["positionAmt"])
            if row["symbol"] not in symbols or quantity == 0:
                continue
            if row.get("positionSide", "BOTH") != "BOTH":
                raise VenueError(
                    f"{row['symbol']} is held in hedge mode; close it and switch to one-way mode"
                )
            held.append(
                PositionSnapshot(
                    symbol=str(row["symbol"]),
                    quantity=quantity,
                    entry_price=number(row["entryPrice"]),
                    mark_price=number(row["markPrice"]),
                    liquidation_price=number(row["liquidationPrice"]),
                    unrealised_quote=number(row["unRealizedProfit"]),
                )
            )
        return tuple(held)

    def _balance(self, account: Json) -> tuple[float, float]:
        """(wallet, available) of the quote coin."""
        for row in account["assets"]:
            if row["asset"] == self._prices.quote:
                return number(row["walletBalance"]), number(row["availableBalance"])
        return 0.0, 0.0

    async def _quiet(self, symbols: Collection[str], since_ms: int, now_ms: int) -> frozenset[str]:
        """Those of `symbols` in which the account has neither gained nor paid anything since: no
        trade was made there, whose fee or profit would be listed. None where that is not certain.

        `{"symbol": "BTCUSDT", "incomeType": "COMMISSION", "income": "-0.01", "asset": "USDT",
        "time": 1570636800000, "tranId": 9689322392, "tradeId": "2059192", ...}`
        """
        if len(symbols) < INCOME_FROM or since_ms < now_ms - INCOME_DAYS_MAX * DAY_MS:
            return frozenset()
        params: dict[str, str | int] = {
            "startTime": since_ms, "endTime": now_ms, "limit": INCOME_PAGE,
        }  # fmt: skip
        try:
            rows = await self._link.call(self._call("fapiPrivateGetIncome", params, weight=30))
        except CallFailedError as error:
            log.info("income_not_read", reason=error.text)
            return frozenset()
        if len(rows) >= INCOME_PAGE:
            return frozenset()  # more than one page: each symbol is asked
        return frozenset(symbols).difference(str(row["symbol"]) for row in rows)

    async def _trades_since(self, symbol: str, since_ms: int, now_ms: int) -> list[Json]:
        """Every trade of ours since, oldest first: by windows of time until a page is full, from
        there by trade id, which cannot skip trades of one millisecond.
        """
        rows: list[Json] = []
        start_ms = max(since_ms, now_ms - TRADES_DAYS_MAX * DAY_MS)
        while start_ms <= now_ms:
            window = {"startTime": start_ms, "endTime": start_ms + TRADES_SPAN_MS}
            page = await self._trades(symbol, window)
            rows += page
            while len(page) == TRADES_PAGE:
                page = await self._trades(symbol, {"fromId": int(page[-1]["id"]) + 1})
                rows += page
                start_ms = now_ms  # by id there are no windows: everything up to now was read
            start_ms += TRADES_SPAN_MS + 1
        unique = {int(row["id"]): row for row in rows if int(row["time"]) >= since_ms}
        return [unique[each] for each in sorted(unique)]

    async def _trades(self, symbol: str, where: dict[str, int]) -> list[Json]:
        params: dict[str, str | int] = {"symbol": symbol, "limit": TRADES_PAGE, **where}
        return await self._rows(self._call("fapiPrivateGetUserTrades", params, weight=5))

    async def _learn_names(self, trades: Sequence[Json], now_ms: int) -> None:
        """Ask for the orders whose client id is not known: those of before a restart, and those
        whose answer was lost.

        Raises VenueError while one may still be learnt: a fill without a name is somebody else's
        for good, and a position of ours would stay without its stop. What was learnt is kept, so
        that the next reading asks for the others.
        """
        traded_ms: dict[tuple[str, str], int] = {}
        for row in trades:
            number = str(row["symbol"]), str(row["orderId"])
            traded_ms[number] = max(int(row["time"]), traded_ms.get(number, 0))
        unknown = [each for each in traded_ms if not self._names.is_settled(*each)]
        left = len(unknown) - NAMES_ASKED_MAX
        late = f"whose {left} more orders are was not asked yet" if left > 0 else ""
        for symbol, order_id in unknown[:NAMES_ASKED_MAX]:
            client_id = ""
            try:
                row = await self._link.call(orders.query_by_number(order_id, symbol))
                client_id = str(row["clientOrderId"])
            except CallFailedError as error:
                trouble = f"whose order {order_id} in {symbol} is: {error.text}"
                if error.code != NO_SUCH_ORDER:
                    raise VenueError(trouble) from None
                if now_ms - traded_ms[symbol, order_id] <= UNKNOWN_MS_MAX:
                    late = trouble
                    continue
            if client_id:
                self._names.learn(symbol, order_id, client_id)
            else:
                self._names.give_up(symbol, order_id)
        if late:
            raise VenueError(late)

    def _fill(self, row: Json) -> VenueFill:
        """`{"id": 698759, "orderId": 25851813, "symbol": "BTCUSDT", "side": "SELL", "price":
        "7819.01", "qty": "0.002", "commission": "0.078", "commissionAsset": "USDT", "maker":
        false, "time": 1569514978020, ...}`: paid commissions are positive, as in the stream.
        """
        symbol, order_id = str(row["symbol"]), str(row["orderId"])
        client_id = self._names.of(symbol, order_id)
        return VenueFill(
            trade_id=str(int(row["id"])),
            client_id=client_id,
            venue_order_id=order_id,
            symbol=symbol,
            side=1 if row["side"] == "BUY" else -1,
            price=number(row["price"]),
            quantity=number(row["qty"]),
            fee_quote=self._prices.in_quote(
                number(row.get("commission")), str(row.get("commissionAsset") or "")
            ),
            is_maker=bool(row["maker"]),
            time_ms=int(row["time"]),
            kind=orders.forced_kind(client_id),
        )

    def _call(
        self, method: str, params: Mapping[str, str | int] | None = None, weight: int = 1
    ) -> Call:
        return Call("read", method, params or {}, weight, self._priority)

    async def _rows(self, call: Call) -> list[Json]:
        answer = await self._link.ask(call)
        if not isinstance(answer, list):
            raise VenueError(f"{call.method}: no list of rows in the answer")
        return answer


def _holds_any(account: Json) -> bool:
    """Whether an answer of /account holds a position, or does not say."""
    rows = account.get("positions")
    return rows is None or any(number(row["positionAmt"]) != 0.0 for row in rows)


async def funding_since(link: Link, since_ms: int) -> list[tuple[str, str, float]]:
    """(transaction id, symbol, amount) of funding since, oldest first. Raises VenueError.

    For a payment that the stream told without its symbol, as it does for cross margin.
    """
    call = Call(
        "funding",
        "fapiPrivateGetIncome",
        {"incomeType": "FUNDING_FEE", "startTime": since_ms, "limit": TRADES_PAGE},
        weight=30,
        priority=Priority.READ,
    )
    answer = await link.ask(call)
    try:
        return [
            (str(row["tranId"]), str(row["symbol"]), number(row["income"]))
            for row in sorted(answer, key=lambda row: int(row["time"]))
        ]
    except (KeyError, TypeError, ValueError):
        raise VenueError("funding payments cannot be read") from None
