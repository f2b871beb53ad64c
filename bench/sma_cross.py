"""Tercel's side of the comparison: crosses into signals, signals into trades and equity.

Two ways are timed. `GivenCrosses` is what the peers are asked for: fixed crosses in, a compiled
`signals` loop and `kernel.run` chunk by chunk, trades and equity out. `own_averages` is the same
idea as a user would run it: a strategy file that computes its averages, through
`app.backtest.simulate`.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from bench.market import Crosses
from bench.trades import FEE_RATE, STOP_FRACTION, TRADE_ROW, Trades
from tercel.app.backtest import (
    CHUNK_BARS,
    AccountSpec,
    StreamSpec,
    open_account,
    open_markets,
    open_streams,
    simulate,
)
from tercel.app.signals import unknown_context
from tercel.app.strategies import Strategy, load_strategy
from tercel.app.tape import RunTape
from tercel.core import kernel
from tercel.core.codes import SizeMode
from tercel.core.jit import new
from tercel.core.records import LIMITS, SIGNAL, STREAM, Feed, Records
from tercel.domain.bars import BarSeries, SeriesKey
from tercel.domain.results import BacktestResult, StreamLabel

START_QUOTE = 1e9
KEY = SeriesKey("binance-spot", "BTCUSDT", "1m")
STRATEGIES = Path(__file__).resolve().parent / "strategies"
FILLS_PER_CHUNK = 2 * CHUNK_BARS
"""This strategy enters and leaves at most once a bar."""


def comparison_settings(strategy: Strategy) -> Any:
    """The STREAM settings of the comparison: one bitcoin, 0.05 % a side, no slippage, no caps."""
    made = new(STREAM)
    made.plan = strategy.plan.record()
    made.instrument.tick_size = 0.01
    made.instrument.lot_size = 0.00001
    made.costs.maker_fee_rate = FEE_RATE
    made.costs.taker_fee_rate = FEE_RATE
    made.rules.limit_through_ticks = 0.0
    made.rules.limit_gap_at_open = True
    made.sizing.mode = SizeMode.QUANTITY
    made.sizing.quantity = 1.0
    return made


def spec_of(name: str, series: BarSeries) -> StreamSpec:
    """The strategy file `name` of this folder on `series`, with the settings of the comparison."""
    strategy = load_strategy(str(STRATEGIES / f"{name}.py"))
    return StreamSpec(
        label=StreamLabel(0, strategy.name, KEY.venue, KEY.symbol, KEY.timeframe),
        strategy=strategy,
        values=strategy.values({"stop_fraction": STOP_FRACTION}, KEY.bar_ms),
        series=series,
        settings=comparison_settings(strategy),
    )


class GivenCrosses:
    """Fixed crosses through signals and kernel."""

    def __init__(self, bars: Records, crosses: Crosses) -> None:
        self._bars = bars
        self._spec = spec_of("given_crosses", BarSeries(KEY, bars, (), ""))
        self._account = AccountSpec(START_QUOTE, new(LIMITS))
        self._params = self._spec.strategy.parameters.record(self._spec.values, KEY.bar_ms)
        self._tape = RunTape(len(bars), FILLS_PER_CHUNK, FILLS_PER_CHUNK)
        self._crosses = np.zeros(len(bars), np.dtype([("up", "?"), ("down", "?")]))
        self._crosses["up"], self._crosses["down"] = crosses
        self._crosses = self._crosses.view((np.record, self._crosses.dtype))

    def run(self) -> tuple[Records, Records]:
        """TRADE and EQUITY records of one run from a fresh account.

        The tape is kept from run to run, as a sweep keeps it: the equity of a run is a view of it.
        """
        strategy = self._spec.strategy
        account = open_account(self._account)
        streams = open_streams((self._spec,))
        markets = open_markets((self._spec,), {})
        state = new(strategy.state_dtype(self._params))
        signals = np.empty((1, CHUNK_BARS), SIGNAL)
        contexts = unknown_context().reshape(1, 1)
        tape = self._tape
        tape.clear()
        for start in range(0, len(self._bars), CHUNK_BARS):
            bars = self._bars[start : start + CHUNK_BARS]
            crosses = self._crosses[start : start + CHUNK_BARS]
            strategy.signals(state, bars, crosses, self._params, signals[0])
            feed = Feed(bars.reshape(1, -1), contexts, signals, np.array([len(bars)]))
            kernel.run(account, streams, markets, feed, tape.next_chunk())
        kernel.finish(account, streams, self._bars[-1:], tape.next_chunk())
        equity = tape.equity
        equity[-1]["equity"] = account.equity_quote
        return tape.trades(), equity

    def trades(self) -> Trades:
        """The trades of a run."""
        return trades_of(self.run()[0], self._bars)


def own_averages(bars: Records) -> Callable[[], BacktestResult]:
    """A call of the strategy file that computes its own averages, through the whole backtest."""
    spec = spec_of("sma_cross", BarSeries(KEY, bars, (), ""))
    return lambda: simulate((spec,), AccountSpec(START_QUOTE, new(LIMITS)))


def trades_of(records: Records, bars: Records) -> Trades:
    """TRADE records as rows of the comparison: times of closes become bar indexes."""
    closes = bars["open_time"] + KEY.bar_ms
    made = np.zeros(len(records), TRADE_ROW)
    made["entry_bar"] = np.searchsorted(closes, records["entry_time"])
    made["exit_bar"] = np.searchsorted(closes, records["exit_time"])
    made["entry_price"] = records["entry_price"]
    made["exit_price"] = records["exit_price"]
    made["pnl_quote"] = records["net_quote"]
    return made
