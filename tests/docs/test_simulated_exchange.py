"""The page of the simulated exchange names every fault, every request and how a plan is written."""

from __future__ import annotations

import re

import pytest
from tests.adapters.simulator.binance.trading import START_MS, venue_with
from tests.docs.pages import page

from tercel.adapters.simulator.binance.facade import ROUTES
from tercel.adapters.simulator.binance.played import NOT_PLAYED, check_plan
from tercel.adapters.simulator.binance.ws_api import METHODS
from tercel.adapters.simulator.fault_codes import figures_of
from tercel.adapters.simulator.fault_files import parse_plan
from tercel.adapters.simulator.faults import FaultCode

TEXT = page("docs/simulated-exchange.md").text


@pytest.mark.parametrize("code", FaultCode)
def test_every_fault_is_listed_with_its_figures(code: FaultCode) -> None:
    told = ", ".join(f"`{name}` {one.default:g}" for name, one in figures_of(code).items())
    if code in NOT_PLAYED:
        told = f"not injected: {NOT_PLAYED[code]}"
    assert f"| `{code}` | {code.meaning} | {told} |" in TEXT


def test_every_request_is_listed() -> None:
    rows = [line for line in TEXT.splitlines() if line.startswith("| `/")]
    listed = {(method, row.split("`")[1]) for row in rows for method in row.split("|")[2].split()}
    assert listed == set(ROUTES)
    assert [method for method in METHODS if f"`{method}`" not in TEXT] == []


def test_what_is_said_not_to_be_there_is_not() -> None:
    """Nine paths that users of the venue look for."""
    [missing] = [part for part in TEXT.split("\n- ") if part.startswith("**Not there**")]
    named = re.findall(r"`(/[^`]+)`", missing.split("\n\n")[0])
    assert len(named) == 9
    venue = venue_with().facade
    for path in named:
        reply = venue.handle_request("GET", path, "", {}, b"", START_MS)
        assert (reply.status, b"-1131" in reply.body) == (404, True), path


def test_the_plan_that_is_shown_can_be_played() -> None:
    (block,) = page("docs/simulated-exchange.md").blocks("yaml")
    assert len(check_plan(parse_plan(block), ["BTCUSDT"]).faults) == 3


def test_whose_time_a_plan_is_in_is_said() -> None:
    assert "`after_ms`, `delay_ms` and `duration_ms` are venue's time" in TEXT
