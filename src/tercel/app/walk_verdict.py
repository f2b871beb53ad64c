"""The verdict on a walk-forward in plain words: what is left of an edge chosen on the past.

The first rule that holds decides:
1. nothing was ever chosen: there is nothing to judge;
2. fewer than 30 trades out of sample: nothing can be said;
3. no profit before costs: the choices carried no edge into the future;
4. profit before costs, none after: the edge is smaller than its costs;
5. profit after costs that luck explains at 95 %: not yet evidence. Where the research ledger knows
   of other trials on the data of the tests, it is the luck of the best of so many (the deflated
   Sharpe ratio). The walk's own combinations do not count: they were chosen without the tests;
6. otherwise an edge that held out of sample, in this data.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from enum import StrEnum

import numpy as np
import numpy.typing as npt

from tercel.app.overfitting.deflated import Deflation
from tercel.app.sharpe import annualised, sharpe
from tercel.app.statistics import Statistics
from tercel.app.trial_count import TrialCount, deflated_by, moments_of
from tercel.app.verdict import CONFIDENCE, HEADLINES, TRADES_MIN, VerdictCode
from tercel.app.wording import count, number, percent, times

Floats = npt.NDArray[np.float64]


class WalkCode(StrEnum):
    """What a walk-forward amounts to."""

    NOTHING_CHOSEN = "nothing_chosen"
    NOT_ENOUGH_TRADES = "not_enough_trades"
    NO_EDGE = "no_edge"
    EDGE_BELOW_COSTS = "edge_below_costs"
    NOT_DISTINGUISHABLE_FROM_LUCK = "not_distinguishable_from_luck"
    HELD_OUT_OF_SAMPLE = "held_out_of_sample"


WALK_HEADLINES: dict[WalkCode, str] = {
    WalkCode.NOTHING_CHOSEN: "Nothing was chosen on any fold",
    WalkCode.NOT_ENOUGH_TRADES: "Not enough trades out of sample to say anything",
    WalkCode.NO_EDGE: "No edge out of sample, even before costs",
    WalkCode.EDGE_BELOW_COSTS: "No edge out of sample after costs",
    WalkCode.NOT_DISTINGUISHABLE_FROM_LUCK: "Out-of-sample profit not distinguishable from luck",
    WalkCode.HELD_OUT_OF_SAMPLE: "The edge held out of sample",
}


@dataclass(frozen=True, slots=True, eq=False)
class WalkFigures:
    """What the verdict reads."""

    statistics: Statistics
    """Of the chained tests."""
    held: Statistics
    """Of buy-and-hold over the same time."""
    fold_nets: tuple[float, ...]
    """Net fraction of each fold in which something was chosen."""
    folds: int
    whole_nets: Floats
    """Net fraction of each combination over all the data."""
    train_sharpe: float
    """Mean Sharpe ratio a year of the chosen ones on train; NaN: nothing was chosen."""
    others: TrialCount | None = None
    """What the research ledger knows of the strategy on the data of the tests beyond this walk's
    own combinations; None: no ledger.
    """
    folds_ruined: int = 0
    """The last folds that were not traded since all the money was lost before them."""


@dataclass(frozen=True, slots=True)
class WalkVerdict:
    """A code for programs, a headline and sentences for people."""

    code: WalkCode
    headline: str
    """Without a full stop."""
    sentences: tuple[str, ...]

    def __str__(self) -> str:
        return " ".join((f"{self.headline}.", *self.sentences))


def judge_walk(figures: WalkFigures) -> WalkVerdict:
    """The verdict on the chained tests, and what all combinations together say."""
    code = _code(figures)
    sentences = [
        *_outcome(figures),
        *_explanation(code, figures),
        *_shrinkage(figures),
        _everybody(figures.whole_nets),
        _beside_holding(figures),
    ]
    return WalkVerdict(code, _headline(code, figures), tuple(sentences))


def deflated(figures: WalkFigures) -> Deflation | None:
    """The chain's Sharpe ratio deflated by the trials elsewhere, with the chain as one more.

    None where there are none, or no ledger.
    """
    others = figures.others
    if others is None or not others.trials:
        return None
    shape = moments_of(figures.statistics)
    tried = TrialCount(
        trials=others.trials + 1,
        runs=others.runs + 1,
        sharpes=np.append(others.sharpes, sharpe(shape)),
        daily_returns=np.append(others.daily_returns, shape.count),
    )
    return deflated_by(figures.statistics, tried)


def _is_evidence(figures: WalkFigures) -> bool:
    """Whether the Sharpe ratio is above zero at 95 %, with all that was tried elsewhere."""
    if not figures.statistics.probabilistic_sharpe >= CONFIDENCE:  # NaN: not proven
        return False
    found = deflated(figures)
    return found is None or found.probability >= CONFIDENCE


def _headline(code: WalkCode, figures: WalkFigures) -> str:
    """That of the code; where only the trials elsewhere take the evidence away, it says so."""
    alone = figures.statistics.probabilistic_sharpe
    if (
        code is WalkCode.NOT_DISTINGUISHABLE_FROM_LUCK
        and figures.others is not None
        and alone >= CONFIDENCE
    ):
        many = HEADLINES[VerdictCode.LUCK_OF_MANY_TRIALS]
        return many.replace("K", count(figures.others.trials + 1))
    return WALK_HEADLINES[code]


def _code(figures: WalkFigures) -> WalkCode:
    net = figures.statistics
    if not figures.fold_nets:
        return WalkCode.NOTHING_CHOSEN
    if net.trades < TRADES_MIN:
        return WalkCode.NOT_ENOUGH_TRADES
    if net.gross_quote <= 0.0:
        return WalkCode.NO_EDGE
    if net.net_quote <= 0.0:
        return WalkCode.EDGE_BELOW_COSTS
    if not _is_evidence(figures):
        return WalkCode.NOT_DISTINGUISHABLE_FROM_LUCK
    return WalkCode.HELD_OUT_OF_SAMPLE


def moved(fraction: float) -> str:
    """`made 0.8 %`, `lost 23.4 %`."""
    if percent(abs(fraction)) == percent(0.0):
        return "made nothing"
    return f"{'made' if fraction > 0.0 else 'lost'} {percent(abs(fraction))}"


def _outcome(figures: WalkFigures) -> list[str]:
    net, nets = figures.statistics, figures.fold_nets
    if not nets:
        return [f"All {count(figures.folds)} folds stayed in cash."]
    won = sum(value > 0.0 for value in nets)
    said = [
        f"Out of sample, {count(net.trades)} trades {moved(net.net_fraction)} net; before costs "
        f"they {moved(net.gross_fraction)} of the starting capital.",
        f"{count(won)} of {count(figures.folds)} folds ended with a profit: the best "
        f"{moved(max(nets))}, the worst {moved(min(nets))}.",
    ]
    if lost := figures.folds_ruined:
        said.append(
            f"All the money was lost before the last {count(lost)} folds, which were not traded."
        )
    if idle := figures.folds - len(nets) - lost:
        said.append(f"In {count(idle)} of them nothing was chosen, and the money waited.")
    return said


def _explanation(code: WalkCode, figures: WalkFigures) -> list[str]:
    net = figures.statistics
    if code is WalkCode.NOT_ENOUGH_TRADES:
        return [f"At least {TRADES_MIN} trades are needed before any figure means something."]
    if code is WalkCode.NO_EDGE:
        return ["Lower fees would not help: what was best in the past lost by itself afterwards."]
    if code is WalkCode.EDGE_BELOW_COSTS:
        return [f"Fees and slippage ate {times(net.cost_share)} the gross profit."]
    if code in (WalkCode.NOT_DISTINGUISHABLE_FROM_LUCK, WalkCode.HELD_OUT_OF_SAMPLE):
        return _chance(code, figures)
    return []


def _chance(code: WalkCode, figures: WalkFigures) -> list[str]:
    """How likely the profit is more than luck, and what was counted."""
    alone, others, found = (
        figures.statistics.probabilistic_sharpe,
        figures.others,
        deflated(figures),
    )
    said = "The probability that the true Sharpe ratio of the chain is above zero"
    if code is WalkCode.NOT_DISTINGUISHABLE_FROM_LUCK:
        if found is not None and alone >= CONFIDENCE:
            return [_luck_of_many(figures, found)]
        return [f"{said} {_known(alone)}; 95 % is asked for."]
    if others is None:
        return [
            f"{said} {_known(alone)}.",
            "It counts only what this walk tried: other grids and strategies tried on the same "
            "data make it smaller.",
        ]
    if found is None:
        return [
            f"{said} {_known(alone)}, and the research ledger knows of no other trial of this "
            "strategy on this data."
        ]
    return [
        f"{said} {_known(found.probability)}, counting that {count(others.trials)} other "
        "trials of this strategy on this data are in the research ledger."
    ]


def _luck_of_many(figures: WalkFigures, found: Deflation) -> str:
    """Why a profit that would be evidence alone is none beside all that was tried elsewhere."""
    net = figures.statistics
    return (
        f"Beyond this walk's own grid, {count(round(found.trials) - 1)} trials of this strategy on "
        f"this data are in the research ledger. The best of so many worthless ones would have a "
        f"Sharpe ratio of {number(annualised(found.benchmark))} a year, the chain has "
        f"{number(net.sharpe)}: the probability that the true ratio is above zero "
        f"{_known(found.probability)} (95 % is asked for), not the "
        f"{_certainty(net.probabilistic_sharpe)} of a strategy that was tried only here."
    )


def _known(probability: float) -> str:
    return "cannot be told" if math.isnan(probability) else f"is {_certainty(probability)}"


def _certainty(probability: float) -> str:
    """`97 %`; never a rounded 100 %."""
    return "more than 99 %" if probability > 0.99 else percent(probability)


def _shrinkage(figures: WalkFigures) -> list[str]:
    """How much better the chosen ones looked on the data they were chosen by."""
    if math.isnan(figures.train_sharpe) or math.isnan(figures.statistics.sharpe):
        return []
    return [
        f"On train the chosen ones had a Sharpe ratio of {number(figures.train_sharpe)} on "
        f"average, out of sample {number(figures.statistics.sharpe)}."
    ]


def middle_one(nets: Floats) -> int:
    """The combination in the middle by net (n,); of an even number the worse of the two there.

    It is one that was tried, not a mean of two, so that a table can show its other figures.
    """
    return int(np.argsort(-nets, kind="stable")[len(nets) // 2])


def _everybody(nets: Floats) -> str:
    """All combinations over all the data: what one of them at random would have done."""
    won, lost = int(np.count_nonzero(nets > 0.0)), int(np.count_nonzero(nets < 0.0))
    if won + lost == 0:
        return f"Over all the data, none of {count(len(nets))} combinations made or lost anything."
    said = (
        f"Over all the data, {count(won)} of {count(len(nets))} combinations made money after "
        f"costs; the middle one {moved(float(nets[middle_one(nets)]))}, the best "
        f"{moved(float(nets.max()))}, the worst {moved(float(nets.min()))}"
    )
    if lost * 2 <= len(nets):
        return f"{said}."
    return f"{said}: as most strategies do, most of these lose after costs."


def _beside_holding(figures: WalkFigures) -> str:
    net, held = figures.statistics, figures.held
    said = (
        f"Buy-and-hold {moved(held.net_fraction)} over the same time, with a drawdown of "
        f"{percent(held.drawdown_depth)}"
    )
    if not figures.fold_nets:
        return f"{said}."
    return f"{said}: this was {'better' if net.net_fraction > held.net_fraction else 'worse'}."
