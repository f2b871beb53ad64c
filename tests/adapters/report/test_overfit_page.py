"""The page, the sections and the JSON of the tests against overfitting."""

from __future__ import annotations

import json
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest
from tests.tried_runs import SETTINGS, noise, prices, tried_run

from tercel.adapters.report import overfit_charts, overfit_sections, write_overfit
from tercel.adapters.report.overfit_page import overfit_json, overfit_page
from tercel.adapters.report.palette import LIGHT
from tercel.app.overfit_report import OverfitReport, examine
from tercel.domain.errors import StorageError

VOID = {"meta", "path", "use", "br", "rect", "line", "img", "link"}


class Balanced(HTMLParser):
    """Whether every tag is closed, and what is fetched from elsewhere."""

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.ids: list[str] = []
        self.links: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.ids += [value or "" for name, value in attrs if name == "id"]
        self.links += [value or "" for name, value in attrs if name in ("src", "href")]
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        if tag not in VOID:
            assert self.open.pop() == tag


@pytest.fixture(scope="module")
def walked() -> OverfitReport:
    combinations = noise(edge=0.004)
    run = tried_run(combinations[:, 3], combinations)
    return examine(run, SETTINGS, None, prices(knowing=run.trades))


@pytest.fixture(scope="module")
def alone() -> OverfitReport:
    return examine(tried_run(noise()[:, 0]), SETTINGS, None, "no bars & <none>")


def test_the_page_is_whole_and_needs_nothing_from_elsewhere(walked: OverfitReport) -> None:
    page = overfit_page(walked)
    parser = Balanced()
    parser.feed(page)
    assert parser.open == []
    assert len(parser.ids) == len(set(parser.ids))
    assert all(link.startswith("#") for link in parser.links)
    assert "http" not in page
    assert page.count("<svg") == 4
    assert "Survives every test that could be made" in page
    assert "Overfitting of three_r on BTCUSDT" in page


def test_a_backtest_has_what_it_has(alone: OverfitReport) -> None:
    page = overfit_page(alone)
    assert page.count("<svg") == 1
    assert "no bars &amp; &lt;none&gt;" in page
    assert "<none>" not in page


def test_sections_for_another_page_begin_with_the_verdict(walked: OverfitReport) -> None:
    first, *others = overfit_sections(walked)
    assert first.body.startswith("<p><strong>Survives every test that could be made.</strong>")
    assert all(each.identity.startswith("overfitting-") and each.body for each in others)
    [refused] = overfit_sections("the run has no trade & no sense")
    assert refused.body == "<p>Not tested: the run has no trade &amp; no sense.</p>"


def test_the_json_has_every_figure(walked: OverfitReport, alone: OverfitReport) -> None:
    told = json.loads(overfit_json(walked))
    assert told["schema"] == 1
    assert told["verdict"]["code"] == "survives"
    assert told["trials"]["this_run"] == 20
    assert told["trials"]["ledger"] is None
    assert told["deflated_sharpe"]["probability"] == walked.deflation.probability
    assert told["probability_of_overfitting"]["blocks"] == 8
    assert len(told["cross_validation"]["sharpes"]) == 5
    assert told["permutations"]["shifted"]["p_value"] < 0.05
    less = json.loads(overfit_json(alone))
    assert less["permutations"] == "no bars & <none>"
    assert less["trials"]["independent"] is None
    assert overfit_json(walked) == overfit_json(walked)


def test_files_are_replaced_and_no_other_is_touched(
    walked: OverfitReport, alone: OverfitReport, tmp_path: Path
) -> None:
    (tmp_path / "stats.json").write_text("mine")
    write_overfit(tmp_path, alone)
    paths = write_overfit(tmp_path, walked)
    assert paths.figures.read_bytes() == overfit_json(walked)
    assert paths.page.read_text() == overfit_page(walked)
    assert sorted(each.name for each in tmp_path.iterdir()) == [
        "overfit.html", "overfit.json", "stats.json",
    ]  # fmt: skip
    assert (tmp_path / "stats.json").read_text() == "mine"


def test_a_full_disk_leaves_what_was_there(
    walked: OverfitReport, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "overfit.html").write_text("before")

    def full(descriptor: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("tercel.adapters.report.run_folder.os.fsync", full)
    with pytest.raises(StorageError, match="cannot write the page: No space left"):
        write_overfit(tmp_path, walked)
    assert [each.name for each in tmp_path.iterdir()] == ["overfit.html"]
    assert (tmp_path / "overfit.html").read_text() == "before"


def test_bars_have_an_edge_at_zero_and_lose_no_value() -> None:
    """Values at and below zero in the colour of a loss, those above in that of a gain."""
    values = np.array([-1.0, -0.5, 0.0, 0.0, 0.3, 0.95])
    figure = overfit_charts.ratios(values, (-0.5, 0.0, 0.5), LIGHT, "Histories")
    heights = {"loss": 0.0, "gain": 0.0}
    for bar in figure.axes[0].patches:
        shade = "gain" if bar.get_x() + bar.get_width() / 2.0 > 0.0 else "loss"
        heights[shade] += bar.get_height()
    assert heights == {"loss": 4.0, "gain": 2.0}


def test_equal_values_make_one_bar() -> None:
    figure = overfit_charts.logits(np.full(10, 0.7), LIGHT)
    assert sum(bar.get_height() for bar in figure.axes[0].patches) == 10.0
