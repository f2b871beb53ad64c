"""A sweep gives what separate backtests give, bit for bit, whoever computes it."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from tests.desk import stream
from tests.market_data import JIT, MINUTE_MS, invented_bars

from tercel.adapters.workers import ThreadWorkers
from tercel.app import sharpe
from tercel.app.backtest import AccountSpec, StreamSpec, signals_for, simulate
from tercel.app.equity_path import daily_returns
from tercel.app.folds import Part, Span, Window
from tercel.app.grid import GridLimits, combinations, read_grid
from tercel.app.strategies import load_strategy
from tercel.app.sweep import SweepJob, day_ends, side_by_side, sweep, trial_from
from tercel.core.codes import SizeMode
from tercel.core.jit import new
from tercel.core.records import LIMITS, SIGNAL, Records
from tercel.domain.bars import BarSeries, SeriesKey
from tercel.domain.errors import StorageError
from tercel.domain.results import StreamLabel
from tercel.domain.times import HOUR_MS

BARS = 3_000 if JIT else 1_500
FEW = BARS if JIT else 600
"""Where it need not be more than a day."""
KEY = SeriesKey("binance-usdm", "BTCUSDT", "1m")
ACCOUNT = AccountSpec(10_000.0, new(LIMITS))
QUICK = {"decide_minutes": 5, "slow_len": 6, "adx_len": 3}


def job_on(bars: Records, grid: str = "fast_len=2,4; adx_min=0,20", **settings: Any) -> SweepJob:
    swing = load_strategy("swing")
    every = combinations(read_grid(grid, swing, {}), swing, QUICK, GridLimits(MINUTE_MS, 100))
    asked = {"mode": SizeMode.RISK, "risk_fraction": 0.01, "taker_fee_rate": 0.0005, **settings}
    spec = StreamSpec(
        StreamLabel(0, "swing", KEY.venue, KEY.symbol, KEY.timeframe),
        swing,
        every[0],
        BarSeries(KEY, bars, (), ""),
        stream(swing.plan, **asked),
    )
    return SweepJob(spec, ACCOUNT, every)


def window(bars: Records, first: int, end: int, part: Part) -> Window:
    start = int(bars["open_time"][first])
    return Window(0, part, Span(start, start + (end - first) * MINUTE_MS), first, end)


def test_a_sweep_is_separate_backtests() -> None:
    bars = invented_bars(FEW)
    job = job_on(bars)
    found = side_by_side(job.spec.series, list(sweep(job, ThreadWorkers(1))))
    assert found.returns.shape == (len(day_ends(job.spec.series)), 4)
    for number, values in enumerate(job.combinations):
        alone = simulate((replace(job.spec, values=values),), ACCOUNT)
        row = found.whole[number]
        assert row["trades"] == len(alone.trades) > 0
        assert row["signals"] == alone.signals
        assert row["winners"] == (alone.trades["net_quote"] > 0).sum()
        assert row["net"] == (alone.equity_quote - 10_000.0) / 10_000.0
        assert row["gross"] == alone.gross_quote / 10_000.0
        assert row["fees"] == alone.fee_quote / 10_000.0
        returns = daily_returns(alone.equity, 10_000.0, alone.start_time, alone.end_time)
        assert np.array_equal(found.returns[:, number], returns)
        assert row["sharpe"] == pytest.approx(
            sharpe.sharpe(sharpe.moments(returns)), rel=0, abs=0, nan_ok=True
        )
    assert len(set(found.whole["trades"])) > 1, "the combinations differ"


def test_a_window_begins_warm_with_an_account_of_its_own() -> None:
    """Its trades are those of the signals in it, not of indicators that begin there."""
    bars = invented_bars(BARS)
    first, end = 600, 1_320
    job = job_on(bars)
    job = replace(job, windows=(window(bars, first, end, Part.TEST),))
    trial = next(sweep(job, ThreadWorkers(1)))
    row = trial.figures[0]
    warm = simulate((job.spec,), ACCOUNT)
    cold = replace(job.spec.series, bars=bars[first:end].copy())
    cold_run = simulate((replace(job.spec, series=cold),), ACCOUNT)
    inside = (warm.trades["entry_time"] > bars["open_time"][first]) & (
        warm.trades["entry_time"] <= bars["open_time"][end - 1]
    )
    assert row["signals"] > cold_run.signals, "a cold start misses signals"
    assert abs(int(row["trades"]) - int(inside.sum())) <= 1
    assert row["steps"] == 12, "hourly steps of a test of twelve hours"
    assert row["net"] == pytest.approx(np.prod(1.0 + hours_of(job, 0)) - 1.0)


def hours_of(job: SweepJob, number: int) -> Any:
    """The hourly returns of the job's first window, from the equity of the window itself."""
    from tercel.app.sweep import SweepBench

    [result] = SweepBench(job).trade(number, job.windows)
    start = job.windows[0].span.start_ms
    closes = [
        result.equity["equity"][result.equity["time"] <= start + hour * HOUR_MS][-1]
        for hour in range(1, 13)
    ]
    return np.diff([10_000.0, *closes]) / np.array([10_000.0, *closes[:-1]])


def test_train_is_measured_by_days_and_an_empty_window_by_nothing() -> None:
    bars = invented_bars(BARS)
    empty = Window(0, Part.VALIDATE, Span(5, 5 + HOUR_MS), 7, 7)
    windows = (window(bars, 0, BARS, Part.TRAIN), empty)
    job = replace(job_on(bars), windows=windows)
    trial = next(sweep(job, ThreadWorkers(1)))
    assert trial.figures[0].tobytes() == trial.whole[0].tobytes()
    assert np.array_equal(trial.train_returns, trial.returns)
    assert trial.figures[1]["trades"] == trial.figures[1]["steps"] == 0
    assert np.isnan(trial.figures[1]["sharpe"])


def test_any_number_of_workers_gives_the_same_bytes() -> None:
    bars = invented_bars(FEW // 2)
    job = job_on(bars, "fast_len=2,3,4; adx_min=0,20,40")
    job = replace(job, windows=(window(bars, 60, FEW // 4, Part.TRAIN),))
    one = [trial.to_bytes() for trial in sweep(job, ThreadWorkers(1))]
    three = [trial.to_bytes() for trial in sweep(job, ThreadWorkers(3))]
    assert len(one) == 9
    assert one == three


def test_after_ruin_returns_are_zero() -> None:
    """A fee of half the price takes everything at once; the matrix still has a row for each day."""
    bars = invented_bars(BARS)
    job = job_on(bars, "fast_len=2,4", mode=SizeMode.QUANTITY, quantity=400.0, taker_fee_rate=0.5)
    trial = next(sweep(job, ThreadWorkers(1)))
    assert trial.whole[0]["net"] <= -1.0
    assert trial.returns[0] <= -1.0
    assert np.all(trial.returns[1:] == 0.0)
    assert len(trial.returns) == len(day_ends(job.spec.series))


def test_a_trial_reads_back_and_damage_is_told() -> None:
    trial = next(sweep(job_on(invented_bars(400)), ThreadWorkers(1)))
    data = trial.to_bytes()
    assert trial_from(data).to_bytes() == data
    for broken in (b"", data[:50], b"nothing of the kind"):
        with pytest.raises(StorageError, match="--fresh starts over"):
            trial_from(broken)


def test_what_a_buffer_held_does_not_matter(monkeypatch: pytest.MonkeyPatch) -> None:
    """Signals are made in chunks, into whatever the combination before left."""
    spec = job_on(invented_bars(1_000)).spec
    whole = signals_for(spec)
    monkeypatch.setattr("tercel.app.backtest.CHUNK_BARS", 300)
    used = np.full(1_100 * SIGNAL.itemsize, 255, np.uint8).view(SIGNAL)
    assert signals_for(spec, used).tobytes() == whole.tobytes()
    assert (whole["side"] != 0).any()
