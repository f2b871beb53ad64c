"""What a run of many seeds tells: failures with their shrunk plans, and what was covered."""

from __future__ import annotations

from collections import Counter
from textwrap import wrap

from tests.simulation.runs import Outcome
from tests.simulation.trouble import PLAYED, STATES

from tercel.adapters.simulator.fault_files import plan_yaml
from tercel.adapters.simulator.faults import FaultCode, FaultPlan

WIDTH = 100
"""Columns of the report."""
IMPOSSIBLE: dict[FaultCode, tuple[str, ...]] = {
    **dict.fromkeys(
        (FaultCode.O5, FaultCode.O12, FaultCode.O13, FaultCode.O15, FaultCode.C11),
        ("flat", "open", "exiting"),
    ),
    **dict.fromkeys((FaultCode.A1, FaultCode.A11, FaultCode.O16), ("flat", "entering")),
    **dict.fromkeys((FaultCode.A8, FaultCode.O10), ("flat",)),
    **dict.fromkeys(
        (FaultCode.O1, FaultCode.O2, FaultCode.O3, FaultCode.O4, FaultCode.O6), ("flat",)
    ),
    **dict.fromkeys((FaultCode.O8, FaultCode.O14, FaultCode.O18, FaultCode.L4), ("flat",)),
}
"""States in which a fault has no occasion: an entry is refused while one is asked for."""


def failure_text(outcome: Outcome, plan: FaultPlan) -> str:
    """A failure, its plan, and how to see it again."""
    told = "\n".join(f"  {line}" for line in outcome.trail)
    return (
        f"\nseed {outcome.seed} breaks: {outcome.failure}\nwhat struck:\n{told}\n"
        f"the shrunk plan, as a file:\n{plan_yaml(plan)}"
        f"again: python -m tests.simulation --first {outcome.seed} --plan FILE"
    )


def coverage(hits: Counter[tuple[FaultCode, str]]) -> str:
    """How often each fault struck in each state; what never happened is named."""
    head = f"{'fault':6}" + "".join(f"{state:>12}" for state in STATES)
    lines = [head]
    missing: dict[str, list[str]] = {}
    for code in sorted(PLAYED, key=lambda each: (each[0], int(each[1:]))):
        cells = []
        for state in STATES:
            count = hits[code, state]
            cannot = state in IMPOSSIBLE.get(code, ())
            cells.append(f"{count or ('-' if cannot else 0):>12}")
            if not count and not cannot:
                missing.setdefault(state, []).append(str(code))
        lines.append(f"{code!s:6}" + "".join(cells))
    count = sum(map(len, missing.values()))
    lines.append(f"cells without a hit: {count or 'none'}")
    for state in STATES:
        if state not in missing:
            continue
        told = f"{state + ':':12}{' '.join(missing[state])}"
        lines += wrap(told, WIDTH, initial_indent="  ", subsequent_indent=" " * 14)
    return "\n".join(lines)
