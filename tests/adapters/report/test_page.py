"""The report page: well-formed, self-contained, honest about what is not known."""

from __future__ import annotations

import re
from dataclasses import replace
from html.parser import HTMLParser
from typing import Any

import numpy as np
import pytest
from tests.adapters.report.results_made import LABEL, START, Row, make_record, make_result

from tercel.adapters.report import charts, compare
from tercel.adapters.report.drawing import drawing
from tercel.adapters.report.page import page
from tercel.adapters.report.palette import DARK, EXTRA_COLOURS, LIGHT, STAND_IN, extra_line
from tercel.app.report import Report, assess, named_run
from tercel.app.report_series import Curve
from tercel.app.statistics import BUY_AND_HOLD, buy_and_hold
from tercel.core.codes import ExitReason, Side
from tercel.core.records import BAR, Records
from tercel.domain.results import BacktestResult, StreamLabel
from tercel.domain.times import DAY_MS, HOUR_MS

VOID = {"meta", "link", "br", "hr", "img", "input"}


class Outline(HTMLParser):
    """Checks that tags close in order, and collects ids, links, tags and the visible text."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.ids: list[str] = []
        self.links: list[str] = []
        self.tags: list[str] = []
        self.attributes: list[tuple[str, str | None]] = []
        self.words: list[str] = []
        self.feed(html)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self._take(tag, attrs)
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self._take(tag, attrs)

    def _take(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.attributes += attrs
        self.ids += [value or "" for name, value in attrs if name == "id"]
        self.links += [value or "" for name, value in attrs if name == "href"]

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if "style" not in self.open:
            self.words.append(data)

    @property
    def text(self) -> str:
        return " ".join(self.words)


def hourly(count: int = 96) -> Records:
    bars = np.zeros(count, BAR)
    bars["open_time"] = START + np.arange(count) * HOUR_MS
    bars["open"] = 100.0 + np.arange(count) % 7
    bars["close"] = np.where(np.arange(count) % 2 == 0, bars["open"] + 1.0, bars["open"] - 1.0)
    bars["low"] = np.minimum(bars["open"], bars["close"]) - 2.0
    bars["high"] = np.maximum(bars["open"], bars["close"]) + 2.0
    return bars


def rich_result(**changes: Any) -> BacktestResult:
    rows = [
        Row(
            net=(-1.0) ** n * (n % 5 + 0.5),
            gross=(-1.0) ** n * (n % 5 + 0.5) + 0.4,
            side=Side.LONG if n % 3 else Side.SHORT,
            entry_minute=90 * n + 120,
            exit_minute=90 * n + 170,
            reason=n % 2,
            exit_reason=ExitReason.STOP if n % 2 else ExitReason.TARGET_1,
        )
        for n in range(40)
    ]
    points = [(hour / 24, 100.0 + (hour % 11) - hour / 20) for hour in range(1, 97)]
    given: dict[str, Any] = {
        "refusals": {"no_margin": 2, "daily_loss": 0},
        "strategy_reasons": {"<script>alert(1)</script>": 3},
        "warnings": ("spot & perpetual differ",),
        "labels": (replace(LABEL, pressure="bar"),),
        "signals": 42,
    }
    return make_result(rows, points, **{**given, **changes})


def rich_report(**changes: Any) -> Report:
    bars = hourly()
    held = named_run(BUY_AND_HOLD, buy_and_hold(bars, HOUR_MS, 5_000.0, 0.0005))
    return assess(rich_result(**changes), make_record(), bars=bars, benchmarks=[held])


@pytest.fixture(scope="module")
def html() -> str:
    return page(rich_report())


def test_it_is_well_formed_and_its_contents_lead_somewhere(html: str) -> None:
    outline = Outline(html)
    assert len(outline.ids) == len(set(outline.ids))
    inside = [link[1:] for link in outline.links]
    assert all(link.startswith("#") for link in outline.links)
    assert set(inside) <= set(outline.ids)
    assert re.findall(r"url\(#([^)]+)\)", html) != []
    assert set(re.findall(r"url\(#([^)]+)\)", html)) <= set(outline.ids)
    for wanted in ("figures", "equity", "costs", "months", "hours", "exits", "refusals", "worst"):
        assert wanted in outline.ids


def test_it_needs_nothing_from_anywhere(html: str) -> None:
    assert "http" not in html
    assert "//" not in re.sub(r"/\*.*?\*/", "", html)
    for word in ("<script", "<link", "<iframe", "@import", "src="):
        assert word not in html


def test_what_is_not_known_is_said_so(html: str) -> None:
    text = Outline(html).text
    assert not re.search(r"\b(nan|inf)\b", text, re.IGNORECASE)
    assert "n/a" in text


def test_texts_are_escaped(html: str) -> None:
    assert "&lt;script&gt;" in html
    assert "spot &amp; perpetual differ" in html
    assert "a &lt; b &amp; c" in html


def test_verdict_and_warnings_come_first(html: str) -> None:
    text = Outline(html).text
    headline = rich_report().verdict.headline
    assert text.index(headline) < text.index("Before you trust") < text.index("Sortino ratio")
    assert "an estimate from the shape of each bar" in text
    assert "Buy-and-hold" in text


def test_charts_speak_and_follow_the_theme(html: str) -> None:
    labels = [value for name, value in Outline(html).attributes if name == "aria-label"]
    assert sum("chart" in (label or "") for label in labels) >= 2
    assert any("Histogram" in (label or "") for label in labels)
    assert any("Candles around trade" in (label or "") for label in labels)
    assert not any(colour in html for colour in STAND_IN.values())
    assert "var(--net)" in html
    assert "prefers-color-scheme:dark" in html
    assert LIGHT.keys() == DARK.keys() == STAND_IN.keys()


def test_every_key_figure_is_explained(html: str) -> None:
    assert len(re.findall(r"<th scope=\"row\" title=", html)) >= 20
    assert Outline(html).tags.count("dt") >= 20


@pytest.mark.parametrize(
    "report",
    [
        assess(make_result(), make_record()),
        assess(make_result((Row(net=5.0),), ((0.2, 105.0),)), make_record()),
        assess(make_result((), ((1.0, 100.0), (2.0, 100.0))), make_record()),
        assess(
            make_result((Row(net=-120.0),), ((1.0, 50.0), (40.0, -20.0), (70.0, -20.0))),
            make_record(),
        ),
        assess(
            make_result((Row(net=-5.0, risk=float("nan")),), ((1.0, 95.0),)),
            make_record(),
            bars=hourly(),
        ),
    ],
    ids=["nothing", "one trade", "flat", "ruin", "no risk"],
)
def test_poor_results_make_pages_too(report: Report) -> None:
    outline = Outline(page(report))
    assert not re.search(r"\b(nan|inf)\b", outline.text, re.IGNORECASE)
    assert len(outline.ids) == len(set(outline.ids))


def test_several_streams_are_told_apart() -> None:
    labels = (LABEL, StreamLabel(1, "swing", "binance-usdm", "ETHUSDT", "1m"))
    rows = (Row(net=1.0), Row(net=-2.0, stream=1))
    result = make_result(rows, ((1.0, 99.0),), labels=labels)
    text = Outline(page(assess(result, make_record()))).text
    assert "three_r, swing on BTCUSDT, ETHUSDT" in text
    assert "Strategies and symbols" in text


def test_comparison_page() -> None:
    report = rich_report()
    runs = [
        named_run("a & b", report.result),
        *(named_run(f"run {n}", rich_result()) for n in range(6)),
        *report.benchmarks,
    ]
    html = compare(runs, "Three ways")
    outline = Outline(html)
    assert "http" not in html
    assert "a & b" in outline.text
    assert "Three ways" in outline.text
    assert "var(--held)" in html


def test_comparison_of_nothing_is_a_page() -> None:
    assert "<svg" not in compare([named_run("empty", make_result())])
    Outline(compare([]))


def test_the_page_of_a_long_run_stays_small() -> None:
    minutes = 60_000
    points = [(n / 1440, 100.0 + np.sin(n / 900.0)) for n in range(1, minutes)]
    html = page(assess(rich_result(equity=make_result((), points).equity), make_record()))
    assert len(html) < 400_000


def _brightness(colour: str) -> float:
    """Relative luminance of `#rrggbb` (WCAG 2)."""
    parts = [int(colour[at : at + 2], 16) / 255.0 for at in (1, 3, 5)]
    linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in parts]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


@pytest.mark.parametrize("theme", [LIGHT, DARK])
def test_lines_stand_out_from_the_paper(theme: dict[str, str]) -> None:
    """WCAG 2 asks for a contrast of 3 between a line and what is behind it."""
    for name in ("net", "gross", "held", *EXTRA_COLOURS):
        low, high = sorted((_brightness(theme[name]), _brightness(theme["paper"])))
        assert (high + 0.05) / (low + 0.05) >= 3.0, name


def test_every_buy_and_hold_line_looks_different() -> None:
    """Net, gross, buy-and-hold of all, and that of eight symbols."""
    times = np.array([START, START + DAY_MS])
    curves = [Curve(f"line {i}", times, np.array([1.0, 2.0 + i])) for i in range(11)]
    fall = Curve("fall", times, np.array([0.0, -0.1]))
    with drawing():
        axes = charts.equity(curves, fall, LIGHT).axes[0]
    lines = [line for line in axes.lines if str(line.get_label()).startswith("line ")]
    assert len(lines) == 11
    assert len({(line.get_color(), line.get_linestyle()) for line in lines}) == 11
    assert len({extra_line(number) for number in range(12)}) == 12
