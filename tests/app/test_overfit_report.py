"""Every test of a finished run: what goes into each, what is said, and when it is refused."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
from tests.ledgers import MemoryLedger, trial
from tests.tried_runs import (
    DAY,
    HOUR,
    SETTINGS,
    START,
    entry_times,
    noise,
    prices,
    tried_run,
)

from tercel.app.overfit_report import EntryTimes, OverfitReport, Prices, entry_trades, examine
from tercel.app.overfit_table import overfit_rows
from tercel.app.overfit_verdict import OverfitCode, chance_of, judge_overfit, path_quantiles
from tercel.app.overfitting.deflated import deflate
from tercel.app.overfitting.pbo import probability_of_overfitting
from tercel.app.sharpe import moments, sharpe
from tercel.app.trial_count import TrialCount, most_tried
from tercel.domain.bars import SeriesKey
from tercel.domain.errors import UserError

NO_BARS = "the lake has not the bars of the run"


def walked(edge: float, tried: TrialCount | None = None) -> OverfitReport:
    """A walk over noise that chose number 3, which has `edge` a day."""
    combinations = noise(edge=edge)
    run = tried_run(combinations[:, 3].copy(), combinations)
    return examine(run, SETTINGS, tried, prices(knowing=run.trades))


def known(count: int, spread: float) -> TrialCount:
    ratios = np.random.default_rng(3).normal(0.0, spread, count)
    return TrialCount(count, 2 * count, ratios, np.full(count, 240))


def test_a_planted_edge_survives_and_noise_does_not() -> None:
    found = walked(0.004)
    assert judge_overfit(found).code is OverfitCode.SURVIVES
    assert not isinstance(found.overfitting, str)
    assert found.overfitting.probability < 0.05
    combinations = noise()
    best = np.argmax([sharpe(moments(column)) for column in combinations.T])
    lucky = tried_run(combinations[:, best], combinations)
    verdict = judge_overfit(examine(lucky, SETTINGS, None, NO_BARS))
    assert verdict.code is OverfitCode.LUCK_OF_MANY_TRIALS
    assert verdict.headline == "Best of 20 trials, not distinguishable from luck"


def test_the_best_of_many_worthless_searches_never_survives() -> None:
    """30 markets without an edge; over 300 of 360 days and 50 trials none survived."""
    quick = SETTINGS.model_copy(update={"histories": 100})
    generator = np.random.default_rng(11)
    for _ in range(30):
        combinations = generator.normal(0.0, 0.01, (200, 30))
        best = int(np.argmax([sharpe(moments(column)) for column in combinations.T]))
        run = tried_run(combinations[:, best], combinations)
        assert judge_overfit(examine(run, quick, None, NO_BARS)).code is not OverfitCode.SURVIVES


def test_the_figures_are_those_of_the_statistics() -> None:
    combinations = noise(edge=0.001)
    found = examine(tried_run(combinations[:, 3], combinations), SETTINGS, None, NO_BARS)
    ratios = np.array([sharpe(moments(column)) for column in combinations.T])
    best = int(ratios.argmax())
    assert found.deflation == deflate(moments(combinations[:, best]), ratios)
    assert found.trials.this_run == found.trials.counted == 20
    assert (found.trials.ledger, found.trials.runs) == (None, None)
    assert 1.0 <= found.trials.independent <= 20.0
    assert not isinstance(found.overfitting, str)
    expected = probability_of_overfitting(combinations, SETTINGS.blocks)
    assert found.overfitting.probability == expected.probability
    assert not isinstance(found.paths, str)
    assert len(found.paths.sharpes) == 5
    low, middle, high = path_quantiles(found.paths)
    ordered = np.sort(found.paths.sharpes)
    assert ordered[0] <= low <= middle == ordered[2] <= high <= ordered[-1]


def test_what_the_ledger_knows_counts_where_it_is_more() -> None:
    ledger = known(500, 0.05)
    found = walked(0.002, ledger)
    assert (found.trials.counted, found.trials.ledger, found.trials.runs) == (500, 500, 1000)
    assert found.deflation.trials == 500.0
    assert found.deflation.variance == pytest.approx(float(ledger.sharpes.var(ddof=1)))
    fewer = walked(0.002, known(3, 0.05))
    assert fewer.trials.counted == 20
    assert fewer.deflation == walked(0.002).deflation


def test_a_backtest_is_deflated_by_the_ledger_alone() -> None:
    returns = noise(edge=0.0015)[:, 3]
    alone = examine(tried_run(returns), SETTINGS, None, NO_BARS)
    assert alone.deflation.benchmark == 0.0
    assert alone.deflation.probability == pytest.approx(alone.probability)
    assert alone.record_days_deflated == alone.record_days_min
    many = examine(tried_run(returns), SETTINGS, known(200, 0.08), NO_BARS)
    assert many.deflation.probability < alone.deflation.probability
    assert judge_overfit(many).code is OverfitCode.LUCK_OF_MANY_TRIALS
    said = str(judge_overfit(many))
    assert "best of 200 trials without any edge (in this run 1, in the research ledger 200)" in said
    assert "only a walk-forward has the combinations it needs" in said


def test_the_ledger_is_asked_for_every_stream() -> None:
    run = tried_run(noise()[:, 0])
    eth = replace(run.streams[0], number=1, symbol="ETHUSDT")
    both = replace(run, streams=(run.streams[0], eth))
    ledger = MemoryLedger()
    series = SeriesKey("binance-usdm", "ETHUSDT")
    ledger.append([trial(1), trial(1, series=series), trial(2, series=series)])
    assert most_tried(ledger, run.asked).trials == 1
    assert most_tried(ledger, both.asked).trials == 2
    assert both.name == "three_r on BTCUSDT, ETHUSDT"


def test_the_same_input_gives_the_same_figures_and_another_seed_others() -> None:
    one, two = walked(0.002), walked(0.002)
    assert overfit_rows(one) == overfit_rows(two)
    assert one.drawn_sharpes.tolist() == two.drawn_sharpes.tolist()
    other = examine(one.run, SETTINGS.model_copy(update={"seed": 43}), None, prices())
    assert other.intervals != one.intervals


@pytest.mark.parametrize(
    ("days", "why"),
    [
        (29, "29 daily returns, and 30 are needed"),
        (0, "0 daily returns, and 30 are needed"),
    ],
)
def test_a_short_run_is_refused(days: int, why: str) -> None:
    with pytest.raises(UserError, match=why):
        examine(tried_run(noise()[:days, 0]), SETTINGS, None, NO_BARS)


def test_a_run_without_trades_or_without_movement_is_refused() -> None:
    run = tried_run(noise()[:, 0], trades=entry_times(0))
    with pytest.raises(UserError, match="no trade: there is nothing to test"):
        examine(run, SETTINGS, None, NO_BARS)
    with pytest.raises(UserError, match="no trade out of sample: there is"):
        examine(replace(run, kind="walk", combinations=noise()), SETTINGS, None, NO_BARS)
    with pytest.raises(UserError, match="do not vary: the run has no Sharpe ratio"):
        examine(tried_run(np.zeros(60)), SETTINGS, None, NO_BARS)
    flat = tried_run(noise()[:, 0], np.zeros((240, 3)))
    with pytest.raises(UserError, match="no combination's returns vary"):
        examine(flat, SETTINGS, None, NO_BARS)


def test_a_test_that_cannot_be_made_says_why_and_the_others_go_on() -> None:
    alone = noise(edge=0.004)[:, 3:4]
    found = examine(tried_run(alone[:, 0], alone), SETTINGS, None, NO_BARS)
    assert isinstance(found.overfitting, str)
    verdict = judge_overfit(found)
    assert (
        "The probability of overfitting was not computed: overfitting shows among two moving"
        in (str(verdict))
    )
    assert f"The permutation test was not computed: {NO_BARS}." in str(verdict)
    assert verdict.code is OverfitCode.SURVIVES


def test_a_loss_needs_no_explanation() -> None:
    verdict = judge_overfit(walked(-0.004))
    assert verdict.code is OverfitCode.NO_PROFIT
    assert "Doubt:" not in str(verdict)
    assert "no length of it would prove a profit" in str(verdict)


def test_a_search_that_does_not_carry_over_is_overfitted() -> None:
    found = walked(0.004)
    assert not isinstance(found.overfitting, str)
    worse = replace(found.overfitting, probability=0.5)
    assert judge_overfit(replace(found, overfitting=worse)).code is OverfitCode.OVERFITTED
    just = replace(found.overfitting, probability=0.499)
    assert judge_overfit(replace(found, overfitting=just)).code is OverfitCode.SURVIVES


def test_each_failed_test_is_a_doubt() -> None:
    found = walked(0.004)
    low = replace(found.intervals, sharpe=replace(found.intervals.sharpe, low=0.0))
    assert not isinstance(found.paths, str)
    losing = replace(found.paths, sharpes=np.array([-0.1, 0.1, 0.2]))
    for doubtful, words in (
        (replace(found, intervals=low), "Doubt: chance alone may have made"),
        (replace(found, paths=losing), "Doubt: some unseen paths of the choice lost."),
        (
            examine(found.run, SETTINGS, None, prices()),
            "Doubt: the same trades at other times did about as well.",
        ),
    ):
        verdict = judge_overfit(doubtful)
        assert verdict.code is OverfitCode.DOUBTFUL
        assert words in str(verdict)


def test_worst_and_best_stand_side_by_side() -> None:
    found = walked(0.004)
    said = str(judge_overfit(found))
    ratios = np.array([sharpe(moments(column)) for column in found.run.combinations.T])  # type: ignore[union-attr]
    year = math.sqrt(365)
    assert f"the worst {ratios.min() * year:.2f}, the middle one" in said
    assert f"the best {ratios.max() * year:.2f}." in said
    assert "at worst and" in said
    assert "should surprise nobody" in said


def test_trades_become_bars() -> None:
    """Hourly closes at 1, 2, ... 6 h: entered at 2 h sharp, at 3:30, in the last bar."""
    bars = Prices(START + HOUR * np.arange(1, 7), np.linspace(100.0, 105.0, 6))
    half = HOUR // 2
    times = START + np.array([2 * HOUR, 3 * HOUR + half, 5 * HOUR + half])
    trades = EntryTimes(
        times, START + np.array([4 * HOUR, 3 * HOUR + half, 6 * HOUR]), np.array([1, -1, 1])
    )
    found = entry_trades(trades, bars)
    assert found.entries.tolist() == [1, 2, 4]
    assert found.holding_bars.tolist() == [2, 1, 1]
    late = EntryTimes(times, times + DAY, trades.sides)
    with pytest.raises(UserError, match="outside the bars"):
        entry_trades(late, bars)


def test_trades_that_do_not_fit_one_after_another_are_only_shifted() -> None:
    entries = START + HOUR * np.arange(1, 41)
    crowded = EntryTimes(entries, entries + 20 * HOUR, np.ones(40, np.int64))
    run = tried_run(noise(edge=0.004)[:, 3], trades=crowded)
    found = examine(run, SETTINGS, None, prices())
    assert not isinstance(found.permutations, str)
    assert found.permutations.shuffled is None
    assert found.permutations.p_value == found.permutations.shifted.p_value
    assert "Trades shuffled" not in [row[0] for row in overfit_rows(found)]


@pytest.mark.parametrize(
    ("chance", "words"),
    [
        (0.0, "0.0 %"),
        (0.0004, "less than 0.1 %"),
        (0.05, "5.0 %"),
        (0.9995, "more than 99.9 %"),
        (math.nan, "n/a"),
    ],
)
def test_no_probability_is_rounded_to_certainty(chance: float, words: str) -> None:
    assert chance_of(chance) == words
