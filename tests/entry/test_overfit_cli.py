"""`tercel overfit` and the research ledger as a user meets them, on a synthetic lake."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from tests.entry.conftest import Run
from tests.market_data import JIT
from tests.walks import QUICK, SHORT

VALUES = tuple(word for name, value in QUICK.items() for word in ("--set", f"{name}={value}"))
BACKTEST = ("backtest", "swing", "BTCUSDT", *VALUES)
WALK = (
    "walk", "swing", "BTCUSDT", "--grid", "fast_len=2,4; adx_min=0,20",
    *(word for each in SHORT for word in ("--set", each)), *VALUES,
)  # fmt: skip
SHORTEST = (
    "--set", "overfit.returns_min=2", "--set", "overfit.histories=100", "--permutations", "50",
)  # fmt: skip
pytestmark = pytest.mark.skipif(not JIT, reason="a day of bars has one daily return")


@pytest.fixture
def run(run: Run) -> Run:
    """The same, what is printed as one line: tables wrap."""

    def typed(*words: str) -> tuple[int, str, str]:
        code, printed, problem = run(*words)
        return code, " ".join(printed.split()), problem

    return typed


def ledger_lines(folder: Path) -> list[dict[str, object]]:
    header, *lines = (folder / "runs" / "ledger.jsonl").read_text().splitlines()
    assert header == '{"tercel_ledger":1}'
    return [json.loads(line) for line in lines]


def run_folder(folder: Path) -> Path:
    [found] = [each for each in (folder / "runs").iterdir() if each.is_dir()]
    return found


def test_every_backtest_is_counted_also_without_a_report(run: Run, tmp_path: Path) -> None:
    assert run(*BACKTEST, "--no-report")[0] == 0
    assert run(*BACKTEST, "--no-report", "--set", "fast_len=4")[0] == 0
    one, two = ledger_lines(tmp_path)
    assert (one["strategy"], one["series"], one["kind"]) == (
        "swing", "synthetic BTCUSDT 1m", "backtest",
    )  # fmt: skip
    assert one["parameters"] != two["parameters"]
    same = ("code_hash", "data_hash", "settings_hash", "cost_profile", "start_ms", "end_ms")
    assert [one[name] for name in same] == [two[name] for name in same]


def test_streams_strategies_and_costs_make_trials_of_their_own(run: Run, tmp_path: Path) -> None:
    run("backtest", "swing", "BTCUSDT", "ETHUSDT", *VALUES, "--no-report")
    run(*BACKTEST, "--no-report")
    run(*BACKTEST, "--no-report", "--costs", "free")
    run(*BACKTEST, "--no-report", "--cash", "500")
    lines = ledger_lines(tmp_path)
    assert [str(each["series"]).split()[1] for each in lines] == [
        "BTCUSDT", "ETHUSDT", "BTCUSDT", "BTCUSDT", "BTCUSDT",
    ]  # fmt: skip
    hashes = [each["settings_hash"] for each in lines]
    assert len(set(hashes)) == len(hashes)
    assert lines[0]["net_fraction"] == lines[1]["net_fraction"]  # they share an account


def test_a_comparison_counts_every_strategy(run: Run, tmp_path: Path) -> None:
    assert run("backtest", "three_r", "BTCUSDT", "--compare", "--no-report")[0] == 0
    assert [each["strategy"] for each in ledger_lines(tmp_path)] == ["three_r", "swing"]


def test_a_walk_counts_every_combination_and_knows_a_backtest_again(
    run: Run, tmp_path: Path
) -> None:
    assert run(*WALK)[0] == 0
    assert [each["kind"] for each in ledger_lines(tmp_path)] == ["walk"] * 4
    assert run(*BACKTEST, "--set", "fast_len=2", "--set", "adx_min=20.0", "--no-report")[0] == 0
    *_, last = lines = ledger_lines(tmp_path)
    named = ("parameters", "code_hash", "data_hash", "settings_hash", "cost_profile")
    [twin] = [
        each for each in lines[:4] if [each[key] for key in named] == [last[key] for key in named]
    ]
    assert (twin["net_fraction"], twin["trades"]) == (last["net_fraction"], last["trades"])
    assert twin["sharpe"] == pytest.approx(last["sharpe"], rel=1e-12)


def test_the_page_of_a_walk_has_the_tests(run: Run, tmp_path: Path) -> None:
    assert run(*WALK, "--set", "overfit.returns_min=2", "--set", "overfit.blocks=2")[0] == 0
    page = (run_folder(tmp_path) / "report.html").read_text()
    assert 'id="overfitting"' in page
    assert "Trials in the research ledger" in page


def test_overfit_takes_the_newest_run_and_writes_beside_it(run: Run, tmp_path: Path) -> None:
    assert run(*BACKTEST)[0] == 0
    run(*BACKTEST, "--no-report", "--set", "fast_len=4")
    folder = run_folder(tmp_path)
    before = {each.name: each.read_bytes() for each in folder.iterdir()}
    code, printed, problem = run("overfit", *SHORTEST)
    assert (code, problem) == (0, "")
    assert "Trials in the research ledger 2" in printed
    assert "Trades moved together" in printed
    after = {each.name: each.read_bytes() for each in folder.iterdir()}
    assert set(after) - set(before) == {"overfit.json", "overfit.html"}
    assert {name: after[name] for name in before} == before
    told = json.loads(after["overfit.json"])
    assert (told["trials"]["ledger"], told["trials"]["runs"]) == (2, 2)
    assert told["settings"]["permutations"] == 50
    assert run("overfit", folder.name, *SHORTEST)[0] == 0
    assert (folder / "overfit.json").read_bytes() == after["overfit.json"]


def test_overfit_of_a_walk_judges_the_search(run: Run, tmp_path: Path) -> None:
    assert run(*WALK)[0] == 0
    more = ("--blocks", "2", "--seed", "7", "--set", "overfit.groups=3")
    folder = run_folder(tmp_path)
    tests = ("--set", "overfit.test_groups=1", "--set", "overfit.purge_days=0", *SHORTEST)
    code, printed, problem = run("overfit", str(folder), *more, *tests)
    assert (code, problem) == (0, "")
    told = json.loads((folder / "overfit.json").read_text())
    assert (told["kind"], told["trials"]["this_run"], told["trials"]["ledger"]) == ("walk", 4, 4)
    assert (told["settings"]["blocks"], told["settings"]["seed"]) == (2, 7)
    assert told["probability_of_overfitting"]["trials"] == 4
    assert isinstance(told["permutations"], dict), told["permutations"]
    assert "Independent trials" in printed


def test_without_the_bars_a_line_says_so(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run(*BACKTEST)
    monkeypatch.setenv("TERCEL__DATA__LAKE", str(tmp_path / "other"))
    code, printed, _ = run("overfit", *SHORTEST)
    assert code == 0
    assert "The permutation test was not computed: the lake has not the bars of the run" in printed


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("overfit",), "no run folder there; make one with `tercel backtest`"),
        (("overfit", "nowhere"), "nowhere: not a run folder"),
        (("overfit", "--blocks", "7"), "overfit.blocks"),
        (("overfit", "--permutations", "0"), "overfit.permutations"),
        (("overfit", "--set", "overfit.test_groups=10"), "overfit.test_groups"),
    ],
)
def test_what_cannot_be_done_is_one_line(run: Run, words: tuple[str, ...], said: str) -> None:
    code, printed, problem = run(*words)
    assert (code, printed) == (2, "")
    assert said in problem
    assert len(problem.splitlines()) == 1


def test_a_short_run_says_what_it_lacks(run: Run) -> None:
    run(*BACKTEST)
    code, _, problem = run("overfit")
    assert code == 2
    assert "daily returns, and 30 are needed (overfit.returns_min)" in problem


def test_a_torn_ledger_is_repaired_with_a_notice(run: Run, tmp_path: Path) -> None:
    run(*BACKTEST, "--no-report")
    path = tmp_path / "runs" / "ledger.jsonl"
    path.write_bytes(path.read_bytes() + b'{"strategy":"swi')
    code, _, problem = run(*BACKTEST, "--no-report")
    assert code == 0
    assert "notice: runs/ledger.jsonl: the last line was cut short by a crash" in problem
    assert len(ledger_lines(tmp_path)) == 2


def test_a_ledger_of_another_version_stops_the_run(run: Run, tmp_path: Path) -> None:
    (tmp_path / "runs").mkdir()
    (tmp_path / "runs" / "ledger.jsonl").write_text('{"tercel_ledger":2}\n')
    code, _, problem = run(*BACKTEST)
    assert code == 2
    assert "version 2, and this Tercel writes version 1" in problem
    assert [each.name for each in (tmp_path / "runs").iterdir()] == ["ledger.jsonl"]
    assert run(*BACKTEST, "--set", "research.ledger=other.jsonl", "--no-report")[0] == 0
    assert (tmp_path / "other.jsonl").exists()
