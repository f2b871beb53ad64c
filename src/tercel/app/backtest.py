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
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import numpy as np
import numpy.typing as npt

from tercel.app.ports import Progress, SilentProgress
from tercel.app.strategies import Strategy
from tercel.app.strategy_errors import (
    COMPILE_ERRORS,
    RUN_ERRORS,
    Replayed,
    explain,
    plain,
    replay_in_python,
)
from tercel.core import kernel
from tercel.core.codes import Refusal
from tercel.core.jit import new
from tercel.core.records import (
    ACCOUNT,
    BAR,
    CONTEXT,
    EQUITY,
    FILL,
    FILLS_PER_BAR,
    SIGNAL,
    STREAM,
    TRADE,
    Feed,
    Records,
    Tape,
)
from tercel.core.signal import tally
from tercel.domain.bars import BarSeries
from tercel.domain.errors import StrategyError, UserError
from tercel.domain.results import BacktestResult, StreamLabel
from tercel.domain.times import format_time

CHUNK_BARS = 16_384


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


@dataclass(slots=True)
class _Collected:
    """What the chunks produced so far."""

    equity: Records
    rows: int = 0
    fills: list[Records] = field(default_factory=list)
    trades: list[Records] = field(default_factory=list)


def quiet_signals(count: int) -> Records:
    """`count` SIGNAL records that ask for nothing."""
    made = np.zeros(count, SIGNAL)
    for name in ("stop_distance", "target_distance", "atr", "score"):
        made[name] = np.nan
    return made


def unknown_context() -> Records:
    """One CONTEXT row in which nothing is known."""
    made = np.zeros(1, CONTEXT)
    for name in made.dtype.names or ():
        made[name] = np.nan
    return made


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
    collected = _Collected(np.empty(_times_max(everything, bar_ms), EQUITY))
    desk = _Desk(account, streams, running, collected, chunk_bars)
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
        collected: _Collected,
        chunk_bars: int,
    ) -> None:
        self.account = account
        self.streams = streams
        self.running = running
        self.collected = collected
        count = len(running)
        rows = min(chunk_bars, max(len(stream.bars) for stream in running))
        self._quiet = quiet_signals(rows)
        self._signals = np.empty((count, rows), SIGNAL)
        # A single stream is traded where its bars lie; several are brought side by side.
        self._bars = np.empty((count, rows), BAR) if count > 1 else None
        self._contexts = np.repeat(unknown_context()[None, :], count, axis=0)
        self._fills = np.empty(count * rows * FILLS_PER_BAR, FILL)
        self._trades = np.empty(count * rows * FILLS_PER_BAR, TRADE)

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
        self._run(Feed(bars, self._contexts, self._signals, lengths))
        return int(lengths.sum())

    def _signal(self, stream: _Stream, bars: Records, row: int) -> None:
        """Phase one: `bars` into row `row` of the signal buffer."""
        out = self._signals[row, : len(bars)]
        out.view(np.uint8)[:] = self._quiet[: len(bars)].view(np.uint8)
        call_signals(stream.spec.strategy, stream.state, bars, stream.params, out)
        bad = tally(out, stream.reasons)
        if bad >= 0:
            raise StrategyError(
                f"{stream.spec.strategy.path}: the signal at "
                f"{format_time(int(bars[bad]['open_time']))} has side {out[bad]['side']} and "
                f"reason {out[bad]['reason']}: side is -1, 0 or 1, and reason indexes the "
                f"{len(stream.reasons)} names of REASONS"
            )

    def _run(self, feed: Feed) -> None:
        """Phase two: trade the chunk."""
        counts = np.zeros(3, np.int64)
        equity = self.collected.equity[self.collected.rows :]
        tape = Tape(equity, self._fills, self._trades, counts)
        kernel.run(self.account, self.streams, feed, tape)
        self._keep(counts)

    def _keep(self, counts: npt.NDArray[np.int64]) -> None:
        self.collected.rows += int(counts[0])
        self.collected.fills.append(self._fills[: counts[1]].copy())
        self.collected.trades.append(self._trades[: counts[2]].copy())

    def finish(self) -> None:
        """Close what is open at the last price; the last equity row is what remains."""
        counts = np.zeros(3, np.int64)
        last_bars = np.concatenate([stream.bars[-1:] for stream in self.running])
        tape = Tape(self.collected.equity, self._fills, self._trades, counts)
        kernel.finish(self.account, self.streams, last_bars, tape)
        counts[0] = 0
        self._keep(counts)
        self.collected.equity[-1]["equity"] = self.account.equity_quote
        self.collected.equity[-1]["exposure"] = self.account.exposure_quote


def call_signals(strategy: Strategy, state: Any, bars: Records, params: Any, out: Records) -> None:
    """The strategy's batch loop, its failures told in its author's terms. Raises StrategyError."""
    before = state.tobytes()
    try:
        strategy.signals(state, bars, unknown_context(), params, out)
    except (*COMPILE_ERRORS, *RUN_ERRORS) as error:
        with_nan = (False, True) if isinstance(error, ZeroDivisionError) else (False,)
        replay = partial(_replay, strategy, before, bars, params, with_nan)
        raise explain(strategy.path, strategy.step, error, replay) from error


def _replay(
    strategy: Strategy, before: bytes, bars: Records, params: Any, with_nan: tuple[bool, ...]
) -> Replayed | None:
    """Step the bars again, uncompiled, to find the failing line; once for each of `with_nan`."""
    step = plain(strategy.step)
    signal = quiet_signals(1)[0]
    context = unknown_context()[0]
    for nan_counts in with_nan:
        state = np.frombuffer(bytearray(before), strategy.state_dtype(params))[0]

        def call(i: int, state: Any = state) -> None:
            step(state, bars[i], context, params, signal)

        if found := replay_in_python(strategy.path, call, bars, with_nan=nan_counts):
            return found
    return None


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
    equity = desk.collected.equity[: desk.collected.rows]
    return BacktestResult(
        labels=tuple(spec.label for spec in specs),
        trades=_in_order(desk.collected.trades, "exit_time"),
        fills=_in_order(desk.collected.fills, "time"),
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


def _in_order(parts: list[Records], field_name: str) -> Records:
    """All parts by time: a series that ended early is closed last, at a time long past."""
    rows = np.concatenate(parts)
    return rows[np.argsort(rows[field_name], kind="stable")]


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
