"""The folds of a walk-forward: train, then validation, then test, and again one test later.

    |------- train -------| gap |- validate -| gap |- test -|
              |------- train -------| gap |- validate -| gap |- test -|

The gap (purge and embargo) belongs to no window. Tests lie one after the other without a gap, so
that they chain into one curve. Rolling: train keeps its length. Anchored: it begins with the data.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum

import numpy as np
import numpy.typing as npt

from tercel.domain.errors import UserError
from tercel.domain.research_settings import WalkSettings
from tercel.domain.times import HOUR_MS, format_time


class Part(IntEnum):
    """What a window is for."""

    TRAIN = 0
    VALIDATE = 1
    TEST = 2


@dataclass(frozen=True, slots=True)
class Span:
    """A stretch of time, `[start_ms, end_ms)`, ms UTC."""

    start_ms: int
    end_ms: int


@dataclass(frozen=True, slots=True)
class Fold:
    """One turn: choose on train and validation, report test."""

    number: int
    """From 0."""
    train: Span
    validate: Span
    test: Span

    def spans(self) -> tuple[Span, Span, Span]:
        """By Part."""
        return (self.train, self.validate, self.test)


@dataclass(frozen=True, slots=True)
class Window:
    """A part of a fold as bars `first` to `end` (not included) of the series; it may be empty."""

    fold: int
    part: Part
    span: Span
    first: int
    end: int


def hours_needed(settings: WalkSettings) -> int:
    """Data that one fold takes, hours."""
    gap = settings.purge_hours + settings.embargo_hours
    return settings.train_hours + settings.validate_hours + settings.test_hours + 2 * gap


def make_folds(start_ms: int, end_ms: int, settings: WalkSettings) -> tuple[Fold, ...]:
    """Every whole fold of the data in `[start_ms, end_ms)`, oldest first.

    8,640 hours with 3,200 + 8 + 400 + 8 + 400 make 12 folds and leave 224 hours at the end.
    Raises UserError when there is not enough for one.
    """
    needed = hours_needed(settings) * HOUR_MS
    if end_ms - start_ms < needed:
        raise UserError(
            f"walk-forward needs {needed // HOUR_MS:,} hours for one fold, and there are "
            f"{(end_ms - start_ms) // HOUR_MS:,} ({format_time(start_ms)} to {format_time(end_ms)} "
            "UTC): take more data, or shorten walk.train_hours, walk.validate_hours, "
            "walk.test_hours"
        )
    gap = (settings.purge_hours + settings.embargo_hours) * HOUR_MS
    step = settings.test_hours * HOUR_MS
    made = []
    for number in range((end_ms - start_ms - needed) // step + 1):
        begin = start_ms + number * step
        train = Span(begin, begin + settings.train_hours * HOUR_MS)
        validate = Span(train.end_ms + gap, train.end_ms + gap + settings.validate_hours * HOUR_MS)
        test = Span(validate.end_ms + gap, validate.end_ms + gap + step)
        if settings.scheme == "anchored":
            train = Span(start_ms, train.end_ms)
        made.append(Fold(number, train, validate, test))
    return tuple(made)


def windows_of(folds: tuple[Fold, ...], open_times: npt.NDArray[np.int64]) -> tuple[Window, ...]:
    """Train, validation and test of each fold as bars of a series, in this order.

    `open_times` (n,) are ms UTC, ascending. A bar belongs to the window in which it opens: windows
    end on whole hours of the data's own clock, so it also closes there.
    """
    made = []
    for fold in folds:
        for part, span in zip(Part, fold.spans(), strict=True):
            first, end = np.searchsorted(open_times, (span.start_ms, span.end_ms))
            made.append(Window(fold.number, part, span, int(first), int(end)))
    return tuple(made)
