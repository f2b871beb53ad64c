"""`tercel drift`: recent trades against the backtest they should resemble."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from tercel.entry.cli import options, terminal

if TYPE_CHECKING:
    from collections.abc import Callable

    from tercel.app.drift import DriftReport, TradeSample
    from tercel.app.saved_run import SavedTrades

EPILOG = """Examples:

tercel drift runs/20240625-133000-three_r-BTCUSDT recent.csv

tercel drift runs/20240625-133000-three_r-BTCUSDT runs/20240801-120000-three_r-BTCUSDT

tercel drift runs/20240625-133000-three_r-BTCUSDT live.parquet --from 2024-07-01 --to 2024-07-14
"""


def drift(
    reference: Annotated[Path, typer.Argument(help="The run folder of the backtest.")],
    recent: Annotated[
        Path, typer.Argument(help="A run folder, or a .parquet or .csv file of trades.")
    ],
    start: Annotated[
        str | None, typer.Option("--from", help="The recent trades were watched from, UTC.")
    ] = None,
    end: Annotated[
        str | None, typer.Option("--to", help="... until, UTC: a date means to its end.")
    ] = None,
    overrides: Annotated[
        list[str] | None, typer.Option("--set", help="A setting: drift.false_alarm=0.01.")
    ] = None,
    config: options.Config = None,
) -> None:
    """Test whether recent trades still come from the distribution of a backtest.

    Win rate, net R, trades a day and slippage, each against the reference. Exit code 1 when one of
    them drifts, 0 when none does or too little is known.
    """
    from tercel import bootstrap
    from tercel.adapters.report.saved import read_run
    from tercel.app.drift import TradeSample, measure_drift, watched
    from tercel.app.overfitting.sequential import Decision
    from tercel.domain.errors import UserError
    from tercel.entry.cli.desk import moment

    loaded = bootstrap.load_everything(config, overrides or ())
    if loaded.strategy_overrides:
        name = next(iter(loaded.strategy_overrides))
        raise UserError(f"--set {name}: drift trades nothing; its settings begin with drift.")
    before = read_run(reference)
    after, sample = _recent(recent)
    _check_same(before.trades, after, recent)
    sample = watched(
        sample,
        moment(start, "--from", whole_day=False),
        moment(end, "--to", whole_day=True),
    )
    figures = before.statistics
    found = measure_drift(
        TradeSample(before.trades.trades, figures.start_time, figures.end_time),
        sample,
        loaded.settings.drift,
        loaded.settings.runs.seed,
    )
    _show(found, reference, recent, sample)
    if found.decision is Decision.DRIFTING:
        raise typer.Exit(1)


def _recent(path: Path) -> tuple[SavedTrades, TradeSample]:
    """Recent trades, and when they were watched: a run folder knows it, a file does not."""
    from tercel.adapters.report.saved import read_run, read_trades
    from tercel.app.drift import TradeSample, spanning

    if not path.is_dir():
        saved = read_trades(path)
        return saved, spanning(saved.trades)
    run = read_run(path)
    span = run.statistics
    return run.trades, TradeSample(run.trades.trades, span.start_time, span.end_time)


def _check_same(before: SavedTrades, after: SavedTrades, path: Path) -> None:
    """Raise UserError for trades of another strategy or symbol; a file need not say."""
    from tercel.domain.errors import UserError

    for what, old, new in (
        ("strategy", before.strategies, after.strategies),
        ("symbol", before.symbols, after.symbols),
    ):
        if new - old:
            raise UserError(
                f"{path}: its {what} is {', '.join(sorted(new))}, that of the reference "
                f"{', '.join(sorted(old))}; compare like with like"
            )


def _show(found: DriftReport, reference: Path, recent: Path, sample: TradeSample) -> None:
    from tercel.app import wording
    from tercel.app.overfitting.sequential import Decision
    from tercel.domain.times import format_time

    units: dict[str, Callable[[float], str]] = {
        "percent": wording.percent,
        "r": wording.r_multiple,
        "number": wording.number,
        "bps": lambda value: f"{wording.number(value)} bps",
    }
    styles = {Decision.OK: "green", Decision.DRIFTING: "red", Decision.UNDECIDED: "yellow"}
    screen = terminal.console()
    screen.print(
        f"{reference}: {wording.count(found.reference_trades)} trades; {recent}: "
        f"{wording.count(found.recent_trades)} trades, {format_time(sample.start_time)} to "
        f"{format_time(sample.end_time)} UTC",
        style="dim", markup=False, soft_wrap=True,
    )  # fmt: skip
    if found.caution:
        screen.print(found.caution, style="yellow", markup=False, soft_wrap=True)
    head = ("Reference", "Recent", "Statistic", "Threshold")
    made = terminal.table("Figure", "Test", *head, "Decision", numeric=head)
    for row in found.rows:
        made.add_row(
            row.name,
            row.test,
            units[row.unit](row.reference),
            units[row.unit](row.recent),
            wording.number(row.statistic, 3),
            wording.number(row.threshold, 3),
            f"[{styles[row.decision]}]{row.decision}[/]{f': {row.note}' if row.note else ''}",
        )
    screen.print(made)
    screen.print(found.verdict, style=styles[found.decision], markup=False)
