"""Indicators give the same bits in batch and in stream, compiled and in plain Python."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from tests.market_data import JIT, invented_bars, joined, rough_bars
from tests.naive.cases import CASES, Case, digest, digests, run_batch, run_stream

import tercel

CHECKOUT = Path(__file__).resolve().parents[2]
BARS = 400 if JIT else 300


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_batch_equals_stream_and_warm_up_is_as_declared(case: Case) -> None:
    clean = invented_bars(BARS)
    bars = joined(clean, rough_bars(BARS))
    in_batch = run_batch(case, bars)
    in_stream = run_stream(case, bars)
    assert digest(in_batch) == digest(in_stream)
    first = np.flatnonzero(np.isfinite(in_batch[:, 0]))[0]
    if case.module == "pivots":  # a pivot comes when it comes, but not before
        assert first >= case.warmup
    else:
        assert first == case.warmup


def test_rough_bars_are_survived() -> None:
    """After unknown and infinite fields, gaps and stillness, each indicator gives numbers again."""
    clean = invented_bars(BARS)
    for case in CASES:
        out = run_stream(case, joined(rough_bars(BARS), clean))
        reached = out[-BARS // 2 :]
        assert np.isfinite(reached).any(axis=0).all(), case.name


@pytest.mark.skipif(not JIT, reason="the JIT is off: there is nothing to compare")
def test_compiled_equals_plain_python(tmp_path: Path) -> None:
    bars = joined(rough_bars(BARS), invented_bars(BARS // 2))
    file = tmp_path / "bars.npy"
    np.save(file, bars.view(bars.dtype.descr))
    source = Path(tercel.__file__).resolve().parents[1]
    environment = {
        **os.environ,
        "NUMBA_DISABLE_JIT": "1",
        "PYTHONPATH": os.pathsep.join([str(source), str(CHECKOUT)]),
    }
    plain = subprocess.run(
        [sys.executable, "-W", "error", "-m", "tests.naive.cases", str(file)],
        cwd=CHECKOUT,
        env=environment,
        check=True,
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert json.loads(plain.stdout) == digests(bars)
