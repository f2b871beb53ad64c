"""End to end: real processes on loopback. Without compiled kernels they are too slow to judge."""

from __future__ import annotations

import numba
import pytest


@pytest.fixture(autouse=True)
def compiled() -> None:
    """Skip where kernels are not compiled."""
    if numba.config.DISABLE_JIT:  # type: ignore[attr-defined]
        pytest.skip("end-to-end runs need compiled kernels: NUMBA_DISABLE_JIT is set")
