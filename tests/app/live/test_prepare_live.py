"""What a live session trades, and the bars that it has seen before its first one."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from tests.app.live.scenes import MINUTE, START, Script, settings
from tests.fakes import MemoryBarStore, make_bars

from tercel.app.live.plan import SessionPlan
from tercel.app.live.prepare_live import KnownContext, live_plan, values_of, warm_up
from tercel.app.prepare import RunRequest
from tercel.app.strategies import load_strategy
from tercel.core.records import BAR, CONTEXT, Records
from tercel.domain.bars import BarSeries, SeriesKey
from tercel.domain.errors import DataError, UserError, VenueError
from tercel.domain.settings import InstrumentSettings

VENUE = "binance-usdm"
SWING = load_strategy("swing")
REQUEST = RunRequest((SWING,), ("BTCUSDT", "ETHUSDT"), VENUE, "1m")
NOW = START + 100 * MINUTE + 12_345


class Lake(MemoryBarStore):
    """A lake that reads a range, as the real one does."""

    def read(
        self, key: SeriesKey, start_ms: int | None = None, end_ms: int | None = None
    ) -> BarSeries:
        if key not in self.series:
            raise DataError(f"no {key}")
        bars = self.series[key]
        times = bars["open_time"]
        keep = (times >= (start_ms or 0)) & (times < (end_ms or 2**62))
        return BarSeries(key, bars[keep], (), "")


class Rest:
    """The history of a feed: every minute, made from its time."""

    def __init__(self) -> None:
        self.asked: list[tuple[str, str, int, int]] = []
        self.missing: set[int] = set()
        self.failure: VenueError | None = None

    async def history(self, symbol: str, timeframe: str, start_ms: int, end_ms: int) -> Records:
        self.asked.append((symbol, timeframe, start_ms, end_ms))
        if self.failure is not None:
            raise self.failure
        bars = make_bars(start_ms, (end_ms - start_ms) // MINUTE)
        return bars[~np.isin(bars["open_time"], list(self.missing))]


def unknown(symbol: str, open_time: int) -> Records:
    return np.full(1, 0, CONTEXT)


def plan(request: RunRequest = REQUEST) -> SessionPlan:
    return live_plan(settings(), request, {})


async def seen(lake: Lake, rest: Rest, bars: int = 10, **given: Any) -> Any:
    return await warm_up(plan(**given), (lake, rest), NOW, bars, unknown)  # type: ignore[arg-type]


# --- what is traded -------------------------------------------------------------------------------


def test_every_strategy_trades_every_symbol() -> None:
    made = plan(RunRequest((SWING, load_strategy("three_r")), ("BTCUSDT", "ETHUSDT"), VENUE, "1m"))
    assert [(s.label.strategy, s.label.symbol, s.series) for s in made.streams] == [
        ("swing", "BTCUSDT", 0),
        ("three_r", "BTCUSDT", 0),
        ("swing", "ETHUSDT", 1),
        ("three_r", "ETHUSDT", 1),
    ]
    assert [stream.label.number for stream in made.streams] == [0, 1, 2, 3]
    assert made.symbols == ("BTCUSDT", "ETHUSDT")
    assert made.streams_of("ETHUSDT") == (2, 3)


def test_the_venue_s_own_rules_come_before_the_settings() -> None:
    known = settings().instrument(VENUE, "BTCUSDT")
    assert known is not None
    own = known.model_copy(update={"tick_size": known.tick_size * 5})
    made = live_plan(settings(), REQUEST, {"BTCUSDT": own})
    ticks = [float(stream.settings.instrument.tick_size) for stream in made.streams]
    assert ticks[0] == float(own.tick_size)
    other = settings().instrument(VENUE, "ETHUSDT")
    assert other is not None
    assert ticks[1] == float(other.tick_size)


def test_a_symbol_without_rules_is_refused_by_name() -> None:
    with pytest.raises(UserError, match=r"NOPEUSDT at binance-usdm; .*instruments\.binance-usdm"):
        plan(RunRequest((SWING,), ("NOPEUSDT",), VENUE, "1m"))
    rules = {"NOPEUSDT": settings().instrument(VENUE, "BTCUSDT")}
    assert isinstance(rules["NOPEUSDT"], InstrumentSettings)


def test_a_filter_trades_nothing() -> None:
    with pytest.raises(UserError):
        plan(RunRequest((load_strategy("order_flow"),), ("BTCUSDT",), VENUE, "1m"))


def test_a_stopped_account_waits_for_its_operator() -> None:
    """`limits.resume_after_hours` lets a backtest go on; live nobody resumes by himself."""
    assert int(plan().account.limits.resume_after_ms) == 0


def test_parameters_of_the_command_line_come_last() -> None:
    assert values_of(settings(), SWING, REQUEST)["adx_min"] != 33
    request = RunRequest((SWING,), ("BTCUSDT",), VENUE, "1m", overrides={"adx_min": 33})
    assert values_of(settings(), SWING, request)["adx_min"] == 33
    assert plan(request).streams[0].values["adx_min"] == 33


# --- warm-up --------------------------------------------------------------------------------------


async def test_history_comes_over_rest_where_the_lake_has_nothing() -> None:
    """The last closed moments of every series, oldest first, all of them late."""
    rest = Rest()
    events = await seen(Lake(), rest)
    end = START + 100 * MINUTE
    assert rest.asked == [
        ("BTCUSDT", "1m", end - 10 * MINUTE, end),
        ("ETHUSDT", "1m", end - 10 * MINUTE, end),
    ]
    assert [event.open_time for event in events] == [end - k * MINUTE for k in range(10, 0, -1)]
    assert all(event.is_late and event.series == (0, 1) for event in events)
    assert all(event.time_ms == event.open_time + MINUTE for event in events)


async def test_the_lake_comes_first_and_rest_fills_up() -> None:
    lake, rest = Lake(), Rest()
    end = START + 100 * MINUTE
    for symbol in ("BTCUSDT", "ETHUSDT"):
        lake.series[SeriesKey(VENUE, symbol, "1m")] = make_bars(START, 97)
    events = await seen(lake, rest)
    assert [asked[2] for asked in rest.asked] == [START + 97 * MINUTE] * 2
    assert [event.open_time for event in events] == [end - k * MINUTE for k in range(10, 0, -1)]


async def test_a_lake_that_has_all_of_it_asks_nobody() -> None:
    lake, rest = Lake(), Rest()
    for symbol in ("BTCUSDT", "ETHUSDT"):
        lake.series[SeriesKey(VENUE, symbol, "1m")] = make_bars(START, 100)
    assert len(await seen(lake, rest)) == 10
    assert rest.asked == []


async def test_the_lake_counts_up_to_its_first_gap() -> None:
    lake, rest = Lake(), Rest()
    bars = make_bars(START, 100)
    lake.series[SeriesKey(VENUE, "BTCUSDT", "1m")] = bars[bars["open_time"] != START + 95 * MINUTE]
    lake.series[SeriesKey(VENUE, "ETHUSDT", "1m")] = bars
    events = await seen(lake, rest)
    assert rest.asked == [("BTCUSDT", "1m", START + 95 * MINUTE, START + 100 * MINUTE)]
    assert len(events) == 10


async def test_a_minute_that_nobody_has_is_left_out() -> None:
    rest = Rest()
    rest.missing = {START + 95 * MINUTE}
    events = await seen(Lake(), rest)
    assert len(events) == 9
    assert START + 95 * MINUTE not in [event.open_time for event in events]


async def test_a_venue_that_does_not_answer_is_told() -> None:
    rest = Rest()
    rest.failure = VenueError("no route to the venue")
    with pytest.raises(VenueError, match="no route"):
        await seen(Lake(), rest)


async def test_no_warm_up_asks_for_nothing() -> None:
    rest = Rest()
    assert await seen(Lake(), rest, bars=0) == []
    assert rest.asked == []


# --- context --------------------------------------------------------------------------------------


class Counting:
    """A context store that has nothing, or is damaged."""

    def __init__(self) -> None:
        self.read_times = 0
        self.is_damaged = False

    def keys(self) -> list[Any]:
        self.read_times += 1
        if self.is_damaged:
            raise DataError("a damaged file")
        return []

    def __getattr__(self, name: str) -> Any:
        self.read_times += 1
        raise DataError(f"nothing to {name}")


@pytest.mark.parametrize("is_damaged", [False, True])
def test_context_that_cannot_be_read_is_unknown(is_damaged: bool) -> None:
    """A damaged file of context is no reason to stop trading."""
    store = Counting()
    store.is_damaged = is_damaged
    known = KnownContext(plan(), (Lake(), store), settings(), 3_600_000)
    row = known("BTCUSDT", START)
    assert len(row) == 1
    assert np.isnan(row["funding_rate"][0])
    assert row.dtype == CONTEXT


def test_context_is_read_again_every_so_often() -> None:
    store = Counting()
    known = KnownContext(plan(), (Lake(), store), settings(), 3_600_000)
    known("BTCUSDT", START)
    after_one = store.read_times
    for minute in range(1, 60):
        known("BTCUSDT", START + minute * MINUTE)
    assert store.read_times == after_one
    known("BTCUSDT", START + 60 * MINUTE)
    assert store.read_times == 2 * after_one
    assert Script().asks == {}
    assert BAR.names is not None
