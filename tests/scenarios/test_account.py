"""How large a position is, and what keeps a signal from becoming one."""

from __future__ import annotations

import math
from typing import Any

import pytest
from tests.desk import (
    MINUTE_MS,
    NAN,
    Ask,
    account,
    asked,
    candles,
    stream,
    trade,
)

from tercel.core.codes import EntryTiming, Refusal, Side, SizeMode, SlippageModel, Slot
from tercel.core.plan import TradePlan
from tercel.core.records import Records

STILL = "100 100 100 100\n" * 4
DAY_BARS = 1440


def still(count: int) -> Records:
    """Minutes in which nothing happens."""
    return candles([(100, 100, 100, 100)] * count)


def quantity(on_equity: float = 10_000.0, ask: Ask | None = None, /, **settings: Any) -> float:
    """What one signal at 100 buys; 0 when it is refused."""
    run = trade(
        stream(**settings), candles(STILL), asked(4, {0: ask or Ask()}), on=account(on_equity)
    )
    return float(run.streams[0]["position"]["entry_quantity"])


def refusal(ask: Ask | None = None, /, **settings: Any) -> dict[str, int]:
    """Why one signal at 100 was refused."""
    bars = candles(STILL)
    return trade(stream(**settings), bars, asked(4, {0: ask or Ask()})).refusals()


RISK = {"mode": SizeMode.RISK, "risk_fraction": 0.002}


@pytest.mark.parametrize(
    ("settings", "expected"),
    [
        ({"mode": SizeMode.QUANTITY, "quantity": 1.2345}, 1.234),
        ({"mode": SizeMode.NOTIONAL, "notional_quote": 1234.56}, 12.345),
        ({"mode": SizeMode.NOTIONAL, "notional_quote": 1234.56, "lot_size": 0.1}, 12.3),
        (RISK, 2.0),  # 0.2 % of 10,000 is 20; 10 at risk per unit
        ({**RISK, "includes_costs": True, "taker_fee_rate": 0.0005}, 1.98),  # 20 / 10.1
        (
            {  # 20 / (10 + 2 x 2 ticks of 0.1)
                **RISK,
                "includes_costs": True,
                "slippage_model": SlippageModel.TICKS,
                "slippage_ticks_min": 1,
                "slippage_ticks_max": 3,
            },
            1.923,
        ),
        (
            {  # 20 / (10 + 2 x 0.1)
                **RISK,
                "includes_costs": True,
                "slippage_model": SlippageModel.BPS,
                "slippage_bps": 10.0,
            },
            1.96,
        ),
        ({**RISK, "taker_fee_rate": 0.0005}, 2.0),
        ({**RISK, "notional_max": 150.0}, 1.5),
        ({"mode": SizeMode.QUANTITY, "quantity": 900.0, "leverage_max": 5.0}, 500.0),
    ],
)
def test_sizes(settings: dict[str, float], expected: float) -> None:
    assert quantity(**settings) == pytest.approx(expected, abs=1e-9)


def test_risk_follows_equity_and_stop_distance() -> None:
    assert quantity(5_000.0, **RISK) == pytest.approx(1.0)
    assert quantity(10_000.0, Ask(stop=40.0), **RISK) == pytest.approx(0.5)


@pytest.mark.parametrize("stop", [0.0, -1.0, NAN, math.inf])
@pytest.mark.parametrize("side", [Side.LONG, Side.SHORT])
def test_a_stop_that_is_none(side: int, stop: float) -> None:
    assert refusal(Ask(side, stop=stop)) == {"invalid_stop": 1}


def test_too_small_for_the_venue() -> None:
    assert refusal(quantity=0.0009) == {"below_minimum": 1}
    assert refusal(quantity=0.01, quantity_min=0.02) == {"below_minimum": 1}
    assert refusal(quantity=0.01, notional_min=1.01) == {"below_minimum": 1}
    assert refusal(quantity=0.01, notional_min=1.0, quantity_min=0.01) == {}
    assert refusal(quantity=0.0, lot_size=0.0) == {"below_minimum": 1}


def test_the_account_is_fully_used() -> None:
    """The first position is worth 5 times the equity: no room for another."""
    settings = {"quantity": 900.0, "leverage_max": 5.0}
    bars = [candles(STILL)] * 2
    signals = [asked(4, {0: Ask()}), asked(4, {1: Ask()})]
    run = trade([stream(**settings), stream(**settings)], bars, signals)
    assert run.streams["position"]["quantity"].tolist() == [500.0, 0.0]
    assert run.refusals(1) == {"no_margin": 1}


def test_two_streams_of_one_minute_share_the_leverage() -> None:
    """Both ask at the same close: the second gets what the first left."""
    settings = {"quantity": 300.0, "leverage_max": 5.0}
    bars = [candles(STILL)] * 2
    run = trade([stream(**settings)] * 2, bars, [asked(4, {0: Ask()})] * 2)
    assert run.streams["position"]["quantity"].tolist() == [300.0, 200.0]


def test_at_most_so_many_positions() -> None:
    bars = [candles(STILL)] * 3
    signals = [asked(4, {n: Ask()}) for n in range(3)]
    run = trade([stream()] * 3, bars, signals, on=account(positions_max=2))
    assert run.streams["position"]["quantity"].tolist() == [1.0, 1.0, 0.0]
    assert run.refusals(2) == {"max_positions": 1}
    assert run.account["open_positions"] == 2


def test_a_working_entry_counts_as_a_position() -> None:
    waiting = stream(TradePlan(entry="limit", entry_wait_bars=9))
    bars = [candles(STILL)] * 2
    signals = [asked(4, {0: Ask()}), asked(4, {1: Ask()})]
    run = trade([waiting, stream()], bars, signals, on=account(positions_max=1))
    assert run.refusals(1) == {"max_positions": 1}


def test_a_daily_loss_pauses_until_somebody_resumes() -> None:
    """60 of 1,000 lost in the first minutes: refused on that day and on the next."""
    bars = still(DAY_BARS + 10)
    bars["low"][1] = 39.0  # the stop 60 below the entry
    asks = {0: Ask(stop=60.0), 2: Ask(), DAY_BARS - 1: Ask(), DAY_BARS: Ask()}
    purse = account(1_000.0, daily_loss_fraction_max=0.05)
    run = trade(stream(), bars, asked(len(bars), asks), on=purse)
    assert run.refusals() == {"daily_loss": 3}
    assert [number for number, *_ in run.entries] == [0]
    assert run.account["halts"][Refusal.DAILY_LOSS] == 1


def test_resumed_a_day_is_measured_from_what_is_left() -> None:
    """The same with an operator who lets it go on 22 hours later, at the next full hour."""
    bars = still(DAY_BARS + 10)
    bars["low"][1] = 39.0
    asks = {0: Ask(stop=60.0), 2: Ask(), DAY_BARS - 1: Ask(), DAY_BARS + 2: Ask()}
    purse = account(1_000.0, daily_loss_fraction_max=0.05, resume_after_ms=22 * 60 * MINUTE_MS)
    run = trade(stream(), bars, asked(len(bars), asks), on=purse)
    assert run.refusals() == {"daily_loss": 1, "position_open": 1}
    assert [number for number, *_ in run.entries] == [0, DAY_BARS - 1]
    assert run.account["halted"] == 0
    assert run.account["day_start_equity"] == 940.0


def test_the_daily_loss_counts_what_is_not_realised() -> None:
    bars = [candles("100 100 100 100\n95 95 94 94\n94 94 94 94"), candles(STILL)[:3]]
    signals = [asked(3, {0: Ask()}), asked(3, {2: Ask()})]
    purse = account(100.0, daily_loss_fraction_max=0.05)
    run = trade([stream(), stream()], bars, signals, on=purse)
    assert run.refusals(1) == {"daily_loss": 1}


def test_a_smaller_loss_does_not_block() -> None:
    bars = candles("100 100 100 100\n100 100 96 96\n96 96 89 96\n96 96 96 96")
    purse = account(1_000.0, daily_loss_fraction_max=0.05)
    run = trade(stream(), bars, asked(4, {0: Ask(), 3: Ask()}), on=purse)
    assert run.refusals() == {}


def test_at_zero_equity_everything_is_closed_and_nothing_opened_again() -> None:
    """100 units of 100 on an account of 500: 6 lower it is gone, and sold at that close."""
    bars = candles("100 100 100 100\n100 100 94 94\n94 95 93 95\n95 200 95 200\n200 200 200 200")
    run = trade(stream(quantity=100.0), bars, asked(5, {0: Ask(), 3: Ask()}), on=account(500.0))
    assert run.exits == [(1, "equity_exhausted", 94.0, 100.0)]
    assert run.refusals() == {"equity_exhausted": 1}
    assert run.account["exhausted"]
    assert run.account["drawdown_max"] == pytest.approx(1.2)


def test_a_day_that_begins_without_equity_allows_nothing() -> None:
    """No equity, and a limit of loss: no fraction of nothing is computed."""
    bars = still(3)
    purse = account(0.0, daily_loss_fraction_max=0.05)
    refusals = trade(stream(), bars, asked(3, {0: Ask()}), on=purse).refusals()
    assert refusals == {"equity_exhausted": 1}


def test_a_loss_in_the_same_candle_counts_before_the_next_entry() -> None:
    """Stopped out for half of it; the entry at that close risks half of what is left."""
    bars = candles("100 100 100 100\n100 100 89 95\n95 95 95 95")
    half = stream(mode=SizeMode.RISK, risk_fraction=0.5)
    run = trade(half, bars, asked(3, {0: Ask(), 1: Ask()}), on=account(10_000.0))
    assert run.entries == [(0, 100.0, 500.0), (1, 95.0, 250.0)]
    purse = account(10_000.0, daily_loss_fraction_max=0.05)
    blocked = trade(half, bars, asked(3, {0: Ask(), 1: Ask()}), on=purse)
    assert blocked.refusals() == {"daily_loss": 1}


@pytest.mark.parametrize("first", [0, 1])
def test_what_a_minute_settled_counts_for_every_stream(first: int) -> None:
    """One position at most: the stop of one symbol makes room for the other, in either order."""
    stopped = candles("100 100 100 100\n100 100 89 95\n95 95 95 95")
    calm = candles("100 100 100 100\n100 100 100 100\n100 100 100 100")
    bars = [stopped, calm] if first == 0 else [calm, stopped]
    signals = [asked(3, {0: Ask()}), asked(3, {1: Ask()})]
    signals = signals if first == 0 else signals[::-1]
    run = trade([stream(), stream()], bars, signals, on=account(positions_max=1))
    assert run.refusals(0) == run.refusals(1) == {}
    assert (len(run.trades), run.account["open_positions"]) == (1, 1)


@pytest.mark.parametrize("waits", ["limit", "next_open"])
def test_entries_that_wait_take_room_of_the_leverage(waits: str) -> None:
    """Three symbols at 50,000 each, equity 10,000, at most five times that: one of them."""
    bars = [candles("100 100 100 100\n100 100 99 100\n100 100 100 100") for _ in range(3)]
    plan = TradePlan(entry="limit") if waits == "limit" else None
    timing = EntryTiming.NEXT_OPEN if waits == "next_open" else EntryTiming.CLOSE
    made = [stream(plan, quantity=500.0, leverage_max=5.0, entry_timing=timing) for _ in bars]
    run = trade(made, bars, [asked(3, {0: Ask()}) for _ in bars], on=account(10_000.0))
    assert [run.refusals(k) for k in range(3)] == [{}, {"no_margin": 1}, {"no_margin": 1}]


def test_at_zero_equity_working_entries_are_dropped() -> None:
    """The other symbol's limit entry would have filled in the very next candle."""
    ruined = candles("100 100 100 100\n100 100 94 94\n94 94 94 94")
    calm = candles("100 100 100 100\n101 101 101 101\n101 101 90 95")
    waiting = stream(TradePlan(entry="limit", entry_wait_bars=9))
    signals = [asked(3, {0: Ask()}), asked(3, {0: Ask()})]
    run = trade([stream(quantity=100.0), waiting], [ruined, calm], signals, on=account(500.0))
    assert run.refusals(1) == {"equity_exhausted": 1}
    assert run.streams[1]["orders"][Slot.ENTRY]["status"] == 0
    assert run.account["open_positions"] == 0


def test_equity_is_marked_at_every_close() -> None:
    bars = candles("100 100 100 100\n100 104 99 103\n103 103 97 98\n98 99 98 98")
    run = trade(stream(quantity=2.0), bars, asked(4, {0: Ask()}))
    assert run.equity["equity"].tolist() == [10_000.0, 10_006.0, 9_996.0, 9_996.0]
    assert run.equity["exposure"].tolist() == [200.0, 206.0, 196.0, 196.0]
    assert run.equity["time"].tolist() == (bars["open_time"] + MINUTE_MS).tolist()
    assert run.account["peak_equity"] == 10_006.0
    assert run.account["drawdown_max"] == pytest.approx(10 / 10_006)


def test_series_with_gaps_share_a_clock() -> None:
    """A symbol without a candle in a minute is marked at its last close."""
    whole = candles(STILL)
    holed = candles("100 100 100 100\n100 100 100 100\n100 106 100 105\n105 106 104 105")[[0, 2, 3]]
    signals = [asked(4, {}), asked(3, {0: Ask()})]
    run = trade([stream(), stream()], [whole, holed], signals)
    assert run.equity["equity"].tolist() == [10_000.0, 10_000.0, 10_005.0, 10_005.0]
    assert len(run.equity) == 4


def test_a_stop_closer_than_a_tick_is_no_stop() -> None:
    run = trade(stream(tick_size=0.1), candles(STILL), asked(4, {0: Ask(stop=0.09)}))
    assert run.refusals() == {"invalid_stop": 1}
