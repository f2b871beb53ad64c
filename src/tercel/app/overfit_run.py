"""What the tests of one run need from the lake and the research ledger."""

from __future__ import annotations

import numpy as np

from tercel.app import equity_path
from tercel.app.overfit_report import EntryTimes, OverfitReport, Prices, TriedRun, examine
from tercel.app.ports import BarStore, ResearchLedger
from tercel.app.runs import Desk
from tercel.app.sweep import span_of
from tercel.app.trial_count import most_tried
from tercel.app.walkforward import Walk
from tercel.domain.bars import BarSeries, SeriesKey
from tercel.domain.errors import DataError, UserError
from tercel.domain.research_settings import OverfitSettings


def examine_run(
    run: TriedRun, settings: OverfitSettings, store: BarStore, ledger: ResearchLedger
) -> OverfitReport:
    """Test a finished run. Raises UserError as `examine`, DataError for a damaged ledger."""
    return examine(run, settings, most_tried(ledger, run.asked), prices_of(run, store))


def examine_walk(desk: Desk, walk: Walk) -> OverfitReport | str:
    """Test a walk-forward that was just made, its bars at hand; or why it cannot be tested."""
    run = tried_walk(walk)
    tried = None if desk.ledger is None else most_tried(desk.ledger, run.asked)
    try:
        return examine(run, desk.settings.overfit, tried, _cut(walk.plan.job.spec.series, run))
    except UserError as error:
        return str(error)


def tried_walk(walk: Walk) -> TriedRun:
    """A walk-forward as the tests see it."""
    spec, result = walk.plan.job.spec, walk.chain.result
    start, end = span_of(spec.series)
    returns = equity_path.daily_returns(
        result.equity, result.start_quote, result.start_time, result.end_time
    )
    return TriedRun(
        kind="walk",
        streams=(spec.label,),
        data_start=start,
        data_end=end,
        data_hash=spec.series.data_hash,
        test_start=result.start_time,
        test_end=result.end_time,
        returns=returns,
        trades=EntryTimes(
            np.ascontiguousarray(result.trades["entry_time"]),
            np.ascontiguousarray(result.trades["exit_time"]),
            np.ascontiguousarray(result.trades["side"]),
        ),
        combinations=walk.sweep.returns,
    )


def prices_of(run: TriedRun, store: BarStore) -> Prices | str:
    """The closes that the run's trades were made on, or why they are not known."""
    keys = {SeriesKey(each.venue, each.symbol, each.timeframe) for each in run.streams}
    if len(keys) > 1:
        return f"it takes one series of bars, and this run has {len(keys)}"
    [key] = keys
    try:
        series = store.read(key, run.data_start, run.data_end)
    except DataError as error:
        return f"the lake has not the bars of the run ({error})"
    if series.data_hash != run.data_hash:
        return f"the bars of {key} in the lake are no longer those of the run"
    return _cut(series, run)


def _cut(series: BarSeries, run: TriedRun) -> Prices:
    """The bars of the run's own part of the series."""
    closes = series.bars["open_time"] + series.key.bar_ms
    inside = (closes > run.test_start) & (closes <= run.test_end)
    return Prices(closes[inside], np.ascontiguousarray(series.bars["close"][inside]))
