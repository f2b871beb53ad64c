"""Faults as data: when they strike, how they are written, drawn and shrunk."""

from __future__ import annotations

from pathlib import Path

import pytest

from tercel.adapters.simulator.fault_codes import figures_of
from tercel.adapters.simulator.fault_files import parse_plan, plan_yaml, read_plan
from tercel.adapters.simulator.faults import (
    Fault,
    FaultCode,
    FaultPlan,
    FaultWatch,
    Strike,
    When,
    Where,
    drawn_plan,
    shrink,
)
from tercel.domain.errors import UserError

ORDERS = Where(endpoint="POST /fapi/v1/order", symbol="BTCUSDT")
HOUR_MS = 3_600_000


def strikes(when: When, occasions: int = 10, step_ms: int = 1_000) -> list[int]:
    """At which occasions (from 1) a fault strikes; one comes every second from 0 on."""
    watch = FaultWatch(FaultPlan((Fault(FaultCode.O1, when),), 3), 0)
    return [
        number
        for number in range(1, occasions + 1)
        if watch.due(FaultCode.O1, ORDERS, (number - 1) * step_ms)
    ]


def test_a_strike_says_when_what_and_where() -> None:
    faults = (Fault(FaultCode.O1, When(nth=1)), Fault(FaultCode.T12, When(nth=1)))
    watch = FaultWatch(FaultPlan(faults), 0)
    strikes: list[Strike] = []
    watch.on_strike = strikes.append
    watch.due(FaultCode.O1, Where("POST /fapi/v1/order", symbol="BTCUSDT"), 7)
    watch.due(FaultCode.T12, Where(stream="private/ORDER_TRADE_UPDATE"), 8)
    watch.due(FaultCode.O1, Where("POST /fapi/v1/order"), 9)
    assert [each.time_ms for each in strikes] == [7, 8]
    assert [str(each) for each in strikes] == [
        "fault O1 the answer is lost, the order is live: POST /fapi/v1/order BTCUSDT",
        "fault T12 streams lag behind requests: stream private/ORDER_TRADE_UPDATE",
    ]


def test_the_nth_the_time_and_the_chance() -> None:
    assert strikes(When(nth=3)) == [3]
    assert strikes(When(nth=3, times=2)) == [3, 4]
    assert strikes(When(after_ms=4_500)) == [6]
    assert strikes(When(after_ms=0, times=3)) == [1, 2, 3]
    assert strikes(When(probability=1.0, times=4)) == [1, 2, 3, 4]
    assert strikes(When(probability=0.0)) == []
    often = strikes(When(probability=0.3, times=1_000), 1_000)
    assert 250 < len(often) < 350


@pytest.mark.parametrize(
    ("where", "is_meant"),
    [
        (Where(), True),
        (Where(symbol="BTCUSDT"), True),
        (Where(symbol="ETHUSDT"), False),
        (Where(endpoint="POST"), True),
        (Where(endpoint="DELETE"), False),
        (Where(stream="private"), False),
    ],
)
def test_where(where: Where, is_meant: bool) -> None:
    watch = FaultWatch(FaultPlan((Fault(FaultCode.O1, When(nth=1), where),)), 0)
    assert (watch.due(FaultCode.O1, ORDERS, 0) is not None) is is_meant


def test_hits_are_counted_and_told() -> None:
    told: list[tuple[Fault, int]] = []
    plan = FaultPlan((Fault(FaultCode.O1, When(nth=1)), Fault(FaultCode.T3, When(nth=9))))
    watch = FaultWatch(plan, 0, lambda fault, now_ms: told.append((fault, now_ms)))
    watch.first_due((FaultCode.O1, FaultCode.T3), ORDERS, 77)
    assert watch.hits == {FaultCode.O1: 1}
    assert told == [(plan.faults[0], 77)]
    assert watch.unhit() == plan.faults[1:]
    assert watch.plans(FaultCode.T3)
    assert not watch.plans(FaultCode.T4)


def test_one_of_two_strikes_and_the_other_waits_its_turn() -> None:
    plan = FaultPlan((Fault(FaultCode.O1, When(nth=1)), Fault(FaultCode.O2, When(nth=1))))
    watch = FaultWatch(plan, 0)
    kinds = (FaultCode.O1, FaultCode.O2)
    found = [watch.first_due(kinds, ORDERS, 0) for _ in range(3)]
    assert [each and each.what for each in found] == [FaultCode.O1, FaultCode.O2, None]


def test_leaving_an_entry_out_moves_no_other() -> None:
    chances = [Fault(FaultCode.O1, When(probability=0.2, times=50), Where(symbol="BTCUSDT")),
               Fault(FaultCode.T3, When(probability=0.3, times=50))]  # fmt: skip

    def struck(plan: FaultPlan) -> list[int]:
        watch = FaultWatch(plan, 0)
        return [n for n in range(200) if watch.due(FaultCode.T3, ORDERS, n)]

    whole = FaultPlan(tuple(chances), 5)
    assert struck(whole) == struck(whole.without(0))
    assert struck(whole) != struck(FaultPlan(whole.faults, 6))


@pytest.mark.parametrize("seed", range(20))
def test_plans_are_drawn_from_a_seed_and_survive_being_written(seed: int, tmp_path: Path) -> None:
    plan = drawn_plan(seed, list(FaultCode), duration_ms=HOUR_MS)
    assert plan == drawn_plan(seed, list(FaultCode), duration_ms=HOUR_MS)
    assert plan != drawn_plan(seed + 1, list(FaultCode), duration_ms=HOUR_MS)
    assert 1 <= len(plan.faults) <= 12
    for fault in plan.faults:
        for name, value in fault.figures.items():
            figure = figures_of(fault.what)[name]
            assert figure.low - 0.5 <= value <= figure.high + 0.5
    file = tmp_path / "plan.yaml"
    file.write_text(plan_yaml(plan), encoding="utf-8")
    assert read_plan(file) == plan


def test_nothing_to_draw_from_is_an_empty_plan() -> None:
    assert drawn_plan(1, [], duration_ms=HOUR_MS) == FaultPlan((), 1)


def test_a_failure_is_shrunk_to_what_it_needs() -> None:
    needed = {FaultCode.O1, FaultCode.U2}
    faults = tuple(Fault(code, When(nth=1)) for code in FaultCode)
    runs = 0

    def fails(plan: FaultPlan) -> bool:
        nonlocal runs
        runs += 1
        return needed <= {fault.what for fault in plan.faults}

    small = shrink(FaultPlan(faults), fails)
    assert {fault.what for fault in small.faults} == needed
    assert runs < len(faults)


def test_a_plan_is_printed_for_people() -> None:
    fault = Fault(FaultCode.T3, When(probability=0.5, times=2), ORDERS, {"delay_ms": 70})
    text = str(FaultPlan((fault,), 9))
    for part in ("seed 9", "T3", "late", "chance 0.5", "POST /fapi/v1/order BTCUSDT", "70"):
        assert part in text


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("faults: [", "not YAML"),
        ("fault: []", "'fault' is unknown"),
        ("faults: 3", "a list"),
        ("seed: x", "seed"),
        ("faults: [{what: Z9, when: {nth: 1}}]", "fault 1: what is 'Z9'"),
        ("faults: [{what: O1}]", "one of nth"),
        ("faults: [{what: O1, when: {nth: 1, after_ms: 2}}]", "one of nth"),
        ("faults: [{what: O1, when: {nth: 0}}]", "counted from 1"),
        ("faults: [{what: O1, when: {after_ms: -1}}]", "0 or more"),
        ("faults: [{what: O1, when: {probability: 2}}]", "0 to 1"),
        ("faults: [{what: O1, when: {nth: 1, times: 0}}]", "times"),
        ("faults: [{what: O1, when: {nth: 1}, figures: {speed: 1}}]", "no figure 'speed'"),
        ("faults: [{what: O1, when: {nth: 1}, figures: {delay_ms: x}}]", "expected a number"),
        ("faults: [{what: O1, when: {nth: true}}]", "whole number"),
        ("faults: [{what: O1, when: {nth: 1}, where: {place: x}}]", "'place' is unknown"),
        ("faults: [O1]", "fault 1: expected names and values"),
        ("!!python/object/apply:os.system [ls]", "."),
    ],
)
def test_a_bad_file_is_one_clear_line(text: str, told: str, tmp_path: Path) -> None:
    file = tmp_path / "plan.yaml"
    file.write_text(text, encoding="utf-8")
    with pytest.raises(UserError, match=r"plan\.yaml") as error:
        read_plan(file)
    assert told in str(error.value)
    assert "\n" not in str(error.value)
    assert parse_plan("") == FaultPlan()


def test_a_file_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="cannot be read"):
        read_plan(tmp_path / "none.yaml")
