"""What a finished run adds to the research ledger.

A backtest adds one trial for each of its streams. A sweep adds one for each combination, in one
write. A combination of a sweep and a backtest with the same values are the same trial.
"""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from tercel.app.backtest import AccountSpec, StreamSpec
from tercel.app.ports import ResearchLedger
from tercel.app.prepare import PreparedRun
from tercel.app.sharpe import PERIODS_A_YEAR
from tercel.app.statistics import Statistics
from tercel.app.sweep import SweepJob, span_of
from tercel.app.trial_count import TrialCount, TriedData, most_tried
from tercel.core.records import Records
from tercel.domain.trials import TrialKind, TrialRecord


def trials_from(
    prepared: PreparedRun, statistics: Statistics, time_ms: int, kind: TrialKind = "backtest"
) -> list[TrialRecord]:
    """The trials of one run: one for each stream, with the figures of the account they share."""
    return [
        _record(
            spec,
            prepared.cost_profiles[str(spec.label)],
            settings_hash(spec, prepared.account, prepared.specs),
            net_fraction=statistics.net_fraction,
            trades=statistics.trades,
            sharpe=statistics.sharpe / math.sqrt(PERIODS_A_YEAR),
            daily_returns=statistics.daily_returns,
            time_ms=time_ms,
            kind=kind,
        )
        for spec in prepared.specs
    ]


def trials_of_sweep(
    job: SweepJob, whole: Records, cost_profile: str, time_ms: int, kind: TrialKind = "walk"
) -> list[TrialRecord]:
    """One trial for each combination of a sweep; `whole` (N,) is its FIGURES over all bars."""
    hashed = settings_hash(job.spec, job.account, (job.spec,))
    first = _record(
        job.spec,
        cost_profile,
        hashed,
        net_fraction=math.nan,
        trades=0,
        sharpe=math.nan,
        daily_returns=0,
        time_ms=time_ms,
        kind=kind,
    )
    return [
        _with_figures(first, values, row)
        for values, row in zip(job.combinations, whole, strict=True)
    ]


def record_trials(
    ledger: ResearchLedger | None, trials: Sequence[TrialRecord]
) -> TrialCount | None:
    """Add `trials`, then count all there are of the same strategy, symbol and time.

    None without a ledger. Raises StorageError, DataError.
    """
    if ledger is None or not trials:
        return None
    ledger.append(trials)
    return most_tried(
        ledger,
        [
            TriedData(each.strategy, each.series.symbol, each.start_ms, each.end_ms)
            for each in trials
        ],
    )


def settings_hash(spec: StreamSpec, account: AccountSpec, specs: Sequence[StreamSpec]) -> str:
    """SHA-256 of all that decides the result of `spec` beside its strategy, parameters and bars.

    `specs` are all streams on the account: the others decide too what is left to trade with.
    """
    told = {
        "start_quote": account.start_quote,
        "clusters": sorted(account.clusters.items()),
        "flow": None
        if spec.flow is None
        else [
            spec.flow.strategy.code_hash, sorted(spec.flow.values.items()), spec.flow.score_min
        ],
        "others": sorted(_told(other) for other in specs if other is not spec),
    }  # fmt: skip
    digest = hashlib.sha256(json.dumps(told, sort_keys=True).encode())
    for record in (spec.settings, account.limits, account.pace, spec.contexts):
        digest.update(b"-" if record is None else record.tobytes())
    return digest.hexdigest()


def _told(spec: StreamSpec) -> str:
    """A stream in one string: label, code, values and bars."""
    values = sorted(spec.values.items())
    return json.dumps([str(spec.label), spec.strategy.code_hash, values, spec.series.data_hash])


def _record(spec: StreamSpec, cost_profile: str, hashed: str, **figures: Any) -> TrialRecord:
    start_ms, end_ms = span_of(spec.series)
    return TrialRecord(
        strategy=spec.label.strategy,
        code_hash=spec.strategy.code_hash,
        parameters=dict(spec.values),
        series=spec.series.key,
        start_ms=start_ms,
        end_ms=end_ms,
        data_hash=spec.series.data_hash,
        cost_profile=cost_profile,
        settings_hash=hashed,
        **figures,
    )


def _with_figures(
    first: TrialRecord, values: dict[str, int | float | str], row: Any
) -> TrialRecord:
    """`first` with the values and figures of one combination."""
    return replace(
        first,
        parameters=dict(values),
        net_fraction=float(row["net"]),
        trades=int(row["trades"]),
        sharpe=float(row["sharpe"]),
        daily_returns=int(row["steps"]),
    )
