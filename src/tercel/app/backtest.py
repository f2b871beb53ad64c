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
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from tercel.app.ports import Progress, SilentProgress
from tercel.app.record_bytes import copy_records
from tercel.app.signals import Market, call_signals, quiet_signals, unknown_context
from tercel.app.strategies import Strategy
from tercel.app.tape import RunTape
from tercel.core import kernel
from tercel.core.codes import Refusal
from tercel.core.jit import new
from tercel.core.records import (
    ACCOUNT,
    BAR,
    CONTEXT,
    FILLS_PER_BAR,
    MARKET,
    SERIES_MAX,
    SIGNAL,
    STREAM,
    TRADES_PER_BAR,
    Feed,
    Records,
)
from tercel.core.signal import confirm_by_flow, tally
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
    contexts: Records | None = None
    """A CONTEXT row for each bar, or a single one; None: nothing is known beside the bars."""
    flow: FlowFilter | None = None
    """The filter that must confirm its signals."""


@dataclass(frozen=True, slots=True)
class FlowFilter:
    """A strategy that scores order flow in -1..1, and the score that a signal needs on its side."""

    strategy: Strategy
    values: dict[str, int | float | str]
    score_min: float


@dataclass(frozen=True, slots=True)
class AccountSpec:
    """The one account all streams trade on."""

    start_quote: float
    limits: Any
    """A LIMITS record."""
    pace: Any = None
    """A PACE record; None: no breaker of it is on."""
    clusters: Mapping[str, int] = field(default_factory=dict)
    """Number of the cluster that a symbol belongs to, from 1."""


@dataclass(slots=True)
class _Stream:
    """A stream while it runs."""

    spec: StreamSpec
    params: Any
    state: Any
    reasons: npt.NDArray[np.int64]
    series: int
    flow_params: Any = None
    flow_state: Any = None


@dataclass(slots=True)
class _Series:
    """The bars of one series while they run, and what is known beside them."""

    market: Market
    cursor: int = 0


def open_account(spec: AccountSpec, series_count: int = 1) -> Any:
    """A fresh ACCOUNT record for `series_count` series. Raises UserError for too many."""
    if series_count > SERIES_MAX:
        raise UserError(f"one account trades at most {SERIES_MAX} series, got {series_count}")
    account = new(ACCOUNT)
    account.limits = spec.limits
    if spec.pace is not None:
        account.pace = spec.pace
    account.start_quote = spec.start_quote
    account.cash_quote = spec.start_quote
    account.equity_quote = spec.start_quote
    account.peak_equity = spec.start_quote
    account.series_count = series_count
    return account


def rows_of_series(specs: Sequence[StreamSpec]) -> list[int]:
    """For each spec the row of its bars in a feed: streams over the same bars share one."""
    rows: dict[int, int] = {}
    return [rows.setdefault(id(spec.series.bars), len(rows)) for spec in specs]


def open_streams(specs: Sequence[StreamSpec]) -> Records:
    """Fresh STREAM records, one per spec."""
    return fresh_streams(
        [spec.settings for spec in specs], rows_of_series(specs), specs[0].series.key.bar_ms
    )


def fresh_streams(settings: Sequence[Any], rows: Sequence[int], bar_ms: int) -> Records:
    """A STREAM record for each of `settings`, over the row of bars that it trades."""
    streams = np.zeros(len(settings), STREAM)
    led: set[int] = set()
    for number, (record, row) in enumerate(zip(settings, rows, strict=True)):
        streams[number] = record
        streams[number].number = number
        streams[number].bar_ms = bar_ms
        streams[number].series = row
        streams[number].leads = row not in led
        led.add(row)
    return streams


def open_markets(specs: Sequence[StreamSpec], clusters: Mapping[str, int]) -> Records:
    """Fresh MARKET records, one per distinct series."""
    rows = rows_of_series(specs)
    markets = np.zeros(max(rows) + 1, MARKET)
    for spec, row in zip(specs, rows, strict=True):
        markets[row]["cluster"] = clusters.get(spec.series.key.symbol, 0)
    return markets


def watches(account: Any, streams: Records) -> bool:
    """Whether any breaker needs MARKET records kept."""
    looks = float(account.limits.correlation_max) > 0.0 and int(account.series_count) > 1
    ratios = [account.pace.atr_ratio_max, *streams["pace"]["atr_ratio_max"]]
    return looks or any(float(ratio) > 0.0 for ratio in ratios)


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
    desk = _Desk(specs, account_spec, chunk_bars)
    everything = [series.market.bars for series in desk.series]
    progress.start("backtest", sum(len(rows) for rows in everything))
    for ends in chunks(everything, specs[0].series.key.bar_ms, chunk_bars):
        progress.advance(desk.trade_chunk(ends))
    desk.finish()
    return _result(desk, account_spec.start_quote)


def signals_for(spec: StreamSpec, out: Records | None = None) -> Records:
    """Phase one alone: the SIGNAL of every bar of `spec`, into `out` where given; whatever it held.

    Chunk by chunk, so that signals are made quiet and written while they are in the cache.
    """
    count = len(spec.series.bars)
    made = np.empty(count, SIGNAL) if out is None else out[:count]
    stream, market = _start(spec, 0), _market_of(spec)
    quiet = quiet_signals(min(CHUNK_BARS, count))
    for first in range(0, count, CHUNK_BARS):
        part = made[first : first + CHUNK_BARS]
        copy_records(part, quiet[: len(part)])
        _signal(stream, market.part(first, first + len(part)), part)
    return made


def trade_window(
    spec: StreamSpec,
    account_spec: AccountSpec,
    signals: Records,
    window: tuple[int, int],
    tape: RunTape | None = None,
) -> BacktestResult:
    """Phase two alone: trade bars `window` = (first, end) of `spec` with ready `signals` on a fresh
    account; what is open at the end is closed at its last price.

    `signals` are those of all bars of the spec (`signals_for`). With a `tape` of enough room its
    buffers are used again, and the equity of the result is a view into it.
    """
    first, end = window
    market = _market_of(spec).part(first, end)
    account = open_account(account_spec)
    streams = open_streams((spec,))
    markets = open_markets((spec,), account_spec.clusters)
    account.watches = watches(account, streams)
    rows = end - first
    if tape is None:
        tape = RunTape(rows, rows * FILLS_PER_BAR, rows * TRADES_PER_BAR)
    tape.clear()
    feed = Feed(
        market.bars.reshape(1, -1),
        market.contexts.reshape(1, -1),
        signals[first:end].reshape(1, -1),
        np.array([rows], np.int64),
    )
    kernel.run(account, streams, markets, feed, tape.next_chunk())
    kernel.finish(account, streams, market.bars[-1:], tape.next_chunk())
    tape.equity[-1]["equity"] = account.equity_quote
    tape.equity[-1]["exposure"] = account.exposure_quote
    return _outcome(
        (spec,), account, streams, tape, int(market.bars["open_time"][0]), account_spec.start_quote
    )


def _times_max(bars: list[Records], bar_ms: int) -> int:
    """A bound of the distinct bar times over all series: equity has one row for each."""
    every = sum(len(rows) for rows in bars)
    first = min(int(rows["open_time"][0]) for rows in bars)
    last = max(int(rows["open_time"][-1]) for rows in bars)
    on_one_grid = len({int(rows["open_time"][0]) % bar_ms for rows in bars}) == 1
    return min(every, (last - first) // bar_ms + 1) if on_one_grid else every


def _market_of(spec: StreamSpec) -> Market:
    """What the strategy of `spec` is shown."""
    contexts = unknown_context() if spec.contexts is None else spec.contexts
    return Market(spec.series.bars, contexts)


def _start(spec: StreamSpec, series: int) -> _Stream:
    bar_ms = spec.series.key.bar_ms
    params = spec.strategy.parameters.record(spec.values, bar_ms)
    made = _Stream(
        spec=spec,
        params=params,
        state=new(spec.strategy.state_dtype(params)),
        reasons=np.zeros(len(spec.strategy.reasons), np.int64),
        series=series,
    )
    if spec.flow is not None:
        strategy = spec.flow.strategy
        made.flow_params = strategy.parameters.record(spec.flow.values, bar_ms)
        made.flow_state = new(strategy.state_dtype(made.flow_params))
    return made


def _signal(stream: _Stream, market: Market, out: Records) -> None:
    """Phase one of one stream: `market` into `out`, confirmed by its filter where it has one."""
    spec = stream.spec
    call_signals(spec.strategy, stream.state, market, stream.params, out)
    bad = tally(out, stream.reasons)
    if bad >= 0:
        raise StrategyError(
            f"{spec.strategy.path}: the signal at "
            f"{format_time(int(market.bars[bad]['open_time']))} has side {out[bad]['side']} and "
            f"reason {out[bad]['reason']}: side is -1, 0 or 1, and reason indexes the "
            f"{len(stream.reasons)} names of REASONS"
        )
    if spec.flow is not None:
        scores = quiet_signals(len(out))
        call_signals(spec.flow.strategy, stream.flow_state, market, stream.flow_params, scores)
        confirm_by_flow(out, scores, spec.flow.score_min)


class _Desk:
    """The buffers of a run, and one chunk at a time through both phases."""

    def __init__(
        self, specs: tuple[StreamSpec, ...], account_spec: AccountSpec, chunk_bars: int
    ) -> None:
        rows = rows_of_series(specs)
        self.specs = specs
        self.running = [_start(spec, row) for spec, row in zip(specs, rows, strict=True)]
        leaders = dict(zip(reversed(rows), reversed(specs), strict=True))
        self.series = [_Series(_market_of(leaders[row])) for row in range(len(leaders))]
        self.account = open_account(account_spec, len(leaders))
        self.streams = open_streams(specs)
        self.markets = open_markets(specs, account_spec.clusters)
        self.account.watches = watches(self.account, self.streams)
        everything = [series.market.bars for series in self.series]
        count, room = len(leaders), min(chunk_bars, max(len(bars) for bars in everything))
        self._quiet = quiet_signals(room)
        self._signals = np.empty((len(specs), room), SIGNAL)
        # A single series is traded where its bars lie; several are brought side by side.
        self._bars = np.empty((count, room), BAR) if count > 1 else None
        known = any(len(series.market.contexts) > 1 for series in self.series)
        self._contexts = np.empty((count, room if known else 1), CONTEXT)
        times_max = _times_max(everything, specs[0].series.key.bar_ms)
        chunk = len(specs) * room
        self.tape = RunTape(times_max, chunk * FILLS_PER_BAR, chunk * TRADES_PER_BAR)

    def trade_chunk(self, ends: list[int]) -> int:
        """Signals, then trades, for the bars up to `ends` of each series; how many bars."""
        pieces = []
        for series, end in zip(self.series, ends, strict=True):
            pieces.append(series.market.part(series.cursor, end))
            series.cursor = end
        lengths = np.array([len(piece.bars) for piece in pieces], np.int64)
        for row, stream in enumerate(self.running):
            piece = pieces[stream.series]
            out = self._signals[row, : len(piece.bars)]
            copy_records(out, self._quiet[: len(out)])
            _signal(stream, piece, out)
        feed = Feed(self._bars_of(pieces), self._contexts_of(pieces), self._signals, lengths)
        kernel.run(self.account, self.streams, self.markets, feed, self.tape.next_chunk())
        return int(lengths.sum())

    def _bars_of(self, pieces: list[Market]) -> Records:
        """(series, bars)."""
        if self._bars is None:
            return pieces[0].bars.reshape(1, -1)
        for row, piece in enumerate(pieces):
            copy_records(self._bars[row, : len(piece.bars)], piece.bars)
        return self._bars

    def _contexts_of(self, pieces: list[Market]) -> Records:
        """(series, bars), or (series, 1) where nothing changes."""
        if len(pieces) == 1:
            return pieces[0].contexts.reshape(1, -1)
        for row, piece in enumerate(pieces):
            known = self._contexts[row, : len(piece.bars)]
            if len(piece.contexts) == 1:
                known[:] = piece.contexts[0]
            else:
                copy_records(known, piece.contexts)
        return self._contexts

    def finish(self) -> None:
        """Close what is open at the last price; the last equity row is what remains."""
        last_bars = np.concatenate(
            [self.series[stream.series].market.bars[-1:] for stream in self.running]
        )
        kernel.finish(self.account, self.streams, last_bars, self.tape.next_chunk())
        self.tape.equity[-1]["equity"] = self.account.equity_quote
        self.tape.equity[-1]["exposure"] = self.account.exposure_quote


def _result(desk: _Desk, start_quote: float) -> BacktestResult:
    reasons: Counter[str] = Counter()
    for running in desk.running:
        for name, count in zip(running.spec.strategy.reasons, running.reasons, strict=True):
            reasons[name] += int(count)
    start_time = min(int(series.market.bars["open_time"][0]) for series in desk.series)
    found = _outcome(desk.specs, desk.account, desk.streams, desk.tape, start_time, start_quote)
    return replace(
        found,
        strategy_reasons=dict(sorted(reasons.items(), key=lambda item: -item[1])),
        warnings=tuple(_warnings(desk.specs)),
    )


def _outcome(
    specs: tuple[StreamSpec, ...],
    account: Any,
    streams: Records,
    tape: RunTape,
    start_time: int,
    start_quote: float,
) -> BacktestResult:
    """What account, streams and tape hold once a run is over."""
    equity = tape.equity
    return BacktestResult(
        labels=tuple(spec.label for spec in specs),
        trades=_in_order(tape.trades(), "exit_time"),
        fills=_in_order(tape.fills(), "time"),
        equity=equity,
        start_quote=start_quote,
        start_time=start_time,
        end_time=int(equity["time"][-1]),
        signals=int(streams["signals"].sum()),
        cash_quote=float(account.cash_quote),
        equity_quote=float(account.equity_quote),
        gross_quote=float(account.gross_quote),
        fee_quote=float(account.fee_quote),
        slippage_quote=float(account.slippage_quote),
        funding_quote=float(account.funding_quote),
        refusals=_by_name(streams["refusals"].sum(axis=0)),
        halts=_by_name(account.halts),
        reasons=tuple(spec.strategy.reasons for spec in specs),
    )


def _by_name(counts: npt.NDArray[np.int64]) -> dict[str, int]:
    """Counts by codes.Refusal as names, sorted, without the zeros."""
    found = {refusal.name.lower(): int(counts[refusal]) for refusal in Refusal if counts[refusal]}
    return dict(sorted(found.items()))


def _in_order(rows: Records, field_name: str) -> Records:
    """`rows` by time: a series that ended early is closed last, at a time long past."""
    times = rows[field_name]
    if np.all(times[1:] >= times[:-1]):
        return rows
    return rows[np.argsort(times, kind="stable")]


def _warnings(specs: Sequence[StreamSpec]) -> Iterator[str]:
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
