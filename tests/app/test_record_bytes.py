"""Records moved as bytes."""

from __future__ import annotations

import numpy as np
import pytest

from tercel.app.record_bytes import copy_records, first_records, joined, load_records
from tercel.core.jit import new, rec
from tercel.core.records import Records

PAIR = rec(("time", "i8"), ("price", "f8"), ("is_final", "?"))


def pairs(*rows: tuple[int, float, bool]) -> Records:
    return np.array(list(rows), PAIR)


ROWS = ((1, 2.5, True), (2, float("nan"), False), (3, -0.0, True))


def test_what_is_copied_is_the_same_to_the_bit() -> None:
    source, target = pairs(*ROWS), pairs(*ROWS[::-1])
    copy_records(target, source)
    assert target.tobytes() == source.tobytes()
    copy_records(target[1:], source[:2])
    assert target.tobytes() == pairs(ROWS[0], *ROWS[:2]).tobytes()


@pytest.mark.parametrize(
    "source",
    [pairs(*ROWS[:1]), np.zeros(3, rec(("time", "i8"), ("price", "f8"), ("is_late", "?")))],
    ids=["shorter", "of other fields"],
)
def test_nothing_is_spread_or_reinterpreted(source: Records) -> None:
    with pytest.raises(ValueError, match="over"):
        copy_records(pairs(*ROWS), source)


def test_bytes_become_records_again() -> None:
    source, target, one = pairs(*ROWS), np.zeros(3, PAIR), new(PAIR)
    load_records(target, source.tobytes())
    load_records(one, source[2].tobytes())
    assert target.tobytes() == source.tobytes()
    assert one.tobytes() == source[2:].tobytes()


def test_bytes_of_another_size_or_records_with_gaps_are_refused() -> None:
    for data, target in ((b"\0", np.zeros(3, PAIR)), (bytes(2 * PAIR.itemsize), np.zeros(4, PAIR))):
        every_second = target[::2] if len(target) == 4 else target
        with pytest.raises(ValueError, match="bytes for records of"):
            load_records(every_second, data)


def test_parts_of_records() -> None:
    source = pairs(*ROWS)
    first = first_records(source, 2)
    assert first.tobytes() == source[:2].tobytes()
    assert not np.shares_memory(first, source)
    assert joined([first, source[2:]], PAIR).tobytes() == source.tobytes()
    assert len(joined([], PAIR)) == 0
