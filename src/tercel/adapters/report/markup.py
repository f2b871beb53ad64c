"""Pieces of a report page: escaped text, tables, bars made of HTML, the months in colours."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from html import escape

from tercel.app import wording
from tercel.app.equity_path import MonthReturn
from tercel.app.key_figures import DEFINITIONS, Figure
from tercel.app.report import Step
from tercel.app.trade_groups import TradeGroup

MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")
MONTH_SHADE_MAX = 0.10
"""A month of +-10 % has the full colour."""


def text(value: str) -> str:
    """Escaped, with real minus signs."""
    return escape(wording.typeset(value))


def tone(value: float) -> str:
    """`gain`, `loss` or nothing."""
    return "gain" if value > 0.0 else "loss" if value < 0.0 else ""


def cell(value: str, shade: float = 0.0) -> str:
    """A figure in a table, set right."""
    return f'<td class="{f"n {tone(shade)}".strip()}">{text(value)}</td>'


def section(identity: str, title: str, body: str, note: str = "") -> str:
    """A part of the page that the table of contents can point at."""
    said = f'<p class="note">{escape(note)}</p>' if note else ""
    return f'<section id="{identity}"><h2>{escape(title)}</h2>{said}{body}</section>\n'


def table(head: Sequence[str], rows: Iterable[str], caption: str, kind: str = "") -> str:
    """A table: the first column is text, the others are figures. `rows` are finished `<tr>`."""
    of_figures = ' class="n"'
    titles = "".join(
        f'<th scope="col"{of_figures if number else ""}>{escape(name)}</th>'
        for number, name in enumerate(head)
    )
    of_kind = f' class="{kind}"' if kind else ""
    return (
        f'<div class="scroll"><table{of_kind} aria-label="{escape(caption)}">'
        f"<thead><tr>{titles}</tr></thead><tbody>{''.join(rows)}</tbody></table></div>"
    )


def row(name: str, cells: Iterable[str], title: str = "", kind: str = "") -> str:
    """One `<tr>`; `title` is shown when the name is pointed at."""
    hint = f' title="{escape(title)}"' if title else ""
    of_kind = f' class="{kind}"' if kind else ""
    return f'<tr{of_kind}><th scope="row"{hint}>{escape(name)}</th>{"".join(cells)}</tr>'


def track(begin: float, end: float, low: float, high: float, colour: str) -> str:
    """A bar from `begin` to `end` on a scale from `low` to `high`, with a line at zero."""
    span = high - low
    if not span > 0.0 or not math.isfinite(begin + end):
        return '<td class="bar"></td>'
    left, width = (min(begin, end) - low) / span * 100.0, abs(end - begin) / span * 100.0
    zero = -low / span * 100.0
    line = f'<b style="left:{zero:.2f}%"></b>' if low < 0.0 else ""
    return (
        f'<td class="bar"><span class="track" aria-hidden="true"><i style="left:{left:.2f}%;'
        f'width:{width:.2f}%;background:var(--{colour})"></i>{line}</span></td>'
    )


def figures(title: str, lines: Sequence[Figure], with_held: bool) -> str:
    """One group of key figures: net, gross and buy-and-hold."""
    head = [title, "Net", "Gross", *(["Buy-and-hold"] if with_held else [])]
    rows = (
        row(
            line.name,
            [
                cell(line.net, line.good),
                cell(line.gross),
                *([cell(line.held)] if with_held else []),
            ],
            line.definition,
        )
        for line in lines
    )
    return table(head, rows, f"{title}: net, gross and buy-and-hold")


def groups(title: str, found: Sequence[TradeGroup]) -> str:
    """Trades by a label: count, win rate, average R, gross, net, and the net as a bar."""
    low = min(0.0, *(group.net_quote for group in found), 0.0)
    high = max(0.0, *(group.net_quote for group in found), 0.0)
    rows = (
        row(
            wording.title(group.name),
            [
                cell(wording.count(group.trades)),
                cell(wording.percent(group.win_rate)),
                cell(wording.r_multiple(group.average_r)),
                cell(wording.number(group.profit_factor)),
                cell(wording.money(group.gross_quote)),
                cell(wording.money(group.net_quote), group.net_quote),
                track(0.0, group.net_quote, low, high, tone(group.net_quote) or "held"),
            ],
        )
        for group in found
    )
    head = (title, "Trades", "Win rate", "Average R", "Profit factor", "Gross", "Net", "")
    return table(head, rows, f"Trades by {title.lower()}")


def steps(found: Sequence[Step]) -> str:
    """From gross to net as floating bars."""
    low = min(0.0, *(min(step.begin, step.end) for step in found))
    high = max(0.0, *(max(step.begin, step.end) for step in found))
    rows = (
        row(
            step.name,
            [
                cell(wording.money(step.quote), step.quote if step.is_total else 0.0),
                track(step.begin, step.end, low, high, _step_colour(step)),
            ],
            kind="total" if step.is_total else "",
        )
        for step in found
    )
    return table(("Step", wording.CURRENCY, ""), rows, "From gross to net profit")


def _step_colour(step: Step) -> str:
    if step.is_total:
        return "net" if step.name.startswith("Net") else "gross"
    return tone(step.quote) or "held"


def counts(title: str, found: dict[str, int], whole: int, of_what: str) -> str:
    """Named counts, largest first, with their share of `whole`."""
    ordered = sorted(found.items(), key=lambda item: (-item[1], item[0]))
    top = max((number for _, number in ordered), default=0)
    rows = (
        row(
            wording.title(name),
            [
                cell(wording.count(number)),
                cell(wording.percent(number / whole if whole else math.nan)),
                track(0.0, float(number), 0.0, float(top), "held"),
            ],
        )
        for name, number in ordered
        if number
    )
    return table((title, "Count", f"Of {of_what}", ""), rows, f"{title}: counts")


def months(found: Sequence[MonthReturn]) -> str:
    """Years down, months across, each net return in its colour, and the year's compound."""
    by_year: dict[int, dict[int, float]] = {}
    for each in found:
        by_year.setdefault(each.year, {})[each.month] = each.net_fraction
    rows = []
    for year, returns in by_year.items():
        cells = [_month_cell(returns.get(number)) for number in range(1, 13)]
        whole = math.prod(1.0 + value for value in returns.values()) - 1.0
        rows.append(row(str(year), [*cells, _month_cell(whole)]))
    return table(("Year", *MONTHS, "All"), rows, "Net return by calendar month", "months")


def _month_cell(fraction: float | None) -> str:
    if fraction is None:
        return "<td></td>"
    if math.isnan(fraction):
        return f"<td>{wording.UNKNOWN}</td>"
    share = min(1.0, abs(fraction) / MONTH_SHADE_MAX) ** 0.7 * 55.0
    colour = f"color-mix(in srgb,var(--{tone(fraction) or 'held'}) {share:.0f}%,var(--panel))"
    return f'<td style="background:{colour}">{text(wording.percent(fraction))}</td>'


def definitions() -> str:
    """How every key figure is computed."""
    items = (
        f"<div><dt>{escape(name)}</dt><dd>{escape(meaning)}</dd></div>"
        for name, meaning in DEFINITIONS.items()
    )
    return f"<dl>{''.join(items)}</dl>"
