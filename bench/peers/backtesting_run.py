"""backtesting.py: a `Strategy` whose `next` reads the signals; its trade table and equity curve."""

from __future__ import annotations

import time
import warnings
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

    - `trade_on_close`: an order asked for at a close fills at that close, not at the next open;
    - stop and target travel with the order; a gap fills them at the open; the stop is first in its
      queue.

    """
    job = read_job()
    market = job.market
    started = time.perf_counter()
    import backtesting
    import pandas as pd

    frame = pd.DataFrame(
        {
            name.title(): getattr(market, name)
            for name in ("open", "high", "low", "close", "volume")
        },
        pd.DatetimeIndex(market.times),
    )
    entries, exits, closes = market.entries, market.exits, market.close

    class Crosses(backtesting.Strategy):  # type: ignore[misc]
        """Trade the fixed signals."""

        def init(self) -> None:
            """Nothing: the signals are given."""

        def next(self) -> None:
            """At the close of one bar."""
            i = len(self.data) - 1
            if self.position:
                if exits[i]:
                    self.position.close()
            elif entries[i]:
                close = closes[i]
                self.buy(
                    size=1,
                    sl=close - STOP_FRACTION * close,
                    tp=close + TARGET_FRACTION * close,
                )

    def prepare() -> Any:
        return backtesting.Backtest(
            frame,
            Crosses,
            cash=CASH_QUOTE,
            commission=FEE_RATE,
            trade_on_close=True,
            finalize_trades=True,
        )

    warnings.simplefilter("ignore")
    backtesting.backtesting._tqdm = lambda items, **_: items  # noqa: SLF001 (no progress bar)
    stats, times = time_runs(job, started, prepare, lambda test: test.run())
    table = stats["_trades"]
    columns = ("EntryBar", "ExitBar", "EntryPrice", "ExitPrice", "PnL")
    rows: list[Row] = list(zip(*(table[name].tolist() for name in columns), strict=True))
    write_outcome(job, backtesting.__version__, times, rows)


if __name__ == "__main__":
    main()
