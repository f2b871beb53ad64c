"""`tercel backtest`, `new`, `strategies`, `lookahead` as a user types them, on a synthetic lake."""

from __future__ import annotations

import hashlib
import json
import shlex
import subprocess
import sys
from pathlib import Path

import polars as pl
import pytest
from tests.entry.conftest import Run
from tests.lakes import HOURS
from tests.market_data import JIT, once

from tercel.app.strategies import load_strategy
from tercel.domain.errors import UserError


def the_run_folder(folder: Path) -> Path:
    [found] = [each for each in (folder / "runs").iterdir() if each.is_dir()]
    return found


def test_a_backtest_writes_its_run_folder(run: Run, tmp_path: Path) -> None:
    code, printed, _ = run("backtest three_r BTCUSDT")
    assert code == 0
    folder = the_run_folder(tmp_path)
    names = {each.name for each in folder.iterdir()}
    assert names == {
        "stats.json", "trades.parquet", "equity.parquet", "fills.parquet", "equity.png",
        "report.html", "run.json",
    }  # fmt: skip
    assert str(folder.relative_to(tmp_path) / "report.html") in printed
    assert "synthetic market" in printed
    record = json.loads((folder / "run.json").read_text())
    assert set(record["hashes"]) == {"code", "parameters", "data"}
    stats = json.loads((folder / "stats.json").read_text())
    trades = pl.read_parquet(folder / "trades.parquet")
    assert stats["statistics"]["trades"] == len(trades)


@once
def test_the_same_input_gives_the_same_bytes(run: Run, tmp_path: Path) -> None:
    found = []
    for name in ("one", "two"):
        run(f"backtest three_r BTCUSDT --runs {name}")
        [folder] = (tmp_path / name).iterdir()
        found.append(
            [
                hashlib.sha256((folder / each).read_bytes()).hexdigest()
                for each in ("stats.json", "trades.parquet", "equity.parquet", "fills.parquet")
            ]
        )
    assert found[0] == found[1]


def test_several_symbols_trade_one_account(run: Run, tmp_path: Path) -> None:
    code, printed, _ = run("backtest three_r,swing BTCUSDT ETHUSDT --no-report")
    assert code == 0
    assert "synthetic ETHUSDT 1m" in printed
    assert [each.name for each in (tmp_path / "runs").iterdir()] == ["ledger.jsonl"]


@once
def test_compare_adds_swing_and_buy_and_hold(run: Run, tmp_path: Path) -> None:
    code, printed, _ = run("backtest three_r BTCUSDT --compare")
    assert code == 0
    assert "side by side" in printed
    assert "swing" in printed
    assert "buy-and-hold" in printed
    assert len(list((tmp_path / "runs").glob("*.html"))) == 1


def test_compared_strategies_take_the_parameters_they_have(run: Run) -> None:
    code, _, problem = run("backtest three_r BTCUSDT --compare --no-report --set ema_len=25")
    assert (code, problem) == (0, "")
    code, _, problem = run("backtest three_r BTCUSDT --compare --no-report --set nothing=25")
    assert code == 2
    assert "no parameter 'nothing'" in problem


def test_what_is_named_twice_is_traded_once(run: Run, tmp_path: Path) -> None:
    assert run("backtest swing,swing BTCUSDT btcusdt")[0] == 0
    record = json.loads((the_run_folder(tmp_path) / "run.json").read_text())
    assert [each["stream"] for each in record["configuration"]["streams"]] == [
        "swing synthetic BTCUSDT 1m"
    ]


def test_the_command_line_can_be_pasted_back(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    typed = ["backtest", "swing", "BTCUSDT", "--runs", "my runs"]
    monkeypatch.setattr("sys.argv", ["tercel", *typed])
    assert run("backtest swing BTCUSDT")[0] == 0
    record = json.loads((the_run_folder(tmp_path) / "run.json").read_text())
    assert shlex.split(record["command_line"]) == ["tercel", *typed]


def test_several_symbols_are_set_beside_all_of_them_held(run: Run, tmp_path: Path) -> None:
    code, printed, _ = run("backtest swing BTCUSDT ETHUSDT")
    assert code == 0
    assert "Buy-and-hold of 2 symbols in equal parts" in " ".join(printed.split())
    stats = json.loads((the_run_folder(tmp_path) / "stats.json").read_text())
    names = ["buy-and-hold", "buy-and-hold BTCUSDT", "buy-and-hold ETHUSDT"]
    assert sorted(stats["benchmarks"]) == names
    whole, *parts = (stats["benchmarks"][name]["net_quote"] for name in names)
    assert whole == pytest.approx(sum(parts) / 2)


def test_cash_costs_and_parameters_are_obeyed(run: Run, tmp_path: Path) -> None:
    code, _, _ = run(
        "backtest three_r BTCUSDT --cash 50000 --costs free --set ema_len=25 "
        "--set fills.intrabar=optimistic --from 2024-01-01T06:00 --to 2024-01-01"
    )
    assert code == 0
    folder = the_run_folder(tmp_path)
    stats = json.loads((folder / "stats.json").read_text())
    assert stats["statistics"]["fee_quote"] == 0
    record = json.loads((folder / "run.json").read_text())
    [stream] = record["configuration"]["streams"]
    assert stream["params"]["ema_len"] == 25
    assert stream["bars"] == (min(HOURS, 24) - 6) * 60, "a bare date as --to includes that day"
    assert record["configuration"]["settings"]["fills"]["intrabar"] == "optimistic"


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("backtest three_rr BTCUSDT", "did you mean three_r?"),
        ("backtest ./mine.py BTCUSDT", "tercel new mine"),
        ("backtest three_r BTCUSD", "did you mean BTCUSDT?"),
        ("backtest three_r BTCUSDT --venue binance-usdm", "it has synthetic BTCUSDT 1m"),
        ("backtest three_r BTCUSDT --timeframe 5m", "it has synthetic BTCUSDT 1m"),
        ("backtest three_r BTCUSDT --from yesterday", "write 2024-06-25"),
        ("backtest three_r BTCUSDT --from 2024-01-01T00:00+02:00", "is not UTC"),
        ("backtest three_r BTCUSDT --from 2030-01-01", "2024-01-01"),
        ("backtest three_r BTCUSDT --from 2024-01-02 --to 2024-01-01T12:00", "the range is empty"),
        ("backtest three_r BTCUSDT --set ema_ln=3", "did you mean ema_len?"),
        ("backtest three_r BTCUSDT --set ema_len=1", "expected 2 to 500 bars, got 1"),
        ("backtest three_r BTCUSDT --set pressure=wind", "auto | book | taker | bar"),
        ("backtest three_r BTCUSDT --set fills.intrabr=x", "intrabar"),
        ("backtest three_r BTCUSDT --costs cheap", "no cost profile 'cheap'"),
        ("backtest three_r BTCUSDT --config nowhere.yaml", "nowhere.yaml"),
        ("backtest three_r BTCUSDT --cash -5", "runs.start_quote"),
        ("lookahead three_r BTCUSDX", "did you mean BTCUSDT"),
        ("strategies nothing", "swing, three_r"),
        ("new three_r", "is the name of a built-in strategy"),
        ("data list --venue foo", "not one of binance-usdm"),
        ("new not-a-name", "letters, digits and underscores"),
    ],
)
def test_mistakes_are_one_line_that_says_what_to_do(
    run: Run, tmp_path: Path, line: str, said: str
) -> None:
    code, _, problem = run(line)
    assert code == 2
    assert said in problem
    assert problem.startswith("error: ")
    assert problem.count("\n") == 1
    assert not (tmp_path / "runs").exists()


def test_a_strategy_of_ones_own(run: Run, tmp_path: Path) -> None:
    assert run("new my_idea")[0] == 0
    assert "exists already" in run("new my_idea")[2]
    assert run("new my_idea --force")[0] == 0
    code, printed, _ = run("backtest ./my_idea.py BTCUSDT --no-report --set fast_len=5")
    assert code == 0
    assert "my_idea" in printed or "trades" in printed
    code, printed, _ = run("strategies ./my_idea.py")
    assert "fast_len" in printed
    code, printed, _ = run("lookahead ./my_idea.py BTCUSDT --bars 60")
    assert code == 0
    assert "no look-ahead at any of 60 bars" in printed


def test_new_into_a_folder_that_cannot_be_written(
    run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise OSError(30, "Read-only file system")

    monkeypatch.setattr(Path, "write_text", refuse)
    code, _, problem = run("new my_idea")
    assert code == 1
    assert "Read-only file system" in problem


PEEKING = '''
"""Looks at the next bar."""
from tercel.strategy import *
PARAMS = parameters(Param("x", 1, 0, 9))
REASONS = ("none", "up")
PLAN = TradePlan()
def state_dtype(params):
    return rec(("bars", "i8"))
@kernel
def step(state, bar, context, params, signal):
    no_signal(signal, 0)
@kernel
def signals(state, bars, contexts, params, out):
    for i in range(len(bars)):
        no_signal(out[i], 0)
        if i + 1 < len(bars) and bars[i + 1].close > bars[i].close:
            enter(out[i], 1, 1.0, 1)
'''


PAST_THE_END = '''
"""Remembers four bars, and writes a fifth."""
from tercel.strategy import *
PARAMS = parameters(Param("x", 1, 0, 9))
REASONS = ("none",)
PLAN = TradePlan()
def state_dtype(params):
    return rec(("bars", "i8"), ("kept", "f8", (4,)))
@kernel
def step(state, bar, context, params, signal):
    state.kept[state.bars] = bar.close
    state.bars += 1
@kernel
def signals(state, bars, contexts, params, out):
    for i in range(len(bars)):
        step(state, bars[i], contexts[0], params, out[i])
'''


@pytest.mark.skipif(not JIT, reason="plain Python checks every index by itself")
def test_an_index_past_the_end_is_an_error_with_a_line(run: Run, tmp_path: Path) -> None:
    """Compiled code reads on past an array's end, unless it is told to check."""
    (tmp_path / "past.py").write_text(PAST_THE_END)
    code, _, problem = run("backtest ./past.py BTCUSDT --no-report")
    assert code == 2
    assert "past.py:11: IndexError" in problem
    assert "state.kept[state.bars] = bar.close" in problem


def test_several_strategies_take_the_parameters_they_have(run: Run) -> None:
    assert run("backtest three_r,swing BTCUSDT --no-report --set ema_len=25")[0] == 0
    code, _, problem = run("backtest three_r,swing BTCUSDT --no-report --set nothing=25")
    assert code == 2
    assert "no parameter 'nothing'" in problem


def test_parameters_that_do_not_fit_together() -> None:
    with pytest.raises(UserError, match="multiple of the bars' length, 30 minutes; got 15"):
        load_strategy("swing").values({"decide_minutes": 15}, 30 * 60_000)


def test_a_stretch_without_signals_proves_little(run: Run) -> None:
    code, printed, _ = run("lookahead three_r BTCUSDT --bars 20 --set vol_window=30")
    assert code == 0
    assert "proves little" in printed


def test_a_strategy_that_peeks_is_caught(run: Run, tmp_path: Path) -> None:
    (tmp_path / "peek.py").write_text(PEEKING)
    code, printed, _ = run("lookahead ./peek.py BTCUSDT --bars 40")
    assert code == 1
    assert "LOOKS AHEAD: the signal of 2024-01-01 00:" in printed
    assert "batch loop and step disagree" in printed


def test_ctrl_c_leaves_no_run_folder(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from tercel.app import runs

    def stop(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(runs, "simulate", stop)
    code, _, problem = run("backtest three_r BTCUSDT")
    assert code == 130
    assert "nothing is half-written" in problem
    assert not (tmp_path / "runs").exists()


def test_a_range_beyond_the_bars_is_told(run: Run) -> None:
    code, printed, _ = run("backtest three_r BTCUSDT --no-report --from 2023-01-01 --to 2027-01-01")
    assert code == 0
    assert "three_r on synthetic BTCUSDT 1m, 2024-01-01 00:00 to" in printed
    assert "asked from 2023-01-01 00:00, the bars begin at 2024-01-01 00:00" in printed
    assert "asked until 2027-01-02 00:00, the bars end at" in printed


def test_the_list_of_strategies(run: Run) -> None:
    code, printed, _ = run("strategies")
    assert code == 0
    assert "three_r" in printed
    assert "swing" in printed


def test_order_flow_confirms_or_refuses(run: Run) -> None:
    """Every signal that the takers' flow does not confirm is refused, and counted."""
    asked = "backtest swing BTCUSDT --no-report --set decide_minutes=5 --set slow_len=6"
    code, everything, problem = run(asked)
    assert code == 0, problem
    code, confirmed, problem = run(f"{asked} --set pace.flow_min=0.2")
    assert code == 0, problem
    assert "Flow against" in confirmed
    assert "Flow against" not in everything


def test_a_reader_who_leaves_early_loses_nothing(lake: Path, tmp_path: Path) -> None:
    """`| head -1`: the run folder is written all the same."""
    line = f"{sys.executable} -m tercel.entry.cli.main backtest swing BTCUSDT --lake {lake}"
    subprocess.run(
        ["bash", "-c", f"{line} --runs {tmp_path / 'piped'} | head -1"], check=True, cwd=tmp_path
    )
    assert list((tmp_path / "piped").glob("*/report.html"))
