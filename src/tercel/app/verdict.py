"""The verdict in plain words: what a backtest says about an edge, and what it cannot say.

The first rule that holds decides:
1. nearly all of the capital lost: that is the verdict;
2. fewer than 30 trades: nothing can be said;
3. no profit before costs: there is no edge at all;
4. profit before costs, none after: the edge is smaller than its costs;
5. profit after costs, but one that luck explains at 95 % (or a record too short): not yet evidence;
6. where the research ledger counts the trials: profit that the luck of the best of so many explains
   at 95 % (the deflated Sharpe ratio): not evidence;
7. otherwise profitable in this sample, which is one trial: more of them come next.
Buy-and-hold of the same bars is always told beside it.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from enum import StrEnum

from tercel.app.sharpe import PERIODS_A_YEAR
from tercel.app.statistics import Statistics
from tercel.app.trial_count import TrialCount, deflated_by
from tercel.app.wording import count, number, percent, times

WIPED_OUT_FRACTION = 0.99
"""Share of the capital whose loss is the whole verdict."""
TRADES_MIN = 30
"""Below so many trades one lucky or unlucky trade decides every figure."""
CONFIDENCE = 0.95
"""Probability of a Sharpe ratio above zero from which a profit counts as evidence."""

FUNDING_SHARE_NAMED = 0.01
"""Of the gross profit: funding paid from which it is told among the costs."""


class VerdictCode(StrEnum):
    """What the figures amount to."""

    NOT_ENOUGH_TRADES = "not_enough_trades"
    WIPED_OUT = "wiped_out"
    NO_EDGE = "no_edge"
    EDGE_BELOW_COSTS = "edge_below_costs"
    NOT_DISTINGUISHABLE_FROM_LUCK = "not_distinguishable_from_luck"
    LUCK_OF_MANY_TRIALS = "luck_of_many_trials"
    PROFITABLE_IN_SAMPLE = "profitable_in_sample"


@dataclass(frozen=True, slots=True)
class Verdict:
    """A code for programs, a headline and sentences for people."""

    code: VerdictCode
    headline: str
    """Without a full stop."""
    sentences: tuple[str, ...]

    def __str__(self) -> str:
        return " ".join((f"{self.headline}.", *self.sentences))


HEADLINES: dict[VerdictCode, str] = {
    VerdictCode.NOT_ENOUGH_TRADES: "Not enough trades to say anything",
    VerdictCode.WIPED_OUT: "Account wiped out",
    VerdictCode.NO_EDGE: "No edge even before costs",
    VerdictCode.EDGE_BELOW_COSTS: "No edge after costs",
    VerdictCode.NOT_DISTINGUISHABLE_FROM_LUCK: "Profit not distinguishable from luck yet",
    VerdictCode.LUCK_OF_MANY_TRIALS: "Best of K trials, not distinguishable from luck",
    VerdictCode.PROFITABLE_IN_SAMPLE: "Profitable in this sample",
}
"""K stands for the number of trials."""


def judge(
    statistics: Statistics, held: Statistics | None = None, tried: TrialCount | None = None
) -> Verdict:
    """The verdict on `statistics`; `held` is buy-and-hold of the same bars, `tried` what the
    research ledger knows of the same strategy and data (this run included).
    """
    code = _code(statistics, tried)
    sentences = [_outcome(statistics), *_explanation(code, statistics, tried)]
    if statistics.end_quote <= 0.0:
        sentences.append("All of the capital was lost.")
    sentences.append(_beside_holding(statistics, held))
    headline = HEADLINES[code]
    if tried is not None and code is VerdictCode.LUCK_OF_MANY_TRIALS:
        headline = headline.replace("K", count(tried.trials))
    return Verdict(code, headline, tuple(sentences))


def _code(statistics: Statistics, tried: TrialCount | None) -> VerdictCode:
    if statistics.net_fraction <= -WIPED_OUT_FRACTION:
        return VerdictCode.WIPED_OUT
    if statistics.trades < TRADES_MIN:
        return VerdictCode.NOT_ENOUGH_TRADES
    if statistics.gross_quote <= 0.0:
        return VerdictCode.NO_EDGE
    if statistics.net_quote <= 0.0:
        return VerdictCode.EDGE_BELOW_COSTS
    proven = statistics.probabilistic_sharpe >= CONFIDENCE
    long_enough = statistics.track_record_days_min <= statistics.daily_returns
    if not (proven and long_enough):  # NaN: not proven
        return VerdictCode.NOT_DISTINGUISHABLE_FROM_LUCK
    if tried is not None and not deflated_by(statistics, tried).probability >= CONFIDENCE:
        return VerdictCode.LUCK_OF_MANY_TRIALS
    return VerdictCode.PROFITABLE_IN_SAMPLE


def _moved(fraction: float) -> str:
    """`made 0.8 %`, `lost 23.4 %`."""
    if percent(abs(fraction)) == percent(0.0):
        return "made nothing"
    return f"{'made' if fraction > 0.0 else 'lost'} {percent(abs(fraction))}"


def _outcome(statistics: Statistics) -> str:
    """The result net and gross, in one sentence."""
    if statistics.trades == 0:
        return (
            f"There was no trade at all ({_plural(statistics.signals, 'signal')}, "
            f"{count(statistics.refused)} refused)."
        )
    return (
        f"{_plural(statistics.trades, 'trade')} {_moved(statistics.net_fraction)} net; "
        f"before costs they {_moved(statistics.gross_fraction)}."
    )


def _plural(amount: int, thing: str) -> str:
    return f"{count(amount)} {thing}{'' if amount == 1 else 's'}"


def _explanation(code: VerdictCode, statistics: Statistics, tried: TrialCount | None) -> list[str]:
    """Why this code: one or two sentences."""
    if code is VerdictCode.NOT_ENOUGH_TRADES:
        return [f"At least {TRADES_MIN} trades are needed before any figure means something."]
    if code is VerdictCode.WIPED_OUT:
        return ["Next to nothing was left to trade with; ratios of what remained mean nothing."]
    if code is VerdictCode.NO_EDGE:
        return ["Lower fees would not help: the signals lose money by themselves."]
    if code is VerdictCode.EDGE_BELOW_COSTS:
        return ["The edge is smaller than its costs.", _costs(statistics)]
    if code is VerdictCode.NOT_DISTINGUISHABLE_FROM_LUCK:
        return [_luck(statistics), _costs(statistics)]
    if code is VerdictCode.LUCK_OF_MANY_TRIALS and tried is not None:
        return [_luck_of_many(statistics, tried), _costs(statistics)]
    return [_chance(statistics, tried), _next_step(tried), _costs(statistics)]


def _chance(statistics: Statistics, tried: TrialCount | None) -> str:
    """How likely the profit is more than luck, and what that assumes."""
    said = "The probability that the true Sharpe ratio is above zero is"
    alone = _certainty(statistics.probabilistic_sharpe)
    if tried is None:
        return f"{said} {alone}, if this was the only thing ever tried."
    if tried.trials <= 1:
        return f"{said} {alone}, and the research ledger knows of no other trial on this data."
    deflated = _certainty(deflated_by(statistics, tried).probability)
    return (
        f"{said} {deflated}, counting that {count(tried.trials)} trials are in the research ledger "
        "for this strategy on this data."
    )


def _next_step(tried: TrialCount | None) -> str:
    several = tried is not None and tried.trials > 1
    first = "One history is one history" if several else "One backtest is one trial"
    return f"{first}: try other periods and symbols before believing it."


def _luck_of_many(statistics: Statistics, tried: TrialCount) -> str:
    """Why a profit that would be evidence alone is none among so many."""
    found = deflated_by(statistics, tried)
    year = math.sqrt(PERIODS_A_YEAR)
    chance = "cannot be told" if math.isnan(found.probability) else percent(found.probability)
    return (
        f"{_plural(tried.trials, 'trial')} of this strategy on this data are in the research "
        f"ledger. The best of so many worthless ones would have a Sharpe ratio of "
        f"{number(found.benchmark * year)} a year, this one has {number(statistics.sharpe)}: the "
        f"probability that the true ratio is above zero is {chance} (95 % is asked for), "
        f"not the {_certainty(statistics.probabilistic_sharpe)} of a single trial."
    )


def _certainty(probability: float) -> str:
    """`97 %`; never a rounded 100 %."""
    return "more than 99 %" if probability > 0.99 else percent(probability)


def _costs(statistics: Statistics) -> str:
    """What fees, slippage and (where it matters) funding did to the gross profit."""
    share, what = statistics.cost_share, "Fees and slippage"
    funding_share = -statistics.funding_quote / statistics.gross_quote  # below 0: received
    if funding_share >= FUNDING_SHARE_NAMED:
        share, what = share + funding_share, "Fees, slippage and funding"
    if share >= 1.0:
        ate = f"{what} ate {times(share)} the gross profit."
        return ate if share >= 1.05 else f"{what} ate the whole gross profit."
    return f"{what} took {percent(share)} of the gross profit."


def _luck(statistics: Statistics) -> str:
    """Why the profit is not yet evidence."""
    if math.isnan(statistics.probabilistic_sharpe):
        return (
            f"A record of {_plural(statistics.daily_returns, 'daily return')} is too short to "
            "measure risk."
        )
    chance = (
        f"The probability that the true Sharpe ratio is above zero is "
        f"{_certainty(statistics.probabilistic_sharpe)} (95 % is asked for)"
    )
    if math.isnan(statistics.track_record_days_min):
        return f"{chance}."
    return (
        f"{chance}: a record of {number(statistics.track_record_days_min, 0)} days would be "
        f"needed to tell, and this one has {count(statistics.daily_returns)}."
    )


def _beside_holding(statistics: Statistics, held: Statistics | None) -> str:
    """The same capital in the market itself."""
    if held is None:
        return "There is no buy-and-hold beside it, since the bars are not known."
    parts = f" of {held.trades} symbols in equal parts" if held.trades > 1 else ""
    sentence = (
        f"Buy-and-hold{parts} {_moved(held.net_fraction)} with a drawdown of "
        f"{percent(held.drawdown_depth)}"
    )
    if statistics.trades == 0:
        return f"{sentence}."
    better = statistics.net_fraction > held.net_fraction
    return f"{sentence}: this was {'better' if better else 'worse'}."
