"""vectorbt: `Portfolio.from_signals`, then its trade records and the value of every bar."""

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
    """Settings under which its rules are ours:

    - orders at the close (`price=close`), stops from the next bar on, measured from the entry;
    - `upon_opposite_entry` and `accumulate` never matter: entries come only while flat;
    - a stop or target that the bar opens beyond fills at the open, else at its own price
      (`stop_exit_price="stoplimit"`), the stop is looked at before the target, both before signals.
    """
    job = read_job()
    market = job.market
    started = time.perf_counter()
    import pandas as pd
    import vectorbt as vbt

    index = pd.DatetimeIndex(market.times)
    frame = {
        name: pd.Series(getattr(market, name), index)
        for name in ("open", "high", "low", "close", "entries", "exits")
    }

    def run(_: None) -> Any:
        portfolio = vbt.Portfolio.from_signals(
            frame["close"],
            entries=frame["entries"],
            exits=frame["exits"],
            open=frame["open"],
            high=frame["high"],
            low=frame["low"],
            price=frame["close"],
            size=1.0,
            size_type="amount",
            direction="longonly",
            fees=FEE_RATE,
            sl_stop=STOP_FRACTION,
            tp_stop=TARGET_FRACTION,
            stop_entry_price="price",
            stop_exit_price="stoplimit",
            accumulate=False,
            init_cash=CASH_QUOTE,
            freq="1min",
        )
        value = portfolio.value()
        return portfolio.trades.records, value

    (records, _), times = time_runs(job, started, lambda: None, run)
    columns = ("entry_idx", "exit_idx", "entry_price", "exit_price", "pnl")
    rows: list[Row] = list(zip(*(records[name].tolist() for name in columns), strict=True))
    write_outcome(job, vbt.__version__, times, rows)


if __name__ == "__main__":
    main()
