"""What a live session trades, and the bars that it has seen before its first one."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from tests.app.live.scenes import MINUTE, START, settings
from tests.context_fakes import FUNDING, MemoryContextStore, rows
from tests.fakes import MemoryBarStore, make_bars

from tercel.app.context import context_rows
from tercel.app.live.known_context import KnownContext
from tercel.app.live.plan import SessionPlan
from tercel.app.live.prepare_live import live_plan, values_of, warm_up
from tercel.app.prepare import RunRequest
from tercel.app.strategies import load_strategy
from tercel.core.records import Records
from tercel.domain.bars import BarSeries, SeriesKey
from tercel.domain.errors import DataError, UserError, VenueError
from tercel.domain.events import BarsClosed
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


def plan(request: RunRequest = REQUEST) -> SessionPlan:
    return live_plan(settings(), request, {})


def known(request: RunRequest = REQUEST) -> KnownContext:
    """Nothing but what a test puts there."""
    return KnownContext(plan(request), settings().context)


async def seen(
    lake: Lake,
    rest: Rest,
    bars: int = 10,
    request: RunRequest = REQUEST,
    known: KnownContext | None = None,
) -> list[BarsClosed]:
    made = plan(request)
    beside = known or KnownContext(made, settings().context)
    return await warm_up(made, (lake, rest), NOW, bars, beside)  # type: ignore[arg-type]


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


async def test_a_bar_of_the_warm_up_is_shown_what_was_known_at_its_own_close() -> None:
    """As in a backtest of the same bars: not what is known by now."""
    end = START + 100 * MINUTE
    funding = rows(FUNDING, [end - 7 * MINUTE, end - 3 * MINUTE, end + MINUTE], [1e-4, 2e-4, 3e-4])
    beside = known()
    beside.note_venue(funding, 0)
    events = await seen(Lake(), Rest(), known=beside)
    rates = [float(event.contexts[0]["funding_rate"]) for event in events]
    np.testing.assert_array_equal(rates, [np.nan] * 2 + [1e-4] * 4 + [2e-4] * 4)
    bars = BarSeries(
        SeriesKey(VENUE, "BTCUSDT", "1m"), np.concatenate([e.bars[:1] for e in events]), (), ""
    )
    expected = context_rows(
        MemoryContextStore(funding), MemoryBarStore(), bars, settings().context
    ).rows
    assert b"".join(e.contexts[:1].tobytes() for e in events) == expected.tobytes()


async def test_btc_s_move_is_known_to_the_warm_up_of_every_symbol() -> None:
    events = await seen(Lake(), Rest(), bars=70)
    moves = np.array([event.contexts["btc_move_1h"] for event in events])
    assert np.isnan(moves[:60]).all()
    closes = np.array([event.bars["close"][0] for event in events])
    np.testing.assert_array_equal(moves[60:, 0], closes[60:] / closes[:-60] - 1.0)
    np.testing.assert_array_equal(moves[60:, 0], moves[60:, 1])


async def test_btc_s_move_is_known_from_the_series_beside_from_the_first_bar_on() -> None:
    """It is read an hour further back: as a backtest does from the lake."""
    request = RunRequest((SWING,), ("ETHUSDT",), VENUE, "1m")
    key = SeriesKey(VENUE, "BTCUSDT", "1m")
    end = START + 100 * MINUTE
    btc = make_bars(end - 130 * MINUTE, 130)
    btc["close"] *= np.linspace(1.0, 1.2, 130)
    lake = Lake()
    lake.series[key] = btc
    beside = KnownContext(plan(request), settings().context, key)
    events = await seen(lake, Rest(), bars=70, request=request, known=beside)
    moves = np.array([event.contexts["btc_move_1h"][0] for event in events])
    bars = np.concatenate([event.bars for event in events])
    series = BarSeries(SeriesKey(VENUE, "ETHUSDT", "1m"), bars, (), "")
    tested = context_rows(MemoryContextStore(), lake, series, settings().context).rows
    np.testing.assert_array_equal(moves, tested["btc_move_1h"])
    assert np.isfinite(moves).all()


async def test_a_session_without_btcusdt_does_not_know_its_move() -> None:
    request = RunRequest((SWING,), ("ETHUSDT",), VENUE, "1m")
    events = await seen(Lake(), Rest(), bars=70, request=request)
    assert all(np.isnan(event.contexts["btc_move_1h"]).all() for event in events)


def test_a_timeframe_that_there_is_not_is_named_with_those_that_there_are() -> None:
    with pytest.raises(UserError, match="no timeframe '7m'; there are 1m, 3m, 5m"):
        live_plan(settings(), replace(REQUEST, timeframe="7m"), {})
