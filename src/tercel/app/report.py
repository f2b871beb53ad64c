"""The report of one run as pure data: what is shown, in which order and in which words.

Adapters and the command line turn it into HTML, charts, files and terminal tables; no figure is
computed there.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from tercel.app import wording
from tercel.app.benchmark import BUY_AND_HOLD
from tercel.app.key_figures import key_figures
from tercel.app.market_state import Series
from tercel.app.statistics import Statistics, summarise
from tercel.app.trial_count import TrialCount
from tercel.app.verdict import Verdict, judge
from tercel.domain.results import BacktestResult, RunRecord


@dataclass(frozen=True, slots=True, eq=False)
class NamedRun:
    """One run among others: a column of a comparison, or the benchmark beside a report."""

    name: str
    result: BacktestResult
    statistics: Statistics
    verdict: Verdict | None = None
    """Where it was judged with more than its figures; None: they are judged alone."""


@dataclass(frozen=True, slots=True)
class ReportLook:
    """What the user may say about how a report looks."""

    plot_dpi: int = 110
    """Resolution of equity.png, dots per inch."""
    worst_trades: int = 6
    """Losing trades drawn one by one."""


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
    """Buy-and-hold of everything traded first, of single symbols after it."""
    look: ReportLook = ReportLook()
    fills: tuple[NamedRun, ...] = ()
    """The same run by each assumption about the inside of a bar, worst first; empty: not asked."""


def named_run(name: str, result: BacktestResult, bars: Series = None) -> NamedRun:
    """`result` with its statistics, under a name."""
    return NamedRun(name, result, summarise(result, bars=bars))


def assess(
    result: BacktestResult,
    record: RunRecord,
    *,
    bars: Series = None,
    benchmarks: Sequence[NamedRun] = (),
    count_trials: Callable[[Statistics], TrialCount | None] | None = None,
) -> Report:
    """Statistics and verdict of a result, ready to be written.

    `benchmarks`: buy-and-hold of everything traded first: the verdict compares with it.
    `count_trials` is told the statistics and says how many trials stand behind them.
    """
    statistics = summarise(result, bars=bars)
    held = benchmarks[0].statistics if benchmarks else None
    verdict = judge(statistics, held, count_trials(statistics) if count_trials else None)
    return Report(result, statistics, verdict, record, bars, tuple(benchmarks))


FILL_ROWS = (
    "Return",
    "Return gross",
    "Sharpe ratio",
    "Maximum drawdown",
    "Trades",
    "Win rate",
    "Profit factor",
    "Average R",
)


def fill_rows(report: Report) -> tuple[tuple[str, ...], ...]:
    """Header and rows of the fill interval: what the three assumptions change."""
    header, *rows = comparison(report.fills)
    return (header, *(row for row in rows if row[0] in FILL_ROWS))


def fill_sentence(report: Report) -> str:
    """The interval in words."""
    nets = [run.statistics.net_fraction for run in report.fills]
    low, high = wording.percent(min(nets)), wording.percent(max(nets))
    if low == high:
        return (
            "What came first inside a bar makes no difference here: hardly any bar reached a stop "
            "and a target."
        )
    return (
        f"Depending on what came first inside a bar, the net return is {low} to {high}. "
        "The truth lies between; the verdict above is of the run as asked."
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
    if held:
        return ""
    return (run.verdict or judge(run.statistics)).headline
