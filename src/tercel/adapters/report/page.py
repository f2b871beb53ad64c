"""The report page: one self-contained HTML file that needs nothing from anywhere."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from html import escape
from typing import Any

from tercel.adapters.report import charts, markup
from tercel.adapters.report.drawing import drawing, to_svg
from tercel.adapters.report.palette import STAND_IN
from tercel.adapters.report.style import STYLE
from tercel.app import report_series, wording
from tercel.app.benchmark import BUY_AND_HOLD
from tercel.app.key_figures import figure_groups
from tercel.app.report import (
    NamedRun,
    Report,
    comparison,
    fill_rows,
    fill_sentence,
    waterfall,
)
from tercel.app.trade_groups import TradeGroup
from tercel.app.verdict import VerdictCode
from tercel.domain.results import PRESSURE_MEANING, BacktestResult
from tercel.domain.times import DAY_MS, format_date, format_time

TONES: dict[VerdictCode, str] = {
    VerdictCode.NOT_ENOUGH_TRADES: "held",
    VerdictCode.WIPED_OUT: "loss",
    VerdictCode.NO_EDGE: "loss",
    VerdictCode.EDGE_BELOW_COSTS: "loss",
    VerdictCode.NOT_DISTINGUISHABLE_FROM_LUCK: "gross",
    VerdictCode.LUCK_OF_MANY_TRIALS: "gross",
    VerdictCode.PROFITABLE_IN_SAMPLE: "gain",
}


@dataclass(frozen=True, slots=True)
class _Part:
    """One section of the page and its line in the table of contents."""

    identity: str
    title: str
    body: str
    note: str = ""


def page(report: Report) -> str:
    """The whole page of one run."""
    with drawing():
        parts = [part for part in _parts(report) if part.body]
    body = "".join(
        markup.section(part.identity, part.title, part.body, part.note) for part in parts
    )
    contents = "".join(
        f'<li><a href="#{part.identity}">{escape(part.title)}</a></li>' for part in parts
    )
    return document(
        title_of(report.result),
        f'{_header(report)}<nav aria-label="Contents"><ul>{contents}</ul></nav>'
        f"<main>{_top(report)}{body}</main>{_footer(report)}",
    )


def document(title: str, body: str) -> str:
    """A whole page around `body`, with its style and nothing from elsewhere."""
    return (
        '<!DOCTYPE html>\n<html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width,initial-scale=1">'
        f"<title>{escape(title)}</title><style>{STYLE}</style></head>\n<body>{body}</body></html>\n"
    )


def title_of(result: BacktestResult) -> str:
    """`three_r on BTCUSDT`, or how many streams."""
    strategies = list(dict.fromkeys(label.strategy for label in result.labels))
    symbols = list(dict.fromkeys(label.symbol for label in result.labels if label.symbol))
    return f"{', '.join(strategies)} on {', '.join(symbols)}" if symbols else ", ".join(strategies)


def _header(report: Report) -> str:
    result = report.result
    places = dict.fromkeys(f"{x.venue} {x.timeframe}".strip() for x in result.labels)
    days = (result.end_time - result.start_time) / DAY_MS
    line = " · ".join(
        (
            *places,
            f"{format_time(result.start_time)} to {format_time(result.end_time)} UTC",
            f"{wording.number(days, 0 if days >= 10 else 1)} days",
            f"start {wording.money(result.start_quote)} {wording.CURRENCY}",
        )
    )
    return f'<header><h1>{escape(title_of(result))}</h1><p class="meta">{escape(line)}</p></header>'


def _top(report: Report) -> str:
    """Verdict in words, four figures, and what to know before trusting them."""
    verdict, net = report.verdict, report.statistics
    held = report.benchmarks[0].statistics if report.benchmarks else None
    tiles = [
        ("Net return", wording.percent(net.net_fraction), net.net_fraction),
        ("Before costs", wording.percent(net.gross_fraction), net.gross_fraction),
        ("Maximum drawdown", wording.percent(net.drawdown_depth), 0.0),
        (
            "Buy-and-hold",
            wording.percent(held.net_fraction) if held else wording.UNKNOWN,
            0.0,
        ),
    ]
    squares = "".join(
        f'<div class="tile"><span>{escape(name)}</span>'
        f'<strong class="{markup.tone(shade)}">{markup.text(value)}</strong></div>'
        for name, value, shade in tiles
    )
    return (
        f'<div class="verdict" role="note" style="--tone:var(--{TONES[verdict.code]})">'
        f"<h2>{escape(verdict.headline)}</h2>"
        f"<p>{markup.text(' '.join(verdict.sentences))}</p></div>"
        f'<div class="tiles">{squares}</div>{_warnings(report.result)}'
    )


def _warnings(result: BacktestResult) -> str:
    lines = [*result.warnings]
    lines += [
        f"{label}: buying and selling pressure is {PRESSURE_MEANING['bar']}."
        for label in result.labels
        if label.pressure == "bar"
    ]
    if not lines:
        return ""
    items = "".join(f"<li>{escape(line)}</li>" for line in lines)
    return f'<div class="warnings"><h2>Before you trust these figures</h2><ul>{items}</ul></div>'


def figure(drawn: Any, prefix: str, label: str, caption: str = "") -> str:
    """An inline chart with its text alternative."""
    said = f"<figcaption>{markup.text(caption)}</figcaption>" if caption else ""
    return (
        f'<figure>{said}<div class="scroll">{to_svg(drawn, prefix, escape(label))}</div></figure>'
    )


def _parts(report: Report) -> list[_Part]:
    """Every section in order; those without a body are left out."""
    net, result = report.statistics, report.result
    held = report.benchmarks[0].statistics if report.benchmarks else None
    tables = "".join(
        f"<div>{markup.figures(title, lines, held is not None)}</div>"
        for title, lines in figure_groups(net, held)
    )
    return [
        _Part("figures", "Key figures", f'<div class="columns">{tables}</div>'),
        _Part("equity", "Equity", _equity(report)),
        _Part(
            "costs",
            "From gross to net",
            markup.steps(waterfall(net)),
            "What the same trades earned at reference prices, and what was paid to make them.",
        ),
        _Part(
            "fills",
            "What the bars do not tell",
            _side_by_side(fill_rows(report), "By assumption") if report.fills else "",
            fill_sentence(report) if report.fills else "",
        ),
        _Part("months", "Months", markup.months(net.monthly), "Net return by calendar month, UTC."),
        _Part("outcomes", "Outcomes", _outcomes(report)),
        _Part("hours", "Hour of entry", _hours(report), "UTC."),
        *_group_parts(report),
        _Part(
            "refusals",
            "Refusals",
            markup.counts("Reason", result.refusals, result.signals, "signals")
            if net.refused
            else "",
            f"{wording.count(net.refused)} of {wording.count(net.signals)} signals: not traded.",
        ),
        _Part(
            "reasons",
            "What the strategy saw",
            markup.counts(
                "Reason", result.strategy_reasons, sum(result.strategy_reasons.values()), "bars"
            )
            if any(result.strategy_reasons.values())
            else "",
            "Bars by the strategy's own reason for a signal, or for none.",
        ),
        _Part(
            "stops",
            "Stopped by a breaker",
            markup.counts("Breaker", result.halts, sum(result.halts.values()), "stops")
            if result.halts
            else "",
            "How often a breaker stopped the whole account; here it was let go on after the hours "
            "that limits.resume_after_hours says.",
        ),
        _Part("worst", "Worst trades", _worst(report), "The losers that cost most, net."),
        _Part("definitions", "How it is computed", markup.definitions()),
        _Part("run", "How it was run", _run(report)),
    ]


def _group_parts(report: Report) -> list[_Part]:
    """The tables of trades by one label each."""
    net = report.statistics

    def table(title: str, found: Sequence[TradeGroup]) -> str:
        return markup.groups(title, found) if found else ""

    return [
        _Part(
            "state",
            "Market state at entry",
            table("State", net.by_market_state),
            "Volatility is the deviation of the last 24 hourly returns, against the terciles of "
            "the 30 days before; the trend is the sign of their sum. Only bars that closed before "
            "the entry are used.",
        ),
        _Part("exits", "Exit reasons", table("Last exit", net.by_exit)),
        _Part("sides", "Long and short", table("Side", net.by_side)),
        _Part("entries", "Entry reasons", table("Entry", net.by_entry_reason)),
        _Part(
            "streams",
            "Strategies and symbols",
            table("Stream", net.by_stream) if len(report.result.labels) > 1 else "",
        ),
    ]


def _equity(report: Report) -> str:
    result = report.result
    if len(result.equity) == 0:
        return ""
    curves = equity_curves(report)
    fall = report_series.drawdown_curve(result)
    label = (
        f"Line chart: equity from {wording.money(result.start_quote)} to "
        f"{wording.money(result.equity_quote)} {wording.CURRENCY}; maximum drawdown "
        f"{wording.percent(report.statistics.drawdown_depth)}"
    )
    caption = (
        f"{wording.CURRENCY}, marked at every bar's close. Gross is the same equity with every "
        "cost so far given back. Buy-and-hold begins with the same capital."
    )
    return figure(charts.equity(curves, fall, STAND_IN), "equity", label, caption)


def equity_curves(report: Report) -> list[report_series.Curve]:
    """Net, gross, and the benchmarks from the same capital."""
    start = report.result.start_quote
    others = [
        report_series.equity_curve(other.name, other.result)
        for other in report.benchmarks
        if len(other.result.equity)
    ]
    return [
        report_series.equity_curve("net", report.result),
        report_series.before_costs("gross", report.result),
        *report_series.scaled(others, start),
    ]


def _outcomes(report: Report) -> str:
    found = report_series.r_histogram(report.result.trades)
    if len(found.counts) == 0:
        return ""
    net = report.statistics
    label = (
        f"Histogram of net results in R: average {wording.r_multiple(net.average_r_net)}, "
        f"win rate {wording.percent(net.win_rate)}"
    )
    caption = "Trades by their net result in multiples of the risk at entry."
    return figure(charts.histogram(found, STAND_IN), "outcomes", label, caption)


def _hours(report: Report) -> str:
    found = report.statistics.by_hour
    if not found:
        return ""
    best = max(found, key=lambda group: group.net_quote)
    label = f"Bar charts of win rate and net profit by hour of entry; best is {best.name}:00 UTC"
    return figure(charts.hours(found, STAND_IN), "hours", label)


def _worst(report: Report) -> str:
    views = report_series.worst_trades(report.result, report.bars, report.look.worst_trades)
    return "".join(
        figure(
            charts.trade(view, STAND_IN),
            f"trade{number}",
            f"Candles around trade: {_trade_line(view)}",
            _trade_line(view),
        )
        for number, view in enumerate(views)
    )


def _trade_line(view: report_series.TradeView) -> str:
    trade = view.trade
    risk = float(trade["risk_quote"])
    multiple = float(trade["net_quote"]) / risk if risk > 0.0 else float("nan")
    return (
        f"{view.symbol} {view.entry.label}, {format_time(view.entry.time)} UTC, held "
        f"{wording.duration(float(trade['exit_time'] - trade['entry_time']))}: "
        f"{wording.money(float(trade['net_quote']))} {wording.CURRENCY} net "
        f"({wording.r_multiple(multiple)})"
    )


def _run(report: Report) -> str:
    """Enough to repeat it."""
    record = report.record
    rows = [
        markup.row("Command", [f"<td><code>{escape(record.command_line)}</code></td>"]),
        markup.row("Created", [f"<td>{format_time(record.created_time)} UTC</td>"]),
        markup.row("Seed", [f"<td>{record.seed}</td>"]),
    ]
    for name, value in (*record.versions.items(), *record.hashes.items()):
        rows.append(markup.row(wording.title(name), [f"<td><code>{escape(value)}</code></td>"]))
    settings = escape(json.dumps(record.configuration, indent=2, sort_keys=True, default=str))
    return (
        f'<div class="scroll"><table aria-label="How it was run"><tbody>{"".join(rows)}</tbody>'
        f"</table></div><details><summary>Every setting</summary><pre><code>{settings}"
        "</code></pre></details>"
    )


def _footer(report: Report) -> str:
    return (
        "<footer>A backtest is a story about the past told with hindsight. It is no promise. "
        f"Tercel, {format_date(report.record.created_time)}.</footer>"
    )


def _side_by_side(lines: Sequence[Sequence[str]], title: str) -> str:
    """A header and rows of text as a table."""
    head, *rest = lines
    rows = (markup.row(line[0], [markup.cell(value) for value in line[1:]]) for line in rest)
    return markup.table(head, rows, title)


def comparison_page(runs: Sequence[NamedRun], title: str = "Runs side by side") -> str:
    """The runs as columns of one table, and their equity in one chart from the same capital."""
    with drawing():
        chart = _together(runs)
    body = (
        f"<header><h1>{escape(title)}</h1></header><main>"
        f"{markup.section('figures', 'Net figures', _side_by_side(comparison(runs), title))}"
        f"{markup.section('equity', 'Equity', chart) if chart else ''}"
        f"{markup.section('definitions', 'How it is computed', markup.definitions())}</main>"
    )
    return document(title, body)


def _together(runs: Sequence[NamedRun]) -> str:
    known = [run for run in runs if len(run.result.equity)]
    if not known:
        return ""
    start = known[0].result.start_quote
    curves = report_series.scaled(
        [report_series.equity_curve(run.name, run.result) for run in known], start
    )
    label = f"Line chart: equity of {', '.join(run.name for run in known)}"
    caption = (
        f"Net of all costs, each from {wording.money(start)} {wording.CURRENCY}; "
        f"{BUY_AND_HOLD} in grey."
    )
    return figure(charts.together(curves, STAND_IN), "together", label, caption)
