"""`tercel validate`: trade chosen days, and promote what passes."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from tercel.entry.cli import options, terminal

if TYPE_CHECKING:
    from rich.table import Table

    from tercel.app.validation import Validation, ValidationRules

EPILOG = """Examples:

tercel validate three_r BTCUSDT --venue binance-spot --days 2026-02-09,2026-02-13

tercel validate trend_reversion BTCUSDT --max-trades 8 --min-profit-factor 1.3 --set pressure=bar
"""


def validate(
    strategy: options.Strategy,
    symbol: options.Symbol,
    days: Annotated[
        str | None, typer.Option(help="UTC days with commas: 2026-02-09,2026-02-13.")
    ] = None,
    trades_max: Annotated[
        int | None, typer.Option("--max-trades", min=0, help="More on one day fail the gate.")
    ] = None,
    profit_factor_min: Annotated[
        float | None,
        typer.Option("--min-profit-factor", min=0.0, help="That of all days must be above it."),
    ] = None,
    venue: options.Venue = None,
    timeframe: options.Timeframe = None,
    overrides: options.Overrides = None,
    config: options.Config = None,
    costs: options.Costs = None,
    lake: options.Lake = None,
) -> None:
    """Trade chosen days, each on a fresh account; what makes few trades and a profit is promoted.

    Exit code 1, and nothing written, when a day has too many trades or the profit factor is too
    low. Else the promotion record is written: paper and live trade nothing that differs from it.
    """
    from tercel import bootstrap
    from tercel.app.prepare import RunRequest
    from tercel.app.strategies import load_strategy
    from tercel.app.validation import ValidationRules, promotion_of, validate_days
    from tercel.entry.cli.desk import open_desk

    terminal.say_if_cold()
    with terminal.progress_bar() as progress:
        desk, parameters = open_desk(config, list(overrides or ()), lake, progress)
        wanted = desk.settings.validation
        rules = ValidationRules(
            days=_midnights(wanted.days if days is None else days.split(",")),
            trades_max=wanted.trades_max if trades_max is None else trades_max,
            profit_factor_min=(
                wanted.profit_factor_min if profit_factor_min is None else profit_factor_min
            ),
            warm_up_days=wanted.warm_up_days,
        )
        request = RunRequest(
            strategies=(load_strategy(strategy),),
            symbols=(symbol.upper(),),
            venue=venue,
            timeframe=timeframe,
            overrides=parameters,
            costs=costs,
        )
        found = validate_days(desk, request, rules)
    _show(found, rules)
    screen = terminal.console()
    if not found.passed:
        for line in found.failures:
            screen.print(f"FAILED: {line}", style="red", markup=False, soft_wrap=True)
        screen.print("nothing is written")
        raise typer.Exit(1)
    record = promotion_of(desk, found)
    path = bootstrap.open_promotions(desk.settings).write(record)
    screen.print(
        f"PASSED: at most {rules.trades_max} trades a day, profit factor "
        f"{found.profit_factor:.2f} above {rules.profit_factor_min:g}",
        style="green",
    )
    screen.print(f"promoted as {record.hashes.whole}", soft_wrap=True)
    screen.print(f"record: {path}", soft_wrap=True, markup=False)


def _midnights(days: list[str] | tuple[str, ...]) -> tuple[int, ...]:
    """The days as ms UTC. Raises UserError for what is not a date, or said twice."""
    from tercel.domain.errors import UserError
    from tercel.domain.times import DAY_MS, parse_time

    found = []
    for text in (day.strip() for day in days):
        if not text:
            continue
        moment = parse_time(text, name="--days")
        if moment % DAY_MS:
            raise UserError(f"--days: {text!r} is not a day; write 2026-02-09,2026-02-13")
        if moment in found:
            raise UserError(f"--days: {text} is named twice")
        found.append(moment)
    return tuple(found)


def _show(found: Validation, rules: ValidationRules) -> None:
    """Every trade, then each day and all of them, and what must be known about them."""
    from tercel.domain.results import PRESSURE_MEANING
    from tercel.domain.times import format_date

    screen = terminal.console()
    first = found.days[0]
    screen.print(
        f"{first.spec.label}, costs {first.cost_profile}, each day on a fresh account",
        style="dim",
        markup=False,
    )
    trades = _trades(found)
    if trades.row_count:
        screen.print(trades)
    screen.print(_totals(found, rules))
    for day in found.days:
        if day.refusals:
            counted = sorted(day.refusals.items(), key=lambda item: (-item[1], item[0]))
            told = ", ".join(f"{name} {number:,}" for name, number in counted)
            line = f"Refused on {format_date(day.day)}: {told}"
            screen.print(line, markup=False, soft_wrap=True)
    for warning in found.warnings:
        screen.print(f"Warning: {warning}", style="yellow", markup=False, soft_wrap=True)
    if first.spec.label.pressure == "bar":
        line = f"Warning: ESTIMATE: pressure is {PRESSURE_MEANING['bar']}."
        screen.print(line, style="yellow", markup=False, soft_wrap=True)


def _trades(found: Validation) -> Table:
    """One line a trade."""
    from tercel.app import wording
    from tercel.core.codes import ExitReason, Side
    from tercel.domain.times import MINUTE_MS, format_time

    head = ("Entry", "Exit", "Minutes", "R", "Net")
    made = terminal.table(
        "Entry, UTC", "Side", "Entry", "Exit", "Minutes", "Last exit", "R", "Net", numeric=head
    )
    for trade in (trade for day in found.days for trade in day.trades):
        risk, net = float(trade["risk_quote"]), float(trade["net_quote"])
        made.add_row(
            format_time(int(trade["entry_time"])),
            Side(int(trade["side"])).name.lower(),
            wording.number(float(trade["entry_price"])),
            wording.number(float(trade["exit_price"])),
            wording.number(int(trade["exit_time"] - trade["entry_time"]) / MINUTE_MS, 0),
            wording.title(ExitReason(int(trade["exit_reason"])).name.lower()),
            wording.r_multiple(net / risk if risk > 0.0 else float("nan")),
            wording.money(net),
        )
    return made


def _totals(found: Validation, rules: ValidationRules) -> Table:
    """One line a day, and all of them."""
    from tercel.app import wording
    from tercel.domain.times import format_date

    head = ("Trades", "Allowed", "Signals", "Profit factor", "Net", "Bars before")
    made = terminal.table("Day", *head, numeric=head)
    nets = [float(day.trades["net_quote"].sum()) for day in found.days]
    for day, net in zip(found.days, nets, strict=True):
        made.add_row(
            format_date(day.day),
            wording.count(len(day.trades)),
            wording.count(rules.trades_max),
            wording.count(day.signals),
            wording.number(day.profit_factor),
            wording.money(net),
            wording.count(day.warm_up_bars),
        )
    made.add_row(
        "all",
        wording.count(sum(len(day.trades) for day in found.days)),
        "",
        wording.count(sum(day.signals for day in found.days)),
        wording.number(found.profit_factor),
        wording.money(sum(nets)),
        style="bold",
    )
    return made
