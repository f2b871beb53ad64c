"""Breakers: each one stopping a trade it should stop, and letting the next one through.

Bars are still at 100 unless a line says otherwise; a stop 10 below a long of one unit is a loss of
10 when a bar goes there.
"""

from __future__ import annotations

import math

import numpy as np
import pytest
from tests.desk import (
    JIT,
    MINUTE_MS,
    START,
    THREE_R,
    Ask,
    account,
    asked,
    candles,
    stream,
    trade,
    unknown_contexts,
)

from tercel.core import breakers, margin, market, risk
from tercel.core.codes import SESSION_REFUSALS, ExitReason, Refusal, Side, SizeMode
from tercel.core.jit import new
from tercel.core.plan import TradePlan
from tercel.core.records import MARKET, TRACK, Records

HOUR = 60
DAY = 24 * HOUR


def still(count: int, price: float = 100.0) -> Records:
    """`count` minutes without a move."""
    return candles([[price] * 4 for _ in range(count)])


def with_losses(count: int, at: list[int]) -> Records:
    """Still minutes, with a dip to 80 at each of `at`: whatever is long is stopped at 90."""
    bars = still(count)
    for minute in at:
        bars["low"][minute] = 80.0
    return bars


def test_three_losses_in_a_row_are_followed_by_a_pause() -> None:
    """Stopped in minutes 1, 3 and 5; asked again in 6, 49 and 51: the pause ends with minute 50."""
    bars = with_losses(60, [1, 3, 5])
    asks = {minute: Ask() for minute in (0, 2, 4, 6, 49, 51)}
    purse = account(loss_streak_max=3, loss_streak_pause_ms=45 * MINUTE_MS)
    run = trade(stream(), bars, asked(60, asks), on=purse)
    assert run.refusals() == {"loss_streak": 2}
    assert [minute for minute, *_ in run.entries] == [0, 2, 4, 51]


def test_a_win_between_losses_begins_the_count_anew() -> None:
    bars = with_losses(60, [1, 3, 7])
    bars["high"][5] = 121.0
    asks = {minute: Ask() for minute in (0, 2, 4, 6, 8)}
    purse = account(loss_streak_max=3, loss_streak_pause_ms=45 * MINUTE_MS)
    run = trade(stream(), bars, asked(60, asks), on=purse)
    assert run.refusals() == {}
    assert run.account["pace_state"]["losses"] == 1


def test_after_the_pause_a_further_loss_begins_another() -> None:
    bars = with_losses(80, [1, 3, 5, 60])
    asks = {minute: Ask() for minute in (0, 2, 4, 55, 61)}
    purse = account(loss_streak_max=3, loss_streak_pause_ms=45 * MINUTE_MS)
    run = trade(stream(), bars, asked(80, asks), on=purse)
    assert run.refusals() == {"loss_streak": 1}
    assert run.account["pace_state"]["losses"] == 4


def test_the_day_has_its_trades_until_midnight() -> None:
    bars = with_losses(DAY + 5, [1, 3])
    asks = {minute: Ask() for minute in (0, 2, 4, DAY - 2, DAY)}
    run = trade(stream(), bars, asked(len(bars), asks), on=account(daily_trades_max=2))
    assert run.refusals() == {"daily_trades": 2}
    assert [minute for minute, *_ in run.entries] == [0, 2, DAY]


def test_an_entry_that_filled_nothing_is_given_back() -> None:
    """A limit at 100 that nobody trades through, then a market entry on the same day."""
    waiting = stream(TradePlan(entry="limit", entry_wait_bars=1))
    bars = still(6)
    run = trade(waiting, bars, asked(6, {0: Ask(), 3: Ask()}), on=account(daily_trades_max=1))
    assert run.refusals() == {"no_liquidity": 2}


def test_an_hour_has_its_entries() -> None:
    """Two within the hour; the third is let in once the first is 60 minutes old."""
    bars = with_losses(70, [1, 3, 5])
    asks = {minute: Ask() for minute in (0, 2, 30, 60)}
    run = trade(stream(), bars, asked(70, asks), on=account(hourly_signals_max=2))
    assert run.refusals() == {"hourly_signals": 1}
    assert [minute for minute, *_ in run.entries] == [0, 2, 60]


def test_revenge_waits_in_the_symbol_and_nowhere_else() -> None:
    bars = [with_losses(30, [1]), still(30)]
    signals = [asked(30, {0: Ask(), 5: Ask(), 17: Ask()}), asked(30, {5: Ask()})]
    purse = account(revenge_pause_ms=15 * MINUTE_MS)
    run = trade([stream(), stream()], bars, signals, on=purse)
    assert run.refusals(0) == {"revenge": 1}
    assert run.refusals(1) == {}


def test_a_stop_that_made_money_calls_for_no_revenge() -> None:
    """Break-even after the first leg, stopped at 100: no loss."""
    plan = TradePlan(legs=((1.0, 0.5), (5.0, 0.5)), breakeven_after_leg=1)
    bars = candles("100 100 100 100\n100 111 100 105\n105 105 99 100\n100 100 100 100")
    purse = account(revenge_pause_ms=15 * MINUTE_MS)
    run = trade(stream(plan), bars, asked(4, {0: Ask(), 3: Ask()}), on=purse)
    assert run.trades[0]["exit_reason"] == ExitReason.STOP
    assert run.refusals() == {}


def test_five_wins_halve_the_next_size() -> None:
    bars = still(12)
    bars["high"][1:11:2] = 121.0
    asks = {minute: Ask() for minute in range(0, 12, 2)}
    purse = account(win_streak_min=5, win_streak_factor=0.5)
    run = trade(stream(), bars, asked(12, asks), on=purse)
    assert run.trades["quantity"].tolist() == [1.0] * 5
    assert run.streams[0]["position"]["entry_quantity"] == 0.5


def test_the_kill_switch_closes_everything_and_latches() -> None:
    """A fall from 100 to 97 costs 3 of 100: both symbols are sold at that close, and none again."""
    falling = candles("100 100 100 100\n100 100 97 97\n97 97 97 97\n97 97 97 97")
    bars = [falling, still(4)]
    signals = [asked(4, {0: Ask(), 3: Ask()}), asked(4, {0: Ask(), 3: Ask()})]
    purse = account(100.0, loss_24h_fraction_max=0.02)
    run = trade([stream(), stream()], bars, signals, on=purse)
    assert run.trades["exit_reason"].tolist() == [ExitReason.KILL_SWITCH] * 2
    assert run.trades["exit_time"].tolist() == [START + 2 * MINUTE_MS] * 2
    assert run.refusals(0) == {"kill_24h": 1}
    assert run.refusals(1) == {"kill_24h": 1}
    assert run.account["halts"][Refusal.KILL_24H] == 1


def test_the_24_hours_move_on() -> None:
    """1.5 % lost on the first day and 1.5 % on the third: never 2 % within 24 hours."""
    bars = still(3 * DAY)
    bars["low"][5], bars["low"][2 * DAY + 30] = 80.0, 80.0
    asks = {0: Ask(stop=1.5), 2 * DAY + 20: Ask(stop=1.4)}
    run = trade(
        stream(), bars, asked(len(bars), asks), on=account(100.0, loss_24h_fraction_max=0.02)
    )
    assert len(run.trades) == 2
    assert not run.account["halted"]
    late = trade(
        stream(), bars, asked(len(bars), asks), on=account(100.0, session_loss_fraction_max=0.02)
    )
    assert late.account["halted"] == Refusal.KILL_SESSION


def test_a_waiting_entry_is_withdrawn_when_the_account_stops() -> None:
    """The other symbol's limit would have filled a minute after the loss."""
    falling = candles("100 100 100 100\n100 100 97 97\n97 97 97 97\n97 97 97 97")
    waiting = stream(TradePlan(entry="limit", entry_wait_bars=9))
    dipping = candles("100 100 100 100\n100 100 100 100\n100 100 90 95\n95 95 95 95")
    signals = [asked(4, {0: Ask()}), asked(4, {0: Ask()})]
    purse = account(100.0, loss_24h_fraction_max=0.02)
    run = trade([stream(), waiting], [falling, dipping], signals, on=purse)
    assert run.refusals(1) == {"kill_24h": 1}
    assert run.account["open_positions"] == 0


def test_open_risk_is_capped_and_then_refused() -> None:
    """6 % of 1,000 may be at risk: 5 of the 10 asked for (10 each), then 1, then nothing."""
    bars = [still(4)] * 3
    asks = [asked(4, {n: Ask()}) for n in range(3)]
    streams = [stream(quantity=5.0), stream(quantity=5.0), stream(quantity=5.0)]
    run = trade(streams, bars, asks, on=account(1_000.0, heat_fraction_max=0.06))
    assert run.streams["position"]["quantity"].tolist() == [5.0, 1.0, 0.0]
    assert run.refusals(2) == {"heat": 1}
    assert run.account["heat_quote"] == pytest.approx(60.0)


def test_free_margin_is_kept() -> None:
    """Leverage 5 on 1,000: 4,500 of 5,000 in use leaves 10 % free, less than the fifth wanted."""
    bars = [still(4)] * 2
    asks = [asked(4, {0: Ask()}), asked(4, {1: Ask()})]
    streams = [stream(quantity=45.0, leverage_max=5.0), stream(leverage_max=5.0)]
    run = trade(streams, bars, asks, on=account(1_000.0, free_margin_fraction_min=0.2))
    assert run.refusals(1) == {"free_margin": 1}


def test_scores_decide_the_size_and_thin_hours_ask_for_more() -> None:
    """At 00:00 a score of 66 gets half a unit; at 04:00 five more are wanted: 66 is too low."""
    bars = still(5 * HOUR)
    asks = {0: Ask(score=66.0), 4 * HOUR + 1: Ask(score=66.0), 4 * HOUR + 2: Ask(score=76.0)}
    bars["low"][1] = 80.0
    purse = account(score_min=65.0, thin_hours=0b11110000, thin_hours_score_add=5.0)
    made = stream()
    for place, (score, share) in enumerate(((85.0, 1.0), (75.0, 0.75), (65.0, 0.5))):
        made.sizing.score_from[place], made.sizing.score_factor[place] = score, share
    run = trade(made, bars, asked(len(bars), asks), on=purse, finish=True)
    assert run.refusals() == {"low_score": 1}
    assert run.trades["quantity"].tolist() == [0.5, 0.75]


def test_danger_in_the_wider_market_blocks_and_withdraws() -> None:
    """Bitcoin 6 % down within the hour, from minute 2 to 4."""
    bars = still(8)
    contexts = unknown_contexts(8)
    contexts["btc_move_1h"][2:5] = -0.06
    purse = account(btc_move_fraction_max=0.05)
    run = trade(stream(), bars, asked(8, {3: Ask(), 6: Ask()}), on=purse, contexts=contexts)
    assert run.refusals() == {"market_danger": 1}
    waiting = stream(TradePlan(entry="limit", entry_wait_bars=9))
    run = trade(waiting, bars, asked(8, {1: Ask()}), on=purse.copy(), contexts=contexts)
    assert run.refusals() == {"market_danger": 1}


WAVE_MINUTES = 1 if JIT else 15
"""Length of the bars of a week or more: in plain Python there are as many hours of fewer bars."""
WAVY_HOUR, WAVY_DAY = HOUR // WAVE_MINUTES, DAY // WAVE_MINUTES
WAVY_MS = WAVE_MINUTES * MINUTE_MS


def wavy(count: int, seed: int, like: Records | None = None) -> Records:
    """Bars of a random walk, or of one that follows `like` closely."""
    rng = np.random.default_rng(seed)
    steps = rng.normal(0.0, 0.001, count)
    if like is not None:
        steps = 0.1 * steps + np.diff(np.log(like["close"]), prepend=math.log(100.0))
    close = 100.0 * np.exp(np.cumsum(steps))
    bars = candles([[c, c, c, c] for c in close])
    bars["open_time"] = START + WAVY_MS * np.arange(count)
    return bars


def test_a_second_long_that_moves_with_the_first_is_refused() -> None:
    """Ten days: the twin is refused, the stranger and the twin's short are not."""
    count = 10 * WAVY_DAY
    first = wavy(count, 1)
    bars = [first, wavy(count, 2, like=first), wavy(count, 3)]
    at = count - 10
    streams = [stream() for _ in bars]
    for each in streams:
        each.bar_ms = WAVY_MS
    signals = [
        asked(count, {at: Ask(stop=50.0)}),
        asked(count, {at + 1: Ask(stop=50.0), at + 3: Ask(Side.SHORT, stop=50.0)}),
        asked(count, {at + 2: Ask(stop=50.0)}),
    ]
    run = trade(streams, bars, signals, on=account(correlation_max=0.85))
    assert run.refusals(1) == {"correlated": 1}
    assert run.refusals(2) == {}
    assert run.streams["position"]["side"].tolist() == [1, -1, 1]


def test_correlation_is_that_of_numpy() -> None:
    """Hourly log returns of both, over the hours that both know."""
    count = 9 * WAVY_DAY
    one, two = wavy(count, 5), wavy(count, 6)
    watched = np.zeros(2, MARKET)
    for bars, record in zip((one, two), watched, strict=True):
        for bar in bars:
            market.market_step(record, bar, WAVY_MS)
    hours = [np.diff(np.log(bars["close"][WAVY_HOUR - 1 :: WAVY_HOUR])) for bars in (one, two)]
    assert market.correlation(watched[0], watched[1]) == pytest.approx(np.corrcoef(hours)[0, 1])


def test_less_than_a_week_is_no_correlation() -> None:
    watched = np.zeros(2, MARKET)
    for bar in wavy(6 * WAVY_DAY, 5):
        market.market_step(watched[0], bar, WAVY_MS)
        market.market_step(watched[1], bar, WAVY_MS)
    assert math.isnan(market.correlation(watched[0], watched[1]))


def test_a_cluster_has_two_positions_on_a_side() -> None:
    watched = np.zeros(3, MARKET)
    watched["cluster"] = 1
    signals = [asked(6, {n: Ask()}) for n in range(2)]
    signals.append(asked(6, {2: Ask(), 3: Ask(Side.SHORT)}))
    run = trade(
        [stream()] * 3,
        [still(6)] * 3,
        signals,
        on=account(cluster_positions_max=2),
        watched=watched,
    )
    assert run.refusals(2) == {"cluster": 1}
    assert run.streams["position"]["side"].tolist() == [1, 1, -1]


def test_extreme_volatility_blocks() -> None:
    """Ranges of 1 for an hour, then one of 80: ATR(14) is far above its mean."""
    bars = candles([[100.0, 100.5, 99.5, 100.0] for _ in range(80)])
    bars["high"][60] = 180.0
    asks = {59: Ask(stop=60.0), 60: Ask(), 61: Ask()}
    run = trade(
        stream(), bars, asked(80, {61: asks[61], 79: asks[60]}), on=account(atr_ratio_max=3.0)
    )
    assert run.refusals() == {"extreme_volatility": 1}


@pytest.mark.parametrize(
    ("trades", "wins", "won_r", "lost_r", "expected"),
    [
        (30, 18, 27.0, 12.0, 0.6 - 0.4 / 1.5),
        (30, 10, 10.0, 20.0, 1 / 3 - 2 / 3),
        (30, 0, 0.0, 30.0, -1.0),
        (30, 30, 30.0, 0.0, 1.0),
    ],
)
def test_kelly(trades: int, wins: int, won_r: float, lost_r: float, expected: float) -> None:
    track = new(TRACK)
    track.trades, track.wins, track.won_r, track.lost_r = trades, wins, won_r, lost_r
    assert risk.kelly_fraction(track) == pytest.approx(expected)


def test_kelly_caps_a_size_and_refuses_without_an_edge() -> None:
    """A quarter of the full bet of 1/3 is 8.33 % of 100 at risk: 0.833 units at a stop of 10."""
    made = stream(quantity=5.0, kelly_fraction=0.25, kelly_trades_min=30)
    made.track.trades, made.track.wins, made.track.won_r, made.track.lost_r = 30, 18, 27.0, 12.0
    run = trade(made, still(3), asked(3, {0: Ask()}), on=account(100.0))
    assert run.streams[0]["position"]["quantity"] == pytest.approx(0.833)
    made.track.won_r = 6.0
    run = trade(made, still(3), asked(3, {0: Ask()}), on=account(100.0))
    assert run.refusals() == {"kelly": 1}


TIERS = ((100_000.0, 0.01), (500_000.0, 0.02))


def margined(leverage: float) -> object:
    """A stream whose maintenance margin is 1 % up to 100,000, then 2 % less 1,000."""
    made = stream(leverage_max=leverage)
    made.instrument.tier_notional[:2] = (100_000.0, math.inf)
    made.instrument.tier_rate[:2] = (0.01, 0.02)
    made.instrument.tier_amount[:2] = (0.0, 1_000.0)
    return made


@pytest.mark.parametrize(
    ("side", "quantity", "leverage", "expected"),
    [
        (Side.LONG, 1.0, 10.0, 90.0 / 0.99),
        (Side.SHORT, 1.0, 10.0, 110.0 / 1.01),
        (Side.LONG, 1.0, 1.0, 0.0),
        (Side.LONG, 2_000.0, 10.0, (180_000.0 - 1_000.0) / (2_000.0 * 0.98)),
    ],
)
def test_liquidation_price(side: int, quantity: float, leverage: float, expected: float) -> None:
    """At 100: margin of a tenth; what is left at that price is the maintenance margin."""
    found = margin.liquidation_price(account(), margined(leverage), side, quantity, 100.0)
    assert found == pytest.approx(expected)
    if expected > 0.0:
        notional = quantity * found
        rate, amount = ((0.01, 0.0), (0.02, 1_000.0))[quantity > 1.0]
        left = quantity * 100.0 / leverage + side * quantity * (found - 100.0)
        assert left == pytest.approx(notional * rate - amount)


def test_a_stop_beyond_liquidation_is_refused() -> None:
    """Leverage 20: liquidated at 95.96. A stop at 95 would never be reached, one at 97 would."""
    asks = {0: Ask(stop=5.0), 2: Ask(stop=3.0)}
    run = trade(margined(20.0), still(4), asked(4, asks), finish=True)
    assert run.refusals() == {"stop_beyond_liquidation": 1}
    assert run.trades[0]["liquidation_fraction"] == pytest.approx(1.0 - 95.0 / 0.99 / 100.0)


def test_cross_margin_backs_a_position_with_all_equity() -> None:
    made = margined(20.0)
    made.sizing.cross_margin = True  # type: ignore[attr-defined]
    found = margin.liquidation_price(account(50.0), made, Side.LONG, 1.0, 100.0)
    assert found == pytest.approx(50.0 / 0.99)


def test_a_filter_that_objects_is_a_refusal() -> None:
    signals = asked(3, {0: Ask()})
    signals["veto"][0] = Refusal.FLOW_AGAINST
    assert trade(stream(), still(3), signals).refusals() == {"flow_against": 1}


def test_a_strategys_own_pace_counts_beside_the_accounts() -> None:
    bars = [with_losses(10, [1, 3])] * 2
    asks = asked(10, {minute: Ask() for minute in (0, 2, 4)})
    streams = [stream(daily_trades_max=1), stream()]
    run = trade(streams, bars, [asks, asks.copy()], on=account(daily_trades_max=4))
    assert run.refusals(0) == {"daily_trades": 2}
    assert run.refusals(1) == {}


def test_every_breaker_has_its_settings_and_refusals() -> None:
    """The table and the codes: nothing is refused that no row explains."""
    explained = {refusal for row in breakers.TABLE for refusal in row.refusals}
    elsewhere = {
        Refusal.NONE,
        Refusal.INVALID_STOP,
        Refusal.BELOW_MINIMUM,
        Refusal.NO_MARGIN,
        Refusal.NO_LIQUIDITY,
        *SESSION_REFUSALS,
    }
    assert explained | elsewhere == set(Refusal)
    assert not explained & elsewhere


def test_a_fixed_notional_is_cut_by_the_same_caps() -> None:
    made = stream(THREE_R, mode=SizeMode.NOTIONAL, notional_quote=1_000.0)
    run = trade(made, still(3), asked(3, {0: Ask()}), on=account(1_000.0, heat_fraction_max=0.05))
    assert run.streams[0]["position"]["quantity"] == pytest.approx(5.0)


def test_a_paused_account_is_still_watched_by_the_kill_switch() -> None:
    """Down 5.3 % of the day (paused), then 10 % of the session: closed."""
    bars = candles("100 100 100 100\n94.7 94.7 94.7 94.7\n90 90 90 90\n90 90 90 90")
    limits = {"daily_loss_fraction_max": 0.05, "session_loss_fraction_max": 0.08}
    purse = account(10_000.0, **limits)
    run = trade(stream(quantity=100.0), bars, asked(4, {0: Ask(stop=50.0)}), on=purse)
    assert run.trades[0]["exit_reason"] == ExitReason.KILL_SWITCH
    assert run.trades[0]["exit_price"] == 90.0
    assert run.account["halts"][Refusal.DAILY_LOSS] == 1
    assert run.account["halts"][Refusal.KILL_SESSION] == 1


def test_nothing_is_resumed_before_everything_is_closed() -> None:
    """The second symbol has no bars for five hours after the kill; two hours would be enough."""
    bars = [still(9 * HOUR), still(9 * HOUR)]
    bars[0]["low"][10:] = bars[0]["close"][10:] = 90.0
    bars[1] = bars[1][np.r_[0:10, 5 * HOUR : 9 * HOUR]]
    signals = [asked(len(bars[0]), {0: Ask(stop=50.0)}), asked(len(bars[1]), {0: Ask(stop=50.0)})]
    purse = account(100.0, loss_24h_fraction_max=0.02, resume_after_ms=2 * HOUR * MINUTE_MS)
    run = trade([stream(), stream()], bars, signals, on=purse)
    assert run.trades["exit_reason"].tolist() == [ExitReason.KILL_SWITCH] * 2
    assert run.account["open_positions"] == 0
    assert run.account["halted"] == 0


def test_a_gap_does_not_stretch_the_24_hours() -> None:
    """1.5 % lost, five days without a bar, 1.5 % lost again: never 2 % within 24 hours."""
    bars = still(3 * DAY)
    bars["open_time"][DAY:] += 5 * DAY * MINUTE_MS
    bars["low"][5], bars["low"][2 * DAY] = 80.0, 80.0
    asks = {0: Ask(stop=1.5), 2 * DAY - 10: Ask(stop=1.4)}
    run = trade(
        stream(), bars, asked(len(bars), asks), on=account(100.0, loss_24h_fraction_max=0.02)
    )
    assert len(run.trades) == 2
    assert not run.account["halted"]


def test_the_whole_24_hours_count() -> None:
    """1.2 % lost in the first hour and 1 % just within 24 hours of it."""
    bars = still(DAY + HOUR)
    bars["low"][30], bars["low"][DAY + 20] = 80.0, 80.0
    asks = {20: Ask(stop=1.2), DAY: Ask(stop=1.0)}
    run = trade(
        stream(), bars, asked(len(bars), asks), on=account(100.0, loss_24h_fraction_max=0.02)
    )
    assert run.account["halted"] == Refusal.KILL_24H


def test_an_entry_given_up_is_not_correlated_with_itself() -> None:
    """A limit is given up at the bar that asks anew: accepted, and again."""
    waiting = stream(TradePlan(entry="limit", entry_wait_bars=1))
    signals = asked(4, {0: Ask(), 1: Ask()})
    run = trade(waiting, still(4), signals, on=account(correlation_max=0.85))
    assert run.refusals() == {"no_liquidity": 2}


def test_risk_that_is_gone_is_given_back_within_the_minute() -> None:
    """The first symbol leaves at the close at which the second one enters: it has all the room."""
    signals = [asked(4, {0: Ask(), 2: Ask(side=Side.NONE, exit_long=True)}), asked(4, {2: Ask()})]
    run = trade([stream()] * 2, [still(4)] * 2, signals, on=account(100.0, heat_fraction_max=0.12))
    assert run.streams[1]["position"]["quantity"] == 1.0
    waiting = stream(TradePlan(entry="limit", entry_wait_bars=1))
    dropped = trade(
        waiting, still(4), asked(4, {0: Ask(), 1: Ask()}), on=account(100.0, heat_fraction_max=0.15)
    )
    assert dropped.refusals() == {"no_liquidity": 2}
    assert dropped.account["heat_quote"] == pytest.approx(0.0)


def test_each_position_ties_up_margin_at_its_own_leverage() -> None:
    """9,000 of margin at leverage 2 leave 10 % free, whatever the leverage of who asks."""
    bars = [still(4)] * 2
    signals = [asked(4, {0: Ask()}), asked(4, {1: Ask()})]
    streams = [stream(quantity=180.0, leverage_max=2.0), stream(leverage_max=20.0)]
    run = trade(streams, bars, signals, on=account(10_000.0, free_margin_fraction_min=0.2))
    assert run.refusals(1) == {"free_margin": 1}
    assert run.account["margin_quote"] == pytest.approx(9_000.0)
    streams = [stream(quantity=180.0, leverage_max=20.0), stream(leverage_max=2.0)]
    run = trade(streams, bars, signals, on=account(10_000.0, free_margin_fraction_min=0.2))
    assert run.refusals(1) == {}


def test_a_score_below_the_lowest_step_gets_its_share() -> None:
    made = stream()
    for place, (score, share) in enumerate(((85.0, 1.0), (75.0, 0.75), (65.0, 0.5))):
        made.sizing.score_from[place], made.sizing.score_factor[place] = score, share
    found = [risk.score_factor(made.sizing, score) for score in (90.0, 80.0, 70.0, 40.0, math.nan)]
    assert found == [1.0, 0.75, 0.5, 0.5, 1.0]
    assert risk.score_factor(stream().sizing, 40.0) == 1.0


def test_a_return_across_a_gap_is_none() -> None:
    watched = np.zeros(1, MARKET)[0]
    bars = still(5 * HOUR)
    bars["open_time"][2 * HOUR :] += 100 * HOUR * MINUTE_MS
    for name in ("open", "high", "low", "close"):
        bars[name][2 * HOUR :] = 110.0
    for bar in bars:
        market.market_step(watched, bar, MINUTE_MS)
    assert np.count_nonzero(watched["return_hour"]) == 3
    assert not watched["returns"].any()


def test_an_entry_that_filled_nothing_is_given_back_to_the_hour() -> None:
    waiting = stream(TradePlan(entry="limit", entry_wait_bars=1))
    run = trade(waiting, still(8), asked(8, {0: Ask(), 3: Ask()}), on=account(hourly_signals_max=1))
    assert run.refusals() == {"no_liquidity": 2}


def test_a_stop_that_waits_for_volume_is_open_risk() -> None:
    """One unit a bar can be sold: 9 of 10 are still open below their stop, and count in full."""
    bars = still(4)
    bars["low"][2] = bars["close"][2] = 88.0
    bars["volume"][2:] = 10.0
    made = stream(quantity=10.0, participation_max=0.1)
    run = trade(made, bars[:3], asked(3, {0: Ask()}), on=account())
    assert run.streams[0]["position"]["quantity"] == 9.0
    assert run.account["heat_quote"] == pytest.approx(90.0)
