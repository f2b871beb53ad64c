"""The bench measures the right thing: crosses, trades, comparison, tables. No time is asserted."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pytest
from bench.__main__ import main, parse
from bench.child import ChildError, run_child
from bench.floor import Floor
from bench.market import Crosses, NoDataError, data_root, find_crosses
from bench.measurement import Measurement, figure, measurement_table, time_ms
from bench.sma_cross import GivenCrosses, own_averages, trades_of
from bench.trades import compare, trades_of_rows
from tests.market_data import invented_bars

from tercel.core.records import Records

BARS = 3_000


@pytest.fixture(scope="module")
def bars() -> Records:
    """Invented bars with prices in cents, as the crosses ask for."""
    made = invented_bars(BARS, seed=3)
    for name in ("open", "high", "low", "close"):
        made[name] = np.rint(made[name] * 100.0) / 100.0
    return made


@pytest.fixture(scope="module")
def crosses(bars: Records) -> Crosses:
    """Their crosses."""
    return find_crosses(bars["close"])


def test_crosses_are_where_the_averages_change_places(bars: Records, crosses: Crosses) -> None:
    close = bars["close"]
    for i in range(61, BARS):
        now = close[i - 19 : i + 1].mean() - close[i - 59 : i + 1].mean()
        before = close[i - 20 : i].mean() - close[i - 60 : i].mean()
        assert crosses.entries[i] == (now > 0.0 >= before)
        assert crosses.exits[i] == (now < 0.0 <= before)
    assert not crosses.entries[:60].any()
    assert crosses.entries.sum() > 10


def test_the_bare_loop_and_both_ways_through_tercel_trade_the_same(
    bars: Records, crosses: Crosses
) -> None:
    ours = GivenCrosses(bars, crosses).trades()
    for theirs in (Floor(bars, crosses).trades(), trades_of(own_averages(bars)().trades, bars)):
        agreement = compare(ours, theirs)
        assert agreement.equal == agreement.trades == len(ours) > 10
        assert agreement.unpaired == 0


def test_the_equity_ends_where_the_trades_do(bars: Records, crosses: Crosses) -> None:
    trades, equity = GivenCrosses(bars, crosses).run()
    assert len(equity) == BARS
    earned = equity["equity"][-1] - 1e9
    assert earned == pytest.approx(trades["net_quote"].sum(), abs=0.01)


def test_differences_are_counted_by_kind() -> None:
    rows = np.array([[1, 2, 100, 101], [3, 5, 100, 99], [7, 9, 100, 100], [11, 12, 50, 51]], float)
    ours = trades_of_rows(rows, 0.0)
    theirs = trades_of_rows(rows, 0.0)
    theirs["exit_bar"][0] += 1
    theirs["exit_price"][1] += 1e-6
    theirs["pnl_quote"][2] += 0.02
    theirs["entry_bar"][3] += 1
    found = compare(ours, theirs)
    assert (found.equal, found.unpaired) == (0, 2)
    assert (found.bars_differ, found.prices_differ, found.profits_differ) == (1, 1, 1)
    assert found.example.startswith("ours (1, 2, ")


def test_a_median_is_held_against_its_bar() -> None:
    met = Measurement("work", "ms", (9.0, 1.0, 2.0), 2.0)
    assert (met.median, met.verdict) == (2.0, "met")
    assert "missed" in Measurement("work", "ms", (3.0,), 2.0).verdict
    assert Measurement("work", "ms", (3.0,)).verdict == "-"
    last = measurement_table([met]).splitlines()[-1]
    assert last == "| work | ms | 2.00 | 1.00 | 9.00 | 3 | ≤ 2 | met |"


def test_figures_have_three_digits() -> None:
    shown = [figure(value) for value in (0.01234, 1.234, 12.34, 123.4, 12345.6)]
    assert shown == ["0.0123", "1.23", "12.3", "123", "12,346"]


def test_work_is_warmed_up_and_counted() -> None:
    calls: list[int] = []
    assert len(time_ms(lambda: calls.append(1), 4, warm_ups=2)) == 4
    assert len(calls) == 6


def test_a_child_tells_of_itself() -> None:
    done = run_child([sys.executable, "-c", "print('hello')"], timeout_s=30.0)
    assert (done.code, done.told.strip()) == (0, "hello")
    assert done.peak_bytes > 1_000_000
    with pytest.raises(ChildError, match=r"exit 3.*sorry"):
        run_child([sys.executable, "-c", "print('sorry'); exit(3)"], timeout_s=30.0)


def test_a_child_is_stopped_at_its_limit() -> None:
    with pytest.raises(ChildError, match=r"limit 0\.3 s"):
        run_child([sys.executable, "-c", "while True: pass"], timeout_s=0.3)


def test_missing_data_is_one_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("TERCEL_TEST_DATA", str(tmp_path))
    with pytest.raises(NoDataError):
        data_root()
    assert main([]) == 2
    told = capsys.readouterr().err
    assert told.count("\n") == 1
    assert "TERCEL_TEST_DATA" in told


def test_unknown_suites_are_refused(capsys: pytest.CaptureFixture[str]) -> None:
    assert parse(["--only", "live", "--repeats", "3"], ["live"]).repeats == 3
    with pytest.raises(SystemExit):
        parse(["--only", "nothing"], ["live"])
    assert "nothing" in capsys.readouterr().err
