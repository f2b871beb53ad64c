"""`tercel parity`: a session decided again, and its trades against a backtest's."""

from __future__ import annotations

import asyncio
import json
from typing import TYPE_CHECKING, Annotated, Any

import typer

from tercel.entry.cli import options as shared
from tercel.entry.cli import terminal

if TYPE_CHECKING:
    from pathlib import Path

    from tercel.app.live.parity import DecisionParity, SessionRecord
    from tercel.app.live.trade_parity import TradeDifference, TradeParity
    from tercel.domain.settings import Settings

WIDE_GAP, NARROW_GAP = 3, 2
"""Between two columns of the trades that differ."""

EPILOG = """Examples:

tercel parity last

tercel parity s1a2b3 --tolerance-r 0.1

tercel parity last --json

Exit code 0: every decision is the same, and the trades are within the tolerance. 1: they are not.
2: there is no such session, or it cannot be decided again.
"""


def parity(
    session: Annotated[
        str, typer.Argument(help="Its id, or `last`: `tercel journal sessions` lists them.")
    ],
    as_json: Annotated[
        bool, typer.Option("--json", help="Everything, as one JSON object.")
    ] = False,
    tolerance_r: Annotated[
        float | None,
        typer.Option(help="Difference of a trade that is tolerated, R, instead of the setting."),
    ] = None,
    force: Annotated[
        bool, typer.Option("--force", help="Go on though the code has changed since the session.")
    ] = False,
    folder: shared.SessionFolder = None,
    overrides: shared.OneSetting = None,
    config: shared.SettingsFile = None,
) -> None:
    """Prove a session: decide everything again, and trade its bars in a backtest.

    First the journaled inputs go through a fresh session: every evaluation, signal, intent and
    trade must come out as it was journaled. Then the bars go through a backtest with the same
    settings, and trades are compared one by one: what differs is told by cause.
    """
    from tercel import bootstrap
    from tercel.app.live.parity import check_readable, decide_again
    from tercel.app.live.session_row import changes_since, plan_from_row
    from tercel.app.live.trade_parity import compare_with_backtest
    from tercel.bootstrap.live import session_folder, with_folder

    every = [*(overrides or ())]
    if tolerance_r is not None:
        every.append(f"parity.tolerance_r={tolerance_r:g}")
    settings = with_folder(bootstrap.load_settings(config, every), folder)
    record = asyncio.run(_read(settings, session_folder(settings), session))
    check_readable(record)
    plan = plan_from_row(record.row)
    changes = changes_since(record.row, plan)
    _check_changes(record, changes, force=force)
    with terminal.progress_bar() as progress:
        decided = decide_again(record, plan, progress)
        traded = compare_with_backtest(record, plan, settings.parity, progress)
    if as_json:
        typer.echo(json.dumps(_plain(record, decided, traded, changes), allow_nan=False))
    else:
        _show(record, decided, traded)
    if not (decided.is_equal and traded.is_within):
        raise typer.Exit(1)


async def _read(settings: Settings, folder: Path, session: str) -> SessionRecord:
    from tercel import bootstrap
    from tercel.app.live.parity import read_session

    journal = bootstrap.open_journal(settings.journal.url, folder, create=False)
    try:
        return await read_session(journal, session)
    finally:
        await journal.close()


def _check_changes(record: SessionRecord, changes: list[str], *, force: bool) -> None:
    """Say what has changed since. Raises UserError where it is code, unless told to go on."""
    from tercel.domain.errors import UserError

    code = [line for line in changes if "code of" in line]
    if code and not force:
        raise UserError(
            f"session {record.row.session_id}: {'; '.join(code)}: decisions may differ for that "
            "reason alone; --force decides all the same"
        )
    for line in changes:
        terminal.problem(f"note: {line}: decisions may differ for that reason")


def _show(record: SessionRecord, decided: DecisionParity, traded: TradeParity) -> None:
    from tercel.domain.times import format_time

    screen = terminal.console()
    row = record.row
    screen.print(
        f"{row.session_id}, {row.mode} on {row.venue}, {row.strategies} on {row.symbols}, from "
        f"{format_time(row.time_ms)} UTC",
        style="dim",
        markup=False,
    )
    counts = ", ".join(
        f"{decided.compared.get(name, 0):,} {name}s"
        for name in ("evaluation", "signal", "refusal", "intent", "trade")
    )
    counts += " of all accounts"
    if decided.is_equal:
        screen.print(
            f"decisions: all the same ({decided.inputs:,} inputs: {counts})", style="green"
        )
    else:
        screen.print(f"decisions: not the same. {decided.difference}", style="red", markup=False)
    if decided.unwritten:
        screen.print(
            f"the session was killed: {decided.unwritten} rows of its last input are not in the "
            "journal",
            style="yellow",
        )
    _show_trades(traded)
    _show_outcome(traded)


def _show_trades(traded: TradeParity) -> None:
    """Every trade that differs, then the sums."""
    from tercel.app.live.trade_parity import CAUSES

    different = [each for each in traded.trades if each.quote]
    causes = [cause for cause in CAUSES if any(cause in each.quote for each in different)]
    if different:
        heads = ["Session", "Backtest", *(cause.capitalize() for cause in causes), "R"]
        totals = traded.totals()
        sums = [f"{totals[cause][1]:+,.2f}" for cause in causes]
        in_r = sum(each.difference_r for each in different)
        rows = [_cells(each, causes) for each in different]
        rows.append(["total", f"{len(different)} trades", "", "", *sums, f"{in_r:+.3f}", ""])
        _print_fitting(["Entry UTC", "What", *heads, "Why"], tuple(heads), rows)


def _print_fitting(heads: list[str], numeric: tuple[str, ...], rows: list[list[str]]) -> None:
    """Print the trades; where it is too narrow for them the texts fold. An amount is never cut: if
    it is narrower still, each trade is a list of what it has.
    """
    from rich.markup import escape

    screen = terminal.console()
    widths = [max(map(len, column)) for column in zip(heads, *rows, strict=True)]
    texts = [place for place, head in enumerate(heads) if head not in numeric]
    gap = WIDE_GAP
    folded = {
        place: max(len(word) for row in (heads, *rows) for word in row[place].split() or [""])
        for place in texts
    }
    if sum(widths) + gap * len(widths) > screen.width:
        gap = NARROW_GAP
        spare = screen.width - 1 - sum(widths) - gap * len(widths)
        for place in sorted(texts, key=lambda each: folded[each] - widths[each]):
            less = min(max(-spare, 0), widths[place] - folded[place])
            widths[place] -= less
            spare += less
        if spare < 0:
            _print_lists(heads, rows)
            return
    made = terminal.table(*heads, title="Trades that differ", numeric=numeric)
    if gap == NARROW_GAP:
        made.padding = (0, NARROW_GAP - 1, 0, 0)
        for column, width in zip(made.columns, widths, strict=True):
            column.width = width
    for row in rows:
        made.add_row(*map(escape, row))
    screen.print(made)


def _print_lists(heads: list[str], rows: list[list[str]]) -> None:
    """Each trade in lines of its own."""
    screen = terminal.console()
    screen.print("Trades that differ", style="italic")
    for time, what, *cells in rows:
        parts = [
            f"{head if head == 'R' else head.lower()} {cell}"
            for head, cell in zip(heads[2:], cells, strict=True)
            if cell
        ]
        screen.print(f"{time} {what}: {', '.join(parts)}", markup=False, highlight=False)


def _cells(each: TradeDifference, causes: list[str]) -> list[str]:
    from tercel.domain.times import format_time

    side = "long" if each.side > 0 else "short"
    nets = [
        "-" if net is None else f"{net:+,.2f}" for net in (each.session_quote, each.backtest_quote)
    ]
    parts = [f"{each.quote[cause]:+,.2f}" if cause in each.quote else "" for cause in causes]
    what = f"{each.symbol} {each.strategy} {side}"
    return [
        format_time(each.entry_time),
        what,
        *nets,
        *parts,
        f"{each.difference_r:+.3f}",
        each.why,
    ]


def _show_outcome(traded: TradeParity) -> None:
    screen = terminal.console()
    equal = sum(not each.quote for each in traded.trades)
    alone = len(traded.trades) - traded.matched - traded.kept_out
    different = traded.matched - equal
    within = f" (by {traded.tolerance_r:g} R at most)" if different and not traded.beyond else ""
    text = (
        f"trades: {len(traded.trades):,}, {equal:,} of them equal, {different:,} "
        f"different{within}, {alone:,} made by one alone ({traded.missed_fraction:.1%}, "
        f"{traded.missed_fraction_max:.1%} tolerated)"
    )
    if traded.kept_out:
        text += f"; {traded.kept_out:,} kept out by what was carried over"
    if traded.carried:
        text += f"; {traded.carried} were open when the session began"
    if traded.left_open:
        text += f"; {traded.left_open} are still open"
    screen.print(text, style="green" if traded.is_within else "red", markup=False)
    if traded.beyond:
        screen.print(
            f"{len(traded.beyond)} differ by more than {traded.tolerance_r:g} R",
            style="red",
            markup=False,
        )


def _plain(
    record: SessionRecord, decided: DecisionParity, traded: TradeParity, changes: list[str]
) -> dict[str, Any]:
    from dataclasses import asdict

    return {
        "session": record.row.session_id,
        "changes": changes,
        "decisions": {"is_equal": decided.is_equal, **asdict(decided)},
        "trades": {
            "is_within": traded.is_within,
            "tolerance_r": traded.tolerance_r,
            "missed_fraction": traded.missed_fraction,
            "missed_fraction_max": traded.missed_fraction_max,
            "carried": traded.carried,
            "kept_out": traded.kept_out,
            "left_open": traded.left_open,
            "totals": {
                cause: {"trades": count, "quote": quote, "r": in_r}
                for cause, (count, quote, in_r) in traded.totals().items()
            },
            "each": [
                {
                    **asdict(each),
                    "difference_quote": each.difference_quote,
                    "difference_r": each.difference_r,
                }
                for each in traded.trades
            ],
        },
    }
