"""`python -m tests.simulation --seeds 200`: sessions against a simulated exchange, with faults.

Exit 0 where every seed holds, 1 where one does not: its shrunk plan is printed, and the command
that runs it again.
"""

from __future__ import annotations

import argparse
import multiprocessing
import os
import sys
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path

from tests.simulation.report import coverage, failure_text
from tests.simulation.runs import Outcome, plan_of, play, shrunk

from tercel.adapters.simulator.fault_files import read_plan
from tercel.adapters.simulator.faults import FaultCode

SHRUNK_MAX = 5
"""Failures that are shrunk: each takes about as many runs as its plan has entries."""


def say(text: str) -> None:
    """A line for whoever waits."""
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()


def parse(words: Sequence[str]) -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(prog="python -m tests.simulation", description=__doc__)
    parser.add_argument("--seeds", type=int, default=50, help="how many seeds (default 50)")
    parser.add_argument("--first", type=int, default=0, help="the first of them (default 0)")
    parser.add_argument("--plan", type=Path, help="a fault plan (YAML) instead of the seed's own")
    cores = os.cpu_count() or 1
    parser.add_argument("--jobs", type=int, default=cores, help=f"processes (default {cores})")
    return parser.parse_args(words)


def outcomes(seeds: range, jobs: int) -> Iterator[Outcome]:
    """The outcome of every seed, as they come."""
    if jobs <= 1:
        yield from map(play, seeds)
        return
    with multiprocessing.get_context("spawn").Pool(jobs) as pool:
        yield from pool.imap_unordered(play, seeds)


def main(words: Sequence[str]) -> int:
    """Run what was asked for."""
    chosen = parse(words)
    began = time.perf_counter()
    if chosen.plan is not None:
        plan = read_plan(chosen.plan)
        outcome = play(chosen.first, plan)
        say(failure_text(outcome, plan) if outcome.failure else "holds")
        say("\n".join(outcome.trail))
        return 1 if outcome.failure else 0
    seeds = range(chosen.first, chosen.first + chosen.seeds)
    hits: Counter[tuple[FaultCode, str]] = Counter()
    failed: list[Outcome] = []
    hours = fills = crashes = kills = 0.0
    for done, outcome in enumerate(outcomes(seeds, chosen.jobs), 1):
        hits.update(outcome.hits)
        hours += outcome.hours
        fills += outcome.trades
        crashes += outcome.crashes
        kills += outcome.kills
        if outcome.failure:
            failed.append(outcome)
            say(f"seed {outcome.seed}: {outcome.failure.strip().splitlines()[-1]}")
        if done % 25 == 0:
            say(f"{done} seeds, {hours:,.0f} h, {len(failed)} failed")
    for outcome in failed[:SHRUNK_MAX]:
        plan = shrunk(outcome.seed, plan_of(outcome.seed))
        say(failure_text(play(outcome.seed, plan), plan))
    seconds = time.perf_counter() - began
    say(coverage(hits))
    say(
        f"{len(seeds)} seeds, {len(failed)} failed; {hours:,.0f} simulated hours "
        f"({hours / seconds * 60:,.0f} a minute), {sum(hits.values()):,} faults, "
        f"{fills:,.0f} fills, {crashes:,.0f} crashes, {kills:,.0f} kill switches"
    )
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
