"""Folds: where windows begin and end, and that no window knows what another must not."""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tercel.app.folds import Part, hours_needed, make_folds, windows_of
from tercel.bootstrap import load_settings
from tercel.domain.errors import UserError
from tercel.domain.research_settings import WalkSettings
from tercel.domain.times import HOUR_MS, MINUTE_MS

START = 1_704_067_200_000
SHIPPED = load_settings().walk


def settings(**changed: Any) -> WalkSettings:
    return WalkSettings(**{**SHIPPED.model_dump(), **changed})


def test_a_year_has_twelve_folds() -> None:
    """3,200 + 8 + 400 + 8 + 400 = 4,016 h; (8,640 - 4,016) / 400 = 11.56: 12 folds."""
    folds = make_folds(START, START + 8_640 * HOUR_MS, settings())
    assert len(folds) == 12
    first = folds[0]
    hours = [
        ((span.start_ms - START) // HOUR_MS, (span.end_ms - START) // HOUR_MS)
        for span in first.spans()
    ]
    assert hours == [(0, 3_200), (3_208, 3_608), (3_616, 4_016)]
    assert folds[1].train.start_ms == START + 400 * HOUR_MS


def test_anchored_train_grows() -> None:
    rolling = make_folds(START, START + 8_640 * HOUR_MS, settings())
    anchored = make_folds(START, START + 8_640 * HOUR_MS, settings(scheme="anchored"))
    assert {fold.train.start_ms for fold in anchored} == {START}
    assert [fold.train.end_ms for fold in anchored] == [fold.train.end_ms for fold in rolling]
    assert [fold.test for fold in anchored] == [fold.test for fold in rolling]


def test_too_little_data_says_how_much_there_is() -> None:
    with pytest.raises(UserError, match=r"needs 4,016 hours for one fold, and there are 4,015"):
        make_folds(START, START + 4_016 * HOUR_MS - 1, settings())
    assert len(make_folds(START, START + 4_016 * HOUR_MS, settings())) == 1


@given(
    hours=st.integers(3, 400),
    lengths=st.tuples(*[st.integers(1, 40)] * 3),
    gaps=st.tuples(st.integers(0, 5), st.integers(0, 5)),
    scheme=st.sampled_from(["rolling", "anchored"]),
)
def test_windows_never_overlap_and_tests_chain(
    hours: int, lengths: tuple[int, int, int], gaps: tuple[int, int], scheme: str
) -> None:
    train, validate, test = lengths
    chosen = settings(
        train_hours=train,
        validate_hours=validate,
        test_hours=test,
        purge_hours=gaps[0],
        embargo_hours=gaps[1],
        scheme=scheme,
    )
    end = START + hours * HOUR_MS
    if hours < hours_needed(chosen):
        with pytest.raises(UserError):
            make_folds(START, end, chosen)
        return
    folds = make_folds(START, end, chosen)
    gap = sum(gaps) * HOUR_MS
    for fold in folds:
        assert START <= fold.train.start_ms < fold.train.end_ms
        assert fold.validate.start_ms == fold.train.end_ms + gap
        assert fold.test.start_ms == fold.validate.end_ms + gap
        assert fold.test.end_ms - fold.test.start_ms == test * HOUR_MS
        assert fold.test.end_ms <= end
    for before, after in itertools.pairwise(folds):
        assert after.test.start_ms == before.test.end_ms
    assert end - folds[-1].test.end_ms < test * HOUR_MS, "a further fold would have fitted"


def test_bars_belong_to_the_window_they_open_in() -> None:
    chosen = settings(train_hours=2, validate_hours=1, test_hours=1, purge_hours=1, embargo_hours=0)
    times = START + MINUTE_MS * np.arange(7 * 60)
    whole = windows_of(make_folds(START, START + 7 * HOUR_MS, chosen), times)
    assert [(w.fold, w.part, w.first, w.end) for w in whole] == [
        (0, Part.TRAIN, 0, 120),
        (0, Part.VALIDATE, 180, 240),
        (0, Part.TEST, 300, 360),
        (1, Part.TRAIN, 60, 180),
        (1, Part.VALIDATE, 240, 300),
        (1, Part.TEST, 360, 420),
    ]
    holed = np.delete(times, slice(170, 250))  # validation of fold 0 is gone, train 1 is shorter
    found = windows_of(make_folds(START, START + 7 * HOUR_MS, chosen), holed)
    assert found[1].first == found[1].end
    assert found[3].end - found[3].first == 110
