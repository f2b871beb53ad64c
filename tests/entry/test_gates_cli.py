"""`tercel gate`, `validate`, `drift` and `lookahead --all` as typed, with their exit codes."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import polars as pl
import pytest
from tests.entry.conftest import Run
from tests.lakes import HOURS, make_synthetic_lake
from tests.market_data import JIT, real_files

from tercel.app.strategies import built_in_names

PRESSED = Path(__file__).parents[1] / "statistical" / "pressed.py"
FREELY = (
    "--set pace.daily_trades_max=0 --set pace.loss_streak_max=0 --set limits.heat_fraction_max=1.0"
)
SHORT = "" if JIT else "--to 2024-01-01T10:00"
DAY = "--days 2024-01-01 --set validation.warm_up_days=0"


@pytest.fixture(scope="module")
def lake(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """As everywhere, but for a whole day that can be validated."""
    return make_synthetic_lake(tmp_path_factory.mktemp("gates") / "lake", max(HOURS, 24))


@pytest.fixture
def run(run: Run, tmp_path: Path) -> Run:
    """The same, in a folder with `pressed.py` and thresholds that are easily met."""
    shutil.copy(PRESSED, tmp_path / "pressed.py")
    (tmp_path / "easy.yaml").write_text(
        "gate: {presets: {easy: {trades: {at_least: 1}, drawdown: {below: 1.0}}}}\n"
    )
    return run


def test_a_gate_that_is_missed(run: Run, tmp_path: Path) -> None:
    code, printed, _ = run(f"gate swing BTCUSDT {SHORT}")
    assert code == 1
    assert "Gate source2" in printed
    assert "NOT PASSED" in printed
    assert "a synthetic market" in printed
    assert not list((tmp_path / "runs").glob("*swing*")), "no run folder, only the ledger"


def test_a_gate_that_is_passed(run: Run) -> None:
    code, printed, _ = run(
        f"gate ./pressed.py BTCUSDT --preset easy --config easy.yaml {FREELY} {SHORT}"
    )
    assert code == 0
    assert "PASSED: all 2 thresholds of easy" in printed


def test_every_trial_of_the_ledger_deflates(run: Run) -> None:
    """The same trial again is no new one; another parameter is."""
    line = f"gate swing BTCUSDT --preset honest {SHORT}"
    known = "as the research ledger knows of"
    for _ in range(2):
        assert f"deflated for 1 trial, {known}" in run(line)[1]
    assert f"deflated for 2 trials, {known}" in run(f"{line} --set adx_min=25")[1]
    assert "deflated for 9 trials, as --trials says" in run(f"{line} --trials 9")[1]


def test_a_finished_run_is_judged_as_it_is(run: Run, tmp_path: Path) -> None:
    assert run(f"backtest ./pressed.py BTCUSDT --runs made {FREELY} {SHORT}")[0] == 0
    [folder] = (tmp_path / "made").iterdir()
    name = folder.relative_to(tmp_path)
    traded = run(f"gate ./pressed.py BTCUSDT --preset honest {FREELY} {SHORT}")[1]
    judged = run(f"gate pressed --run {name} --preset honest")[1]
    assert traded.splitlines()[1:] == judged.splitlines()[1:]
    code, printed, _ = run(f"gate --run {name} --preset easy --config easy.yaml")
    assert code == 0
    assert f"pressed from {name}" in printed
    code, _, problem = run(f"gate swing --run {name}")
    assert code == 2
    assert "is a run of pressed, not of swing" in problem
    code, _, problem = run(f"gate --run {name} --set ratio=2")
    assert code == 2
    assert "ratio cannot be set any more" in problem


def test_a_day_that_passes_is_promoted(run: Run, tmp_path: Path) -> None:
    code, printed, problem = run(
        f"validate ./pressed.py BTCUSDT {DAY} --max-trades 999 --min-profit-factor 0 {FREELY}"
    )
    assert (code, problem) == (0, "")
    path = tmp_path / "validated" / "pressed-BTCUSDT.json"
    stored = json.loads(path.read_text())
    assert f"promoted as {stored['hash']}" in printed
    assert "record: validated/pressed-BTCUSDT.json" in printed
    assert stored["days"][0]["date"] == "2024-01-01"


def test_too_many_trades_write_nothing(run: Run, tmp_path: Path) -> None:
    code, printed, _ = run(
        f"validate ./pressed.py BTCUSDT {DAY} --max-trades 3 --min-profit-factor 0 {FREELY}"
    )
    assert code == 1
    assert "FAILED: Extended Move Filter failure: " in printed
    assert "nothing is written" in printed
    assert not (tmp_path / "validated").exists()


def test_too_little_profit_writes_nothing(run: Run, tmp_path: Path) -> None:
    code, printed, _ = run(
        f"validate ./pressed.py BTCUSDT {DAY} --max-trades 999 --min-profit-factor 99 {FREELY}"
    )
    assert code == 1
    assert "it must be above 99.00" in printed
    assert not (tmp_path / "validated").exists()


def test_an_estimated_pressure_is_marked(run: Run) -> None:
    assert "ESTIMATE" in run(f"validate three_r BTCUSDT {DAY} --set pressure=bar")[1]
    assert "ESTIMATE" not in run(f"validate three_r BTCUSDT {DAY}")[1]


@pytest.mark.real_data
@pytest.mark.slow
@pytest.mark.skipif(not JIT, reason="90,000 bars")
def test_the_two_days_of_source_5(run: Run, tmp_path: Path) -> None:
    """Spot bars without taker volume; 30 days before each day are 43,200 bars."""
    folder = "klines/binance-spot/BTCUSDT/1m"
    files = real_files(folder, ["2026-01.parquet", "2026-02.parquet"])
    listed = " ".join(str(file) for file in files)
    assert run(f"data import {listed} --lake real")[0] == 0
    line = "validate trend_reversion BTCUSDT --lake real"
    code, printed, _ = run(f"{line} --set pressure=bar")
    assert "ESTIMATE" in printed
    assert printed.count("43,200") == 2
    assert (tmp_path / "validated").exists() == (code == 0)
    code, printed, _ = run(f"{line} --set pressure=taker")
    assert code == 1
    assert "not defined, since there is no trade" in printed


@pytest.fixture
def reference(run: Run, tmp_path: Path) -> Path:
    """A run of `pressed`."""
    assert run(f"backtest ./pressed.py BTCUSDT --runs made {FREELY} {SHORT}")[0] == 0
    [folder] = (tmp_path / "made").iterdir()
    return folder.relative_to(tmp_path)


ENOUGH = "--set drift.reference_trades_min=20"


def test_drift_of_a_run_against_itself(run: Run, reference: Path) -> None:
    code, printed, _ = run(f"drift {reference} {reference} {ENOUGH}")
    assert code == 0
    assert "No drift" in printed
    assert all(name in printed for name in ("Win rate", "Net R", "Trades a day", "Slippage"))


def test_drift_of_trades_that_lose(run: Run, reference: Path, tmp_path: Path) -> None:
    trades = pl.read_parquet(reference / "trades.parquet")
    worse = trades.with_columns(net_quote=-3.0 * pl.col("risk_quote"))
    worse.drop("entry_at", "exit_at").write_csv(tmp_path / "worse.csv")
    code, printed, _ = run(f"drift {reference} worse.csv {ENOUGH}")
    assert code == 1
    assert "Drifting: no longer as in the backtest: " in printed


def test_drift_of_a_stated_watch(run: Run, reference: Path, tmp_path: Path) -> None:
    trades = reference / "trades.parquet"
    code, printed, _ = run(f"drift {reference} {trades} {ENOUGH} --from 2024-01-01 --to 2024-01-01")
    assert code == 0
    assert "2024-01-01 00:00 to 2024-01-02 00:00 UTC" in printed
    code, _, problem = run(f"drift {reference} {trades} {ENOUGH} --from 2025-01-01")
    assert code == 2
    assert "the recent trades: 0 trades" in problem


def test_drift_compares_like_with_like(run: Run, reference: Path, tmp_path: Path) -> None:
    other = pl.read_parquet(reference / "trades.parquet").with_columns(strategy=pl.lit("swing"))
    other.write_parquet(tmp_path / "other.parquet")
    code, _, problem = run(f"drift {reference} other.parquet {ENOUGH}")
    assert code == 2
    assert "its strategy is swing, that of the reference pressed" in problem


BARS = 40 if JIT else 15


def test_every_strategy_is_proved(run: Run) -> None:
    code, printed, _ = run(f"lookahead --all BTCUSDT --bars {BARS} --set ema_len=25")
    assert code == 0
    lines = printed.splitlines()
    assert lines[0].startswith(f"{BARS} bars of synthetic BTCUSDT 1m; known beside the bars: ")
    assert [line.split(":")[0] for line in lines[1:-1]] == built_in_names()
    count = len(built_in_names())
    assert lines[-1] == f"{count} of {count} strategies look at nothing that comes later"


def test_one_leak_among_all_fails(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    from tercel.app import lookahead

    prove = lookahead.check_lookahead

    def leaking(strategy: object, *given: object) -> lookahead.LookaheadReport:
        if strategy.name == "swing":  # type: ignore[attr-defined]
            return lookahead.LookaheadReport("swing", 10, 3, first_leak=1_704_067_200_000)
        return prove(strategy, *given)  # type: ignore[arg-type]

    monkeypatch.setattr(lookahead, "check_lookahead", leaking)
    code, printed, _ = run("lookahead --all BTCUSDT --bars 12")
    assert code == 1
    assert "swing LOOKS AHEAD: the signal of 2024-01-01 00:00" in printed
    count = len(built_in_names())
    assert f"{count - 1} of {count} strategies" in printed


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("gate", "name a strategy and a symbol"),
        ("gate swing", "name a strategy and a symbol"),
        ("gate swing BTCUSDT --preset best", "there are honest, source1, source2"),
        ("gate swing BTCUSDX", "did you mean BTCUSDT?"),
        ("gate swing BTCUSDT --set gate.preset=best", "got best"),
        ("gate --run nowhere", "not a run folder"),
        ("gate --run nowhere --costs free", "leave out symbols"),
        ("validate swing BTCUSDT", "2026-02-09 is out of range"),
        ("validate swing BTCUSDT --days 2024-01-01", "has 0 bars before 2024-01-01"),
        ("validate swing BTCUSDT --days 2024-01-01T06:00", "is not a day"),
        ("validate swing BTCUSDT --days today", "write 2024-06-25"),
        ("validate swing BTCUSDT --days 2024-01-01,2024-01-01", "is named twice"),
        ("validate swing BTCUSDT --days ,", "name at least one day"),
        (f"validate order_flow BTCUSDT {DAY}", "is a filter"),
        ("drift nowhere nothing.csv", "not a run folder"),
        ("drift nowhere nothing.csv --set ema_len=2", "drift trades nothing"),
        ("lookahead three_r", "name a strategy and a symbol"),
        ("lookahead --all three_r BTCUSDT", "leave out 'three_r'"),
        ("lookahead --all", "the lake has BTCUSDT, ETHUSDT"),
        ("lookahead --all BTCUSDT --set nothing=3", "no parameter 'nothing'"),
    ],
)
def test_mistakes_are_one_line_that_says_what_to_do(run: Run, line: str, said: str) -> None:
    code, _, problem = run(line)
    assert code == 2
    assert said in problem
    assert problem.startswith("error: ")
    assert problem.count("\n") == 1
