"""Which faults this venue plays, and why it does not play the others.

A plan with one that is never played, or that strikes where nothing ever happens, would look as if
the client had survived it.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from difflib import get_close_matches
from pathlib import Path

from tercel.adapters.simulator.binance.facade import ROUTES
from tercel.adapters.simulator.fault_files import read_plan
from tercel.adapters.simulator.faults import FaultCode, FaultPlan, Where
from tercel.domain.errors import UserError

NOT_PLAYED: Mapping[FaultCode, str] = {
    FaultCode.A4: "it follows from a conditional order that is too large for the margin",
    FaultCode.A5: "it follows from an order with GTE_GTC whose position is closed",
    FaultCode.A7: "plan T10 and M9 together",
    FaultCode.A9: "it follows from two reduce-only stops at one price",
    FaultCode.A10: "it follows from a stop that is not reduce-only",
    FaultCode.A13: "cancel the engine order of a triggered limit (STOP)",
    FaultCode.M14: "it is always so",
    FaultCode.P1: "kill the client",
    FaultCode.P2: "start the client again",
    FaultCode.P3: "start a second client",
}
"""Code -> what to do instead."""

ENDPOINTS = tuple(route.endpoint for route in ROUTES.values())
REQUEST = re.compile(r"(?!CONNECT )[A-Z]+ /")
"""How an endpoint begins; handshakes of streams (`CONNECT /private/ws`) have paths of their own."""

PLAYED = tuple(code for code in FaultCode if code not in NOT_PLAYED)


def read_played(path: Path, symbols: Sequence[str]) -> FaultPlan:
    """The plan in a file, if a venue of these symbols plays all of it. Raises UserError."""
    plan = read_plan(path)
    if not plan.faults:
        raise UserError(
            f"{path}: a plan without faults; they are a list, such as "
            "`faults: [{what: O1, when: {nth: 2}}]`: see docs/simulated-exchange.md"
        )
    try:
        return check_plan(plan, symbols)
    except UserError as error:
        raise UserError(f"{path}: {error}") from None


def check_plan(plan: FaultPlan, symbols: Sequence[str]) -> FaultPlan:
    """`plan`, if a venue of these symbols plays all of it. Raises UserError."""
    for number, fault in enumerate(plan.faults, 1):
        if fault.what in NOT_PLAYED:
            raise UserError(
                f"fault {number}: {fault.what} ({fault.what.meaning}) is not injected: "
                f"{NOT_PLAYED[fault.what]}"
            )
        if trouble := _nowhere(fault.where, symbols):
            raise UserError(f"fault {number}: where: {trouble}")
    return plan


def _nowhere(where: Where, symbols: Sequence[str]) -> str:
    """Why no request and no market is ever there; empty: there may be."""
    endpoint, symbol = where.endpoint, where.symbol
    if REQUEST.match(endpoint) and not any(each.startswith(endpoint) for each in ENDPOINTS):
        near = get_close_matches(endpoint, ENDPOINTS, 2)
        hint = f"did you mean {' or '.join(near)}?" if near else "see docs/simulated-exchange.md"
        return f"this venue has no endpoint {endpoint!r}; {hint}"
    if symbol and symbol not in symbols:
        near = get_close_matches(symbol.upper(), symbols, 1)
        hint = f"did you mean {near[0]}?" if near else f"--symbols are {', '.join(symbols)}"
        return f"this venue has no symbol {symbol!r}; {hint}"
    return ""
