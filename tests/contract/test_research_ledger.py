"""What every research ledger does: the file, and the one in memory that tests use."""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path

import pytest
from tests.ledgers import MemoryLedger, same, trial

from tercel.adapters.ledger import LedgerFile
from tercel.app.ports import ResearchLedger
from tercel.domain.bars import SeriesKey

Open = Callable[[], ResearchLedger]


@pytest.fixture(params=["file", "memory"])
def open_ledger(request: pytest.FixtureRequest, tmp_path: Path) -> Open:
    """Opens the same ledger each time it is called."""
    if request.param == "file":
        return lambda: LedgerFile(tmp_path / "runs" / "ledger.jsonl")
    kept = MemoryLedger()
    return lambda: kept


def test_a_new_ledger_is_empty(open_ledger: Open) -> None:
    ledger = open_ledger()
    assert ledger.read("three_r", "BTCUSDT") == ()
    assert ledger.notices() == ()


def test_what_was_appended_is_read_in_order_by_whoever_opens_it(open_ledger: Open) -> None:
    given = [trial(3), trial(1, sharpe=math.nan, net_fraction=-1.0, kind="walk"), trial(2)]
    open_ledger().append(given[:2])
    open_ledger().append(given[2:])
    assert same(open_ledger().read("three_r", "BTCUSDT"), given)


def test_repeated_trials_are_kept_repeatedly(open_ledger: Open) -> None:
    ledger = open_ledger()
    ledger.append([trial(1)])
    ledger.append([trial(1), trial(1)])
    assert same(ledger.read("three_r", "BTCUSDT"), [trial(1)] * 3)


def test_only_the_strategy_and_symbol_asked_for_are_read(open_ledger: Open) -> None:
    ledger = open_ledger()
    other = SeriesKey("bybit-linear", "BTCUSDT", "5m")
    ledger.append(
        [
            trial(1),
            trial(2, strategy="three_r2"),
            trial(3, series=SeriesKey("binance-usdm", "ETHUSDT")),
            trial(4, series=other),
            trial(5, strategy="swing", cost_profile="three_r"),
        ]
    )
    assert same(ledger.read("three_r", "BTCUSDT"), [trial(1), trial(4, series=other)])
    assert ledger.read("three_r", "BTC") == ()


def test_names_and_values_of_every_kind_come_back(open_ledger: Open) -> None:
    told = trial(
        strategy='my "idea" \\ é\u2028', parameters={"a": 1, "b": 1.0, "c": 0.1 + 0.2, "d": "x y"}
    )
    open_ledger().append([told])
    [read] = open_ledger().read(told.strategy, "BTCUSDT")
    assert read.parameters == told.parameters
    assert [type(value) for value in read.parameters.values()] == [int, float, float, str]
    assert read.identity == told.identity


def test_nothing_appended_is_nothing(open_ledger: Open) -> None:
    ledger = open_ledger()
    ledger.append([])
    assert ledger.read("three_r", "BTCUSDT") == ()
