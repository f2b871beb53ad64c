"""The kernel trades the same whatever drives it: chunks, calls by hand, a snapshot, no JIT."""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tests.desk import (
    JIT,
    THREE_R,
    Ask,
    Outcome,
    account,
    asked,
    stream,
    tape_for,
    unknown_contexts,
)
from tests.market_data import BOUNDS_CHECKED, Bars, invented_bars
from tests.parity.plain_python import BARS as PLAIN_BARS
from tests.parity.plain_python import digest_of_run

import tercel
from tercel.core import kernel, matching
from tercel.core.codes import IntrabarMode, Side, SizeMode, SlippageModel
from tercel.core.market import market_step
from tercel.core.plan import TradePlan
from tercel.core.records import MARKET, STREAM, Feed, Records, Tape

CHECKOUT = Path(__file__).resolve().parents[2]
BARS = 3_000 if JIT else 600
CHUNKS = (64, 1000, 16_384) if JIT else (64,)
CHASED = TradePlan(legs=((1.0, 0.5), (2.0, 0.5)), entry="limit", chase_max=1, breakeven_after_leg=1)


def busy_signals(bars: Bars, seed: int) -> Records:
    """A signal every ten bars or so, some of them to leave."""
    rng = np.random.default_rng(seed)
    asks = {}
    for at in np.flatnonzero(rng.uniform(size=len(bars)) < 0.1):
        side = int(rng.integers(-1, 2))
        leave = bool(rng.uniform() < 0.2)
        asks[int(at)] = Ask(
            side, stop=float(rng.uniform(5, 60)), atr=20.0, exit_long=leave, exit_short=leave
        )
    return asked(len(bars), asks)


def settings_of(number: int) -> Any:
    """Two streams that differ in everything."""
    if number == 0:
        return stream(
            THREE_R,
            mode=SizeMode.RISK,
            risk_fraction=0.01,
            taker_fee_rate=0.0005,
            maker_fee_rate=0.0002,
            slippage_model=SlippageModel.TICKS,
            slippage_ticks_min=1,
            slippage_ticks_max=3,
            participation_max=0.1,
            funding_interval_ms=8 * 3_600_000,
            funding_rate=0.0001,
        )
    return stream(
        CHASED,
        quantity=2.5,
        intrabar=IntrabarMode.OHLC_PATH,
        limit_fill_probability=0.5,
        participation_max=0.05,
    )


class Run:
    """Streams on one account, stepped on from wherever they are."""

    def __init__(self, count: int) -> None:
        self.account = account(
            100_000.0,
            positions_max=5,
            daily_loss_fraction_max=0.2,
            heat_fraction_max=0.5,
            resume_after_ms=30 * 60_000,
            revenge_pause_ms=2 * 60_000,
            loss_streak_max=4,
            loss_streak_pause_ms=5 * 60_000,
            atr_ratio_max=1.5,
        )
        self.account.series_count = count
        self.account.watches = True
        self.markets = np.zeros(count, MARKET)
        self.streams = np.zeros(count, STREAM)
        for number in range(count):
            self.streams[number] = settings_of(number)
            self.streams[number]["number"] = self.streams[number]["series"] = number
            self.streams[number]["leads"] = True
        self.bars = [invented_bars(BARS, seed=number + 3) for number in range(count)]
        self.bars[-1] = self.bars[-1][np.arange(BARS) % 97 != 5]  # gaps of its own
        self.signals = [busy_signals(bars, number) for number, bars in enumerate(self.bars)]
        self.cursors = [0] * count
        self.parts: list[tuple[Records, Records, Records]] = []

    def feed(self, ends: list[int]) -> Feed:
        """The bars up to `ends`, side by side."""
        lengths = np.array([e - c for c, e in zip(self.cursors, ends, strict=True)])
        rows = max(int(lengths.max()), 1)
        bars = np.zeros((len(ends), rows), self.bars[0].dtype)
        signals = np.zeros((len(ends), rows), self.signals[0].dtype)
        for k, (cursor, end) in enumerate(zip(self.cursors, ends, strict=True)):
            bars[k, : end - cursor] = self.bars[k][cursor:end]
            signals[k, : end - cursor] = self.signals[k][cursor:end]
        self.cursors = ends
        return Feed(bars, unknown_contexts(len(ends)).reshape(-1, 1), signals, lengths)

    def keep(self, tape: Tape) -> None:
        """Remember what a chunk wrote."""
        rows, fill_count, trade_count = (int(count) for count in tape.counts)
        self.parts.append((tape.equity[:rows], tape.fills[:fill_count], tape.trades[:trade_count]))

    def in_chunks(self, chunk: int) -> Run:
        """All bars, `chunk` minutes at a time."""
        start = int(self.bars[0]["open_time"][0])
        for first in range(0, BARS, chunk):
            until = start + (first + chunk) * 60_000
            ends = [int(np.searchsorted(bars["open_time"], until)) for bars in self.bars]
            feed = self.feed(ends)
            tape = tape_for(len(self.bars), max(chunk, 1))
            kernel.run(self.account, self.streams, self.markets, feed, tape)
            self.keep(tape)
        return self

    def by_hand(self) -> Run:
        """All bars, every function of the kernel called from here."""
        tape = tape_for(len(self.bars), BARS)
        context = unknown_contexts(1)[0]
        times = np.unique(np.concatenate([bars["open_time"] for bars in self.bars]))
        for row, time in enumerate(times):
            here = []
            for k, made in enumerate(self.streams):
                at = int(np.searchsorted(self.bars[k]["open_time"], time))
                if at == len(self.bars[k]) or self.bars[k]["open_time"][at] != time:
                    continue
                here.append((made, self.bars[k][at], self.signals[k][at]))
                market_step(self.markets[k], self.bars[k][at], 60_000)
            kernel.begin_minute(self.account, int(time))
            for made, bar, _ in here:
                if matching.may_fill(made, bar):
                    matching.match_bar(self.account, made, bar, tape)
                kernel.settle_bar(self.account, made, bar, context)
            kernel.mark(self.account, self.streams, int(time) + 60_000)
            for made, bar, signal in here:
                side = kernel.side_asked(made, signal)
                if side:
                    kernel.look_around(
                        self.account, self.streams, self.markets, made, context, side
                    )
                kernel.on_bar(self.account, made, bar, signal)
                if matching.asks_market(made):
                    matching.match_close(self.account, made, bar, tape)
            kernel.mark(self.account, self.streams, int(time) + 60_000)
            kernel.write_equity(self.account, tape.equity[row], int(time) + 60_000)
        tape.counts[0] = len(times)
        self.keep(tape)
        return self

    def outcome(self) -> Outcome:
        """Everything that was written."""
        equity, fill_rows, trades = (np.concatenate(part) for part in zip(*self.parts, strict=True))
        return Outcome(self.account, self.streams, fill_rows, trades, equity)

    def digest(self) -> str:
        """A hash over every byte of account, fills, trades and equity, and of the streams' state.

        `volume_left` is left out: what a quiet bar offered is not looked at by `run`.
        """
        made = self.outcome()
        streams = made.streams.copy()
        streams["volume_left"] = 0.0
        digest = hashlib.sha256()
        for part in (made.fills, made.trades, made.equity, streams):
            digest.update(part.tobytes())
        digest.update(made.account.tobytes())
        return digest.hexdigest()


@pytest.mark.parametrize("count", [1, 2])
def test_chunks_do_not_matter(count: int) -> None:
    whole = Run(count).in_chunks(BARS)
    assert len(whole.outcome().trades) > 20
    for chunk in CHUNKS:
        assert Run(count).in_chunks(chunk).digest() == whole.digest()


@pytest.mark.parametrize("count", [1, 2])
def test_run_is_what_it_calls(count: int) -> None:
    assert Run(count).by_hand().digest() == Run(count).in_chunks(1000).digest()


def test_streams_on_a_wide_account_do_not_know_of_each_other() -> None:
    """Fixed quantities and no limits: two streams on one account earn what each earns alone."""
    quantities = [stream(THREE_R, quantity=0.1), stream(CHASED, quantity=0.2)]

    def net(numbers: list[int]) -> tuple[bytes, float]:
        run = Run(2)
        run.account = account(1e6)
        for number in (0, 1):
            run.streams[number] = quantities[number]
            run.streams[number]["number"] = number
            if number not in numbers:
                run.signals[number]["side"] = Side.NONE
        made = run.in_chunks(1000).outcome()
        kept = np.concatenate([made.trades[made.trades["stream"] == n] for n in numbers])
        return kept.tobytes(), float(made.account["cash_quote"]) - 1e6

    both, first, second = net([0, 1]), net([0]), net([1])
    assert both[0] == first[0] + second[0]
    assert both[1] == pytest.approx(first[1] + second[1], abs=1e-6)
    assert first[1] != 0.0 != second[1]


def test_a_snapshot_goes_on_as_if_nothing_had_happened() -> None:
    """State to bytes in mid-run, into new records, and on: the same bytes at the end."""
    whole = Run(2).in_chunks(64)
    run = Run(2)
    start = int(run.bars[0]["open_time"][0])
    for first in range(0, BARS, 64):
        until = start + (first + 64) * 60_000
        ends = [int(np.searchsorted(bars["open_time"], until)) for bars in run.bars]
        feed, tape = run.feed(ends), tape_for(2, 64)
        kernel.run(run.account, run.streams, run.markets, feed, tape)
        run.keep(tape)
        stored = run.account.tobytes(), run.streams.tobytes(), run.markets.tobytes()
        run.account = np.frombuffer(bytearray(stored[0]), run.account.dtype)[0]
        run.streams = np.frombuffer(bytearray(stored[1]), STREAM)
        run.markets = np.frombuffer(bytearray(stored[2]), MARKET)
    assert run.digest() == whole.digest()


@pytest.mark.skipif(not JIT, reason="the JIT is off: nothing is compiled")
def test_one_signature_serves_batch_and_stream() -> None:
    """A second one would be compiled in live trading, at the worst moment."""
    Run(1).in_chunks(64)
    Run(2).in_chunks(1000)
    Run(2).by_hand()
    functions: tuple[Any, ...] = (kernel.run, kernel.on_bar, kernel.mark, matching.match_bar)
    for function in functions:
        assert len(function.signatures) == 1, function


@pytest.mark.skipif(not JIT, reason="the JIT is off: there is nothing to compare")
@pytest.mark.skipif(BOUNDS_CHECKED, reason="plain Python is the same with bounds and without")
@pytest.mark.real_data
def test_compiled_equals_plain_python() -> None:
    """Signals, trades, fills and equity of both strategies over real bars, to the last bit."""
    here = digest_of_run(PLAIN_BARS)
    source = Path(tercel.__file__).resolve().parents[1]
    plain = subprocess.run(
        [sys.executable, "-W", "error", "-m", "tests.parity.plain_python"],
        cwd=CHECKOUT,
        env={
            **os.environ,
            "NUMBA_DISABLE_JIT": "1",
            "PYTHONPATH": os.pathsep.join([str(source), str(CHECKOUT)]),
        },
        check=True,
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert plain.stdout.split() == here
