"""stats.json and run.json: JSON of plain data, undefined numbers as null, keys in a fixed order."""

from __future__ import annotations

import json
import math
from dataclasses import fields, is_dataclass
from enum import Enum
from typing import Any

from tercel.app.report import Report
from tercel.domain.results import RunRecord

SCHEMA = 1
"""Raised when a key of stats.json changes its meaning or goes."""


def plain(value: Any) -> Any:
    """Dataclasses to mappings, enums to names, numpy scalars to numbers, NaN to null."""
    if is_dataclass(value) and not isinstance(value, type):
        return {each.name: plain(getattr(value, each.name)) for each in fields(value)}
    if isinstance(value, Enum):
        return value.name.lower()
    if isinstance(value, dict) or hasattr(value, "items"):
        return {str(key): plain(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [plain(item) for item in value]
    if hasattr(value, "item"):  # a numpy scalar
        return plain(value.item())
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    return value if isinstance(value, (str, int, bool, type(None))) else str(value)


def to_json(document: dict[str, Any]) -> bytes:
    """`document` as JSON: undefined numbers null, keys in the order given."""
    text = json.dumps(plain(document), indent=2, allow_nan=False, ensure_ascii=False)
    return f"{text}\n".encode()


def stats_json(report: Report) -> bytes:
    """Every figure of a run. Same input, same bytes: no time of day, no machine, no path."""
    result = report.result
    return to_json(
        {
            "schema": SCHEMA,
            "streams": result.labels,
            "verdict": report.verdict,
            "statistics": report.statistics,
            "benchmarks": {other.name: other.statistics for other in report.benchmarks},
            "refusals": dict(sorted(result.refusals.items())),
            "strategy_reasons": dict(sorted(result.strategy_reasons.items())),
            "warnings": result.warnings,
        }
    )


def run_json(record: RunRecord) -> bytes:
    """How the run came about."""
    return to_json({"schema": SCHEMA, **plain(record)})
