"""nautilus_trader: a `Strategy` in a `BacktestEngine` over its own `Bar` objects."""

from __future__ import annotations

import time
from decimal import Decimal
from typing import Any

from bench.peers.exchange import (
    FEE_RATE,
    STOP_FRACTION,
    TARGET_FRACTION,
    Market,
    Row,
    read_job,
    time_runs,
    write_outcome,
)

PRICE_DECIMALS = 9
CASH_QUOTE = 1e6
"""Its balances are checked to 1e-8 in floating point: much more money fails the check."""
VOLUME = 1e6
"""Base a bar. Its fills are limited by a quarter of the bar's volume; nobody else's are here."""
BAR_NS = 60_000_000_000


def main() -> None:
    """Settings under which its rules come nearest to ours:

    - each bar arrives at its close; a market order sent from `on_bar` meets that close;
    - prices with nine decimals, so that stop and target need no rounding to a tick;
    - a netting margin account, fees as the instrument's taker and maker rates.

    """
    job = read_job()
    market = job.market
    started = time.perf_counter()
    import nautilus_trader

    instrument = make_instrument()
    bars = make_bars(market, instrument)
    strategy_class = make_strategy(market)

    def prepare() -> Any:
        engine = make_engine(instrument)
        engine.add_data(bars, validate=False, sort=False)
        strategy = strategy_class(instrument, bars[0].bar_type)
        engine.add_strategy(strategy)
        return engine, strategy

    def run(ready: Any) -> Any:
        engine, strategy = ready
        engine.run()
        rows = strategy.rows
        engine.dispose()
        return rows

    rows, times = time_runs(job, started, prepare, run)
    write_outcome(job, nautilus_trader.__version__, times, rows)


def make_instrument() -> Any:
    """BTCUSDT with the fee of this comparison."""
    from nautilus_trader.model.currencies import BTC, USDT
    from nautilus_trader.model.identifiers import InstrumentId, Symbol
    from nautilus_trader.model.instruments import CryptoPerpetual
    from nautilus_trader.model.objects import Price, Quantity

    tick = Price(10.0**-PRICE_DECIMALS, PRICE_DECIMALS)
    return CryptoPerpetual(
        instrument_id=InstrumentId.from_str("BTCUSDT-PERP.BENCH"),
        raw_symbol=Symbol("BTCUSDT"),
        base_currency=BTC,
        quote_currency=USDT,
        settlement_currency=USDT,
        is_inverse=False,
        price_precision=PRICE_DECIMALS,
        size_precision=3,
        price_increment=tick,
        size_increment=Quantity.from_str("0.001"),
        margin_init=Decimal("0.01"),
        margin_maint=Decimal("0.01"),
        maker_fee=Decimal(str(FEE_RATE)),
        taker_fee=Decimal(str(FEE_RATE)),
        ts_event=0,
        ts_init=0,
    )


def make_bars(market: Market, instrument: Any) -> list[Any]:
    """The bars as nautilus' objects, each at the moment of its close."""
    import pandas as pd
    from nautilus_trader.model.data import BarType
    from nautilus_trader.persistence.wranglers import BarDataWrangler

    bar_type = BarType.from_str(f"{instrument.id}-1-MINUTE-LAST-EXTERNAL")
    frame = pd.DataFrame(
        {name: getattr(market, name) for name in ("open", "high", "low", "close")},
        pd.DatetimeIndex(market.times, tz="UTC"),
    )
    frame["volume"] = VOLUME
    bars: list[Any] = BarDataWrangler(bar_type, instrument).process(frame, ts_init_delta=BAR_NS)
    return bars


def make_engine(instrument: Any) -> Any:
    """A venue with one account, and no logs."""
    from nautilus_trader.backtest.engine import BacktestEngine
    from nautilus_trader.config import (
        BacktestEngineConfig,
        LoggingConfig,
        RiskEngineConfig,
    )
    from nautilus_trader.model.currencies import USDT
    from nautilus_trader.model.enums import AccountType, OmsType
    from nautilus_trader.model.identifiers import Venue
    from nautilus_trader.model.objects import Money

    engine = BacktestEngine(
        BacktestEngineConfig(
            logging=LoggingConfig(bypass_logging=True),
            risk_engine=RiskEngineConfig(bypass=True),
            run_analysis=False,
        )
    )
    engine.add_venue(
        venue=Venue("BENCH"),
        oms_type=OmsType.NETTING,
        account_type=AccountType.MARGIN,
        base_currency=None,
        starting_balances=[Money(CASH_QUOTE, USDT)],
        default_leverage=Decimal(100),
        bar_execution=True,
    )
    engine.add_instrument(instrument)
    return engine


def make_strategy(market: Market) -> Any:
    """The class of the strategy: it is made late, as nautilus is imported late."""
    from nautilus_trader.model.enums import OrderSide
    from nautilus_trader.trading.strategy import Strategy

    entries, exits = market.entries.tolist(), market.exits.tolist()
    first_close = int(market.open_time[0]) * 1_000_000 + BAR_NS

    class Crosses(Strategy):  # type: ignore[misc]
        """Trade the fixed signals; stop and target are sent once the entry has filled."""

        def __init__(self, instrument: Any, bar_type: Any) -> None:
            super().__init__()
            self.instrument = instrument
            self.bar_type = bar_type
            self.bar_number = -1
            self.held = False
            self.entry: tuple[int, float, float] = (0, 0.0, 0.0)
            self.rows: list[Row] = []

        def on_start(self) -> None:
            """Ask for the bars."""
            self.subscribe_bars(self.bar_type)

        def send_market(self, side: Any, *, reduce: bool) -> None:
            """One bitcoin at market."""
            quantity = self.instrument.make_qty(1.0)
            self.submit_order(
                self.order_factory.market(self.instrument.id, side, quantity, reduce_only=reduce)
            )

        def on_bar(self, bar: Any) -> None:  # noqa: ARG002 (its name for the event)
            """At the close of one bar."""
            self.bar_number += 1
            if self.held:
                if exits[self.bar_number]:
                    self.cancel_all_orders(self.instrument.id)
                    self.send_market(OrderSide.SELL, reduce=True)
            elif entries[self.bar_number]:
                self.send_market(OrderSide.BUY, reduce=False)

        def protect(self, price: float) -> None:
            """Stop and target around the entry."""
            factory, instrument = self.order_factory, self.instrument
            quantity = instrument.make_qty(1.0)
            stop = factory.stop_market(
                instrument.id,
                OrderSide.SELL,
                quantity,
                instrument.make_price(price - STOP_FRACTION * price),
                reduce_only=True,
            )
            target = factory.limit(
                instrument.id,
                OrderSide.SELL,
                quantity,
                instrument.make_price(price + TARGET_FRACTION * price),
                reduce_only=True,
            )
            self.submit_order(stop)
            self.submit_order(target)

        def on_order_filled(self, event: Any) -> None:
            """The entry or the exit."""
            price = float(event.last_px)
            paid = event.commission.as_double()
            bar = (event.ts_event - first_close) // BAR_NS
            if event.order_side == OrderSide.BUY:
                self.held = True
                self.entry = (bar, price, paid)
                self.protect(price)
                return
            self.held = False
            entry_bar, entry_price, entry_paid = self.entry
            profit = price - entry_price - entry_paid - paid
            self.rows.append((entry_bar, bar, entry_price, price, profit))
            self.cancel_all_orders(self.instrument.id)

    return Crosses


if __name__ == "__main__":
    main()
