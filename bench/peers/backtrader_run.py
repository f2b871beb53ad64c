"""backtrader: a `Strategy` over a pandas feed; trades and equity are noted as they happen."""

from __future__ import annotations

import time
from typing import Any

from bench.peers.exchange import (
    CASH_QUOTE,
    FEE_RATE,
    STOP_FRACTION,
    TARGET_FRACTION,
    Row,
    read_job,
    time_runs,
    write_outcome,
)


def main() -> None:
    """Settings under which its rules come nearest to ours:

    - cheat-on-close: a market order fills at the close it was asked for at;
    - stop and limit are sent beside the entry, one cancelling the other: as the children of a
      bracket they would be asleep for the first bar of the trade.
    """
    job = read_job()
    market = job.market
    started = time.perf_counter()
    import backtrader as bt
    import pandas as pd

    frame = pd.DataFrame(
        {name: getattr(market, name) for name in ("open", "high", "low", "close", "volume")},
        pd.DatetimeIndex(market.times),
    )
    entries, exits, closes = market.entries, market.exits, market.close

    class Crosses(bt.Strategy):  # type: ignore[misc]
        """Trade the fixed signals; `rows` and `equity` are what is kept."""

        def __init__(self) -> None:
            self.rows: list[Row] = []
            self.equity: list[float] = []
            self.stop_order: Any = None
            self.entry: tuple[int, float, float] = (0, 0.0, 0.0)

        def next(self) -> None:
            """At the close of one bar."""
            i = len(self) - 1
            if self.position.size:
                if exits[i]:
                    self.cancel(self.stop_order)
                    self.close()
            elif entries[i]:
                close = float(closes[i])
                self.buy(size=1.0)
                stop_price = close - STOP_FRACTION * close
                self.stop_order = self.sell(size=1.0, exectype=bt.Order.Stop, price=stop_price)
                target_price = close + TARGET_FRACTION * close
                self.sell(
                    size=1.0, exectype=bt.Order.Limit, price=target_price, oco=self.stop_order
                )
            self.equity.append(self.broker.getvalue())

        def notify_order(self, order: Any) -> None:
            """A fill; market orders are told of one bar after the close they filled at."""
            if order.status != order.Completed:
                return
            done = order.executed
            bar = len(self) - 1 - (order.exectype == bt.Order.Market)
            if order.isbuy():
                self.entry = (bar, done.price, done.comm)
                return
            entry_bar, entry_price, paid = self.entry
            profit = done.price - entry_price - paid - done.comm
            self.rows.append((entry_bar, bar, entry_price, done.price, profit))

    def prepare() -> Any:
        cerebro = bt.Cerebro(stdstats=False)
        cerebro.adddata(bt.feeds.PandasData(dataname=frame))
        cerebro.addstrategy(Crosses)
        cerebro.broker.setcash(CASH_QUOTE)
        cerebro.broker.setcommission(commission=FEE_RATE)
        cerebro.broker.set_coc(True)
        return cerebro

    ran, times = time_runs(job, started, prepare, lambda cerebro: cerebro.run())
    write_outcome(job, bt.__version__, times, ran[0].rows)


if __name__ == "__main__":
    main()
