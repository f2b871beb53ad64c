"""No indicator looks ahead: what comes after a bar cannot change what was said at that bar.

Modules are found, not listed: one without a case in `tests/naive/cases.py` fails here, and so does
one whose public kernels no case calls.
"""

from __future__ import annotations

import importlib
import inspect
import pkgutil
from types import ModuleType
from typing import Any

import numba
import numpy as np
import numpy.typing as npt
import pytest
from tests.market_data import invented_bars
from tests.naive.cases import CASES, Case, digest, run_batch

import tercel.core.indicators
from tercel.core import timeframe
from tercel.core.indicators.ema import EMA, ema_step

BARS = 300
BUMPED = ("open", "high", "low", "close", "volume", "quote_volume", "taker_buy_volume")


def modules() -> list[ModuleType]:
    """Every indicator module, and the resampler."""
    found = pkgutil.iter_modules(tercel.core.indicators.__path__)
    package = tercel.core.indicators.__name__
    return [*(importlib.import_module(f"{package}.{m.name}") for m in found), timeframe]


def kernels(module: ModuleType) -> set[str]:
    """Names of the public kernels that a module defines: what takes a state, or is compiled."""
    return {
        name
        for name, value in vars(module).items()
        if not name.startswith("_")
        and getattr(value, "__module__", None) == module.__name__
        and (isinstance(value, numba.core.dispatcher.Dispatcher) or name.endswith("_step"))
    }


def short_name(module: ModuleType) -> str:
    return module.__name__.rpartition(".")[2]


@pytest.mark.parametrize("module", modules(), ids=short_name)
def test_every_module_keeps_the_convention(module: ModuleType) -> None:
    name = short_name(module)
    called: set[str] = set()
    for case in CASES:
        if case.module == name:
            called.update(
                inspect.unwrap(getattr(case.step, "py_func", case.step)).__code__.co_names
            )
    missing = kernels(module) - called
    assert called, f"add a case for {name} to tests/naive/cases.py"
    assert not missing, f"no case of {name} calls {sorted(missing)}"
    assert module.__doc__
    assert name == "window" or hasattr(module, "warmup") or hasattr(module, "WARMUP")


def field_names(dtype: np.dtype[Any]) -> set[str]:
    """All field names of a record, at any depth."""
    names = set(dtype.names or ())
    for field, *_ in (dtype.fields or {}).values():
        names |= field_names(field)
    return names


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_no_field_is_hidden_by_an_attribute(case: Case) -> None:
    """Without the JIT `state.size` is numpy's own attribute, whatever the record holds."""
    assert not field_names(case.dtype) & set(dir(np.record))


def outputs_before(run: Any, bars: npt.NDArray[Any], end: int) -> tuple[str, str, str]:
    """Digests of the outputs before bar `end`: as it was, with bar `end` bumped, cut before it."""
    bumped = bars.copy()
    for field in BUMPED:
        bumped[field][end] *= 1.5
    return tuple(digest(run(b)[:end]) for b in (bars, bumped, bars[:end]))  # type: ignore[return-value]


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_no_look_ahead(case: Case) -> None:
    bars = invented_bars(BARS)
    for end in (BARS - 1, BARS - 2, BARS // 2):
        upto = bars[: end + 1]
        whole, bumped, cut = outputs_before(lambda b: run_batch(case, b), upto, end)
        assert whole == bumped == cut


def test_the_sweep_catches_a_peek() -> None:
    def peeking(bars: npt.NDArray[Any]) -> npt.NDArray[np.float64]:
        state = np.zeros(1, EMA)[0]
        ahead = np.append(bars["close"][1:], bars["close"][-1])
        return np.array([ema_step(state, x, 9) for x in ahead])

    whole, bumped, cut = outputs_before(peeking, invented_bars(BARS), BARS - 1)
    assert whole != bumped
    assert whole != cut
