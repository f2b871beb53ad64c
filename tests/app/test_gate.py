"""Go-live thresholds: figures by hand, each kind of end, figures that are not defined."""

from __future__ import annotations

import dataclasses
import math
from statistics import NormalDist
from typing import Any

import numpy as np
import pytest

from tercel.adapters.config import packaged_config_dir, read_settings
from tercel.app.gate import TITLES, check_gate, measure, so_many, thresholds_of
from tercel.app.statistics import Statistics
from tercel.core.records import TRADE, Records
from tercel.domain.errors import UserError
from tercel.domain.gate_settings import GateSettings, Thresholds

PRESETS = read_settings([packaged_config_dir()], environ={}).settings.gate


def trades(net: list[float], risk: float = 10.0) -> Records:
    made = np.zeros(len(net), TRADE)
    made["net_quote"], made["risk_quote"] = net, risk
    return made


def figures(**known: Any) -> Statistics:
    """Statistics of good trading, but for `known`."""
    plain: dict[str, Any] = {
        each.name: () if "tuple" in str(each.type) else 0 for each in dataclasses.fields(Statistics)
    }
    good = {
        "days": 365.0, "trades": 201, "win_rate": 0.56, "profit_factor_net": 1.6,
        "drawdown_depth": 0.1, "sharpe": 2.0, "pay_off": 1.6, "losing_streak": 7, "cagr": 0.5,
        "trades_a_day": 5.0, "probabilistic_sharpe": 0.97, "daily_returns": 365,
        "skewness": 0.0, "kurtosis": 3.0,
    }  # fmt: skip
    return Statistics(**{**plain, **good, **known})


SOME = trades([30.0, 30.0, -10.0])


def test_the_figures_of_a_run_by_hand() -> None:
    found = measure(figures(), trades([30.0, 20.0, -10.0, 0.0]))
    assert found["average_winner_r"].value == pytest.approx(2.5)
    assert found["monthly_return"].value == pytest.approx(1.5 ** (1 / 12) - 1.0)
    assert found["deflated_sharpe"].value == pytest.approx(
        NormalDist().cdf(2 / math.sqrt(365) * math.sqrt(364) / math.sqrt(1 + 0.5 * 4 / 365))
    )
    assert set(found) == set(TITLES)
    assert not any(one.undefined for one in found.values())


def test_more_trials_deflate_more() -> None:
    ratios = [
        measure(figures(), SOME, so_many(trials))["deflated_sharpe"].value
        for trials in (1, 10, 243)
    ]
    assert ratios == sorted(ratios, reverse=True)
    assert ratios[0] > 0.95 > ratios[1]
    assert ratios[0] == measure(figures(), SOME)["deflated_sharpe"].value


@pytest.mark.parametrize(
    ("bound", "value", "passes"),
    [
        ({"above": 2.0}, 2.0, False),
        ({"above": 2.0}, 2.1, True),
        ({"at_least": 2.0}, 2.0, True),
        ({"at_least": 2.0}, 1.9, False),
        ({"below": 2.0}, 2.0, False),
        ({"below": 2.0}, 1.9, True),
        ({"at_most": 2.0}, 2.0, True),
        ({"at_most": 2.0}, 2.1, False),
        ({"at_most": 2.0}, math.nan, False),
        ({"below": 2.0}, math.nan, False),
        ({"above": 2.0}, math.nan, False),
        ({"at_least": 2.0}, math.nan, False),
    ],
)
def test_each_end(bound: Any, value: float, passes: bool) -> None:
    found = check_gate(measure(figures(sharpe=value), SOME), "one", {"sharpe": bound})
    assert found.passed is passes
    assert found.missed == (not passes)


@pytest.mark.parametrize(
    ("figure", "known", "net", "why"),
    [
        ("win_rate", {"win_rate": math.nan}, [], "no trade"),
        ("profit_factor", {"profit_factor_net": math.nan}, [], "no trade"),
        ("profit_factor", {"profit_factor_net": math.nan}, [5.0], "no losing trade"),
        ("pay_off", {"pay_off": math.nan}, [-5.0], "no winning trade"),
        ("pay_off", {"pay_off": math.nan}, [5.0], "no losing trade"),
        ("average_winner_r", {}, [-5.0], "no winning trade"),
        ("sharpe", {"sharpe": math.nan}, [5.0], "daily returns are too few"),
        ("deflated_sharpe", {"daily_returns": 1}, [5.0], "daily returns are too few"),
        ("monthly_return", {"days": 27.9}, [5.0], "shorter than 28 days"),
    ],
)
def test_what_is_not_defined_fails_and_says_why(
    figure: Any, known: dict[str, float], net: list[float], why: str
) -> None:
    measured = measure(figures(**known), trades(net))
    found = check_gate(measured, "one", {figure: {"at_least": 0.0}})
    assert not found.passed
    assert found.rows[0].measured.startswith("not defined: ")
    assert why in found.rows[0].measured


def test_a_winner_of_unknown_risk_has_no_r() -> None:
    found = measure(figures(), trades([5.0], risk=0.0))
    assert found["average_winner_r"].undefined == "risks are unknown"


def test_source2_is_the_default_and_as_its_source_says() -> None:
    name, thresholds = thresholds_of(PRESETS, None)
    assert name == "source2"
    assert thresholds == {
        "win_rate": {"above": 0.55}, "profit_factor": {"above": 1.5}, "drawdown": {"below": 0.15},
        "sharpe": {"above": 1.2}, "pay_off": {"above": 1.5}, "losing_streak": {"below": 8},
        "trades": {"above": 200},
    }  # fmt: skip
    assert check_gate(measure(figures(), SOME), name, thresholds).passed


@pytest.mark.parametrize(
    "miss",
    [{"win_rate": 0.55}, {"profit_factor_net": 1.5}, {"drawdown_depth": 0.15}, {"sharpe": 1.2},
     {"pay_off": 1.5}, {"losing_streak": 8}, {"trades": 200}],
)  # fmt: skip
def test_each_threshold_of_source2_alone_fails_it(miss: dict[str, float]) -> None:
    name, thresholds = thresholds_of(PRESETS, "source2")
    found = check_gate(measure(figures(**miss), SOME), name, thresholds)
    assert found.missed == 1


def test_source1_requires_the_lower_ends_of_its_ranges() -> None:
    name, thresholds = thresholds_of(PRESETS, "source1")
    at_the_ends = figures(
        win_rate=0.42, trades_a_day=4.0, sharpe=1.9, drawdown_depth=0.12, cagr=1.0251**12 - 1.0
    )
    measured = measure(at_the_ends, trades([28.0, -10.0]))
    assert check_gate(measured, name, thresholds).passed
    assert set(thresholds) == {
        "win_rate", "average_winner_r", "trades_a_day", "sharpe", "drawdown", "monthly_return",
    }  # fmt: skip


def test_how_a_row_reads() -> None:
    wanted: Thresholds = {"win_rate": {"above": 0.55}, "losing_streak": {"below": 8}}
    first, second = check_gate(measure(figures(), SOME), "mine", wanted).rows
    assert (first.title, first.measured, first.required) == ("Win rate", "56.0 %", "> 55.0 %")
    assert (second.measured, second.required) == ("7", "< 8")


def test_an_unknown_preset_lists_all() -> None:
    with pytest.raises(UserError, match="there are honest, source1, source2"):
        thresholds_of(PRESETS, "source3")
    own = GateSettings(preset="mine", presets={"mine": {"trades": {"above": 5}}})
    assert thresholds_of(own, None)[0] == "mine"
