"""What was traded, in the form in which systems are compared: and the comparison.

Two trades are equal when they enter and leave on the same bars, at prices that agree to 1e-9 of
themselves, with profits after fees that agree to the cent. A system trades one bitcoin at a time.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

STOP_FRACTION = 0.005
TARGET_FRACTION = 0.01
FEE_RATE = 0.0005
PRICE_TOLERANCE = 1e-9
CENT = 0.01

TRADE_ROW = np.dtype(
    [
        ("entry_bar", "i8"),
        ("exit_bar", "i8"),
        ("entry_price", "f8"),
        ("exit_price", "f8"),
        ("pnl_quote", "f8"),
    ]
)
"""One round trip; bars are indexes into the market, profit is after fees."""

Trades = npt.NDArray[np.void]


@dataclass(frozen=True, slots=True)
class Agreement:
    """How one system's trades compare with ours, paired by the bar of entry."""

    trades: int
    equal: int
    unpaired: int
    """Trades of either side that the other did not enter at that bar."""
    bars_differ: int
    """Pairs that left on different bars."""
    prices_differ: int
    """Pairs with equal bars, at other prices."""
    profits_differ: int
    """Pairs equal in bars and prices, with other profits."""
    example: str
    """The first pair that differs, in words; empty when none does."""


def trades_of_rows(rows: npt.NDArray[np.float64], fee_rate: float) -> Trades:
    """Trades of (n, 4) rows: entry bar, exit bar, entry price, exit price."""
    made = np.zeros(len(rows), TRADE_ROW)
    made["entry_bar"], made["exit_bar"] = rows[:, 0], rows[:, 1]
    made["entry_price"], made["exit_price"] = rows[:, 2], rows[:, 3]
    paid = (rows[:, 2] + rows[:, 3]) * fee_rate
    made["pnl_quote"] = rows[:, 3] - rows[:, 2] - paid
    return made


def read_trades(path: Path) -> tuple[Trades, dict[str, Any]]:
    """The trades in a peer's JSON file, and everything else it says."""
    told = json.loads(path.read_text(encoding="utf-8"))
    made = np.array([tuple(row) for row in told.pop("rows")], TRADE_ROW)
    return np.sort(made, order="entry_bar"), told


def compare(ours: Trades, theirs: Trades) -> Agreement:
    """Pair the trades by entry bar and count what agrees."""
    _, mine, other = np.intersect1d(
        ours["entry_bar"], theirs["entry_bar"], assume_unique=False, return_indices=True
    )
    a, b = ours[mine], theirs[other]
    same_bars = a["exit_bar"] == b["exit_bar"]
    same_prices = np.ones(len(a), np.bool_)
    for name in ("entry_price", "exit_price"):
        same_prices &= np.abs(a[name] - b[name]) <= PRICE_TOLERANCE * np.abs(a[name])
    same_profit = np.abs(a["pnl_quote"] - b["pnl_quote"]) < CENT
    equal = same_bars & same_prices & same_profit
    example = ""
    if not equal.all():
        first = int(np.flatnonzero(~equal)[0])
        example = f"ours {a[first].tolist()}, theirs {b[first].tolist()}"
    return Agreement(
        trades=len(theirs),
        equal=int(equal.sum()),
        unpaired=len(ours) + len(theirs) - 2 * len(a),
        bars_differ=int((~same_bars).sum()),
        prices_differ=int((same_bars & ~same_prices).sum()),
        profits_differ=int((same_bars & same_prices & ~same_profit).sum()),
        example=example,
    )
