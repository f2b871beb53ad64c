"""Figures as people read them: one way to write money, shares, times and the unknown.

Undefined numbers (NaN, infinite) are always "n/a".
"""

from __future__ import annotations

import math
import re

from tercel.domain.times import DAY_MS, HOUR_MS, MINUTE_MS

UNKNOWN = "n/a"
CURRENCY = "USDT"
_MINUS = re.compile(r"(?<![\w-])-(?=[\d.])")


def number(value: float, decimals: int = 2) -> str:
    """`1,234.50`; no minus sign on what rounds to zero."""
    if not math.isfinite(value):
        return UNKNOWN
    return f"{round(value, decimals) + 0.0:,.{decimals}f}"


def count(value: int) -> str:
    """`1,421`."""
    return f"{value:,d}"


def money(quote: float) -> str:
    """`-1,234.50`; without cents from 100,000 on."""
    return number(quote, 0 if abs(quote) >= 100_000 else 2)


def percent(fraction: float) -> str:
    """`-23.4 %` of -0.234; without decimals from 100 % on."""
    if not math.isfinite(fraction):
        return UNKNOWN
    return f"{number(fraction * 100.0, 0 if abs(fraction) >= 0.9995 else 1)} %"


def r_multiple(value: float) -> str:
    """`+0.31 R`."""
    if not math.isfinite(value):
        return UNKNOWN
    return f"{round(value, 2) + 0.0:+.2f} R"


def duration(time_ms: float) -> str:
    """`45 min`, `7.5 h`, `12.3 days`, `412 days`."""
    if not math.isfinite(time_ms):
        return UNKNOWN
    if time_ms < 2 * HOUR_MS:
        return f"{number(time_ms / MINUTE_MS, 0)} min"
    if time_ms < 2 * DAY_MS:
        return f"{number(time_ms / HOUR_MS, 1)} h"
    return f"{number(time_ms / DAY_MS, 1 if time_ms < 100 * DAY_MS else 0)} days"


def times(value: float) -> str:
    """How many times: `31 times`, `2.4 times`."""
    if not math.isfinite(value):
        return UNKNOWN
    return f"{number(value, 0 if value >= 9.95 else 1)} times"


def typeset(text: str) -> str:
    """With real minus signs (`-1.5`, not `2024-06-25` or `a-1`); `%` never on a line of its own."""
    return _MINUS.sub("\N{MINUS SIGN}", text).replace(" %", "\N{NO-BREAK SPACE}%")


def title(code: str) -> str:
    """`Below minimum` of `below_minimum`."""
    if " " in code:  # a name of several words is no code: three_r synthetic BTCUSDT 1m
        return code
    words = code.replace("_", " ")
    return words[:1].upper() + words[1:]
