"""`tercel walk` as a user types it, on a synthetic lake."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

import pytest
from tests.entry.conftest import Run
from tests.market_data import once
from tests.walks import QUICK, SHORT

from tercel.adapters.report.walk_log import TrialFile

GRID = ("--grid", "fast_len=2,4; adx_min=0,20")
LINE = (
    "walk", "swing", "BTCUSDT", *GRID,
    *(word for each in SHORT for word in ("--set", each)),
    *(word for name, value in QUICK.items() for word in ("--set", f"{name}={value}")),
)  # fmt: skip
COMPARED = (
    "walk.json", "trials.parquet", "returns.parquet", "oos_equity.parquet", "oos_trades.parquet",
)  # fmt: skip


def left_in(folder: Path) -> list[Path]:
    """Run folders and logs; the research ledger is no part of a run."""
    found = folder.iterdir() if folder.exists() else iter(())
    return [each for each in found if each.name != "ledger.jsonl"]


def hashes(folder: Path) -> list[str]:
    [run_folder] = [each for each in folder.iterdir() if each.is_dir()]
    return [hashlib.sha256((run_folder / each).read_bytes()).hexdigest() for each in COMPARED]


def test_a_walk_prints_its_folds_and_writes_its_folder(run: Run, tmp_path: Path) -> None:
    code, printed, problem = run(*LINE)
    assert (code, problem) == (0, "")
    assert "4 combinations" in printed
    assert "All the data, in hindsight" in printed
    assert "worst" in printed
    assert "Buy-and-hold" in printed
    assert "report.html" in printed
    [folder] = left_in(tmp_path / "runs")
    assert "-walk-swing-BTCUSDT" in folder.name
    record = json.loads((folder / "run.json").read_text())
    assert record["configuration"]["grid"]["fast_len"] == [2, 4]
    [stream] = record["configuration"]["streams"]
    assert stream["params"]["slow_len"] == 6
    assert "fast_len" not in stream["params"]


@once
def test_a_walk_that_was_stopped_goes_on(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Ctrl-C after two combinations: told, kept; the same command gives the bytes of one go."""
    assert run(*LINE, "--runs", "whole")[0] == 0
    save = TrialFile.save
    saved: list[int] = []

    def stop(self: TrialFile, number: int, data: bytes) -> None:
        if len(saved) == 2:
            raise KeyboardInterrupt
        saved.append(number)
        save(self, number, data)

    with monkeypatch.context() as patched:
        patched.setattr(TrialFile, "save", stop)
        code, _, problem = run(*LINE, "--runs", "stopped")
    assert code == 130
    assert "2 of 4 combinations are kept" in problem
    assert [each.name[:6] for each in (tmp_path / "stopped").iterdir()] == [".walk-"]
    saved.clear()
    with monkeypatch.context() as patched:
        patched.setattr(TrialFile, "save", stop)
        assert run(*LINE, "--runs", "stopped")[0] == 0
    assert saved == [2, 3]
    assert hashes(tmp_path / "stopped") == hashes(tmp_path / "whole")
    assert len(list((tmp_path / "stopped").iterdir())) == 1, "the log is gone"


@once
def test_workers_and_no_report(run: Run, tmp_path: Path) -> None:
    code, printed, _ = run(*LINE, "--workers", "1", "--no-report", "--fresh", "--cash", "5000")
    assert code == 0
    assert "report.html" not in printed
    assert left_in(tmp_path / "runs") == []


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("walk", "swing", "BTCUSDT", "--grid", "source1"), "source1 has nothing for swing"),
        (("walk", "swing", "BTCUSDT", "--grid", "fast_ln=2,4"), "did you mean fast_len?"),
        (("walk", "swing", "BTCUSDT", "--grid", "fast_len=9:2:1"), "it ends before it begins"),
        (("walk", "swing", "BTCUSDT", *GRID), "needs 4,016 hours for one fold"),
        (("walk", "swing", "BTCUSDT", *GRID, "--set", "fast_len=3"), "in the grid and in --set"),
        (("walk", "swing", "BTCUSDT", *GRID, "--set", "walk.combinations_max=3"), "at most 3"),
        (("walk", "swing", "NOTHING", *GRID), "NOTHING"),
        (("walk", "three_r", "BTCUSDT"), "needs 4,016 hours"),
        ((*LINE, "--ray", "nowhere"), "expected auto or HOST:PORT"),
    ],
)
def test_mistakes_are_one_line(run: Run, tmp_path: Path, words: tuple[str, ...], said: str) -> None:
    code, _, problem = run(*words)
    assert code == 2
    assert said in problem
    assert problem.startswith("error: ")
    assert problem.count("\n") == 1
    assert left_in(tmp_path / "runs") == []
