"""The figures at the top of a report: net, gross and buy-and-hold, each with its definition."""

from __future__ import annotations

from dataclasses import dataclass

from tercel.app.statistics import Statistics
from tercel.app.wording import (
    CURRENCY,
    UNKNOWN,
    count,
    duration,
    money,
    number,
    percent,
    r_multiple,
)
from tercel.domain.times import MINUTE_MS

DEFINITIONS: dict[str, str] = {
    "Profit": f"Equity at the end minus capital at the start, {CURRENCY}. Net is after fees, "
    "slippage and funding; gross is the realised profit of the same trades before them.",
    "Return": "Profit over the capital at the start.",
    "Return a year": "Compound annual growth rate: what the return would be at the same pace over "
    "365 days. Not given for less than a day.",
    "Fees of gross profit": "Fees over gross profit. Not defined when there is no gross profit.",
    "Sharpe ratio": "Mean over standard deviation of daily returns (UTC days), times the square "
    "root of 365; risk-free rate 0. Needs two daily returns that differ.",
    "Sortino ratio": "As the Sharpe ratio, but over the root mean square of the daily losses, "
    "where a day without a loss counts as zero.",
    "Calmar ratio": "Return a year over the maximum drawdown.",
    "Probability Sharpe > 0": "Probabilistic Sharpe ratio: the probability that the true Sharpe "
    "ratio is above 0, given the length, skewness and tails of the record (Bailey and Lopez de "
    "Prado, 2012). It assumes that this was the only thing ever tried.",
    "Record needed": "Minimum track record length: daily returns needed to say at 95 % that the "
    "Sharpe ratio is above 0. Not defined when it is not.",
    "Record length": "Daily returns behind these ratios; the first and last day may be partial.",
    "Maximum drawdown": "Deepest fall of equity below its highest value so far, marked at every "
    "bar's close.",
    "Longest drawdown": "Longest time from a high of equity until it was reached again, or until "
    "the end.",
    "Tail ratio": "95th percentile of daily returns over the absolute 5th: above 1, the good days "
    "are larger than the bad ones.",
    "Trades": "Closed trades.",
    "Trades a day": "Closed trades over the length of the run in days of 24 hours.",
    "Win rate": "Share of trades with a net profit above zero.",
    "Profit factor": "Sum of the winners over sum of the losers. Below 1 the losers weigh more.",
    "Average R": "Mean profit in multiples of the risk at entry (quantity times stop distance).",
    "Expectancy": f"Mean net profit a trade, {CURRENCY}.",
    "Pay-off": "Mean net winner over mean net loser.",
    "Average hold": "Mean time from the entry to the last exit.",
    "Time in the market": "Share of the period during which a position was open.",
    "Longest streaks": "Most winning and most losing trades in a row, by exit time.",
}
"""How each key figure is computed, in the words of a report."""


@dataclass(frozen=True, slots=True)
class Figure:
    """One line of key figures, as text."""

    name: str
    net: str
    held: str = ""
    """The same for buy-and-hold; empty where it means nothing."""
    gross: str = ""
    """Empty where a figure has no gross twin."""
    good: float = 0.0
    """Above 0: shown as a gain; below 0: as a loss; 0: neither."""

    @property
    def definition(self) -> str:
        """How it is computed."""
        return DEFINITIONS[self.name]


def key_figures(net: Statistics, held: Statistics | None = None) -> tuple[Figure, ...]:
    """All of them, in order."""
    return tuple(figure for _, figures in figure_groups(net, held) for figure in figures)


def figure_groups(
    net: Statistics, held: Statistics | None = None
) -> tuple[tuple[str, tuple[Figure, ...]], ...]:
    """The key figures under their headings; `held` is buy-and-hold."""
    return (
        ("Profit", _profit(net, held)),
        ("Risk", _risk(net, held)),
        ("Trades", _trades(net, held)),
    )


def _profit(net: Statistics, held: Statistics | None) -> tuple[Figure, ...]:
    return (
        Figure(
            "Profit",
            money(net.net_quote),
            money(held.net_quote) if held else "",
            money(net.gross_quote),
            net.net_quote,
        ),
        Figure(
            "Return",
            percent(net.net_fraction),
            percent(held.net_fraction) if held else "",
            percent(net.gross_fraction),
            net.net_fraction,
        ),
        Figure(
            "Return a year", percent(net.cagr), percent(held.cagr) if held else "", good=net.cagr
        ),
        Figure("Fees of gross profit", percent(net.fee_share)),
    )


def _risk(net: Statistics, held: Statistics | None) -> tuple[Figure, ...]:
    def both(name: str, net_text: str, held_text: str, good: float = 0.0) -> Figure:
        return Figure(name, net_text, held_text if held else "", good=good)

    other = held or net
    return (
        both("Sharpe ratio", number(net.sharpe), number(other.sharpe), net.sharpe),
        both("Sortino ratio", number(net.sortino), number(other.sortino), net.sortino),
        both("Calmar ratio", number(net.calmar), number(other.calmar), net.calmar),
        both(
            "Probability Sharpe > 0",
            percent(net.probabilistic_sharpe),
            percent(other.probabilistic_sharpe),
        ),
        Figure("Record needed", _days(net.track_record_days_min)),
        Figure("Record length", _days(float(net.daily_returns))),
        both("Maximum drawdown", percent(net.drawdown_depth), percent(other.drawdown_depth)),
        both(
            "Longest drawdown",
            duration(net.drawdown_duration_ms),
            duration(other.drawdown_duration_ms),
        ),
        both("Tail ratio", number(net.tail_ratio), number(other.tail_ratio)),
    )


def _days(value: float) -> str:
    text = number(value, 0)
    return text if text == UNKNOWN else f"{text} days"


def _trades(net: Statistics, held: Statistics | None) -> tuple[Figure, ...]:
    return (
        Figure("Trades", count(net.trades), count(held.trades) if held else ""),
        Figure("Trades a day", number(net.trades_a_day)),
        Figure("Win rate", percent(net.win_rate)),
        Figure(
            "Profit factor",
            number(net.profit_factor_net),
            gross=number(net.profit_factor_gross),
            good=net.profit_factor_net - 1.0,
        ),
        Figure(
            "Average R",
            r_multiple(net.average_r_net),
            gross=r_multiple(net.average_r_gross),
            good=net.average_r_net,
        ),
        Figure("Expectancy", money(net.expectancy_quote), good=net.expectancy_quote),
        Figure("Pay-off", number(net.pay_off)),
        Figure(
            "Average hold",
            duration(net.hold_minutes * MINUTE_MS),
            duration(held.hold_minutes * MINUTE_MS) if held else "",
        ),
        Figure(
            "Time in the market",
            percent(net.exposure_share),
            percent(held.exposure_share) if held else "",
        ),
        Figure("Longest streaks", f"{net.winning_streak} won, {net.losing_streak} lost"),
    )
