"""A backtest: bars through strategies into signals, signals through the kernel into trades, chunk
by chunk.

In order:
1. each stream (a strategy on a series) gets its settings as one record, and its strategy a fresh
state;
2. a chunk of bars of every stream, covering the same span of time, is turned into signals (phase
one);
3. `kernel.run` trades the chunk's signals on the one account (phase two); fills, trades and equity
are collected;
4. after the last chunk what is open is closed at its last price.

The two phases share a chunk so that its signals stay in the processor's cache. Results do not
depend on its size.
"""

from __future__ import annotations

import itertools
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from tercel.app.ports import Progress, SilentProgress
from tercel.app.signals import Market, call_signals, quiet_signals, unknown_context
from tercel.app.strategies import Strategy
from tercel.app.tape import RunTape
from tercel.core import kernel
from tercel.core.codes import Refusal
from tercel.core.jit import new
from tercel.core.records import (
    ACCOUNT,
    BAR,
    FILLS_PER_BAR,
    SIGNAL,
    STREAM,
    TRADES_PER_BAR,
    Feed,
    Records,
)
from tercel.core.signal import tally
from tercel.domain.bars import BarSeries
from tercel.domain.errors import StrategyError, UserError
from tercel.domain.results import BacktestResult, StreamLabel
from tercel.domain.times import format_time

CHUNK_BARS = 32_768


@dataclass(frozen=True, slots=True)
class StreamSpec:
    """One strategy on one series of bars, with everything that decides how it trades.

    `settings` is a STREAM record with plan, instrument, costs, rules and sizing filled in; the rest
    is set here.
    """

    label: StreamLabel
    strategy: Strategy
    values: dict[str, int | float | str]
    """Parameter values by name."""
    series: BarSeries
    settings: Any


@dataclass(frozen=True, slots=True)
class AccountSpec:
    """The one account all streams trade on."""

    start_quote: float
    limits: Any
    """A LIMITS record."""


@dataclass(slots=True)
class _Stream:
    """A stream while it runs."""

    spec: StreamSpec
    params: Any
    state: Any
    reasons: npt.NDArray[np.int64]
    bars: Records
    cursor: int = 0


def open_account(spec: AccountSpec) -> Any:
    """A fresh ACCOUNT record."""
    account = new(ACCOUNT)
    account.limits = spec.limits
    account.start_quote = spec.start_quote
    account.cash_quote = spec.start_quote
    account.equity_quote = spec.start_quote
    account.peak_equity = spec.start_quote
    return account


def open_streams(specs: tuple[StreamSpec, ...]) -> Records:
    """Fresh STREAM records, one per spec."""
    streams = np.zeros(len(specs), STREAM)
    for number, spec in enumerate(specs):
        streams[number] = spec.settings
        streams[number].number = number
        streams[number].bar_ms = spec.series.key.bar_ms
    return streams


def chunks(bars: list[Records], bar_ms: int, chunk_bars: int) -> Iterator[list[int]]:
    """For each chunk, where it ends in every series: all series are cut at the same moments.

    A single series is cut by count instead, so that gaps do not make short chunks.
    """
    if len(bars) == 1:
        for end in range(chunk_bars, len(bars[0]) + chunk_bars, chunk_bars):
            yield [min(end, len(bars[0]))]
        return
    first = min(int(rows["open_time"][0]) for rows in bars)
    last = max(int(rows["open_time"][-1]) for rows in bars)
    times = [np.ascontiguousarray(rows["open_time"]) for rows in bars]
    for end_time in range(
        first + chunk_bars * bar_ms, last + chunk_bars * bar_ms + 1, chunk_bars * bar_ms
    ):
        yield [int(np.searchsorted(column, end_time)) for column in times]


def simulate(
    specs: tuple[StreamSpec, ...],
    account_spec: AccountSpec,
    *,
    chunk_bars: int = CHUNK_BARS,
    progress: Progress | None = None,
) -> BacktestResult:
    """Trade `specs` on one account over their bars. Deterministic: the same input gives the same
    bytes.

    Raises UserError when timeframes differ, StrategyError when a strategy cannot be compiled or
    fails.
    """
    if len({spec.series.key.timeframe for spec in specs}) != 1:
        raise UserError("one run trades one timeframe; run different timeframes separately")
    progress = progress or SilentProgress()
    account = open_account(account_spec)
    streams = open_streams(specs)
    running = [_start(spec) for spec in specs]
    everything = [stream.bars for stream in running]
    bar_ms = specs[0].series.key.bar_ms
    desk = _Desk(account, streams, running, chunk_bars)
    progress.start("backtest", sum(len(rows) for rows in everything))
    for ends in chunks(everything, bar_ms, chunk_bars):
        progress.advance(desk.trade_chunk(ends))
    desk.finish()
    return _result(desk, account_spec.start_quote)


def _times_max(bars: list[Records], bar_ms: int) -> int:
    """A bound of the distinct bar times over all series: equity has one row for each."""
    every = sum(len(rows) for rows in bars)
    first = min(int(rows["open_time"][0]) for rows in bars)
    last = max(int(rows["open_time"][-1]) for rows in bars)
    on_one_grid = len({int(rows["open_time"][0]) % bar_ms for rows in bars}) == 1
    return min(every, (last - first) // bar_ms + 1) if on_one_grid else every


def _start(spec: StreamSpec) -> _Stream:
    params = spec.strategy.parameters.record(spec.values, spec.series.key.bar_ms)
    return _Stream(
        spec=spec,
        params=params,
        state=new(spec.strategy.state_dtype(params)),
        reasons=np.zeros(len(spec.strategy.reasons), np.int64),
        bars=spec.series.bars,
    )


class _Desk:
    """The buffers of a run, and one chunk at a time through both phases."""

    def __init__(
        self,
        account: Any,
        streams: Records,
        running: list[_Stream],
        chunk_bars: int,
    ) -> None:
        self.account = account
        self.streams = streams
        self.running = running
        count = len(running)
        rows = min(chunk_bars, max(len(stream.bars) for stream in running))
        self._quiet = quiet_signals(rows)
        self._signals = np.empty((count, rows), SIGNAL)
        # A single stream is traded where its bars lie; several are brought side by side.
        self._bars = np.empty((count, rows), BAR) if count > 1 else None
        self._contexts = np.repeat(unknown_context()[None, :], count, axis=0)
        bars = [stream.bars for stream in running]
        times_max = _times_max(bars, running[0].spec.series.key.bar_ms)
        self.tape = RunTape(times_max, count * rows * FILLS_PER_BAR, count * rows * TRADES_PER_BAR)

    def trade_chunk(self, ends: list[int]) -> int:
        """Signals, then trades, for the bars up to `ends` of each stream; how many bars."""
        lengths = np.zeros(len(self.running), np.int64)
        for row, (stream, end) in enumerate(zip(self.running, ends, strict=True)):
            piece = stream.bars[stream.cursor : end]
            lengths[row] = len(piece)
            self._signal(stream, piece, row)
            if self._bars is not None:
                # As bytes: numpy copies records field by field, at a tenth of the speed.
                self._bars[row, : len(piece)].view(np.uint8)[:] = piece.view(np.uint8)
            stream.cursor = end
        bars: Records
        if self._bars is not None:
            bars = self._bars
        else:
            stream = self.running[0]
            bars = stream.bars[stream.cursor - lengths[0] : stream.cursor].reshape(1, -1)
        feed = Feed(bars, self._contexts, self._signals, lengths)
        kernel.run(self.account, self.streams, feed, self.tape.next_chunk())
        return int(lengths.sum())

    def _signal(self, stream: _Stream, bars: Records, row: int) -> None:
        """Phase one: `bars` into row `row` of the signal buffer."""
        out = self._signals[row, : len(bars)]
        out.view(np.uint8)[:] = self._quiet[: len(bars)].view(np.uint8)
        call_signals(
            stream.spec.strategy, stream.state, Market(bars, unknown_context()), stream.params, out
        )
        bad = tally(out, stream.reasons)
        if bad >= 0:
            raise StrategyError(
                f"{stream.spec.strategy.path}: the signal at "
                f"{format_time(int(bars[bad]['open_time']))} has side {out[bad]['side']} and "
                f"reason {out[bad]['reason']}: side is -1, 0 or 1, and reason indexes the "
                f"{len(stream.reasons)} names of REASONS"
            )

    def finish(self) -> None:
        """Close what is open at the last price; the last equity row is what remains."""
        last_bars = np.concatenate([stream.bars[-1:] for stream in self.running])
        kernel.finish(self.account, self.streams, last_bars, self.tape.next_chunk())
        self.tape.equity[-1]["equity"] = self.account.equity_quote
        self.tape.equity[-1]["exposure"] = self.account.exposure_quote


def _result(desk: _Desk, start_quote: float) -> BacktestResult:
    account = desk.account
    specs = [stream.spec for stream in desk.running]
    refusals: Counter[str] = Counter()
    for stream in desk.streams:
        for refusal in Refusal:
            if stream.refusals[refusal]:
                refusals[refusal.name.lower()] += int(stream.refusals[refusal])
    reasons: Counter[str] = Counter()
    for running in desk.running:
        for name, count in zip(running.spec.strategy.reasons, running.reasons, strict=True):
            reasons[name] += int(count)
    equity = desk.tape.equity
    return BacktestResult(
        labels=tuple(spec.label for spec in specs),
        trades=_in_order(desk.tape.trades(), "exit_time"),
        fills=_in_order(desk.tape.fills(), "time"),
        equity=equity,
        start_quote=start_quote,
        start_time=min(int(stream.bars["open_time"][0]) for stream in desk.running),
        end_time=int(equity["time"][-1]),
        signals=int(desk.streams["signals"].sum()),
        cash_quote=float(account.cash_quote),
        equity_quote=float(account.equity_quote),
        gross_quote=float(account.gross_quote),
        fee_quote=float(account.fee_quote),
        slippage_quote=float(account.slippage_quote),
        funding_quote=float(account.funding_quote),
        refusals=dict(sorted(refusals.items())),
        strategy_reasons=dict(sorted(reasons.items(), key=lambda item: -item[1])),
        reasons=tuple(spec.strategy.reasons for spec in specs),
        warnings=tuple(_warnings(specs)),
    )


def _in_order(rows: Records, field_name: str) -> Records:
    """`rows` by time: a series that ended early is closed last, at a time long past."""
    times = rows[field_name]
    if np.all(times[1:] >= times[:-1]):
        return rows
    return rows[np.argsort(times, kind="stable")]


def _warnings(specs: list[StreamSpec]) -> Iterator[str]:
    """What a reader must know before trusting the figures."""
    for key, group in itertools.groupby(specs, lambda spec: spec.series.key):
        spec = next(group)
        gaps = spec.series.gaps
        if gaps:
            missing = sum(gap.bars for gap in gaps)
            longest = max(gap.bars for gap in gaps)
            yield (
                f"{key}: {len(gaps)} gap{'s' if len(gaps) > 1 else ''}, {missing:,} bars missing "
                f"(longest {longest:,}); "
                "they are skipped over"
            )
        if key.venue.endswith("spot"):
            yield f"{key}: spot bars, traded both ways as if they were a perpetual's"
        if key.venue == "synthetic":
            yield f"{key}: a synthetic market: nothing here says anything about a real one"
