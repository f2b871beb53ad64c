"""The page of an arena: one self-contained HTML file.

The first of the ranking and the allocator's verdict, the ranking, equity of all, profits by symbol,
correlations of daily returns, the allocator's walk-forward test, and how it was run.
"""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from html import escape

import numpy as np

from tercel.adapters.report import arena_charts, charts, markup
from tercel.adapters.report.drawing import drawing
from tercel.adapters.report.page import document, figure
from tercel.adapters.report.palette import STAND_IN
from tercel.adapters.report.walk_page import Section
from tercel.app import arena_tables, report_series, wording
from tercel.app.allocator_walk import AllocationCode, AllocatorWalk
from tercel.app.arena import Arena, Contestant
from tercel.app.benchmark import BUY_AND_HOLD
from tercel.domain.times import format_date, format_time

TONES: dict[AllocationCode, str] = {
    AllocationCode.NOT_TESTED: "held",
    AllocationCode.STAYED_OUT: "held",
    AllocationCode.BETTER: "gain",
    AllocationCode.UNDECIDED: "gross",
    AllocationCode.WORSE: "loss",
}
HEAT_SHADE_MAX = 62.0
"""Share of the full colour at a correlation of one, percent."""


def arena_page(arena: Arena) -> str:
    """The whole page."""
    with drawing():
        parts = [part for part in _parts(arena) if part.body]
    body = "".join(
        markup.section(part.identity, part.title, part.body, part.note) for part in parts
    )
    contents = "".join(
        f'<li><a href="#{part.identity}">{escape(part.title)}</a></li>' for part in parts
    )
    return document(
        title_of(arena),
        f'{_header(arena)}<nav aria-label="Contents"><ul>{contents}</ul></nav>'
        f"<main>{_top(arena)}{body}</main>{_footer(arena)}",
    )


def title_of(arena: Arena) -> str:
    """`7 strategies on BTCUSDT, ETHUSDT`."""
    count = len(arena.contestants)
    strategies = f"{count} strateg{'y' if count == 1 else 'ies'}"
    return f"Arena: {strategies} on {', '.join(arena.symbols)}"


def _header(arena: Arena) -> str:
    result = arena.first
    places = dict.fromkeys(f"{x.venue} {x.timeframe}" for x in result.labels)
    line = " · ".join(
        (
            *places,
            f"{format_time(result.start_time)} to {format_time(result.end_time)} UTC",
            f"each from {wording.money(result.start_quote)} {wording.CURRENCY}, alone",
        )
    )
    return f'<header><h1>{escape(title_of(arena))}</h1><p class="meta">{escape(line)}</p></header>'


def _top(arena: Arena) -> str:
    best, held = arena.contestants[0], arena.benchmarks[0].statistics
    earned = sum(each.statistics.net_fraction > 0.0 for each in arena.contestants)
    tiles = [
        (f"First: {best.name}", wording.percent(best.statistics.net_fraction), 0.0),
        ("Its deflated probability", wording.percent(best.deflated), 0.0),
        ("With a profit", f"{earned} of {len(arena.contestants)}", 0.0),
        ("Buy-and-hold", wording.percent(held.net_fraction), 0.0),
    ]
    squares = "".join(
        f'<div class="tile"><span>{escape(name)}</span>'
        f'<strong class="{markup.tone(shade)}">{markup.text(value)}</strong></div>'
        for name, value, shade in tiles
    )
    walk = arena.walk
    lines = "".join(f"<li>{escape(line)}</li>" for line in arena.warnings)
    warned = (
        f'<div class="warnings"><h2>Before you trust these figures</h2><ul>{lines}</ul></div>'
        if lines
        else ""
    )
    return (
        f'<div class="tiles">{squares}</div>'
        f'<div class="verdict" role="note" style="--tone:var(--{TONES[walk.code]})">'
        f"<h2>{escape(walk.headline)}</h2>"
        f"<p>{markup.text(' '.join(walk.sentences))}</p></div>{warned}"
    )


def _parts(arena: Arena) -> list[Section]:
    walk = arena.walk
    count = len(arena.contestants)
    return [
        Section(
            "ranking",
            "Ranking",
            _ranking(arena),
            f"By {arena_tables.RANK_WORDS[arena.rank]}. The first of {count} is the best of "
            f"{count} tries: Deflated is the probability that its true Sharpe ratio is above "
            "zero, counting them. Fees are a share of the gross profit.",
        ),
        Section("equity", "Equity", _equity(arena)),
        Section(
            "symbols",
            "By symbol",
            _symbols(arena) if len(arena.symbols) > 1 else "",
            "Realised profit as a share of the capital, which all symbols of a strategy have in "
            "common.",
        ),
        Section(
            "correlations",
            "Correlation of daily returns",
            _heat(arena.daily.names, arena.correlations) if count > 1 else "",
            "Strategies that move together are one bet. Not defined for one that never moved.",
        ),
        Section(
            "allocator",
            "The allocator",
            _allocator(walk),
            "Capital moves towards strategies whose closed trades are evidence of a positive "
            "expectancy; the rest is cash. Weights are set from trades closed before each "
            "rebalance alone, and moving capital costs nothing here.",
        ),
        Section("definitions", "How it is computed", markup.definitions()),
        Section("run", "How it was run", _run(arena)),
    ]


def _ranking(arena: Arena) -> str:
    head, *lines = arena_tables.ranking(arena)
    shown: list[Contestant | None] = [*arena.contestants, None]
    rows = [_ranked_row(line, each) for line, each in zip(lines, shown, strict=True)]
    return markup.table(("Strategy", *head[2:-1]), rows, "Ranking")


def _ranked_row(line: Sequence[str], contestant: Contestant | None) -> str:
    """Place and name with the verdict under it, then the figures."""
    place, name, net, *figures, headline = line
    said = f'<div class="note">{escape(headline)}</div>' if headline else ""
    title = f"{place}. {name}" if place else name
    shade = contestant.statistics.net_fraction if contestant else 0.0
    cells = [markup.cell(net, shade), *(markup.cell(value) for value in figures)]
    return f'<tr><th scope="row">{escape(title)}{said}</th>{"".join(cells)}</tr>'


def _equity(arena: Arena) -> str:
    runs = [(each.name, each.report.result) for each in arena.contestants]
    runs.append((BUY_AND_HOLD, arena.benchmarks[0].result))
    curves = [report_series.equity_curve(name, result) for name, result in runs]
    label = f"Line chart: equity of {', '.join(name for name, _ in runs)}"
    caption = f"Net of all costs, {wording.CURRENCY}; {BUY_AND_HOLD} in grey."
    return figure(charts.together(curves, STAND_IN), "equity", label, caption)


def _symbols(arena: Arena) -> str:
    made = []
    for symbol in arena.symbols:
        head, *lines = arena_tables.symbol_ranking(arena, symbol)
        rows = (
            markup.row(f"{place}. {name}", [markup.cell(value) for value in values])
            for place, name, *values in lines
        )
        made.append(f"<div>{markup.table(head[1:], rows, f'Ranking on {symbol}')}</div>")
    return f'<div class="columns">{"".join(made)}</div>'


def _heat(names: Sequence[str], found: np.ndarray[tuple[int, ...], np.dtype[np.float64]]) -> str:
    rows = (
        markup.row(name, [_heat_cell(float(value)) for value in line])
        for name, line in zip(names, found, strict=True)
    )
    return markup.table(("Strategy", *names), rows, "Correlation of daily returns", "heat")


def _heat_cell(value: float) -> str:
    if not math.isfinite(value):
        return f'<td class="n">{wording.UNKNOWN}</td>'
    share = abs(value) * HEAT_SHADE_MAX
    colour = f"color-mix(in srgb,var(--{markup.tone(value) or 'held'}) {share:.0f}%,var(--panel))"
    return f'<td class="n" style="background:{colour}">{markup.text(wording.number(value))}</td>'


def _plain(table: arena_tables.Table, caption: str) -> str:
    head, *lines = table
    rows = (markup.row(line[0], [markup.cell(value) for value in line[1:]]) for line in lines)
    return markup.table(head, rows, caption)


def _allocator(walk: AllocatorWalk) -> str:
    if walk.day_ends is None:
        return f"<p>{markup.text(' '.join(walk.sentences))}</p>"
    times = np.concatenate((np.array([walk.rebalances[0].time], np.int64), walk.day_ends))
    curves = [
        report_series.curve(path.name, times, np.concatenate(([1.0], path.equity)))
        for path in walk.paths
    ]
    said = " ".join(walk.sentences)
    growth = figure(
        charts.together(curves, STAND_IN),
        "allocator",
        f"Line chart: capital of {', '.join(path.name for path in walk.paths)}. {said}",
        "Capital at the end of each day, from 1.",
    )
    given = figure(
        arena_charts.weights(walk, int(walk.day_ends[-1]), STAND_IN),
        "weights",
        "Area chart: the share of the capital that each strategy was given over time",
        "What each strategy was given at each rebalance; what is left above is cash.",
    )
    return (
        f"{_plain(arena_tables.allocation(walk), 'Allocator and equal weights')}{growth}{given}"
        f"{_plain(arena_tables.stakes(walk), 'Strategies at the last rebalance')}"
    )


def _run(arena: Arena) -> str:
    """Enough to repeat it."""
    record = arena.record
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


def _footer(arena: Arena) -> str:
    return (
        "<footer>A ranking of the past, with hindsight: the best of several is partly luck. It is "
        f"no promise. Tercel, {format_date(arena.record.created_time)}.</footer>"
    )
