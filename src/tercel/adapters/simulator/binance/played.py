"""Which faults this venue plays, and why it does not play the others.

A plan with one that is never played would look as if the client had survived it.
"""

from __future__ import annotations

from collections.abc import Mapping

from tercel.adapters.simulator.faults import FaultCode, FaultPlan
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

PLAYED = tuple(code for code in FaultCode if code not in NOT_PLAYED)


def check_plan(plan: FaultPlan) -> FaultPlan:
    """`plan`, if the venue plays all of it. Raises UserError."""
    for fault in plan.faults:
        if fault.what in NOT_PLAYED:
            raise UserError(
                f"fault {fault.what} ({fault.what.meaning}) is not injected: "
                f"{NOT_PLAYED[fault.what]}"
            )
    return plan
