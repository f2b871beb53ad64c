"""Nothing is compiled while a session trades: not when it first sees a bar, a fill or a breaker."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from tests.desk import JIT

ROOT = Path(__file__).resolve().parents[3]
PROGRAM = """
import gc
from numba.core.dispatcher import Dispatcher
from tests.simulation.runs import play
from tests.simulation.scene import drawn_scene, session_plan
from tests.simulation.world import World
from tercel.app.live.readiness import prepare_kernels

def compiled():
    return {
        f"{each.py_func.__module__}.{each.py_func.__name__}": len(each.signatures)
        for each in gc.get_objects() if isinstance(each, Dispatcher)
    }

for scene in map(drawn_scene, (1, 7)):
    prepare_kernels(session_plan(scene))
before = compiled()
outcomes = [play(seed, hours=1.0) for seed in (1, 7)]
assert not any(outcome.failure for outcome in outcomes), outcomes
assert sum(outcome.trades for outcome in outcomes) > 20
after = compiled()
print(sorted(name for name in after if after[name] != before.get(name, 0)))
"""


@pytest.mark.slow
@pytest.mark.skipif(not JIT, reason="the JIT is off: nothing is compiled")
def test_nothing_is_compiled_while_a_session_trades() -> None:
    """In a process of its own: in this one other tests have compiled everything already."""
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM],
        cwd=ROOT,
        check=False,
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines()[-1] == "[]"
