"""Every figure of a backtest report, from the trades and the bar-by-bar equity.

`summarise` is the one entry. It reads a BacktestResult and, for the market state at each entry, the
bars it traded. Fractions are of one (0.05 is 5 %), money is quote currency, times are ms UTC. What
is not defined is NaN and prints as "n/a": a profit factor without a loss is not a number, and a
Sharpe ratio of two trades in one day is not evidence.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from tercel.app import equity_path, sharpe, trade_groups
from tercel.app.benchmark import BUY_AND_HOLD, buy_and_hold
from tercel.app.equity_path import MonthReturn
from tercel.app.market_state import Series, by_market_state
from tercel.app.trade_groups import TradeGroup
from tercel.core.records import Records
from tercel.domain.results import BacktestResult
from tercel.domain.times import DAY_MS, MINUTE_MS

__all__ = ["BUY_AND_HOLD", "MonthReturn", "Statistics", "TradeGroup", "buy_and_hold", "summarise"]


@dataclass(frozen=True, slots=True)
class Statistics:
    """The figures of one run. Net is after all costs, gross before all of them."""

    start_time: int
    """Open of the first bar, ms UTC."""
    end_time: int
    """Close of the last bar, ms UTC."""
    days: float
    """Length of the run, days of 24 h."""
    start_quote: float
    """Capital at the start, quote."""
    end_quote: float
    """Equity at the end (open positions at their last mark), quote."""
    signals: int
    """Entry signals."""
    refused: int
    """Signals that became no order."""
    trades: int
    """Closed trades."""

    net_quote: float
    """Equity at the end minus capital at the start, quote."""
    net_fraction: float
    """The same over the capital at the start."""
    gross_quote: float
    """Realised profit before fees, slippage and funding, quote."""
    gross_fraction: float
    """The same over the capital at the start."""
    fee_quote: float
    """Fees paid, quote."""
    slippage_quote: float
    """Paid for fills worse than their reference price, quote."""
    funding_quote: float
    """Funding received (+) or paid (-), quote."""
    fee_share: float
    """Fees over gross profit; NaN when there is no gross profit."""
    cost_share: float
    """Fees and slippage over gross profit; NaN when there is no gross profit."""

    cagr: float
    """Compound growth a year of 365 days, fraction; NaN for less than a day."""
    sharpe: float
    """Mean over deviation of daily returns, times sqrt(365), risk-free rate 0."""
    sortino: float
    """Mean over downside deviation of daily returns, times sqrt(365)."""
    calmar: float
    """CAGR over the maximum drawdown; NaN without a drawdown."""
    tail_ratio: float
    """95th percentile over the absolute 5th percentile of daily returns."""
    daily_returns: int
    """Daily steps behind the ratios (the first and last may be part of a day)."""
    skewness: float
    """Of daily returns; below 0: the bad days are the big ones."""
    kurtosis: float
    """Of daily returns; 3 is normal, more is fat tails."""
    probabilistic_sharpe: float
    """Probability that the true Sharpe ratio is above 0, given length, skew and tails, 0..1."""
    track_record_days_min: float
    """Days needed to say at 95 % that the Sharpe ratio is above 0; NaN when it is not."""

    profit_factor_net: float
    """Net won over net lost; NaN without a loss."""
    profit_factor_gross: float
    """The same before costs."""
    expectancy_quote: float
    """Mean net profit a trade, quote."""
    average_r_net: float
    """Mean net profit in multiples of the initial risk."""
    average_r_gross: float
    """The same before costs."""
    win_rate: float
    """Share of trades with net > 0, 0..1."""
    pay_off: float
    """Mean net winner over mean net loser."""
    drawdown_depth: float
    """Deepest fall of equity from its peak, fraction of the peak, from every bar."""
    drawdown_quote: float
    """The same fall, quote."""
    drawdown_peak_time: int
    """Peak before it, ms UTC."""
    drawdown_trough_time: int
    """Its deepest point, ms UTC."""
    drawdown_duration_ms: int
    """Longest time below a former peak, ms."""
    exposure_share: float
    """Share of the time with at least one open position, 0..1."""
    trades_a_day: float
    """Closed trades a day of 24 h."""
    hold_minutes: float
    """Mean time from entry to last exit, minutes."""
    winning_streak: int
    """Most winners in a row, by exit time."""
    losing_streak: int
    """Most losers in a row, by exit time."""

    monthly: tuple[MonthReturn, ...]
    by_side: tuple[TradeGroup, ...]
    by_exit: tuple[TradeGroup, ...]
    by_hour: tuple[TradeGroup, ...]
    by_market_state: tuple[TradeGroup, ...]
    """Empty when the bars are not known."""
    by_entry_reason: tuple[TradeGroup, ...]
    by_stream: tuple[TradeGroup, ...]


@dataclass(frozen=True, slots=True)
class _Ratios:
    count: int
    sharpe: float
    sortino: float
    tail: float
    skewness: float
    kurtosis: float
    probability: float
    days_min: float


def _ratios(returns: sharpe.Floats) -> _Ratios:
    """Everything that is computed from daily returns."""
    shape = sharpe.moments(returns)
    daily = sharpe.sharpe(shape)
    tail = math.nan
    if len(returns) >= 2:
        low, high = np.quantile(returns, (0.05, 0.95))
        tail = trade_groups.ratio(float(high), abs(float(low)))
    return _Ratios(
        count=len(returns),
        sharpe=sharpe.annualised(daily),
        sortino=sharpe.annualised(sharpe.sortino(returns)),
        tail=tail,
        skewness=shape.skewness,
        kurtosis=shape.kurtosis,
        probability=sharpe.probabilistic_sharpe(daily, shape),
        days_min=sharpe.track_record_length_min(daily, shape),
    )


@dataclass(frozen=True, slots=True)
class _Trading:
    factor_net: float
    factor_gross: float
    expectancy: float
    r_net: float
    r_gross: float
    win_rate: float
    pay_off: float
    hold_minutes: float
    streaks: trade_groups.Streaks


def _trading(trades: Records) -> _Trading:
    """Everything that is computed from the table of trades, in exit order."""
    ordered = trades[np.argsort(trades["exit_time"], kind="stable")]
    net = np.ascontiguousarray(ordered["net_quote"])
    gross, risk = ordered["gross_quote"], ordered["risk_quote"]
    holds = (ordered["exit_time"] - ordered["entry_time"]) / MINUTE_MS
    return _Trading(
        factor_net=trade_groups.profit_factor(net),
        factor_gross=trade_groups.profit_factor(gross),
        expectancy=trade_groups.mean(net),
        r_net=trade_groups.average_r(trade_groups.in_r(net, risk)),
        r_gross=trade_groups.average_r(trade_groups.in_r(gross, risk)),
        win_rate=trade_groups.mean((net > 0.0).astype(float)),
        pay_off=trade_groups.pay_off(net),
        hold_minutes=trade_groups.mean(holds),
        streaks=trade_groups.streaks(net),
    )


def _over_profit(cost_quote: float, gross_quote: float) -> float:
    """A cost as a share of the gross profit; NaN when there is none."""
    return cost_quote / gross_quote if gross_quote > 0.0 else math.nan


def _tables(result: BacktestResult, bars: Series) -> dict[str, tuple[TradeGroup, ...]]:
    """The trades by every label, under the names of the fields."""
    return {
        "by_side": trade_groups.by_side(result.trades),
        "by_exit": trade_groups.by_exit(result.trades),
        "by_hour": trade_groups.by_hour(result.trades),
        "by_market_state": by_market_state(result, bars),
        "by_entry_reason": trade_groups.by_entry_reason(result),
        "by_stream": trade_groups.by_stream(result),
    }


def summarise(result: BacktestResult, *, bars: Series = None) -> Statistics:
    """All figures of `result`. `bars`: those of the one series traded, or a sequence with one array
    per stream; without them the table by market state is empty.
    """
    start, span = result.start_quote, (result.start_time, result.end_time)
    ratios = _ratios(equity_path.daily_returns(result.equity, start, *span))
    trading = _trading(result.trades)
    fall = equity_path.drawdown(result.equity, start, result.start_time)
    growth = equity_path.compound_growth(start, result.equity_quote, *span)
    days = (result.end_time - result.start_time) / DAY_MS
    net, gross = result.equity_quote - start, result.gross_quote
    return Statistics(
        start_time=result.start_time,
        end_time=result.end_time,
        days=days,
        start_quote=start,
        end_quote=result.equity_quote,
        signals=result.signals,
        refused=sum(result.refusals.values()),
        trades=len(result.trades),
        net_quote=net,
        net_fraction=trade_groups.ratio(net, start),
        gross_quote=gross,
        gross_fraction=trade_groups.ratio(gross, start),
        fee_quote=result.fee_quote,
        slippage_quote=result.slippage_quote,
        funding_quote=result.funding_quote,
        fee_share=_over_profit(result.fee_quote, gross),
        cost_share=_over_profit(result.fee_quote + result.slippage_quote, gross),
        cagr=growth,
        sharpe=ratios.sharpe,
        sortino=ratios.sortino,
        calmar=trade_groups.ratio(growth, fall.depth),
        tail_ratio=ratios.tail,
        daily_returns=ratios.count,
        skewness=ratios.skewness,
        kurtosis=ratios.kurtosis,
        probabilistic_sharpe=ratios.probability,
        track_record_days_min=ratios.days_min,
        profit_factor_net=trading.factor_net,
        profit_factor_gross=trading.factor_gross,
        expectancy_quote=trading.expectancy,
        average_r_net=trading.r_net,
        average_r_gross=trading.r_gross,
        win_rate=trading.win_rate,
        pay_off=trading.pay_off,
        drawdown_depth=fall.depth,
        drawdown_quote=fall.depth_quote,
        drawdown_peak_time=fall.peak_time,
        drawdown_trough_time=fall.trough_time,
        drawdown_duration_ms=fall.duration_ms,
        exposure_share=equity_path.exposure_share(result.trades, *span),
        trades_a_day=trade_groups.ratio(len(result.trades), days),
        hold_minutes=trading.hold_minutes,
        winning_streak=trading.streaks.winning,
        losing_streak=trading.streaks.losing,
        monthly=equity_path.monthly_returns(result.equity, start, *span),
        **_tables(result, bars),
    )
