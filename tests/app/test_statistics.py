"""Each figure of a report on tables small enough to compute by hand."""

from __future__ import annotations

import math
from dataclasses import fields

import numpy as np
import pytest
from tests.adapters.report.results_made import START, Row, make_result

from tercel.app.statistics import Statistics, summarise
from tercel.core.codes import ExitReason, Side
from tercel.domain.results import StreamLabel
from tercel.domain.times import DAY_MS

DAY_MINUTES = 24 * 60

# Three days: +10 %, -10 %, +10 %.
THREE_DAYS = ((1.0, 110.0), (2.0, 99.0), (3.0, 108.9))

FOUR_TRADES = (
    Row(net=18.0, gross=20.0, entry_minute=0, exit_minute=30, exit_reason=ExitReason.TARGET_1),
    Row(net=-12.0, gross=-10.0, entry_minute=60, exit_minute=70, side=Side.SHORT),
    Row(net=-6.0, gross=1.0, entry_minute=61, exit_minute=81, side=Side.SHORT, reason=1),
    Row(net=8.9, gross=10.0, entry_minute=120, exit_minute=130, exit_reason=ExitReason.TARGET_1),
)


def test_profit_and_costs() -> None:
    # fees: 2 + 2 + 7 + 1.1 = 12.1; net 108.9 - 100 = 8.9; gross 8.9 + 12.1 = 21
    found = summarise(make_result(FOUR_TRADES, THREE_DAYS))
    assert found.net_quote == pytest.approx(8.9)
    assert found.net_fraction == pytest.approx(0.089)
    assert found.gross_quote == pytest.approx(21.0)
    assert found.gross_fraction == pytest.approx(0.21)
    assert found.fee_quote == pytest.approx(12.1)
    assert found.fee_share == pytest.approx(12.1 / 21.0)
    assert found.end_quote == pytest.approx(108.9)
    assert found.days == pytest.approx(3.0)


def test_costs_of_a_gross_loss_are_no_share_of_a_profit() -> None:
    found = summarise(make_result(FOUR_TRADES, THREE_DAYS, gross_quote=-1.0, slippage_quote=2.0))
    assert math.isnan(found.fee_share)
    assert math.isnan(found.cost_share)
    shared = summarise(make_result(FOUR_TRADES, THREE_DAYS, gross_quote=10.0, slippage_quote=2.9))
    assert shared.cost_share == pytest.approx(1.5)  # (12.1 + 2.9) / 10


def test_ratios_of_daily_returns() -> None:
    # mean 1/30; deviation (n - 1): sqrt((2 * (1/15)^2 + (2/15)^2) / 2) = 0.115470
    # Sharpe 0.288675 a day, * sqrt(365) = 5.5152
    # downside sqrt(0.1^2 / 3) = 0.057735; Sortino 0.577350 a day = 11.0303
    found = summarise(make_result((), THREE_DAYS))
    assert found.daily_returns == 3
    assert found.sharpe == pytest.approx(5.51513, abs=1e-5)
    assert found.sortino == pytest.approx(11.03026, abs=1e-5)
    # quantiles of (-0.1, 0.1, 0.1): 5 % is a tenth of the way up: -0.08; 95 % is 0.1
    assert found.tail_ratio == pytest.approx(0.1 / 0.08)
    # centred: -2/15, 1/15, 1/15: m2 = 2/225, m3 = -2/3375; skew = m3 / m2^1.5 = -0.7071
    assert found.skewness == pytest.approx(-math.sqrt(0.5))
    # m4 = 18 / 3 / 15^4 = 6/50625; kurtosis = m4 / m2^2 = 1.5
    assert found.kurtosis == pytest.approx(1.5)
    # variance 1 + 0.70711 * 0.288675 + 0.125 * 0.083333 = 1.214541
    # z = 0.288675 * sqrt(2) / 1.102062 = 0.370438; Phi = 0.644474
    assert found.probabilistic_sharpe == pytest.approx(0.644474, abs=1e-5)
    # 1 + 1.214541 * (1.644854 / 0.288675)^2 = 40.432
    assert found.track_record_days_min == pytest.approx(40.432, abs=1e-3)


def test_growth_and_drawdown() -> None:
    found = summarise(make_result((), THREE_DAYS))
    assert found.cagr == pytest.approx(1.089 ** (365.0 / 3.0) - 1.0)
    assert found.drawdown_depth == pytest.approx(0.1)  # 110 -> 99
    assert found.drawdown_quote == pytest.approx(11.0)
    assert found.drawdown_peak_time == START + DAY_MS
    assert found.drawdown_trough_time == START + 2 * DAY_MS
    assert found.drawdown_duration_ms == 2 * DAY_MS  # 110 was not seen again
    assert found.calmar == pytest.approx(found.cagr / 0.1)


def test_drawdown_counts_from_the_first_cash_and_ends_at_the_old_high() -> None:
    # under 100 from the start until hour 6, then under 120 for two hours only
    found = summarise(
        make_result(
            (), [(h / 24, e) for h, e in ((1, 90), (6, 100), (8, 120), (9, 119), (10, 121))]
        )
    )
    assert found.drawdown_depth == pytest.approx(0.1)
    assert found.drawdown_peak_time == START
    assert found.drawdown_duration_ms == 6 * 3_600_000


def test_a_rising_equity_has_no_drawdown() -> None:
    found = summarise(make_result((), ((0.5, 101.0), (1.0, 102.0), (2.0, 104.0))))
    assert found.drawdown_depth == 0.0
    assert found.drawdown_duration_ms == 0
    assert math.isnan(found.calmar)
    assert math.isnan(found.sortino)


def test_trades() -> None:
    found = summarise(make_result(FOUR_TRADES, THREE_DAYS))
    assert found.trades == 4
    assert found.profit_factor_net == pytest.approx(26.9 / 18.0)
    assert found.profit_factor_gross == pytest.approx(31.0 / 10.0)
    assert found.expectancy_quote == pytest.approx(8.9 / 4.0)
    assert found.average_r_net == pytest.approx(0.2225)  # 8.9 / 10 / 4
    assert found.average_r_gross == pytest.approx(0.525)
    assert found.win_rate == 0.5
    assert found.pay_off == pytest.approx(13.45 / 9.0)
    assert found.trades_a_day == pytest.approx(4.0 / 3.0)
    assert found.hold_minutes == pytest.approx((30 + 10 + 20 + 10) / 4)
    # 0-30, 60-81 (two that overlap), 120-130: 61 minutes of 3 days
    assert found.exposure_share == pytest.approx(61 / (3 * DAY_MINUTES))
    assert (found.winning_streak, found.losing_streak) == (1, 2)


def test_streaks_follow_the_exits_and_break_at_zero() -> None:
    nets = {1: 1.0, 2: 1.0, 3: 0.0, 4: 1.0, 5: -1.0, 6: -1.0, 7: -1.0}
    shuffled = (4, 1, 7, 3, 2, 6, 5)
    rows = [Row(net=nets[k], entry_minute=k - 1, exit_minute=k) for k in shuffled]
    found = summarise(make_result(rows, THREE_DAYS))
    assert (found.winning_streak, found.losing_streak) == (2, 3)


def test_trades_without_a_known_risk_are_left_out_of_r() -> None:
    rows = (Row(net=5.0), Row(net=50.0, risk=0.0), Row(net=50.0, risk=math.nan))
    assert summarise(make_result(rows, THREE_DAYS)).average_r_net == pytest.approx(0.5)


def test_tables_by_side_exit_hour_and_reason() -> None:
    found = summarise(make_result(FOUR_TRADES, THREE_DAYS))
    long, short = found.by_side
    assert (long.name, long.trades, short.name, short.trades) == ("long", 2, "short", 2)
    assert long.net_quote == pytest.approx(26.9)
    assert short.gross_quote == pytest.approx(-9.0)
    assert (long.win_rate, short.win_rate) == (1.0, 0.0)
    assert math.isnan(long.profit_factor)
    assert short.average_r == pytest.approx(-0.9)
    assert [(g.name, g.trades) for g in found.by_exit] == [("stop", 2), ("target_1", 2)]
    assert [(g.name, g.trades) for g in found.by_hour] == [("00", 1), ("01", 2), ("02", 1)]
    assert [(g.name, g.trades) for g in found.by_entry_reason] == [("breakout", 3), ("pullback", 1)]
    assert found.by_market_state == ()


def test_entry_reasons_of_streams_share_a_name_and_may_be_unknown() -> None:
    labels = (
        StreamLabel(0, "a", "binance-usdm", "BTCUSDT", "1m"),
        StreamLabel(1, "b", "binance-usdm", "ETHUSDT", "1m"),
    )
    rows = (Row(net=1.0), Row(net=2.0, stream=1), Row(net=3.0, stream=1, reason=9))
    found = summarise(
        make_result(rows, THREE_DAYS, labels=labels, reasons=(("breakout",), ("breakout",)))
    )
    assert [(g.name, g.trades) for g in found.by_entry_reason] == [("breakout", 2), ("reason 9", 1)]
    assert [g.name for g in found.by_stream] == [str(label) for label in labels]


def test_months_split_at_midnight_utc() -> None:
    # January has 31 days: its last close, 31.0 days on, is midnight of 1 February
    found = summarise(make_result((), ((10.0, 120.0), (31.0, 110.0), (45.0, 121.0)))).monthly
    assert [(m.year, m.month) for m in found] == [(2024, 1), (2024, 2)]
    assert found[0].net_fraction == pytest.approx(0.1)
    assert found[0].net_quote == pytest.approx(10.0)
    assert found[1].net_fraction == pytest.approx(0.1)


def test_days_without_bars_return_nothing() -> None:
    found = summarise(make_result((), ((1.0, 110.0), (4.0, 121.0))))
    # +10 %, 0, 0, +10 %
    assert found.daily_returns == 4
    assert found.sharpe == pytest.approx(0.05 / math.sqrt(0.01 / 3) * math.sqrt(365))


def test_less_than_a_day_has_no_yearly_figures() -> None:
    found = summarise(make_result(FOUR_TRADES, ((0.1, 101.0), (0.4, 102.0))))
    assert found.daily_returns == 1
    for name in ("cagr", "sharpe", "calmar", "tail_ratio", "probabilistic_sharpe"):
        assert math.isnan(getattr(found, name)), name
    assert math.isnan(found.track_record_days_min)
    assert found.net_fraction == pytest.approx(0.02)


def test_a_flat_equity_has_no_sharpe() -> None:
    found = summarise(make_result((), ((1.0, 100.0), (2.0, 100.0), (3.0, 100.0))))
    assert math.isnan(found.sharpe)
    assert math.isnan(found.skewness)
    assert math.isnan(found.tail_ratio)
    assert found.cagr == 0.0


def test_steady_growth_has_no_variance() -> None:
    points = [(float(day), 100.0 * 1.01**day) for day in range(1, 9)]
    assert math.isnan(summarise(make_result((), points)).sharpe)


def test_no_trades() -> None:
    found = summarise(make_result((), THREE_DAYS, signals=5, refusals={"no_margin": 5}))
    assert (found.trades, found.signals, found.refused) == (0, 5, 5)
    for name in ("win_rate", "expectancy_quote", "pay_off", "profit_factor_net", "hold_minutes"):
        assert math.isnan(getattr(found, name)), name
    assert found.exposure_share == 0.0
    assert (found.winning_streak, found.losing_streak) == (0, 0)
    assert found.by_side == found.by_exit == found.by_entry_reason == ()


def test_nothing_at_all() -> None:
    found = summarise(make_result())
    assert found.net_quote == 0.0
    assert found.monthly == ()
    assert math.isnan(found.exposure_share)
    assert math.isnan(found.trades_a_day)


def test_one_trade_and_only_winners() -> None:
    found = summarise(make_result((Row(net=5.0),), THREE_DAYS))
    assert found.win_rate == 1.0
    assert math.isnan(found.profit_factor_net)  # nothing lost: not a number
    assert math.isnan(found.pay_off)
    assert (found.winning_streak, found.losing_streak) == (1, 0)


def test_losing_everything_and_more() -> None:
    found = summarise(make_result((), ((1.0, 50.0), (2.0, -10.0), (3.0, -10.0))))
    assert found.net_fraction == pytest.approx(-1.1)
    assert found.cagr == -1.0
    assert found.drawdown_depth == pytest.approx(1.1)
    assert found.daily_returns == 2  # the record ends on the day of ruin: -50 %, -120 %
    assert math.isnan(found.track_record_days_min)


def test_months_after_ruin_are_undefined() -> None:
    found = summarise(make_result((), ((31.0, 0.0), (40.0, 0.0)))).monthly
    assert found[0].net_fraction == -1.0
    assert math.isnan(found[1].net_fraction)


def test_a_growth_beyond_numbers_is_undefined() -> None:
    assert math.isnan(summarise(make_result((), ((1.0, 1e6),))).cagr)


def test_every_field_says_what_it_is() -> None:
    found = summarise(make_result(FOUR_TRADES, THREE_DAYS))
    assert len({field.name for field in fields(Statistics)}) == len(fields(Statistics))
    for field in fields(found):
        value = getattr(found, field.name)
        assert isinstance(value, (int, float, tuple)), field.name
        assert not isinstance(value, np.generic), field.name  # plain numbers only
