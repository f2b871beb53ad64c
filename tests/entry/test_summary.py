"""The terminal summary: complete, within 100 columns, and readable in a pipe."""

from __future__ import annotations

import io
import re
from dataclasses import replace
from pathlib import Path

from rich.console import Console
from tests.adapters.report.results_made import LABEL, Row, make_result

from tercel.app.report import named_run
from tercel.app.statistics import Statistics, summarise
from tercel.app.verdict import judge
from tercel.domain.results import BacktestResult, StreamLabel
from tercel.entry.cli.summary import print_comparison, print_paths, print_summary

LONG_PATH = Path("/a/rather/long/path") / ("folder" * 20) / "report.html"


def printed(result: BacktestResult, benchmark: list[tuple[str, Statistics]]) -> str:
    file = io.StringIO()
    found = summarise(result)
    held = benchmark[0][1] if benchmark else None
    console = Console(file=file, width=100)
    print_summary(console, result, found, judge(found, held), benchmark)
    print_paths(console, {"Report": LONG_PATH})
    return file.getvalue()


def test_everything_a_reader_needs_fits() -> None:
    result = make_result(
        (Row(net=18.0, gross=20.0), Row(net=-12.0, gross=-10.0, exit_minute=20)),
        ((1.0, 118.0), (2.0, 106.0)),
        signals=10,
        refusals={"no_margin": 2, "daily_loss": 0},
        warnings=("1 gap [of 3 bars]",),
        labels=(replace(LABEL, pressure="bar"),),
    )
    held = summarise(make_result((), ((1.0, 120.0),)))
    said = printed(result, [("buy-and-hold", held), ("swing", held)])
    lines = said.splitlines()
    assert max(len(line) for line in lines if "rather" not in line) <= 100
    assert f"Report: {LONG_PATH}" in lines  # whole, on one line
    for words in (
        "Not enough trades to say anything",
        "buy-and-hold",
        "Return of swing",
        "From gross to net",
        "No margin",
        "Warning: 1 gap [of 3 bars]",
        "pressure is an estimate",
    ):
        assert words in said
    assert "Daily loss" not in said
    assert not re.search(r"\bnan\b", said, re.IGNORECASE)
    assert "\x1b" not in said


def test_nothing_happened() -> None:
    said = printed(make_result(), [])
    assert "There was no trade at all" in said
    assert "Last exit" not in said
    assert not re.search(r"\bnan\b", said, re.IGNORECASE)


def test_several_streams_have_a_table() -> None:
    labels = (LABEL, StreamLabel(1, "swing [x]", "binance-usdm", "ETHUSDT", "1m"))
    rows = (Row(net=1.0), Row(net=-2.0, stream=1))
    said = printed(make_result(rows, ((1.0, 99.0),), labels=labels), [])
    assert "swing [x]" in said.lower()


def test_comparison() -> None:
    file = io.StringIO()
    runs = [named_run(name, make_result((), ((1.0, 90.0),))) for name in ("one", "two")]
    print_comparison(Console(file=file, width=100), runs)
    assert file.getvalue().count("-10.0 %") >= 2
