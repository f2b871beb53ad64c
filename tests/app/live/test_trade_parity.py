"""Trades of a session against a backtest's: matched one by one, every difference by its cause."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from tests.app.live.journals import Played, Watched, played
from tests.market_data import MINUTE_MS, invented_bars
from tests.parity.busy_streams import FUNDED, RISKED, THIN, account_spec, busy

from tercel.app.live.parity import COMPARED, SessionRecord
from tercel.app.live.trade_parity import CAUSES, TradeDifference, TradeParity, compare_with_backtest
from tercel.core.codes import ExitReason
from tercel.core.records import TRADE
from tercel.domain.errors import DataError
from tercel.domain.events import MarketView, TimerFired, VenueRead
from tercel.domain.journal import JournalRow, RefusalRow, TradeRow
from tercel.domain.live_settings import ParitySettings
from tercel.domain.orders import VenueSnapshot

BARS = 150
TOLERANCES = ParitySettings(tolerance_r=0.25, missed_fraction_max=0.1)
ACCOUNT = account_spec(1e6)
LATE = MarketView(bid=30_000.0, ask=30_001.0, late_ms=9_000)


def market(**given: Any) -> Any:
    """A stream that takes the market."""
    return busy(0, "three_r", invented_bars(BARS, seed=3), **RISKED, **FUNDED, **given)


def waiting() -> Any:
    """A stream that waits with limits."""
    return busy(1, "chased", invented_bars(BARS, seed=4), **RISKED, **THIN)


@pytest.fixture(scope="module")
def session() -> Played:
    """A replay from its first bar to its last."""
    return played([market(), waiting()], ACCOUNT)


def compared(session: Played, record: SessionRecord | None = None) -> TradeParity:
    return compare_with_backtest(record or session.record(), session.plan, TOLERANCES)


def trades_of(session: Played, stream: int) -> list[TradeRow]:
    rows = session.record().tables["trade"]
    return [row for row in rows if isinstance(row, TradeRow) and row.stream == stream]


def with_trades(
    session: Played, change: Callable[[Any], None], which: TradeRow | None
) -> SessionRecord:
    """The record with one trade changed, or (None as `which`) without any."""
    record = session.record()
    rows: list[JournalRow] = []
    for row in record.tables["trade"]:
        assert isinstance(row, TradeRow)
        made = np.frombuffer(bytearray(row.record), TRADE)
        if row is which:
            change(made[0])
        rows.append(replace(row, record=made.tobytes()))
    return replace(record, tables={**record.tables, "trade": tuple(rows)})


def test_a_replay_is_equal(session: Played) -> None:
    found = compared(session)
    assert len(found.trades) == found.matched == len(session.record().tables["trade"]) > 10
    assert all(each.quote == {} for each in found.trades)
    assert found.is_within
    assert (found.carried, found.left_open, found.missed_fraction) == (0, 0, 0.0)
    assert found.totals() == dict.fromkeys(CAUSES, (0, 0.0, 0.0))


def changed(session: Played, **fields: float) -> TradeDifference:
    """What is told of the first trade of stream 0 with these added to its fields."""
    row = trades_of(session, 0)[0]

    def change(trade: Any) -> None:
        for name, added in fields.items():
            trade[name] += added

    found = compared(session, with_trades(session, change, row))
    different = [each for each in found.trades if each.quote]
    assert len(different) == 1
    return different[0]


@pytest.mark.parametrize(
    ("fields", "cause", "quote"),
    [
        ({"fee_quote": 3.0, "net_quote": -3.0}, "fee", -3.0),
        ({"funding_quote": 2.0, "net_quote": 2.0}, "funding", 2.0),
        ({"gross_quote": 5.0, "net_quote": 5.0}, "price", 5.0),
        ({"slippage_quote": 4.0, "net_quote": -4.0}, "price", -4.0),
        ({"gross_quote": 5.0, "net_quote": 5.0, "legs_filled": 1}, "queue", 5.0),
    ],
)
def test_each_cause_alone(
    session: Played, fields: dict[str, float], cause: str, quote: float
) -> None:
    found = changed(session, **fields)
    assert found.quote == {cause: pytest.approx(quote)}
    assert found.difference_quote == pytest.approx(quote)
    assert found.difference_r == pytest.approx(quote / trades_of(session, 0)[0].risk_quote)
    assert found.is_matched


def test_twice_the_size_is_no_difference_in_r(session: Played) -> None:
    """Whatever a trade makes, twice of it is made by twice the size: not by price, fee, funding."""
    row = trades_of(session, 0)[0]
    names = (
        "quantity", "gross_quote", "fee_quote", "slippage_quote", "funding_quote", "net_quote",
        "risk_quote",
    )  # fmt: skip
    found = changed(session, **{name: float(getattr(row, name, 0.0)) for name in names})
    assert found.quote == {"size": pytest.approx(row.net_quote)}
    assert found.difference_r == pytest.approx(0.0, abs=1e-12)


def test_all_causes_add_up(session: Played) -> None:
    """Half the size, at other prices, with another fee: the parts are the whole."""
    row = trades_of(session, 0)[0]

    def change(trade: Any) -> None:
        for name in ("quantity", "gross_quote", "slippage_quote", "risk_quote"):
            trade[name] *= 0.5
        trade["gross_quote"] -= 7.0
        trade["fee_quote"] = 1.0
        trade["net_quote"] = (
            trade["gross_quote"] - 1.0 - trade["slippage_quote"] + trade["funding_quote"]
        )

    found = compared(session, with_trades(session, change, row))
    [made] = [each for each in found.trades if each.quote]
    assert set(made.quote) >= {"size", "price", "fee"}
    assert made.quote["price"] == pytest.approx(-7.0)
    assert made.session_quote is not None
    assert made.backtest_quote == pytest.approx(row.net_quote)
    assert made.difference_quote == pytest.approx(made.session_quote - row.net_quote)
    totals = found.totals()
    assert totals["price"][0] == 1
    assert totals["price"][1] == pytest.approx(-7.0)
    assert totals["price"][2] == pytest.approx(-7.0 / made.risk_quote)


def test_beyond_the_tolerance(session: Played) -> None:
    risk = trades_of(session, 0)[0].risk_quote
    row = trades_of(session, 0)[0]

    def worse_by(in_r: float) -> TradeParity:
        def change(trade: Any) -> None:
            trade["gross_quote"] -= in_r * risk
            trade["net_quote"] -= in_r * risk

        return compared(session, with_trades(session, change, row))

    assert worse_by(0.24).is_within
    found = worse_by(0.26)
    assert not found.is_within
    assert [each.entry_time for each in found.beyond] == [row.entry_time]


def test_a_stale_bar_explains_what_was_missed() -> None:
    """Bars came late: nothing was entered on them, and the refusal says why."""
    views = dict.fromkeys(range(20, 60), LATE)
    session = played([market()], ACCOUNT, views=views)
    found = compared(session)
    missed = [each for each in found.trades if each.session_quote is None]
    assert missed
    assert {each.why for each in missed} == {"stale_data"}
    assert not found.is_within
    assert found.missed_fraction > TOLERANCES.missed_fraction_max
    for each in missed:
        assert each.backtest_quote is not None
        assert each.quote == {"missed": pytest.approx(-each.backtest_quote)}
        assert each.difference_r == pytest.approx(-each.backtest_quote / each.risk_quote)


def test_late_bars_explain_too() -> None:
    session = played([market()], ACCOUNT, late=range(30, 90))
    whys = {each.why for each in compared(session).trades if each.session_quote is None}
    assert "the bar came late" in whys


def without(session: Played, row: TradeRow) -> SessionRecord:
    """The record as if the session had never made a trade."""
    record = session.record()
    kept: dict[str, tuple[JournalRow, ...]] = {
        **record.tables,
        "trade": tuple(each for each in record.tables["trade"] if each is not row),
        "refusal": tuple(
            each
            for each in record.tables["refusal"]
            if not isinstance(each, RefusalRow) or each.stream != row.stream
        ),
    }
    return replace(record, tables=kept)


def test_a_limit_that_did_not_fill_is_the_queue(session: Played) -> None:
    row = next(each for each in trades_of(session, 1) if each.exit_reason != "end_of_data")
    found = compared(session, without(session, row))
    [made] = [each for each in found.trades if each.quote]
    assert made.why == "the limit did not fill"
    assert made.quote == {"queue": pytest.approx(-row.net_quote)}
    assert (made.stream, made.symbol, made.session_quote) == (1, "C1USDT", None)


def test_a_market_entry_that_is_not_there_has_no_excuse(session: Played) -> None:
    row = trades_of(session, 0)[0]
    [made] = [each for each in compared(session, without(session, row)).trades if each.quote]
    assert made.why == "no entry"
    assert set(made.quote) == {"missed"}


def test_a_trade_of_the_session_alone(session: Played) -> None:
    """One on the other side matches nothing: it is there, and the backtest's is missed."""
    for stream, cause in ((0, "missed"), (1, "queue")):
        row = trades_of(session, stream)[0]

        def turn(trade: Any) -> None:
            trade["side"] = -trade["side"]

        found = compared(session, with_trades(session, turn, row))
        own = [each for each in found.trades if each.backtest_quote is None]
        assert [each.entry_time for each in own] == [row.entry_time]
        assert own[0].quote == {cause: pytest.approx(row.net_quote)}
        assert own[0].why


def test_an_entry_filled_a_moment_later_is_the_same_trade(session: Played) -> None:
    """A real fill comes after the close: within a bar it is still that entry."""
    row = trades_of(session, 0)[1]

    def later(trade: Any) -> None:
        trade["entry_time"] += 350

    found = compared(session, with_trades(session, later, row))
    assert found.matched == len(found.trades)
    assert all(each.quote == {} for each in found.trades)


def test_what_was_open_before_and_what_is_open_still(session: Played) -> None:
    """A trade carried into the session has no twin; one that is not closed yet is no miss."""
    first = trades_of(session, 0)[0]

    def earlier(trade: Any) -> None:
        trade["entry_time"] = session.record().inputs[0].time_ms - 10 * MINUTE_MS

    found = compared(session, with_trades(session, earlier, first))
    assert found.carried == 1
    whole = session.record()
    open_at_end = [
        row
        for row in whole.tables["trade"]
        if isinstance(row, TradeRow) and row.exit_reason == ExitReason.END_OF_DATA.name.lower()
    ]
    assert open_at_end, "seeds are chosen so that something is open at the end"
    kept = tuple(row for row in whole.tables["trade"] if row not in open_at_end)
    found = compared(session, replace(whole, tables={**whole.tables, "trade": kept}))
    assert found.left_open == len(open_at_end)
    assert found.is_within


def test_history_is_seen_by_the_strategies_alone() -> None:
    """Bars that were handed in before the first decision move no account."""
    session = played([market()], ACCOUNT, late=range(50))
    found = compared(session)
    assert found.matched == len(found.trades) > 3
    assert all(each.quote == {} for each in found.trades)


def test_it_begins_with_the_venues_wallet() -> None:
    """The size of a trade follows the account: it must begin with what the venue told."""

    def at(replay: Watched, minute: int) -> None:
        if minute == 9:
            now = replay.session.parts.now + 1_000
            replay.deliver(TimerFired(now))
            snapshot = VenueSnapshot(now, 50_000.0, 50_000.0, (), (), ())
            replay.deliver(VenueRead(now, snapshot))

    session = played([market()], ACCOUNT, at=at, late=range(10), reads_venue=True)
    found = compared(session)
    assert found.matched == len(found.trades) > 3
    assert all("size" not in each.quote for each in found.trades)


def test_a_session_without_bars_has_nothing_to_compare(session: Played) -> None:
    record = session.record()
    empty: dict[str, tuple[JournalRow, ...]] = dict.fromkeys(COMPARED, ())
    with pytest.raises(DataError, match="it saw no bars to act on"):
        compared(session, replace(record, tables=empty))


def test_trades_of_another_version_are_one_clear_line(session: Played) -> None:
    record = session.record()
    [row, *_] = record.tables["trade"]
    assert isinstance(row, TradeRow)
    tables = {**record.tables, "trade": (replace(row, record=b"short"),)}
    with pytest.raises(DataError, match="its trades were journaled by another version"):
        compared(session, replace(record, tables=tables))


def test_a_series_that_had_no_bars_is_left_out() -> None:
    """Streams keep the numbers of the session."""
    session = played([waiting(), market()], ACCOUNT)
    record = session.record()
    plan = session.plan
    silent = replace(plan.streams[1], series=2)
    more = replace(plan, series=(*plan.series, plan.series[1]), streams=(silent, plan.streams[1]))
    found = compare_with_backtest(record, more, TOLERANCES)
    assert {each.stream for each in found.trades if each.backtest_quote is not None} == {1}
