"""The backtest as a use-case: what it refuses, what it counts, what it warns of."""

from __future__ import annotations

import numpy as np
import pytest
from tests.desk import stream
from tests.fakes import CountingProgress
from tests.market_data import MINUTE_MS, invented_bars

from tercel.app.backtest import AccountSpec, StreamSpec, chunks, simulate
from tercel.app.strategies import load_strategy
from tercel.core.codes import ExitReason, SizeMode
from tercel.core.jit import new
from tercel.core.records import EQUITY, LIMITS, Records
from tercel.domain.bars import BarSeries, Gap, SeriesKey
from tercel.domain.errors import UserError
from tercel.domain.results import BacktestResult, StreamLabel

QUICK = {"decide_minutes": 5, "fast_len": 3, "slow_len": 6, "adx_len": 3, "adx_min": 0.0}
ACCOUNT = AccountSpec(10_000.0, new(LIMITS))


def spec(
    bars: Records,
    number: int = 0,
    *,
    venue: str = "binance-usdm",
    timeframe: str = "1m",
    gaps: tuple[Gap, ...] = (),
) -> StreamSpec:
    """swing on small bars, which trades several times a day."""
    swing = load_strategy("swing")
    return StreamSpec(
        StreamLabel(number, "swing", venue, "BTCUSDT", timeframe),
        swing,
        swing.parameters.values(QUICK),
        BarSeries(SeriesKey(venue, "BTCUSDT", timeframe), bars, gaps, ""),
        stream(swing.plan, mode=SizeMode.RISK, risk_fraction=0.01, taker_fee_rate=0.0005),
    )


def test_a_result_adds_up() -> None:
    bars = invented_bars(1_500)
    progress = CountingProgress()
    result = simulate((spec(bars),), ACCOUNT, progress=progress)
    assert progress.titles == ["backtest"]
    assert progress.total == progress.done == len(bars)
    assert len(result.trades) > 5
    assert result.signals == len(result.trades) + sum(result.refusals.values())
    assert sum(result.strategy_reasons.values()) == len(bars)
    assert len(result.equity) == len(bars)
    assert result.equity.dtype == EQUITY
    assert result.start_time == bars["open_time"][0]
    assert result.end_time == bars["open_time"][-1] + MINUTE_MS
    assert result.equity["equity"][-1] == result.equity_quote == result.cash_quote
    assert result.equity["exposure"][-1] == 0.0
    net = result.gross_quote - result.fee_quote - result.slippage_quote + result.funding_quote
    assert result.cash_quote == pytest.approx(10_000 + net)
    assert result.cash_quote == pytest.approx(10_000 + result.trades["net_quote"].sum())
    counts = list(result.strategy_reasons.values())
    assert counts == sorted(counts, reverse=True)


def test_a_position_at_the_end_is_closed() -> None:
    """Cut right after an entry: the trade is there, closed at the last price."""
    bars = invented_bars(1_500)
    whole = simulate((spec(bars),), ACCOUNT)
    entry = int(whole.trades["entry_time"][3])
    cut = bars[bars["open_time"] < entry + MINUTE_MS]
    result = simulate((spec(cut.copy()),), ACCOUNT)
    assert result.trades["exit_reason"][-1] == ExitReason.END_OF_DATA
    assert result.fills["reference_price"][-1] == cut["close"][-1]


def test_one_run_has_one_timeframe() -> None:
    bars = invented_bars(100)
    with pytest.raises(UserError, match="one run trades one timeframe"):
        simulate((spec(bars), spec(bars, 1, timeframe="5m")), ACCOUNT)


def ended_early() -> BacktestResult:
    """Two series, one of which ends after a third with a position open."""
    one, two = invented_bars(1_500, seed=1), invented_bars(1_500, seed=2)
    alone = simulate((spec(two),), ACCOUNT)
    entry = alone.trades["entry_time"][alone.trades["entry_time"] > two["open_time"][500]][0]
    return simulate((spec(one), spec(two[two["open_time"] < entry + MINUTE_MS], 1)), ACCOUNT)


def test_trades_are_in_the_order_of_their_exits() -> None:
    """What is closed for want of data is closed last, but at the last price it had."""
    result = ended_early()
    forced = result.trades[result.trades["exit_reason"] == ExitReason.END_OF_DATA]
    assert 1 in forced["stream"]
    assert np.all(np.diff(result.trades["exit_time"]) >= 0)
    assert np.all(np.diff(result.fills["time"]) >= 0)
    assert len(result.equity) == 1_500


def test_chunks_of_one_series_are_cut_by_count() -> None:
    bars = invented_bars(100)[[*range(30), *range(70, 100)]]
    assert list(chunks([bars], MINUTE_MS, 25)) == [[25], [50], [60]]
    assert list(chunks([bars[:50]], MINUTE_MS, 25)) == [[25], [50]]


def test_chunks_of_several_series_are_cut_at_the_same_moments() -> None:
    one = invented_bars(100)
    two = invented_bars(100)[[*range(10, 30), *range(70, 90)]]
    ends = list(chunks([one, two], MINUTE_MS, 25))
    assert ends == [[25, 15], [50, 20], [75, 25], [100, 40]]


def test_equity_has_a_row_for_each_distinct_close() -> None:
    one, two = invented_bars(300)[:200], invented_bars(300, seed=2)[100:]
    result = simulate((spec(one), spec(two, 1)), ACCOUNT, chunk_bars=64)
    assert len(result.equity) == 300
    assert np.all(np.diff(result.equity["time"]) == MINUTE_MS)
    assert result.start_time == one["open_time"][0]


def test_what_a_reader_must_know() -> None:
    bars = invented_bars(100)
    gaps = (Gap(0, 60_000, 1_000), Gap(120_000, 180_000, 2_345))
    spot, synthetic = (
        simulate((spec(bars, venue=venue, gaps=found), spec(bars, 1, venue=venue)), ACCOUNT)
        for venue, found in (("binance-spot", gaps), ("synthetic", ()))
    )
    assert spot.warnings == (
        "binance-spot BTCUSDT 1m: 2 gaps, 3,345 bars missing (longest 2,345); "
        "they are skipped over",
        "binance-spot BTCUSDT 1m: spot bars, traded both ways as if they were a perpetual's",
    )
    assert synthetic.warnings == (
        "synthetic BTCUSDT 1m: a synthetic market: nothing here says anything about a real one",
    )


def test_the_same_input_gives_the_same_bytes() -> None:
    bars = invented_bars(1_000)
    one, two = (simulate((spec(bars),), ACCOUNT) for _ in range(2))
    assert one.trades.tobytes() == two.trades.tobytes()
    assert one.fills.tobytes() == two.fills.tobytes()
    assert one.equity.tobytes() == two.equity.tobytes()
