"""The page and the folder of an arena: well-formed, self-contained, whole or not at all."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from tests.adapters.report.arenas_made import DAYS, made_arena
from tests.adapters.report.test_page import Outline

from tercel.adapters.report import write_arena
from tercel.adapters.report.arena_folder import arena_json
from tercel.adapters.report.arena_page import arena_page
from tercel.adapters.report.palette import STAND_IN
from tercel.app.allocator_walk import AllocationCode, AllocatorWalk
from tercel.app.arena import Arena
from tercel.domain.errors import StorageError, UserError


@pytest.fixture(scope="module")
def arena() -> Arena:
    return made_arena()


@pytest.fixture(scope="module")
def html(arena: Arena) -> str:
    return arena_page(arena)


def test_the_page_is_well_formed_and_needs_nothing_from_elsewhere(html: str) -> None:
    outline = Outline(html)
    assert len(outline.ids) == len(set(outline.ids))
    assert {link[1:] for link in outline.links} <= set(outline.ids)
    assert not {"script", "link", "img", "iframe"} & set(outline.tags)
    assert not re.search(r"https?://|url\((?!#)|@import", html)
    assert not any(colour in html for colour in STAND_IN.values())


def test_it_has_every_section(html: str) -> None:
    sections = set(Outline(html).ids)
    wanted = {"ranking", "equity", "symbols", "correlations", "allocator", "definitions", "run"}
    assert wanted <= sections


def test_the_ranking_says_who_and_why(arena: Arena, html: str) -> None:
    text = " ".join(Outline(html).text.split())
    assert text.index("1. edge") < text.index("2. loser") < text.index("3. waiting")
    assert "No trades: open_interest unknown in every bar" in text
    assert "spot <bars>" in text
    assert arena.walk.headline in text
    assert "best of 3 tries" in text
    assert "42.0 %" in text
    assert "cash" in text


def test_a_symbol_has_a_ranking_of_its_own(html: str) -> None:
    assert 'aria-label="Ranking on BTCUSDT"' in html
    assert 'aria-label="Ranking on ETHUSDT"' in html


def test_what_never_moved_has_no_correlation(arena: Arena, html: str) -> None:
    names = [each.name for each in arena.contestants]
    waiting = names.index("waiting")
    assert np.isnan(arena.correlations[waiting]).all()
    heat = html[html.index('id="correlations"') :].split("</section>", maxsplit=1)[0]
    assert heat.count(">n/a<") == 5
    assert heat.count(">1.00<") == 2


def test_an_allocator_that_could_not_be_tested_says_so(arena: Arena) -> None:
    silent = AllocatorWalk(AllocationCode.NOT_TESTED, ("Too few trades.",), arena.daily.names)
    text = Outline(arena_page(replace(arena, walk=silent))).text
    assert "The allocator could not be tested" in text
    assert "Too few trades." in text


def test_the_folder_holds_every_figure(arena: Arena, tmp_path: Path) -> None:
    found = write_arena(tmp_path / "run", arena)
    names = {each.name for each in found.folder.iterdir()}
    assert names == {"arena.json", "equity.parquet", "arena.html", "run.json"}
    stored = json.loads(found.arena.read_text())
    assert [each["strategy"] for each in stored["ranking"]] == ["edge", "loser", "waiting"]
    assert stored["ranking"][2]["missing_inputs"] == ["open_interest"]
    assert stored["correlations"]["values"][2][2] is None
    allocator = stored["allocator"]
    assert [path["name"] for path in allocator["paths"]][:2] == ["allocator", "equal weights"]
    for each in allocator["rebalances"]:
        given = sum(stake["weight"] for stake in each["stakes"].values())
        assert given + each["cash_fraction"] == pytest.approx(1.0)
    equity = pl.read_parquet(found.equity)
    assert equity.columns == ["time", "at", "edge", "loser", "waiting", "buy-and-hold"]
    assert len(equity) == DAYS
    best = arena.contestants[0].report.result
    assert equity["edge"].to_list() == best.equity["equity"].tolist()
    assert set(equity["waiting"]) == {100.0}


def test_the_same_arena_gives_the_same_bytes() -> None:
    one, two = made_arena(), made_arena()
    assert arena_json(one) == arena_json(two)
    assert arena_page(one) == arena_page(two)


def test_an_existing_folder_is_left_alone(arena: Arena, tmp_path: Path) -> None:
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "mine.txt").write_text("mine")
    with pytest.raises(UserError, match="already exists"):
        write_arena(tmp_path / "run", arena)


def test_a_full_disk_leaves_nothing(
    arena: Arena, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from tercel.adapters.report import run_folder

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(run_folder, "_write", full)
    with pytest.raises(StorageError, match="No space left"):
        write_arena(tmp_path / "run", arena)
    assert list(tmp_path.iterdir()) == []
