"""One backtest from request to report: prepare, simulate, set beside buy-and-hold, judge, and say
how it came about.
"""

from __future__ import annotations

import hashlib
import importlib.metadata
import json
import platform
import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from tercel import __version__
from tercel.app.backtest import simulate
from tercel.app.benchmark import BUY_AND_HOLD, buy_and_hold, together
from tercel.app.ledger import record_trials, trials_from
from tercel.app.ports import BarStore, Clock, ContextStore, Progress, ResearchLedger
from tercel.app.prepare import FILL_MODES, PreparedRun, RunRequest, own_overrides, prepare
from tercel.app.report import NamedRun, Report, ReportLook, assess, named_run
from tercel.domain.bars import SeriesKey
from tercel.domain.results import BacktestResult, RunRecord
from tercel.domain.settings import Settings, redacted
from tercel.domain.times import to_datetime
from tercel.domain.trials import TrialKind

COMPUTING_PACKAGES = ("numpy", "numba", "llvmlite", "polars")


@dataclass(frozen=True, slots=True)
class Desk:
    """What every run needs from outside."""

    store: BarStore
    contexts: ContextStore | None
    settings: Settings
    clock: Clock
    progress: Progress
    command_line: str
    ledger: ResearchLedger | None = None
    """Counts every trial; None: nothing is counted."""


def run_backtest(desk: Desk, request: RunRequest) -> Report:
    """Prepare, trade and judge `request`. Raises TercelError."""
    prepared = prepare(desk.store, desk.settings, request, desk.contexts)
    held = holdings(desk.settings, prepared)
    report = judged(desk, prepared, trade(desk, prepared), held)
    fills = fill_interval(desk, prepared) if request.fills == "all" else ()
    return replace(report, fills=fills)


def judged(
    desk: Desk,
    prepared: PreparedRun,
    result: BacktestResult,
    benchmarks: Sequence[NamedRun],
    kind: TrialKind = "backtest",
) -> Report:
    """The report of what a prepared run traded; it is counted in the research ledger as `kind`."""
    bars = [spec.series.bars for spec in prepared.specs]
    report = assess(
        replace(result, warnings=(*result.warnings, *prepared.warnings)),
        record_of(desk, prepared),
        bars=bars if len(bars) > 1 else bars[0],
        benchmarks=benchmarks,
        count_trials=lambda found: record_trials(
            desk.ledger, trials_from(prepared, found, desk.clock.now_ms(), kind)
        ),
    )
    wanted = desk.settings.report
    return replace(report, look=ReportLook(wanted.plot_dpi, wanted.worst_trades))


def trade(desk: Desk, prepared: PreparedRun) -> BacktestResult:
    """Simulate a prepared run as the settings say."""
    return simulate(
        prepared.specs,
        prepared.account,
        chunk_bars=desk.settings.runs.chunk_bars,
        progress=desk.progress,
    )


def fill_interval(desk: Desk, prepared: PreparedRun) -> tuple[NamedRun, ...]:
    """The same run once for each of FILL_MODES, worst first: what is not known about the inside of
    a bar, as an interval.
    """
    found = []
    for name, mode in FILL_MODES.items():
        specs = []
        for spec in prepared.specs:
            record = spec.settings.copy()
            record.rules.intrabar = mode
            specs.append(replace(spec, settings=record))
        found.append(named_run(name, trade(desk, replace(prepared, specs=tuple(specs)))))
    return tuple(found)


def holdings(settings: Settings, prepared: PreparedRun) -> tuple[NamedRun, ...]:
    """Buy-and-hold of all distinct series in equal parts, then of each alone, with its taker
    fee.
    """
    distinct = {spec.series.key: spec for spec in reversed(prepared.specs)}

    def held(key: SeriesKey, start_quote: float) -> BacktestResult:
        spec = distinct[key]
        fee = float(spec.settings["costs"]["taker_fee_rate"])
        return buy_and_hold(spec.series.bars, key.bar_ms, start_quote, fee)

    keys = list(dict.fromkeys(spec.series.key for spec in prepared.specs))
    start_quote = settings.runs.start_quote
    everything = together([held(key, start_quote / len(keys)) for key in keys])
    alone = keys if len(keys) > 1 else []
    return (
        named_run(BUY_AND_HOLD, everything),
        *(named_run(f"{BUY_AND_HOLD} {key.symbol}", held(key, start_quote)) for key in alone),
    )


def compare_runs(desk: Desk, request: RunRequest) -> tuple[list[Report], list[NamedRun]]:
    """Each strategy of the request alone on its own account: their reports, and all as columns,
    holdings last.
    """
    reports = [
        run_backtest(
            desk,
            replace(request, strategies=(strategy,), overrides=own_overrides(strategy, request)),
        )
        for strategy in request.strategies
    ]
    columns = [
        NamedRun(strategy.name, report.result, report.statistics, report.verdict)
        for strategy, report in zip(request.strategies, reports, strict=True)
    ]
    return reports, [*columns, *reports[0].benchmarks]


def _digest(value: Any) -> str:
    text = json.dumps(value, sort_keys=True, default=str)
    return hashlib.sha256(text.encode()).hexdigest()


def record_of(desk: Desk, prepared: PreparedRun) -> RunRecord:
    """How the run came about: settings, versions, hashes of code, parameters and data."""
    streams = [
        {
            "stream": str(spec.label),
            "pressure": spec.label.pressure,
            "params": spec.values,
            "cost_profile": prepared.cost_profiles[str(spec.label)],
            "code": spec.strategy.code_hash,
            "data": spec.series.data_hash,
            "bars": len(spec.series.bars),
        }
        for spec in prepared.specs
    ]
    settings = redacted(desk.settings.model_dump(mode="json"))
    return RunRecord(
        configuration={
            "streams": streams,
            "context": {name: told.source for name, told in prepared.context.items()},
            "settings": settings,
        },
        versions={
            "tercel": __version__,
            "python": platform.python_version(),
            **{name: importlib.metadata.version(name) for name in COMPUTING_PACKAGES},
        },
        hashes={
            "code": _digest([spec.strategy.code_hash for spec in prepared.specs]),
            "parameters": _digest([spec.values for spec in prepared.specs]),
            "data": _digest(
                [
                    *(spec.series.data_hash for spec in prepared.specs),
                    *(told.data_hash for _, told in sorted(prepared.context.items())),
                ]
            ),
        },
        seed=desk.settings.runs.seed,
        command_line=desk.command_line,
        created_time=desk.clock.now_ms(),
    )


def folder_name(strategies: Sequence[str], symbols: Sequence[str], time_ms: int) -> str:
    """`20240625-133000-three_r-BTCUSDT`: sorts by time, says what it is."""
    what = "-".join([*strategies, *symbols])
    what = re.sub(r"[^A-Za-z0-9_-]", "_", what)[:80]
    return f"{to_datetime(time_ms):%Y%m%d-%H%M%S}-{what}"
