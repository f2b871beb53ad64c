"""What every ContextStore does. A new store joins by adding its maker to STORES."""

from __future__ import annotations

import dataclasses
import hashlib
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from tests.context_fakes import FEAR, FUNDING, INTEREST, MemoryContextStore, rows

from tercel.adapters.lake import LakeContextStore
from tercel.app.ports import ContextInfo, ContextStore, MergeReport
from tercel.domain.context import ContextKey, ContextSeries
from tercel.domain.errors import DataError, UserError
from tercel.domain.times import HOUR_MS, parse_time

STORES: dict[str, Callable[[Path], ContextStore]] = {
    "lake": LakeContextStore,
    "memory": lambda _: MemoryContextStore(),
}
START = parse_time("2024-01-01")
STEP = 8 * HOUR_MS


@pytest.fixture(params=STORES)
def store(request: pytest.FixtureRequest, tmp_path: Path) -> ContextStore:
    return STORES[request.param](tmp_path / "lake")


def settlements(count: int, first: int = 0) -> ContextSeries:
    """`count` settlements eight hours apart; each rate follows from its number alone."""
    numbers = list(range(first, first + count))
    return rows(FUNDING, [START + STEP * n for n in numbers], [n % 7 * 1e-5 for n in numbers])


def same(one: ContextSeries, other: ContextSeries) -> bool:
    return (
        one.key == other.key
        and np.array_equal(one.time, other.time)
        and np.array_equal(one.value, other.value)
        and one.data_hash == other.data_hash
    )


def test_rows_come_back_as_they_went_in(store: ContextStore) -> None:
    series = settlements(30)
    assert store.merge(series, origin="test") == MergeReport(added=30)
    read = store.read(FUNDING)
    assert same(read, series)
    assert read.time.dtype == np.int64
    assert read.value.dtype == np.float64
    digest = hashlib.sha256(series.time.tobytes() + series.value.tobytes()).hexdigest()
    assert read.data_hash == digest
    assert read.source == "settlements"


@pytest.mark.parametrize(
    ("start", "end", "numbers"),
    [
        (None, None, range(30)),
        (START + 10 * STEP, None, range(10, 30)),
        (START + 10 * STEP + 1, START + 12 * STEP, range(11, 12)),
        (None, START, range(0)),
        (0, 2 * START, range(30)),
    ],
)
def test_a_range_includes_its_start_and_not_its_end(
    store: ContextStore, start: int | None, end: int | None, numbers: range
) -> None:
    store.merge(settlements(30), origin="test")
    wanted = settlements(len(numbers), numbers.start)
    assert same(store.read(FUNDING, start, end), wanted)


def test_merging_is_idempotent_in_any_order(store: ContextStore) -> None:
    store.merge(settlements(10, 20), origin="test")
    assert store.merge(settlements(25), origin="test") == MergeReport(added=20, unchanged=5)
    assert store.merge(settlements(30), origin="test") == MergeReport(unchanged=30)
    assert same(store.read(FUNDING), settlements(30))


def test_rows_between_others_find_their_place(store: ContextStore) -> None:
    series = settlements(9)
    store.merge(rows(FUNDING, series.time[::2].tolist(), series.value[::2].tolist()), origin="a")
    report = store.merge(series, origin="b")
    assert report == MergeReport(added=4, unchanged=5)
    assert same(store.read(FUNDING), series)


def test_a_conflict_is_reported_and_the_stored_value_stays(store: ContextStore) -> None:
    store.merge(settlements(3), origin="first")
    other = rows(FUNDING, [START + STEP, START + 3 * STEP], [0.5e-4, 0.25])
    with pytest.raises(DataError):
        store.merge(other, origin="a whole batch counts or nothing of it")
    other = rows(FUNDING, [START, START + STEP, START + 3 * STEP], [0.0, 0.5e-4, 0.02])
    assert store.merge(other, origin="second") == MergeReport(
        added=1,
        unchanged=1,
        conflicts=1,
        first_conflict="2024-01-01 08:00: stored 1e-05, offered 5e-05",
    )
    assert store.read(FUNDING).value.tolist() == [0.0, 1e-5, 2e-5, 0.02]


def test_rounding_is_no_conflict(store: ContextStore) -> None:
    store.merge(rows(INTEREST, [START], [1e9]), origin="first")
    again = rows(INTEREST, [START], [1e9 * (1 + 1e-12)])
    assert store.merge(again, origin="second") == MergeReport(unchanged=1)


def test_info_and_keys(store: ContextStore) -> None:
    assert store.keys() == []
    store.merge(rows(FEAR, [START], [50]), origin="test")
    store.merge(settlements(4), origin="test")
    store.merge(rows(INTEREST, [START, START + 9, START + 10], [1, 2, 3]), origin="test")
    assert store.keys() == [FEAR, FUNDING, INTEREST]
    assert store.info(FEAR).spacing_ms == 0
    assert store.info(INTEREST).spacing_ms == 1
    info = store.info(FUNDING)
    assert dataclasses.replace(info, bytes=0) == ContextInfo(
        FUNDING, 4, START, START + 3 * STEP, STEP, 0
    )
    assert info.bytes > 0


def test_sources_of_one_kind_are_kept_apart(store: ContextStore) -> None:
    other = dataclasses.replace(INTEREST, source="coinglass-1d")
    store.merge(rows(INTEREST, [START], [1.0]), origin="test")
    store.merge(rows(other, [START], [2.0]), origin="test")
    assert store.read(INTEREST).value.tolist() == [1.0]
    assert store.read(other).value.tolist() == [2.0]


def test_nothing_there(store: ContextStore) -> None:
    for ask in (store.info, store.read):
        with pytest.raises(DataError, match="has no funding_rate binance-usdm BTCUSDT settlements"):
            ask(FUNDING)
    assert store.merge(settlements(0), origin="test") == MergeReport()
    assert store.keys() == []


@pytest.mark.parametrize(
    ("time", "value", "rule"),
    [
        ([START, START], [1, 1], r"row 2 \(2024-01-01 00:00\): value 1: its time is not after"),
        ([START + 1, START], [1, 1], "row 2 .* its time is not after"),
        ([START, START + 1], [1, np.nan], "row 2 .* it is not a number"),
        ([START, START + 1], [1, 101], "row 2 .* fear_greed must be within 0 and 100"),
        ([1_704_067_200, START], [1, 1], r"row 1 \(time 1704067200\).*2000 and 2100"),
    ],
)
def test_a_bad_row_is_named_and_nothing_is_written(
    store: ContextStore, time: list[int], value: list[float], rule: str
) -> None:
    with pytest.raises(DataError, match=rf"^fng\.csv: {rule}"):
        store.merge(rows(FEAR, time, value), origin="fng.csv")
    assert store.keys() == []


@pytest.mark.parametrize(
    ("key", "words"),
    [
        (ContextKey("mood", "all", "all", "x"), "unknown context 'mood'"),
        (ContextKey("funding_rate", "okx", "BTCUSDT", "x"), "unknown venue 'okx'"),
        (ContextKey("fear_greed", "all", "BTCUSDT", "x"), "are of venue all and symbol all"),
        (ContextKey("sp500", "binance-spot", "all", "x"), "are of venue all and symbol all"),
        (ContextKey("open_interest", "all", "all", "x"), "every other kind is of one symbol"),
    ],
)
def test_keys_that_cannot_be(store: ContextStore, key: ContextKey, words: str) -> None:
    with pytest.raises(UserError, match=words):
        store.merge(rows(key, [START], [1.0]), origin="test")
    with pytest.raises(UserError, match=words):
        store.read(key)
