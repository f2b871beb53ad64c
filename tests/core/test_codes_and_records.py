"""Codes are kept for ever in journals and run folders; records are what kernels and files share."""

from __future__ import annotations

from enum import IntEnum
from typing import Any

import numpy as np
import pytest
from tests.desk import Ask, asked

from tercel.core import codes, records
from tercel.core.jit import new, rec
from tercel.core.signal import enter, no_signal, tally

PINNED: dict[type[IntEnum], dict[str, int]] = {
    codes.Side: {"SHORT": -1, "NONE": 0, "LONG": 1},
    codes.OrderKind: {"MARKET": 0, "LIMIT": 1, "POST_ONLY": 2, "STOP": 3},
    codes.OrderStatus: {"EMPTY": 0, "RESTING": 1, "TRIGGERED": 2},
    codes.ExitReason: {
        "NONE": 0,
        "STOP": 1,
        "TARGET_1": 2,
        "TARGET_2": 3,
        "TARGET_3": 4,
        "TARGET_4": 5,
        "TRAIL": 6,
        "SIGNAL": 7,
        "TIME": 8,
        "EQUITY_EXHAUSTED": 9,
        "END_OF_DATA": 10,
    },
    codes.Refusal: {
        "NONE": 0,
        "POSITION_OPEN": 1,
        "INVALID_STOP": 2,
        "MAX_POSITIONS": 3,
        "DAILY_LOSS": 4,
        "EQUITY_EXHAUSTED": 5,
        "BELOW_MINIMUM": 6,
        "NO_MARGIN": 7,
        "NO_LIQUIDITY": 8,
    },
    codes.IntrabarMode: {"STOP_FIRST": 0, "OHLC_PATH": 1, "OPTIMISTIC": 2},
    codes.SlippageModel: {"NONE": 0, "TICKS": 1, "BPS": 2, "DEPTH": 3},
    codes.SizeMode: {"RISK": 0, "NOTIONAL": 1, "QUANTITY": 2},
    codes.EntryTiming: {"CLOSE": 0, "NEXT_OPEN": 1},
}


@pytest.mark.parametrize("code", PINNED, ids=lambda code: code.__name__)
def test_codes_are_never_renumbered(code: type[IntEnum]) -> None:
    """A new code gets a new number; what is written stays readable."""
    written = PINNED[code]
    assert {name: code[name].value for name in written} == written


def test_slots_are_the_places_of_the_order_table() -> None:
    assert [slot.value for slot in codes.Slot] == list(range(codes.SLOT_COUNT))
    assert codes.Slot.TARGET_4 - codes.Slot.TARGET_1 + 1 == codes.LEGS_MAX


DTYPES = {name: made for name, made in vars(records).items() if isinstance(made, np.dtype)}


@pytest.mark.parametrize("name", DTYPES)
def test_records_are_bytes_and_back(name: str) -> None:
    """A snapshot is the record's bytes."""
    made = new(DTYPES[name])
    assert np.frombuffer(made.tobytes(), DTYPES[name])[0] == made


def test_a_field_that_numpy_would_hide_is_refused() -> None:
    with pytest.raises(ValueError, match="cannot be called 'mean'"):
        rec(("mean", "f8"))


def test_a_signal_is_written_whole() -> None:
    """The record is used again from bar to bar: nothing of the last signal may stay."""
    signal: Any = asked(1, {0: Ask(exit_long=True, exit_short=True, atr=3.0, score=80.0)})[0]
    no_signal(signal, 4)
    assert (signal.side, signal.reason, signal.exit_long, signal.exit_short) == (0, 4, False, False)
    numbers = (signal.stop_distance, signal.target_distance, signal.atr, signal.score)
    assert np.isnan(numbers).all()
    enter(signal, -1, 2.5, 3)
    assert (signal.side, signal.stop_distance, signal.reason) == (-1, 2.5, 3)


def test_reasons_are_counted_until_one_is_impossible() -> None:
    signals = asked(4, {1: Ask(), 3: Ask()})
    counts = np.zeros(2, np.int64)
    assert tally(signals, counts) == -1
    assert counts.tolist() == [2, 2]
    for field, value in (("reason", 2), ("reason", -1), ("side", 7), ("side", -2)):
        wrong = signals.copy()
        wrong[2][field] = value
        assert tally(wrong, np.zeros(2, np.int64)) == 2
