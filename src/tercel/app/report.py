"""The report of one run as pure data: what is shown, in which order and in which words.

Adapters and the command line turn it into HTML, charts, files and terminal tables; no figure is
computed there.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from tercel.app import wording
from tercel.app.benchmark import BUY_AND_HOLD
from tercel.app.market_state import Series
from tercel.app.statistics import Statistics, summarise
from tercel.app.verdict import Verdict, judge
from tercel.domain.results import BacktestResult, RunRecord


@dataclass(frozen=True, slots=True, eq=False)
class NamedRun:
    """One run among others: a column of a comparison, or the benchmark beside a report."""

    name: str
    result: BacktestResult
    statistics: Statistics


@dataclass(frozen=True, slots=True, eq=False)
class Report:
    """Everything a report of one run is made from."""

    result: BacktestResult
    statistics: Statistics
    verdict: Verdict
    record: RunRecord
    bars: Series = None
    """Bars of the one series, or one array per stream; None: no candles are drawn."""
    benchmarks: tuple[NamedRun, ...] = ()
    """Buy-and-hold first."""


def named_run(name: str, result: BacktestResult, bars: Series = None) -> NamedRun:
    """`result` with its statistics, under a name."""
    return NamedRun(name, result, summarise(result, bars=bars))


def assess(
    result: BacktestResult,
    record: RunRecord,
    *,
    bars: Series = None,
    benchmarks: Sequence[NamedRun] = (),
) -> Report:
    """Statistics and verdict of a result, ready to be written. `benchmarks`: buy-and-hold first."""
    statistics = summarise(result, bars=bars)
    held = benchmarks[0].statistics if benchmarks else None
    verdict = judge(statistics, held)
    return Report(result, statistics, verdict, record, bars, tuple(benchmarks))


@dataclass(frozen=True, slots=True)
class Figure:
    """One line of key figures, as text."""

    name: str
    net: str
    gross: str
    """Empty where a figure has no gross twin."""
    held: str
    """The same for buy-and-hold; empty where it means nothing."""
    definition: str
    """How it is computed."""
    good: float = 0.0
    """Above 0: shown as a gain; below 0: as a loss; 0: neither."""


def key_figures(net: Statistics, held: Statistics | None = None) -> tuple[Figure, ...]:
    """The figures at the top of a report, net beside gross beside buy-and-hold."""
    return tuple(figure for _, figures in figure_groups(net, held) for figure in figures)


def figure_groups(
    net: Statistics, held: Statistics | None = None
) -> tuple[tuple[str, tuple[Figure, ...]], ...]:
    """The key figures under their headings."""
    return (
        ("Profit", _profit_figures(net, held)),
        ("Risk", _risk_figures(net, held)),
        ("Trades", _trade_figures(net, held)),
    )


def _profit_figures(net: Statistics, held: Statistics | None) -> tuple[Figure, ...]:
    return (
        Figure(
            "Profit",
            wording.money(net.net_quote),
            wording.money(net.gross_quote),
            wording.money(held.net_quote) if held else "",
            f"Equity at the end minus capital at the start, {wording.CURRENCY}. Net is after fees, "
            "slippage and funding; gross is the realised profit of the same trades before them.",
            net.net_quote,
        ),
        Figure(
            "Return",
            wording.percent(net.net_fraction),
            wording.percent(net.gross_fraction),
            wording.percent(held.net_fraction) if held else "",
            "Profit over the capital at the start.",
            net.net_fraction,
        ),
        Figure(
            "Return a year",
            wording.percent(net.cagr),
            "",
            wording.percent(held.cagr) if held else "",
            "Compound annual growth rate: what the return would be at the same pace over 365 days. "
            "Not given for less than a day.",
            net.cagr,
        ),
        Figure(
            "Fees of gross profit",
            wording.percent(net.fee_share),
            "",
            "",
            "Fees over gross profit. Not defined when there is no gross profit.",
        ),
    )


def _risk_figures(net: Statistics, held: Statistics | None) -> tuple[Figure, ...]:
    def other(text: str) -> str:
        return text if held else ""

    beside = held or net
    return (
        Figure(
            "Sharpe ratio",
            wording.number(net.sharpe),
            "",
            other(wording.number(beside.sharpe)),
            "Mean over standard deviation of daily returns (UTC days), times the square root of "
            "365; risk-free rate 0. Needs two daily returns that differ.",
            net.sharpe,
        ),
        Figure(
            "Sortino ratio",
            wording.number(net.sortino),
            "",
            other(wording.number(beside.sortino)),
            "As the Sharpe ratio, but over the root mean square of the daily losses, where a day "
            "without a loss counts as zero.",
            net.sortino,
        ),
        Figure(
            "Calmar ratio",
            wording.number(net.calmar),
            "",
            other(wording.number(beside.calmar)),
            "Return a year over the maximum drawdown.",
            net.calmar,
        ),
        Figure(
            "Probability Sharpe > 0",
            wording.percent(net.probabilistic_sharpe),
            "",
            other(wording.percent(beside.probabilistic_sharpe)),
            "Probabilistic Sharpe ratio: the probability that the true Sharpe ratio is above 0, "
            "given the length, skewness and tails of the record (Bailey and Lopez de Prado, 2012). "
            "It assumes that this was the only thing ever tried.",
        ),
        Figure(
            "Record needed",
            _days(net.track_record_days_min),
            "",
            "",
            "Minimum track record length: daily returns needed to say at 95 % that the Sharpe "
            "ratio is above 0. Not defined when it is not.",
        ),
        Figure(
            "Record length",
            _days(float(net.daily_returns)),
            "",
            "",
            "Daily returns behind these ratios; the first and last day may be partial.",
        ),
        Figure(
            "Maximum drawdown",
            wording.percent(net.drawdown_depth),
            "",
            other(wording.percent(beside.drawdown_depth)),
            "Deepest fall of equity below its highest value so far, marked at every bar's close.",
        ),
        Figure(
            "Longest drawdown",
            wording.duration(net.drawdown_duration_ms),
            "",
            other(wording.duration(beside.drawdown_duration_ms)),
            "Longest time from a high of equity until it was reached again, or until the end.",
        ),
        Figure(
            "Tail ratio",
            wording.number(net.tail_ratio),
            "",
            other(wording.number(beside.tail_ratio)),
            "95th percentile of daily returns over the absolute 5th: above 1, the good days are "
            "larger than the bad ones.",
        ),
    )


def _days(value: float) -> str:
    text = wording.number(value, 0)
    return text if text == wording.UNKNOWN else f"{text} days"


def _trade_figures(net: Statistics, held: Statistics | None) -> tuple[Figure, ...]:
    return (
        Figure(
            "Trades",
            wording.count(net.trades),
            "",
            wording.count(held.trades) if held else "",
            "Closed trades.",
        ),
        Figure(
            "Trades a day",
            wording.number(net.trades_a_day),
            "",
            "",
            "Closed trades over the length of the run in days of 24 hours.",
        ),
        Figure(
            "Win rate",
            wording.percent(net.win_rate),
            "",
            "",
            "Share of trades with a net profit above zero.",
        ),
        Figure(
            "Profit factor",
            wording.number(net.profit_factor_net),
            wording.number(net.profit_factor_gross),
            "",
            "Sum of the winners over sum of the losers. Below 1 the losers weigh more.",
            net.profit_factor_net - 1.0,
        ),
        Figure(
            "Average R",
            wording.r_multiple(net.average_r_net),
            wording.r_multiple(net.average_r_gross),
            "",
            "Mean profit in multiples of the risk at entry (quantity times stop distance).",
            net.average_r_net,
        ),
        Figure(
            "Expectancy",
            wording.money(net.expectancy_quote),
            "",
            "",
            f"Mean net profit a trade, {wording.CURRENCY}.",
            net.expectancy_quote,
        ),
        Figure(
            "Pay-off",
            wording.number(net.pay_off),
            "",
            "",
            "Mean net winner over mean net loser.",
        ),
        Figure(
            "Average hold",
            wording.duration(net.hold_minutes * 60_000),
            "",
            wording.duration(held.hold_minutes * 60_000) if held else "",
            "Mean time from the entry to the last exit.",
        ),
        Figure(
            "Time in the market",
            wording.percent(net.exposure_share),
            "",
            wording.percent(held.exposure_share) if held else "",
            "Share of the period during which a position was open.",
        ),
        Figure(
            "Longest streaks",
            f"{net.winning_streak} won, {net.losing_streak} lost",
            "",
            "",
            "Most winning and most losing trades in a row, by exit time.",
        ),
    )


@dataclass(frozen=True, slots=True)
class Step:
    """One step from gross to net."""

    name: str
    quote: float
    """Change of the profit (costs are negative); a total for the first and last step."""
    begin: float
    """Profit before it, quote."""
    end: float
    """Profit after it, quote."""
    is_total: bool


def waterfall(statistics: Statistics) -> tuple[Step, ...]:
    """Gross -> fees -> slippage -> funding -> net. What is left between is an open position."""
    changes = [
        ("Fees", -statistics.fee_quote),
        ("Slippage", -statistics.slippage_quote),
        ("Funding", statistics.funding_quote),
    ]
    gross = statistics.gross_quote
    rest = statistics.net_quote - gross - sum(change for _, change in changes)
    if abs(rest) >= 0.005:  # half a cent: not rounding
        changes.append(("Open positions", rest))
    steps = [Step("Gross profit", gross, 0.0, gross, True)]
    level = gross
    for name, change in changes:
        steps.append(Step(name, change, level, level + change, False))
        level += change
    steps.append(Step("Net profit", statistics.net_quote, 0.0, statistics.net_quote, True))
    return tuple(steps)


def comparison(runs: Sequence[NamedRun]) -> tuple[tuple[str, ...], ...]:
    """Rows of a side-by-side table: first the names, then each figure and its values."""
    header = ("", *(run.name for run in runs))
    columns = [key_figures(run.statistics) for run in runs]
    rows = [(row[0].name, *(figure.net for figure in row)) for row in zip(*columns, strict=True)]
    rows.insert(2, ("Return gross", *(wording.percent(r.statistics.gross_fraction) for r in runs)))
    rows.append(("Verdict", *(_headline(run) for run in runs)))
    return (header, *rows)


def _headline(run: NamedRun) -> str:
    """The verdict on a run; buy-and-hold is the measure, not the measured."""
    held = any(label.strategy == BUY_AND_HOLD for label in run.result.labels)
    return "" if held else judge(run.statistics).headline
