"""A trial as one line of JSON, and back.

    {"strategy":"three_r","series":"binance-spot BTCUSDT 1m","start_ms":1688169600000, ...
     "parameters":{"ema_len":20}, "net_fraction":-0.23,"trades":1421,"sharpe":-0.11, ...}

The first line of a ledger is `{"tercel_ledger":1}`: the version of this format.
"""

from __future__ import annotations

import json
import math
from dataclasses import fields
from typing import Any

from tercel.domain.bars import TIMEFRAME_MS, SeriesKey
from tercel.domain.trials import TrialRecord

VERSION = 1
"""Raised when a key changes its meaning or goes."""
HEADER_KEY = "tercel_ledger"
HEADER = f'{{"{HEADER_KEY}":{VERSION}}}\n'.encode()

_NAMES = tuple(field.name for field in fields(TrialRecord))
_WHOLE = ("start_ms", "end_ms", "trades", "daily_returns", "time_ms")
_TEXTS = ("strategy", "code_hash", "data_hash", "cost_profile", "settings_hash", "kind")


def to_line(trial: TrialRecord) -> bytes:
    """`trial` as a line, its end included. Undefined numbers are null."""
    told: dict[str, Any] = {name: getattr(trial, name) for name in _NAMES}
    told["series"] = str(trial.series)
    told["parameters"] = dict(trial.parameters)
    for name in ("net_fraction", "sharpe"):
        told[name] = told[name] if math.isfinite(told[name]) else None
    text = json.dumps(told, separators=(",", ":"), allow_nan=False, ensure_ascii=False)
    return f"{text}\n".encode()


def from_line(line: bytes) -> TrialRecord:
    """The trial of `to_line`. Raises ValueError that says what is wrong with anything else."""
    try:
        told = json.loads(line)
    except ValueError as error:
        raise ValueError(f"it is no JSON ({error})") from None
    if not (
        isinstance(told, dict) and set(told) == set(_NAMES) and isinstance(told["parameters"], dict)
    ):
        raise ValueError("it has not the fields of a trial")
    if not all(isinstance(told[name], str) for name in _TEXTS):
        raise ValueError(f"one of {', '.join(_TEXTS)} is no text")
    if not all(type(told[name]) is int for name in _WHOLE):
        raise ValueError(f"one of {', '.join(_WHOLE)} is no whole number")
    words = str(told["series"]).split()
    if len(words) != 3 or words[2] not in TIMEFRAME_MS:
        raise ValueError(f"{told['series']!r} is no series")
    told["series"] = SeriesKey(*words)
    for name in ("net_fraction", "sharpe"):
        value = told[name]
        if value is not None and not isinstance(value, int | float):
            raise ValueError(f"{name} is no number")
        told[name] = math.nan if value is None else float(value)
    return TrialRecord(**told)


def mentions(line: bytes, strategy: str, symbol: str) -> bool:
    """Whether the line can be of that strategy and symbol: reading all of it is slow."""
    name = json.dumps(strategy, ensure_ascii=False).encode()
    return name in line and f" {symbol} ".encode() in line
