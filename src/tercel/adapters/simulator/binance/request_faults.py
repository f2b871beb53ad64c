"""Faults of single requests: what is done instead of, before and after answering."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from decimal import Decimal

from tercel.adapters.simulator.binance.limits import too_many_orders, too_many_requests
from tercel.adapters.simulator.binance.parameters import Given
from tercel.adapters.simulator.binance.signing import bad_key
from tercel.adapters.simulator.binance.state import VenueState
from tercel.adapters.simulator.binance.wire import (
    HTTP_TIMEOUT,
    HTTP_UNAVAILABLE,
    Breakage,
    Json,
    RefusalError,
    Reply,
    encode,
)
from tercel.adapters.simulator.exchange.errors import MESSAGES, ExchangeError, refusal
from tercel.adapters.simulator.exchange.records import BUY, ZERO, Instrument, OrderRow, OrderType
from tercel.adapters.simulator.faults import Fault, FaultCode, Where

ORDER_PATHS = ("/fapi/v1/order", "/fapi/v1/algoOrder", "/fapi/v1/batchOrders")
UNKNOWN_OUTCOME = "Unknown error, please check your request or try again later."
HTML = b"<html><head><title>502 Bad Gateway</title></head><body>Bad Gateway</body></html>"
_ANY = (
    FaultCode.L1, FaultCode.T2, FaultCode.T3, FaultCode.T4, FaultCode.T5, FaultCode.T6,
)  # fmt: skip
_WRITES = (FaultCode.O1, FaultCode.O2, FaultCode.O3, FaultCode.O4, FaultCode.O5)
_REFUSALS: dict[FaultCode, tuple[str, int]] = {
    FaultCode.O15: ("POST /fapi/v1/order", -5022),
    FaultCode.O16: ("POST /fapi/v1/order", -2022),
    FaultCode.O18: ("POST /fapi/v1/order", -4131),
    FaultCode.A1: ("POST /fapi/v1/algoOrder", -2021),
    FaultCode.A2: ("POST /fapi/v1/order", -4120),
    FaultCode.A8: ("DELETE /fapi/v1/algoOrder", -4117),
    FaultCode.A11: ("POST /fapi/v1/algoOrder", -4045),
    FaultCode.C11: ("POST /fapi/v1/order", -2019),
}
"""Faults that refuse a kind of request, and with which number where the plan says none."""


@dataclass(frozen=True, slots=True)
class Effect:
    """What a fault does to one request and its answer."""

    is_processed: bool = True
    answer: Reply | None = None
    """Sent instead of the true answer."""
    delay_ms: int = 0
    breakage: Breakage = Breakage.NONE
    body_bytes_sent: int = 0

    def on(self, reply: Reply) -> Reply:
        """The reply that leaves the venue."""
        if self.answer is not None:
            reply = replace(self.answer, headers=(*reply.headers, *self.answer.headers))
        return replace(
            reply,
            delay_ms=self.delay_ms,
            breakage=self.breakage,
            body_bytes_sent=min(self.body_bytes_sent, len(reply.body)),
        )


NO_EFFECT = Effect()


def is_write(here: Where) -> bool:
    """Whether a request places, changes or cancels an order."""
    method, _, path = here.endpoint.partition(" ")
    return method != "GET" and path in ORDER_PATHS


def strike(venue: VenueState, here: Where, values: Mapping[str, str]) -> Effect:
    """The fault of transport, limits or outcome that strikes this request, if any.

    Raises RefusalError where the venue refuses before it looks at the request.
    """
    watch, now_ms = venue.watch, venue.now_ms
    _refuse_in_maintenance(venue, here)
    if fault := watch.due(FaultCode.L2, here, now_ms):
        venue.ledger.ban(now_ms, fault.ms("retry_after_seconds") * 1_000)
    if fault := watch.due(FaultCode.L3, here, now_ms):
        venue.overlay.used_weight_told = fault.ms("weight")
    is_time = here.endpoint == "GET /fapi/v1/time"
    if is_time and (fault := watch.due(FaultCode.K3, here, now_ms)):
        return Effect(delay_ms=fault.ms("delay_ms"))
    outcomes: tuple[FaultCode, ...] = _WRITES if is_write(here) else ()
    if is_exempt(here, values):
        outcomes = tuple(code for code in outcomes if code is not FaultCode.O5)
    found = watch.first_due((*_ANY, *outcomes), here, now_ms)
    return NO_EFFECT if found is None else _effect(found)


def _effect(fault: Fault) -> Effect:
    match fault.what:
        case FaultCode.L1:
            raise too_many_requests(2_400, fault.ms("retry_after_seconds"))
        case FaultCode.T2:
            return Effect(bool(fault.figure("processed")), breakage=Breakage.RESET)
        case FaultCode.T3:
            return Effect(delay_ms=fault.ms("delay_ms"))
        case FaultCode.T4:
            page = Reply(fault.ms("status"), (("Content-Type", "text/html"),), HTML)
            return Effect(bool(fault.figure("processed")), page)
        case FaultCode.T5:
            cut = fault.ms("bytes")
            return Effect(breakage=Breakage.TRUNCATED, body_bytes_sent=cut)
        case FaultCode.T6:
            return Effect(breakage=Breakage.SLOW, delay_ms=fault.ms("delay_ms"))
        case FaultCode.O1:
            return Effect(delay_ms=fault.ms("delay_ms"), breakage=Breakage.RESET)
        case FaultCode.O2:
            return Effect(False, delay_ms=fault.ms("delay_ms"), breakage=Breakage.RESET)
        case FaultCode.O3:
            told = RefusalError(-1000, UNKNOWN_OUTCOME, HTTP_UNAVAILABLE)
        case FaultCode.O4:
            told = RefusalError(
                -1007,
                "Timeout waiting for response from backend server. Send status unknown; execution "
                "status unknown.",
                HTTP_TIMEOUT,
            )
        case _:
            return Effect(False, _reply(throttled()))
    return Effect(bool(fault.figure("processed")), _reply(told))


def throttled() -> RefusalError:
    """-1008: the venue protects itself."""
    return RefusalError(-1008, "Request throttled by system-level protection.", HTTP_UNAVAILABLE)


def _reply(error: RefusalError) -> Reply:
    headers = (("Content-Type", "application/json"), *error.headers)
    return Reply(error.status, headers, encode(error.body()))


def _refuse_in_maintenance(venue: VenueState, here: Where) -> None:
    overlay = venue.overlay
    if venue.now_ms >= overlay.maintenance_until_ms:
        return
    if overlay.is_cancel_only and (not is_write(here) or here.endpoint.startswith("DELETE")):
        return
    raise RefusalError(-1016, "This service is no longer available.", HTTP_UNAVAILABLE)


def is_exempt(here: Where, values: Mapping[str, str]) -> bool:
    """Whether the venue lets a request through while it throttles: it makes positions smaller."""
    flags = (values.get("reduceOnly", ""), values.get("closePosition", ""))
    closing = any(flag.lower() == "true" for flag in flags)
    return here.endpoint.startswith("DELETE") or closing


def refuse(venue: VenueState, here: Where, given: Given, *, is_signed: bool) -> None:
    """Raise what a fault refuses this request with, once it is known to be well-formed."""
    watch, now_ms = venue.watch, venue.now_ms
    if is_signed and watch.due(FaultCode.C10, here, now_ms):
        raise bad_key()
    is_new = here.endpoint.startswith("POST") and is_write(here)
    if is_new and watch.due(FaultCode.L4, here, now_ms):
        raise too_many_orders(300, "10 SECOND")
    for code, (endpoint, number) in _REFUSALS.items():
        if here.endpoint != endpoint or not watch.plans(code) or not _fits(code, given):
            continue
        if fault := watch.due(code, here, now_ms):
            number = fault.ms("code") if "code" in fault.figures else number
            raise ExchangeError(number, MESSAGES.get(number, "Filter failure.").format(""))


def _fits(code: FaultCode, given: Given) -> bool:
    """Whether the request is of the kind that the refusal belongs to."""
    if code is FaultCode.O15:
        return given.text("timeInForce") == "GTX"
    if code is FaultCode.O16:
        return given.flag("reduceOnly")
    if code is FaultCode.C11:
        return not given.flag("reduceOnly")
    return True


# --- what happens to the order itself ---


def prepare(venue: VenueState, here: Where, given: Given) -> bool:
    """Move the market so that the request meets what a fault wants. True: put the book back."""
    watch, now_ms = venue.watch, venue.now_ms
    if here.endpoint == "POST /fapi/v1/order" and given.text("type") == OrderType.MARKET:
        quantity = given.decimal("quantity")
        one = venue.exchange.instrument(given.symbol)
        if fault := watch.due(FaultCode.O12, here, now_ms):
            part = _lots(one, quantity * Decimal(str(fault.figure("fraction"))))
            _show_book(venue, one, given.text("side"), [part])
            return True
        if fault := watch.due(FaultCode.O13, here, now_ms):
            pieces = fault.ms("pieces")
            each = max(_lots(one, quantity / pieces), one.lot_size)
            _show_book(venue, one, given.text("side"), [each] * pieces + [quantity])
            return True
    if here.endpoint == "DELETE /fapi/v1/order":
        fault = watch.first_due((FaultCode.O9, FaultCode.O10), here, now_ms)
        if fault is not None:
            share = 1.0 if fault.what is FaultCode.O9 else fault.figure("fraction")
            fill_resting(venue, given, share)
    return False


def restore_book(venue: VenueState, symbol: str) -> None:
    """The book as the market has it."""
    bids, asks = venue.tape.levels(symbol)
    venue.exchange.on_book(symbol, bids, asks, venue.now_ms)


def after_order(venue: VenueState, here: Where, made: Json) -> int:
    """Faults of an order that was just placed; returns how much later its answer is to come."""
    watch, now_ms, overlay = venue.watch, venue.now_ms, venue.overlay
    if here.endpoint != "POST /fapi/v1/order":
        return 0
    number = int(made["orderId"])
    if fault := watch.due(FaultCode.O7, here, now_ms):
        overlay.late_orders[here.symbol, number] = fault.ms("delay_ms")
    if fault := watch.due(FaultCode.O8, here, now_ms):
        overlay.hidden_orders[here.symbol, number] = now_ms + fault.ms("duration_ms")
    row = venue.exchange.order(here.symbol, number)
    if row.is_open and watch.due(FaultCode.O17, here, now_ms):
        overlay.expired_in_match.add((here.symbol, number))
        venue.exchange.cancel(here.symbol, number, now_ms)
    elif row.is_open and (fault := watch.due(FaultCode.O19, here, now_ms)):
        away = venue.exchange.instrument(here.symbol).tick_size * fault.ms("ticks") * row.side
        venue.exchange.amend(here.symbol, number, row.quantity, row.price - away, now_ms)
    if watch.due(FaultCode.O14, here, now_ms):
        raise refusal(-4116)
    fault = watch.due(FaultCode.O6, here, now_ms)
    return fault.ms("delay_ms") if fault else 0


def fill_resting(venue: VenueState, given: Given, share: float) -> None:
    """Let the market trade through a resting order, for a share of what is left of it."""
    try:
        ref = given.whole("orderId") if given.has("orderId") else given.text("origClientOrderId")
        row = venue.exchange.order(given.symbol, ref)
    except ExchangeError:
        return
    if row.is_open:
        trade_through(venue, row, share)


def trade_through(venue: VenueState, row: OrderRow, share: float) -> None:
    """Somebody takes what rests at the order's price: that share of it, and what is before it."""
    one = venue.exchange.instrument(row.symbol)
    left = row.quantity - row.filled_quantity
    quantity = max(_lots(one, left * Decimal(str(share))), one.lot_size)
    for other in venue.exchange.open_orders(row.symbol):
        if other.side == row.side and (row.price - other.price) * row.side < ZERO:
            quantity += other.quantity - other.filled_quantity
    bids, asks = venue.tape.levels(row.symbol)
    taker = ((row.price, quantity),)
    if row.side == BUY:
        bids, asks = tuple(level for level in bids if level[0] < row.price), taker
    else:
        bids, asks = taker, tuple(level for level in asks if level[0] > row.price)
    venue.exchange.on_book(row.symbol, bids, asks, venue.now_ms)
    restore_book(venue, row.symbol)


def _show_book(
    venue: VenueState, one: Instrument, side: str, quantities: Sequence[Decimal]
) -> None:
    """A book whose other side has these quantities, a tick apart, and nothing behind them."""
    bids, asks = venue.tape.levels(one.symbol)
    buys = side == "BUY"
    levels = asks if buys else bids
    if not levels:
        return
    step = one.tick_size if buys else -one.tick_size
    made = [
        (levels[0][0] + step * at, quantity)
        for at, quantity in enumerate(quantities)
        if quantity > ZERO
    ]
    bids, asks = (bids, tuple(made)) if buys else (tuple(made), asks)
    venue.exchange.on_book(one.symbol, bids, asks, venue.now_ms)


def _lots(one: Instrument, quantity: Decimal) -> Decimal:
    """A quantity cut to whole lots."""
    return quantity // one.lot_size * one.lot_size
