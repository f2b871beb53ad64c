"""Faults that come with time or with the market: outages, changes from outside, odd prices."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import replace
from decimal import Decimal

from tercel.adapters.simulator.binance.listen_keys import ListenKeys
from tercel.adapters.simulator.binance.request_faults import trade_through
from tercel.adapters.simulator.binance.sessions import (
    CLOSE_ABNORMAL,
    CLOSE_POLICY,
    StreamSession,
)
from tercel.adapters.simulator.binance.state import VenueState
from tercel.adapters.simulator.exchange.errors import ExchangeError
from tercel.adapters.simulator.exchange.records import Instrument, SymbolStatus
from tercel.adapters.simulator.faults import Fault, FaultCode, Where
from tercel.adapters.simulator.market.ticks import (
    BarTick,
    BookTick,
    MarketTick,
    MarkTick,
    TradeTick,
)

_SYMBOL_FAULTS = (
    FaultCode.C1, FaultCode.C2, FaultCode.C3, FaultCode.C4, FaultCode.C5, FaultCode.C6,
    FaultCode.U10, FaultCode.M15, FaultCode.R1, FaultCode.R2, FaultCode.O11, FaultCode.A3,
)  # fmt: skip
_VENUE_FAULTS = (
    FaultCode.C7, FaultCode.C8, FaultCode.C9, FaultCode.C12, FaultCode.K1, FaultCode.K2,
    FaultCode.K4, FaultCode.R3, FaultCode.R4,
)  # fmt: skip
_SESSION_FAULTS = (
    FaultCode.T7, FaultCode.T8, FaultCode.T10, FaultCode.T11, FaultCode.T13, FaultCode.L5,
)  # fmt: skip


class TimedFaults:
    """Asked whenever time passes, and for each tick of the market."""

    def __init__(self, venue: VenueState) -> None:
        self._venue = venue
        self._undo: list[tuple[int, Instrument]] = []
        self._held_until_ms: dict[str, int] = {}
        self._frozen_until_ms: dict[str, int] = {}
        self._silent_trades_until_ms: dict[str, int] = {}
        self._mark_off: dict[str, tuple[int, Decimal]] = {}
        self._wicks: dict[str, Decimal] = {}
        self._ids_added: dict[str, int] = {}
        planned = venue.watch.plans
        self._symbol_codes = [code for code in _SYMBOL_FAULTS if planned(code)]
        self._venue_codes = [code for code in _VENUE_FAULTS if planned(code)]
        self._session_codes = [code for code in _SESSION_FAULTS if planned(code)]

    def advance(self, sessions: Iterable[StreamSession]) -> str:
        """Play what is due now; returns a listen key that ended with a word (U5), if one did."""
        venue = self._venue
        self._end_spans()
        for code in self._venue_codes:
            if fault := venue.watch.due(code, Where(), venue.now_ms):
                self._on_venue(fault)
        for symbol in venue.symbols if self._symbol_codes else ():
            for code in self._symbol_codes:
                if not _has_target(venue, code, symbol):
                    continue
                if fault := venue.watch.due(code, Where(symbol=symbol), venue.now_ms):
                    self._on_symbol(fault, symbol)
        for session in list(sessions) if self._session_codes else ():
            self._on_session(session)
        return self._on_keys()

    def on_tick(self, tick: MarketTick) -> list[MarketTick]:
        """The ticks that take the place of `tick`."""
        venue, symbol, now_ms = self._venue, tick.symbol, tick.time_ms
        here = Where(symbol=symbol)
        if isinstance(tick, TradeTick):
            if fault := venue.watch.due(FaultCode.M8, here, now_ms):
                self._frozen_until_ms[symbol] = now_ms + fault.ms("duration_ms")
            if fault := venue.watch.due(FaultCode.M6, here, now_ms):
                self._silent_trades_until_ms[symbol] = now_ms + fault.ms("duration_ms")
            if now_ms < self._silent_trades_until_ms.get(symbol, 0):
                return []
        is_frozen = now_ms < self._frozen_until_ms.get(symbol, 0)
        if is_frozen and isinstance(tick, TradeTick | BookTick | MarkTick):
            return []
        if isinstance(tick, TradeTick):
            return self._with_wick(tick)
        if isinstance(tick, MarkTick):
            return [self._with_mark_off(tick)]
        return [self._bar_of_what_was_shown(tick)] if isinstance(tick, BarTick) else [tick]

    def _with_wick(self, tick: TradeTick) -> list[MarketTick]:
        venue, symbol = self._venue, tick.symbol
        added = self._ids_added.get(symbol, 0)
        shifted = replace(tick, trade_id=tick.trade_id + added) if added else tick
        fault = venue.watch.first_due(
            (FaultCode.M9, FaultCode.A6), Where(symbol=symbol), tick.time_ms
        )
        if fault is None:
            return [shifted]
        if fault.what is FaultCode.A6:
            mark = self._away(symbol, tick.price, fault.figure("fraction"))
            return [MarkTick(tick.time_ms, symbol, mark, mark), shifted]
        price = self._away(symbol, tick.price, fault.figure("fraction"))
        self._wicks[symbol] = price
        self._ids_added[symbol] = added + 1
        wick = replace(shifted, price=price)
        return [wick, replace(shifted, trade_id=shifted.trade_id + 1)]

    def _with_mark_off(self, tick: MarkTick) -> MarkTick:
        venue, symbol = self._venue, tick.symbol
        if fault := venue.watch.due(FaultCode.M13, Where(symbol=symbol), tick.time_ms):
            until_ms = tick.time_ms + fault.ms("duration_ms")
            self._mark_off[symbol] = (until_ms, Decimal(str(fault.figure("fraction"))))
        until_ms, share = self._mark_off.get(symbol, (0, Decimal(0)))
        if tick.time_ms >= until_ms:
            return tick
        return replace(tick, mark_price=self._away(symbol, tick.mark_price, float(share)))

    def _bar_of_what_was_shown(self, tick: BarTick) -> BarTick:
        """The closed bar must agree with the trades that clients saw."""
        symbol = tick.symbol
        if wick := self._wicks.pop(symbol, None):
            tick = replace(tick, high=max(tick.high, wick), low=min(tick.low, wick))
        quiet_until_ms = max(
            self._frozen_until_ms.get(symbol, 0), self._silent_trades_until_ms.get(symbol, 0)
        )
        if tick.open_time_ms < quiet_until_ms:
            tape = self._venue.tape[symbol]
            seen = tape.candles.minute_at(tick.open_time_ms, tape.last_price)
            return replace(
                tick, open=seen.open, high=seen.high, low=seen.low, close=seen.close,
                volume=seen.volume, quote_volume=seen.quote_volume, trade_count=seen.count,
                taker_buy_volume=seen.taker_buy_volume,
                taker_buy_quote_volume=seen.taker_buy_quote_volume,
            )  # fmt: skip
        return tick

    def _away(self, symbol: str, price: Decimal, share: float) -> Decimal:
        """A price that share away, on the grid."""
        tick = self._venue.exchange.instrument(symbol).tick_size
        return price * (1 + Decimal(str(share))) // tick * tick

    def _smallest(self, one: Instrument) -> Decimal:
        """The smallest order that the filters take at the mark price."""
        mark = self._venue.tape[one.symbol].mark_price
        lots = one.notional_min_quote // (mark * one.lot_size) + 1 if mark else Decimal(1)
        return max(lots * one.lot_size, one.quantity_min)

    def _end_spans(self) -> None:
        """Undo what was to last only for a while."""
        venue, now_ms = self._venue, self._venue.now_ms
        for until_ms, instrument in [each for each in self._undo if each[0] <= now_ms]:
            venue.exchange.change_instrument(instrument)
            self._undo.remove((until_ms, instrument))
        for symbol, until_ms in list(self._held_until_ms.items()):
            if until_ms <= now_ms:
                del self._held_until_ms[symbol]
                venue.exchange.hold_triggers(symbol, False, now_ms)
        if venue.overlay.stale_account and now_ms >= venue.overlay.stale_account_until_ms:
            venue.overlay.stale_account.clear()

    def _on_venue(self, fault: Fault) -> None:
        venue, overlay, now_ms = self._venue, self._venue.overlay, self._venue.now_ms
        match fault.what:
            case FaultCode.C7:
                _quietly(venue.exchange.transfer, Decimal(fault.ms("amount_quote")), now_ms)
            case FaultCode.C8:
                rate = Decimal(str(fault.figure("fee_rate")))
                venue.maker_fee_rate = venue.taker_fee_rate = rate
                venue.exchange.change_fees(rate, rate)
            case FaultCode.C9:
                overlay.is_multi_assets = True
            case FaultCode.C12:
                overlay.stale_account_until_ms = now_ms + fault.ms("duration_ms")
            case FaultCode.K1 | FaultCode.K2:
                overlay.clock_skew_ms = fault.ms("skew_ms")
            case FaultCode.K4:
                overlay.clock_skew_ms = fault.ms("skew_ms")
                overlay.clock_skew_until_ms = now_ms + fault.ms("duration_ms")
            case FaultCode.R3:
                overlay.maintenance_until_ms = now_ms + fault.ms("duration_ms")
                overlay.is_cancel_only = bool(fault.figure("cancels"))
            case _:
                has_fills = not venue.dialect.order_reply_has_fills
                venue.dialect = replace(venue.dialect, order_reply_has_fills=has_fills)

    def _on_symbol(self, fault: Fault, symbol: str) -> None:
        venue, now_ms = self._venue, self._venue.now_ms
        exchange, one = venue.exchange, venue.exchange.instrument(symbol)
        match fault.what:
            case FaultCode.C1:
                exchange.liquidate(symbol, now_ms, Decimal(str(fault.figure("fraction"))))
            case FaultCode.C2:
                exchange.adl(symbol, now_ms, Decimal(str(fault.figure("fraction"))))
            case FaultCode.C3:
                exchange.settle_funding(symbol, Decimal(str(fault.figure("rate"))), now_ms)
            case FaultCode.C4:
                venue.overlay.brackets_max[symbol] = fault.ms("leverage")
                _quietly(exchange.set_leverage, symbol, fault.ms("leverage"), now_ms)
            case FaultCode.C5:
                exchange.margin_call(symbol, now_ms)
            case FaultCode.C6:
                _quietly(exchange.set_leverage, symbol, fault.ms("leverage"), now_ms)
            case FaultCode.U10:
                side = 1 if fault.figure("side") > 0 else -1
                _quietly(exchange.outside_fill, symbol, side, self._smallest(one), now_ms)
            case FaultCode.M15:
                self._undo.append((now_ms + fault.ms("duration_ms"), one))
                exchange.change_instrument(replace(one, status=SymbolStatus.CLOSE))
            case FaultCode.R1:
                factor = Decimal(fault.ms("factor"))
                lots = replace(one, lot_size=one.lot_size * factor)
                exchange.change_instrument(
                    replace(lots, quantity_min=max(one.quantity_min, lots.lot_size))
                )
            case FaultCode.R2:
                venue.overlay.hidden_symbols[symbol] = now_ms + fault.ms("duration_ms")
            case FaultCode.O11:
                (row, *_) = exchange.open_orders(symbol)
                trade_through(venue, row, fault.figure("fraction"))
                _quietly(exchange.cancel, symbol, row.order_id, now_ms)
            case _:
                self._held_until_ms[symbol] = now_ms + fault.ms("duration_ms")
                exchange.hold_triggers(symbol, True, now_ms)

    def _on_session(self, session: StreamSession) -> None:
        now_ms = self._venue.now_ms
        name = next(iter(session.streams), "")
        here = Where(stream=f"{session.kind}/{name}")
        fault = self._venue.watch.first_due(self._session_codes, here, now_ms)
        if fault is None:
            return
        match fault.what:
            case FaultCode.T7:
                session.close(fault.ms("close_code"), now_ms)
            case FaultCode.T8:
                session.silent_until_ms = now_ms + fault.ms("duration_ms")
                session.answers_pings = bool(fault.figure("pongs"))
            case FaultCode.T10:
                session.close(CLOSE_ABNORMAL, now_ms)
            case FaultCode.T11:
                session.held_until_ms = now_ms + fault.ms("duration_ms")
            case FaultCode.T13:
                session.hears_pongs = False
            case _:
                session.close(CLOSE_POLICY, now_ms)

    def _on_keys(self) -> str:
        """U5 and U8 end the listen key; U5 says so."""
        venue, keys = self._venue, self._venue.keys
        if not keys.is_alive(venue.now_ms):
            return ""
        codes = (FaultCode.U5, FaultCode.U8)
        fault = venue.watch.first_due(codes, Where(stream="private"), venue.now_ms)
        if fault is None:
            return ""
        return _ended(keys) if fault.what is FaultCode.U5 else _ended(keys)[:0]


def _ended(keys: ListenKeys) -> str:
    key = keys.current
    keys.delete()
    return key


def _has_target(venue: VenueState, code: FaultCode, symbol: str) -> bool:
    """Whether there is something for the fault to strike: a position, an order."""
    if code in (FaultCode.C1, FaultCode.C2, FaultCode.C5):
        return any(row.quantity for row in venue.exchange.positions(symbol))
    if code is FaultCode.O11:
        return bool(venue.exchange.open_orders(symbol))
    if code is FaultCode.A3:
        return bool(venue.exchange.open_conditionals(symbol))
    return True


def _quietly(change: Callable[..., object], *arguments: object) -> None:
    """Change the account from outside; what the exchange refuses does not happen."""
    try:
        change(*arguments)
    except ExchangeError:
        return
