"""Where buying and selling pressure is read from."""

from __future__ import annotations

import math
from typing import Any

import pytest
from tests.desk import NAN

from tercel.core.jit import new
from tercel.core.pressure import (
    AUTO,
    BAR_ESTIMATE,
    BOOK,
    PRESSURE_CHOICES,
    TAKER,
    pressure_param,
    pressure_sizes,
)
from tercel.core.records import BAR

BOOK_SIZES, TAKER_SIZES = (3.0, 1.0), (6.0, 4.0)
UNKNOWN = (NAN, NAN)


def bar(*, book: bool = True, taker: bool = True) -> Any:
    """A bar of volume 10 that closes at three quarters of its range."""
    made = new(BAR)
    made.open, made.high, made.low, made.close, made.volume = 100.0, 104.0, 100.0, 103.0, 10.0
    made.bid_size, made.ask_size = BOOK_SIZES if book else UNKNOWN
    made.taker_buy_volume = TAKER_SIZES[0] if taker else NAN
    return made


@pytest.mark.parametrize(
    ("source", "book", "taker", "expected"),
    [
        (AUTO, True, True, BOOK_SIZES),
        (AUTO, False, True, TAKER_SIZES),
        (AUTO, False, False, UNKNOWN),
        (BOOK, True, True, BOOK_SIZES),
        (BOOK, False, True, UNKNOWN),
        (TAKER, True, True, TAKER_SIZES),
        (TAKER, True, False, UNKNOWN),
        (BAR_ESTIMATE, False, False, (7.5, 2.5)),  # delta 10 x (206 - 204) / 4 = 5
        (BAR_ESTIMATE, True, True, (7.5, 2.5)),
    ],
)
def test_sources(source: int, book: bool, taker: bool, expected: tuple[float, float]) -> None:
    assert pressure_sizes(bar(book=book, taker=taker), source) == pytest.approx(
        expected, nan_ok=True
    )


def test_half_a_book_is_no_book() -> None:
    made = bar()
    made.ask_size = NAN
    assert pressure_sizes(made, AUTO) == TAKER_SIZES
    assert math.isnan(pressure_sizes(made, BOOK)[0])


def test_a_bar_without_range_leans_nowhere() -> None:
    made = bar()
    made.high = made.low = made.close = 100.0
    assert pressure_sizes(made, BAR_ESTIMATE) == (5.0, 5.0)


def test_the_parameter_counts_its_choices_as_the_kernel_does() -> None:
    assert [PRESSURE_CHOICES[code] for code in (AUTO, BOOK, TAKER, BAR_ESTIMATE)] == [
        "auto",
        "book",
        "taker",
        "bar",
    ]
    assert pressure_param("taker").default == "taker"
    assert pressure_param().choices == PRESSURE_CHOICES
