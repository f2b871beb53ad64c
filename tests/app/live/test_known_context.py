"""What a live bar is shown beside itself: that of a backtest, out of memory."""

from __future__ import annotations

import errno
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.app.live.published import key_of
from tests.app.live.scenes import MINUTE, START, Cast, Script, bar_of, settings
from tests.context_fakes import FEAR, MemoryContextStore, rows
from tests.fakes import MemoryBarStore, make_bars

from tercel.adapters.lake import LakeContextStore
from tercel.app.context import context_rows
from tercel.app.live.known_context import AHEAD_BARS, KnownContext, lake_rows, united
from tercel.app.ports import FeedBar
from tercel.core.records import CONTEXT
from tercel.domain.bars import BarSeries, SeriesKey
from tercel.domain.context import ContextKey, ContextSeries
from tercel.domain.errors import DataError, UserError
from tercel.domain.times import HOUR_MS

RULES = settings().context
BTC = SeriesKey("binance-usdm", "BTCUSDT", "1m")
SP500 = ContextKey("sp500", "all", "all", "macro-1h")
METRICS = ContextKey("open_interest", "binance-usdm", "BTCUSDT", "metrics")


def known(*symbols: str) -> KnownContext:
    """A session of `symbols` that knows nothing yet."""
    cast = Cast(symbols=symbols or ("BTCUSDT",), streams=tuple(range(len(symbols or "x"))))
    return KnownContext(cast.session_plan(Script()), RULES)


def in_the_lake(*series: ContextSeries) -> dict[ContextKey, ContextSeries]:
    return {one.key: one for one in series}


def test_nothing_is_known_before_anything_was_learnt() -> None:
    row = known()("BTCUSDT", START)
    assert (len(row), row.dtype) == (1, CONTEXT)
    assert all(np.isnan(row[name][0]) for name in CONTEXT.names or () if name != "funding_time")
    assert row["funding_time"][0] == 0


@given(
    st.lists(st.integers(-600, 200), min_size=1, max_size=30, unique=True),
    st.integers(0, 30),
    st.integers(-120, 60),
)
def test_live_bars_are_shown_what_a_backtest_shows(
    minutes: list[int], split: int, first: int
) -> None:
    """Whatever the lake has of it and whatever the venue told, whenever it is looked at."""
    minutes.sort()
    funding = rows(
        key_of("funding_rate"), [START + m * MINUTE for m in minutes], [m * 1e-6 for m in minutes]
    )
    half = min(split, len(minutes))
    early = rows(funding.key, funding.time[:half].tolist(), funding.value[:half].tolist())
    late = rows(funding.key, funding.time[half:].tolist(), funding.value[half:].tolist())
    fear = rows(FEAR, [START - HOUR_MS, START + HOUR_MS], [20.0, 30.0])
    index = rows(
        SP500, [START + h * HOUR_MS // 2 for h in range(-6, 6)], [100.0 + h for h in range(12)]
    )
    live = known()
    live.note_lake(in_the_lake(fear, index, *([early] if half else [])))
    live.note_venue(late, 0)
    opened = START + first * MINUTE
    bars = BarSeries(BTC, make_bars(opened, 100), (), "")
    expected = context_rows(
        MemoryContextStore(funding, fear, index), MemoryBarStore(), bars, RULES
    ).rows
    expected["btc_move_1h"] = np.nan  # bars tell it, and this session has seen none
    for number, row in enumerate(expected):
        assert live("BTCUSDT", opened + number * MINUTE).tobytes() == row.tobytes(), number


def test_a_value_that_is_too_old_is_unknown_without_anything_being_fetched() -> None:
    """Nine hours after the settlement is the last close that knows it."""
    live = known()
    live.note_venue(rows(key_of("funding_rate"), [START], [1e-4]), 0)
    age_ms = RULES.age_ms_max("funding_rate")
    live.prepare("BTCUSDT", START)
    last = START + age_ms - MINUTE
    assert live("BTCUSDT", last)["funding_rate"][0] == 1e-4
    assert live("BTCUSDT", last)["funding_time"][0] == START
    gone = live("BTCUSDT", last + MINUTE)
    assert np.isnan(gone["funding_rate"][0])
    assert gone["funding_time"][0] == 0


def test_a_value_is_not_known_before_it_counts() -> None:
    live = known()
    live.note_venue(rows(key_of("open_interest"), [START + 5 * MINUTE], [7.0]), 0)
    assert np.isnan(live("BTCUSDT", START + 3 * MINUTE)["open_interest"][0])
    assert live("BTCUSDT", START + 4 * MINUTE)["open_interest"][0] == 7.0


def test_the_source_that_goes_on_counts_before_the_one_that_ended() -> None:
    """Yesterday's archive is not too old yet, and still: what the venue tells now is shown."""
    archive = rows(METRICS, [START + n * 5 * MINUTE for n in range(-40, -20)], [1.0] * 20)
    told = rows(
        key_of("open_interest"), [START + n * 5 * MINUTE for n in range(-40, 1)], [2.0] * 41
    )
    live = known()
    live.note_lake(in_the_lake(archive))
    live.note_venue(told, 0)
    assert live("BTCUSDT", START)["open_interest"][0] == 2.0
    both = MemoryContextStore(archive, told)
    bars = BarSeries(BTC, make_bars(START - 30 * MINUTE, 60), (), "")
    assert (context_rows(both, MemoryBarStore(), bars, RULES).rows["open_interest"] == 2.0).all()


def test_a_row_that_the_lake_has_stays() -> None:
    """As when it is merged into the lake: a session and a backtest after it see one value."""
    key = key_of("funding_rate")
    live = known()
    live.note_lake(in_the_lake(rows(key, [START], [1e-4])))
    live.note_venue(rows(key, [START, START + HOUR_MS], [2e-4, 3e-4]), 0)
    assert live("BTCUSDT", START)["funding_rate"][0] == 1e-4
    assert live("BTCUSDT", START + HOUR_MS)["funding_rate"][0] == 3e-4
    assert united(rows(key, [5], [1.0]), rows(key, [3, 5], [2.0, 3.0])).value.tolist() == [2.0, 1.0]


def test_what_is_forgotten_is_no_longer_held() -> None:
    live, key = known(), key_of("open_interest")
    live.note_venue(rows(key, [START, START + MINUTE], [1.0, 2.0]), 0)
    live.note_venue(rows(key, [START + 2 * MINUTE], [3.0]), START + MINUTE)
    held = live.told_by_venue(key)
    assert held is not None
    assert held.value.tolist() == [2.0, 3.0]
    assert live.venue_keys() == [key]


def test_bars_are_joined_ahead_of_time_and_only_when_it_is_needed() -> None:
    live = known()
    assert live.prepare("BTCUSDT", START)
    assert not live.prepare("BTCUSDT", START + MINUTE)
    live.note_venue(rows(key_of("open_interest"), [START], [1.0]), 0)
    assert live.prepare("BTCUSDT", START + MINUTE)
    assert live.prepare("BTCUSDT", START + (AHEAD_BARS // 2 + 2) * MINUTE)


def test_btc_s_move_comes_from_the_bars_of_the_session() -> None:
    """Of every symbol, once BTCUSDT has closed at both ends of the hour; never a guess."""
    live = known("ETHUSDT", "BTCUSDT")
    for minute in range(61):
        bar = bar_of(START + minute * MINUTE, 100.0 + minute)
        live.see(FeedBar("BTCUSDT", bar, START))
        live.note_bars("ETHUSDT", bar)
    moves = [
        live(symbol, START + 60 * MINUTE)["btc_move_1h"][0] for symbol in ("ETHUSDT", "BTCUSDT")
    ]
    assert moves == [160.0 / 100.0 - 1.0] * 2
    assert np.isnan(live("ETHUSDT", START + 59 * MINUTE)["btc_move_1h"][0])
    assert np.isnan(live("ETHUSDT", START + 61 * MINUTE)["btc_move_1h"][0])


def test_closes_of_btc_are_bounded() -> None:
    live = known()
    for minute in range(500):
        live.note_bars("BTCUSDT", bar_of(START + minute * MINUTE, 100.0))
    assert live("BTCUSDT", START + 499 * MINUTE)["btc_move_1h"][0] == 0.0
    assert np.isnan(live("BTCUSDT", START + 100 * MINUTE)["btc_move_1h"][0])


def test_values_tell_what_is_known_how_old_it_is_and_by_whom() -> None:
    live = known()
    live.note_venue(rows(key_of("funding_rate"), [START], [1e-4]), 0)
    live.note_lake(in_the_lake(rows(FEAR, [START - 26 * HOUR_MS], [20.0])))
    funding, fear = live.values(START + HOUR_MS)
    assert (funding.kind, funding.symbol, funding.value) == ("funding_rate", "BTCUSDT", 1e-4)
    assert (funding.published_ms, funding.source, funding.is_too_old) == (
        START,
        "settlements",
        False,
    )
    assert (fear.kind, fear.is_too_old) == ("fear_greed", True)


class Damaged(MemoryContextStore):
    """A lake in which a file is damaged, or the folder itself."""

    def __init__(self, error: Exception, *series: ContextSeries, everything: bool = False) -> None:
        super().__init__(*series)
        self.error = error
        self.everything = everything

    def keys(self) -> list[ContextKey]:
        if self.everything:
            raise self.error
        return super().keys()

    def read(
        self, key: ContextKey, start_ms: int | None = None, end_ms: int | None = None
    ) -> ContextSeries:
        if key == FEAR:
            raise self.error
        return super().read(key, start_ms, end_ms)


@pytest.mark.parametrize(
    "error", [DataError("damaged"), UserError("badly named"), OSError(errno.EIO, "input/output")]
)
@pytest.mark.parametrize(("everything", "count"), [(True, 0), (False, 1)])
def test_a_damaged_file_of_context_is_no_reason_to_stop(
    error: Exception, everything: bool, count: int
) -> None:
    lake = Damaged(
        error,
        rows(FEAR, [START], [20.0]),
        rows(key_of("funding_rate"), [START], [1e-4]),
        rows(key_of("funding_rate", "ETHUSDT"), [START], [1e-4]),
        everything=everything,
    )
    assert len(lake_rows(lake, ("BTCUSDT",), RULES, START)) == count


def test_a_file_with_a_name_that_no_series_can_have_is_left_out(tmp_path: Path) -> None:
    """A copy that a file manager made beside the file."""
    lake, funding = LakeContextStore(tmp_path), rows(key_of("funding_rate"), [START], [1e-4])
    lake.merge(funding, origin="test")
    [file] = tmp_path.rglob("settlements.parquet")
    file.with_name("settlements (1).parquet").write_bytes(file.read_bytes())
    assert list(lake_rows(lake, ("BTCUSDT",), RULES, START)) == [funding.key]


def test_of_the_lake_only_what_may_still_count_is_read() -> None:
    age_ms = RULES.age_ms_max("funding_rate") + HOUR_MS
    lake = MemoryContextStore(
        rows(key_of("funding_rate"), [START - age_ms - 1, START], [1e-4, 2e-4])
    )
    [series] = lake_rows(lake, ("BTCUSDT",), RULES, START).values()
    assert series.value.tolist() == [2e-4]
    assert lake_rows(lake, ("BTCUSDT",), RULES, START + 2 * age_ms) == {}
