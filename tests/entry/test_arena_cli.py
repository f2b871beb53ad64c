"""`tercel arena` as a user types it, on a synthetic lake."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

import polars as pl
import pytest
from tests.entry.conftest import Run

from tercel.app.arena import default_strategies

TWO = "--strategies three_r,swing"


def the_run_folder(folder: Path) -> Path:
    [found] = [each for each in (folder / "runs").iterdir() if each.is_dir()]
    return found


def test_an_arena_of_everything_writes_its_run_folder(run: Run, tmp_path: Path) -> None:
    code, printed, _ = run("arena BTCUSDT ETHUSDT --from 2024-01-01 --to 2024-01-01")
    assert code == 0
    folder = the_run_folder(tmp_path)
    assert "arena-BTCUSDT-ETHUSDT" in folder.name
    names = {each.name for each in folder.iterdir()}
    assert names == {"arena.json", "equity.parquet", "arena.html", "run.json"}
    assert str(folder.relative_to(tmp_path) / "arena.html") in printed
    assert "buy-and-hold" in printed
    stored = json.loads((folder / "arena.json").read_text())
    every = {strategy.name for strategy in default_strategies()}
    assert {each["strategy"] for each in stored["ranking"]} == every
    for name in every:
        assert f"{name}: " in printed
    assert set(pl.read_parquet(folder / "equity.parquet").columns) == {
        "time", "at", "buy-and-hold", *every
    }  # fmt: skip
    record = json.loads((folder / "run.json").read_text())
    assert len(record["configuration"]["streams"]) == 2 * len(every)


def test_threads_and_repetition_give_the_same_bytes(run: Run, tmp_path: Path) -> None:
    found = []
    for name, words in (("one", "--workers 1"), ("two", "--workers 2")):
        # A ledger each: what was tried before is part of a verdict.
        line = f"arena BTCUSDT {TWO} {words} --runs {name} --set research.ledger={name}.jsonl"
        assert run(line)[0] == 0
        [folder] = (tmp_path / name).iterdir()
        found.append(
            [
                hashlib.sha256((folder / each).read_bytes()).hexdigest()
                for each in ("arena.json", "equity.parquet")
            ]
        )
    assert found[0] == found[1]


def test_rank_cash_costs_and_parameters_are_obeyed(run: Run, tmp_path: Path) -> None:
    code, printed, _ = run(
        f"arena BTCUSDT {TWO} --rank drawdown --cash 50000 --costs free --set ema_len=25 "
        "--set fills.intrabar=optimistic --venue synthetic --timeframe 1m"
    )
    assert code == 0
    assert "Ranking by smallest drawdown" in printed
    folder = the_run_folder(tmp_path)
    stored = json.loads((folder / "arena.json").read_text())
    every = [each["statistics"] for each in stored["ranking"]]
    falls = [each["drawdown_depth"] for each in every if each["trades"]]
    assert stored["rank"] == "drawdown"
    assert falls == sorted(falls)
    for each in stored["ranking"]:
        assert each["statistics"]["fee_quote"] == 0
        assert each["statistics"]["start_quote"] == 50_000
    record = json.loads((folder / "run.json").read_text())
    params = {each["stream"]: each["params"] for each in record["configuration"]["streams"]}
    assert params["three_r synthetic BTCUSDT 1m"]["ema_len"] == 25
    assert "ema_len" not in params["swing synthetic BTCUSDT 1m"]


def test_the_rank_of_the_settings_counts_without_an_option(run: Run) -> None:
    code, printed, _ = run(f"arena BTCUSDT {TWO} --no-report --set arena.rank=sharpe")
    assert code == 0
    assert "Ranking by Sharpe ratio" in printed
    assert "The allocator could not be tested" in printed


def test_without_a_report_only_the_ledger_is_left(run: Run, tmp_path: Path) -> None:
    assert run(f"arena BTCUSDT {TWO} --no-report")[0] == 0
    assert [each.name for each in (tmp_path / "runs").iterdir()] == ["ledger.jsonl"]


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("arena BTCUSD", "did you mean BTCUSDT?"),
        ("arena BTCUSDT --strategies three_rr", "did you mean three_r?"),
        ("arena BTCUSDT --strategies ,", "--strategies names none"),
        ("arena BTCUSDT --strategies order_flow", "is a filter and trades nothing itself"),
        ("arena BTCUSDT --rank profit", "expected net, profit_factor, drawdown, sharpe"),
        ("arena BTCUSDT --strategies swing --set nothing=1", "no parameter 'nothing'"),
        ("arena BTCUSDT --set allocator.cap_fraction=2", "allocator.cap_fraction"),
        ("arena BTCUSDT --set allocator.floor_fraction=0.4", "is more than the whole capital"),
        ("arena BTCUSDT --set allocator.resume_at=0.1", "expected at least pause_below (0.2)"),
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
