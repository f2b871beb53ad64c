"""Frames of the user stream as events of ours. `time_ms` of every event is 0: whoever takes it up
sets it.

Fills come from ORDER_TRADE_UPDATE with an execution of TRADE or CALCULATED alone, never from orders
or algo rows. A frame that ought to tell of money and cannot be read makes the account doubtful: it
is told as an interruption of the stream, so that the session reads the venue over REST.
"""

from __future__ import annotations

from collections.abc import Callable

import structlog

from tercel.adapters.ccxt.binance.names import OrderNames
from tercel.adapters.ccxt.binance.orders import FIRED, PHASES, algo_phase, forced_kind, number
from tercel.adapters.ccxt.calls import Json
from tercel.adapters.ccxt.fees import FeePrices
from tercel.domain.events import Event, FeedNews, Filled, FundingPaid, OrderUpdate
from tercel.domain.orders import OrderPhase, VenueFill

log = structlog.get_logger(__name__)

USER = "user"
FILL_EXECUTIONS = frozenset({"TRADE", "CALCULATED"})
SILENT_EVENTS = frozenset({"TRADE_LITE", "STRATEGY_UPDATE", "GRID_UPDATE"})
"""What they tell is told by other events as well."""
LOUD_EVENTS = frozenset({"MARGIN_CALL", "ACCOUNT_CONFIG_UPDATE"})
"""What only a person can act on."""


class UserFrames:
    """Reads frames; remembers which client id an engine order belongs to."""

    def __init__(self, prices: FeePrices, names: OrderNames) -> None:
        self._prices = prices
        self._names = names
        self.on_key_expired: Callable[[], None] = _ignore
        """Told when the venue says that the stream's key has died."""

    def parse(self, frame: Json) -> list[Event]:
        """Events of one frame, in order; none for what does not concern orders or money."""
        if isinstance(frame, dict) and isinstance(frame.get("data"), dict) and "e" not in frame:
            frame = frame["data"]  # a combined stream wraps: {"stream": ..., "data": {...}}
        kind = frame.get("e") if isinstance(frame, dict) else None
        readers: dict[object, Callable[[Json], list[Event]]] = {
            "ORDER_TRADE_UPDATE": self._order,
            "ALGO_UPDATE": self._algo,
            "ACCOUNT_UPDATE": self._account,
            "listenKeyExpired": self._key_expired,
        }
        reader = readers.get(kind)
        if reader is None:
            if kind in LOUD_EVENTS:
                log.warning("venue_account_event", kind=kind, frame=str(frame)[:300])
            elif kind not in SILENT_EVENTS:
                log.info("unknown_user_event", kind=str(kind)[:40])
            return []
        try:
            return reader(frame)
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            log.warning("unreadable_user_event", kind=kind, reason=repr(error))
            return interruption(f"a {kind} event could not be read")

    def _order(self, frame: Json) -> list[Event]:
        """`{"e": "ORDER_TRADE_UPDATE", "T": transaction time, "o": {"s": symbol, "c": client id,
        "S": side, "x": execution, "X": status, "i": order id, "l": last quantity, "z": filled,
        "L": last price, "N": fee coin, "n": fee, "t": trade id, "T": trade time, "m": maker, ...}}`
        """
        row = frame["o"]
        symbol, order_id = str(row["s"]), str(row["i"])
        client_id = self._names.of(symbol, order_id, str(row["c"]))
        self._names.learn(symbol, order_id, client_id)
        events: list[Event] = []
        if row["x"] in FILL_EXECUTIONS and number(row.get("l")) > 0:
            events += self._fill(row, order_id, client_id)
        phase = PHASES.get(str(row["X"]))
        if phase is None:
            log.warning("unknown_order_status", status=str(row["X"])[:40])
        elif phase is OrderPhase.ACKED and number(row["z"]) > 0:
            phase = OrderPhase.PARTLY_FILLED
        if phase is not None:
            events.append(
                OrderUpdate(
                    time_ms=0,
                    client_id=client_id,
                    venue_id=order_id,
                    phase=phase,
                    filled_quantity=number(row["z"]),
                    venue_time_ms=int(row["T"]),
                )
            )
        return events

    def _fill(self, row: Json, order_id: str, client_id: str) -> list[Event]:
        trade_id = int(row.get("t") or 0)
        if trade_id <= 0:
            # Without its id the trade would be booked again when it is read over REST.
            return interruption(f"a {row['x']} of {row['s']} came without a trade id")
        kind = forced_kind(str(row["c"]))
        if kind == "trade" and row["x"] == "CALCULATED":
            kind = "liquidation"
        fill = VenueFill(
            trade_id=str(trade_id),
            client_id=client_id,
            venue_order_id=order_id,
            symbol=str(row["s"]),
            side=1 if row["S"] == "BUY" else -1,
            price=number(row["L"]) or number(row.get("ap")),
            quantity=number(row["l"]),
            fee_quote=self._prices.in_quote(number(row.get("n")), str(row.get("N") or "")),
            is_maker=bool(row["m"]),
            time_ms=int(row["T"]),
            kind=kind,
        )
        return [Filled(0, fill)]

    def _algo(self, frame: Json) -> list[Event]:
        """`{"e": "ALGO_UPDATE", "T": time, "o": {"s": symbol, "caid": client id, "aid": algo id,
        "X": status, "ai": engine order id, "aq": its filled quantity, "q": quantity, ...}}`
        """
        row = frame["o"]
        client_id, status = str(row["caid"]), str(row["X"])
        engine_id = str(row.get("ai") or "")
        if engine_id not in ("", "0"):
            self._names.learn_stop(str(row["s"]), engine_id, client_id)
        filled = number(row.get("aq"))
        phase = algo_phase(status, filled, number(row.get("q")))
        if phase is None:
            log.warning("unknown_algo_status", status=status[:40])
            return []
        return [
            OrderUpdate(
                time_ms=0,
                client_id=client_id,
                venue_id=str(row["aid"]),
                phase=phase,
                filled_quantity=filled,
                is_triggered=status in FIRED,
                venue_time_ms=int(frame["T"]),
            )
        ]

    def _account(self, frame: Json) -> list[Event]:
        """`{"e": "ACCOUNT_UPDATE", "a": {"m": reason, "B": [{"a": coin, "bc": change}], "P": [{"s":
        symbol}], "S": symbol}}`: only funding is news here, positions follow from fills.
        """
        row = frame["a"]
        if row["m"] != "FUNDING_FEE":
            return []
        symbol = str(row.get("S") or next((each["s"] for each in row.get("P") or ()), ""))
        changes = [each for each in row["B"] if number(each.get("bc")) != 0]
        return [
            FundingPaid(0, symbol, self._prices.in_quote(number(each["bc"]), str(each["a"])))
            for each in changes
        ]

    def _key_expired(self, _frame: Json) -> list[Event]:
        self.on_key_expired()
        return []


def symbols_of(frame: Json) -> tuple[str, ...]:
    """Symbols in which a frame says that something happened; none where it cannot be read."""
    row = frame.get("data", frame) if isinstance(frame, dict) else {}
    if not isinstance(row, dict):
        return ()
    order, account = row.get("o"), row.get("a")
    rows = [order] if isinstance(order, dict) else []
    if isinstance(account, dict) and isinstance(account.get("P"), list):
        rows += [each for each in account["P"] if isinstance(each, dict)]
    return tuple(str(each["s"]) for each in rows if "s" in each)


def interruption(why: str) -> list[Event]:
    """The stream lost something: down and up again, so that the venue is read."""
    return [FeedNews(0, USER, False, why), FeedNews(0, USER, True, f"read again: {why}")]


def _ignore() -> None:
    """Nobody listens yet."""
