"""The log of a walk and its run folder: what survives a kill, what the files hold."""

from __future__ import annotations

import io
import json
import re
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
from tests.lakes import make_synthetic_lake
from tests.walks import MemoryLog, quick_plan

from tercel.adapters.report import heatmaps, write_walk
from tercel.adapters.report.walk_folder import returns_parquet, trials_parquet, walk_json
from tercel.adapters.report.walk_log import TrialFile, WalkBusyError
from tercel.adapters.report.walk_page import TONES, Section, walk_page
from tercel.adapters.workers import ThreadWorkers
from tercel.app import wording
from tercel.app.grid import Axis, Grid
from tercel.app.walk_verdict import WALK_HEADLINES, WalkCode
from tercel.app.walkforward import Walk, run_walk
from tercel.domain.errors import StorageError, UserError

MARK = "0123456789abcdef" * 4


@pytest.fixture(scope="session")
def walk(tmp_path_factory: pytest.TempPathFactory) -> Walk:
    lake = make_synthetic_lake(tmp_path_factory.mktemp("walk-folder") / "lake")
    desk, plan = quick_plan(lake)
    return run_walk(desk, plan, ThreadWorkers(1), MemoryLog())


def test_what_is_saved_is_there_again(tmp_path: Path) -> None:
    with TrialFile(tmp_path / "runs", MARK) as log:
        assert log.finished() == {}
        log.save(3, b"three")
        log.save(0, b"")
        path = log.path
    with TrialFile(tmp_path / "runs", MARK) as log:
        assert log.finished() == {3: b"three", 0: b""}
        log.save(1, b"one")
        assert log.finished() == {3: b"three", 0: b"", 1: b"one"}
        log.discard()
        assert path.exists()
    assert not path.exists(), "nothing is left of a walk that is done"


@pytest.mark.parametrize("cut", [1, 7, 19, 20, 24])
def test_a_record_cut_short_by_a_kill_is_written_over(tmp_path: Path, cut: int) -> None:
    with TrialFile(tmp_path, MARK) as log:
        log.finished()
        log.save(0, b"whole")
        log.save(1, b"later")
        whole = log.path.read_bytes()
    log.path.write_bytes(whole[: len(whole) - 25 + cut])
    with TrialFile(tmp_path, MARK) as log:
        assert log.finished() == {0: b"whole"}
        log.save(1, b"later")
    assert log.path.read_bytes() == whole


def test_a_record_that_was_bent_ends_the_log(tmp_path: Path) -> None:
    with TrialFile(tmp_path, MARK) as log:
        log.save(0, b"whole")
        log.save(1, b"later")
        whole = bytearray(log.path.read_bytes())
    whole[-1] ^= 1
    log.path.write_bytes(whole)
    with TrialFile(tmp_path, MARK) as log:
        assert log.finished() == {0: b"whole"}


def test_fresh_starts_over_and_others_have_a_log_of_their_own(tmp_path: Path) -> None:
    with TrialFile(tmp_path, MARK) as log:
        log.save(0, b"whole")
    with TrialFile(tmp_path, "f" * 64) as log:
        assert log.finished() == {}
    with TrialFile(tmp_path, MARK, fresh=True) as log:
        assert log.finished() == {}


def test_one_process_at_a_time(tmp_path: Path) -> None:
    with TrialFile(tmp_path, MARK), pytest.raises(WalkBusyError, match="is running"):
        TrialFile(tmp_path, MARK).__enter__()


def test_a_place_that_cannot_be_written(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(StorageError, match="cannot be written"):
        TrialFile(tmp_path / "file", MARK).__enter__()


def test_the_folder_is_whole(walk: Walk, tmp_path: Path) -> None:
    paths = write_walk(tmp_path / "run", walk, (Section("more", "One more <part>", "<p>hi</p>"),))
    assert {each.name for each in paths.folder.iterdir()} == {
        "walk.json", "trials.parquet", "returns.parquet", "oos_equity.parquet",
        "oos_trades.parquet", "report.html", "run.json",
    }  # fmt: skip
    trades = pl.read_parquet(paths.trades)
    assert len(trades) == walk.statistics.trades
    assert trades["fold"].to_list() == list(walk.chain.trade_folds)
    assert trades["net_quote"].sum() == pytest.approx(walk.statistics.net_quote)
    equity = pl.read_parquet(paths.equity)
    assert equity["equity"][-1] == pytest.approx(walk.statistics.end_quote)
    page = paths.report.read_text()
    assert "One more &lt;part&gt;" in page
    assert "<p>hi</p>" in page
    assert json.loads(paths.run.read_text())["hashes"]["walk"] == walk.plan.fingerprint
    with pytest.raises(UserError, match="already exists"):
        write_walk(tmp_path / "run", walk)


def test_walk_json_has_every_fold_and_no_time_of_day(walk: Walk) -> None:
    told: dict[str, Any] = json.loads(walk_json(walk))
    assert told["grid"]["combinations"] == 4
    assert [fold["number"] for fold in told["folds"]] == list(range(len(walk.folds)))
    for fold, outcome in zip(told["folds"], walk.folds, strict=True):
        assert outcome.choice.chosen is not None
        assert fold["chosen"] == outcome.choice.chosen.number
        assert fold["values"] == outcome.values
        assert fold["on_test"]["net_fraction"] == outcome.net_fraction
        assert fold["candidates"][0]["validation"]["trials"] == outcome.choice.trials
    assert "created" not in json.dumps(told)
    assert str(Path.cwd()) not in json.dumps(told)


def test_trials_are_a_row_for_each_combination_and_fold(walk: Walk) -> None:
    frame = pl.read_parquet(io.BytesIO(trials_parquet(walk)))
    assert len(frame) == 4 * len(walk.folds)
    assert frame.filter(pl.col("chosen")).height == len(walk.folds)
    for outcome in walk.folds:
        assert outcome.choice.chosen is not None
        [row] = frame.filter(
            (pl.col("fold") == outcome.fold.number)
            & (pl.col("trial") == outcome.choice.chosen.number)
        ).to_dicts()
        assert row["chosen"]
        assert row["test_net"] == outcome.net_fraction
        assert {name: row[name] for name in outcome.values} == outcome.values
        assert outcome.train is not None
        assert row["train_trades"] == outcome.train.trades


def test_returns_are_the_matrix(walk: Walk) -> None:
    frame = pl.read_parquet(io.BytesIO(returns_parquet(walk)))
    assert frame.columns == ["day_end", "trial_0", "trial_1", "trial_2", "trial_3"]
    assert np.array_equal(frame.drop("day_end").to_numpy(), walk.sweep.returns)
    whole = np.prod(1.0 + walk.sweep.returns, axis=0) - 1.0
    assert whole == pytest.approx(walk.sweep.whole["net"])


def test_the_page_needs_nothing_from_elsewhere(walk: Walk) -> None:
    page = walk_page(walk)
    assert page == walk_page(walk)
    assert not re.search(r"(src|href)=\"(?!#)", page)
    for identity in ("folds", "curve", "train-map", "test-map", "everybody", "run"):
        assert f'<section id="{identity}">' in page
    identities = re.findall(r'\bid="([^"]+)"', page)
    assert len(identities) == len(set(identities))
    assert walk.verdict.headline in page
    assert set(TONES) == set(WALK_HEADLINES) == set(WalkCode)


def test_a_heat_map_is_the_mean_over_everything_else() -> None:
    grid = Grid("g", (Axis("a", (1, 2)), Axis("b", (0.5, 1.5)), Axis("c", ("x", "y"))))
    values = np.arange(8.0)
    values[7] = np.nan
    a_b, a_c, b_c = heatmaps.pairs(grid, grid.choices(), values, "Figure")
    assert (a_b.down, a_b.across) == ("a", "b")
    assert a_b.means.tolist() == [[0.5, 2.5], [4.5, 6.0]]
    assert a_c.means.tolist() == [[1.0, 2.0], [5.0, 5.0]]
    assert b_c.means.tolist() == [[2.0, 3.0], [4.0, 3.0]]
    one = heatmaps.pairs(Grid("g", (Axis("a", (1, 2)),)), ({"a": 1}, {"a": 2}), values[:2], "F")
    assert one[0].means.tolist() == [[0.0, 1.0]]
    html = heatmaps.drawn((a_b,), wording.number)
    assert html.count("<td") == 4
    assert "color-mix(in srgb,var(--gain) 62%" in html, "the strongest has the full colour"
    nothing = heatmaps.pairs(grid, grid.choices(), np.full(8, np.nan), "Figure")
    assert wording.UNKNOWN in heatmaps.drawn(nothing, wording.number)
