"""No indicator looks ahead: what comes after a bar cannot change what was said at that bar.

Modules are found, not listed: one without a case in `tests/naive/cases.py` fails here, and so does
one whose public kernels no case calls.
"""

from __future__ import annotations

import importlib
import inspect
import pkgutil
from collections.abc import Callable
from types import ModuleType
from typing import Any

import numba
import numpy as np
import numpy.typing as npt
import pytest
from tests.market_data import JIT, Bars, invented_bars, real_bars
from tests.naive.cases import CASES, Case, run_batch

import tercel.core.indicators
from tercel.app.lookahead import BEND
from tercel.core import timeframe
from tercel.core.indicators.ema import EMA, ema_step
from tercel.core.records import BAR

BARS = 300 if JIT else 60
Outputs = npt.NDArray[np.float64]


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


def first_leak(run: Callable[[Bars], Outputs], bars: Bars) -> int | None:
    """The first position whose future changes its past: cut off there, or the bar there bent."""
    whole = bits(run(bars))
    for cut in range(1, len(bars)):
        bent = bars[: cut + 1].copy()
        for field, factor in BEND.items():
            bent[field][-1] *= factor
        for history in (bars[:cut], bent):
            if not np.array_equal(bits(run(history))[:cut], whole[:cut]):
                return cut
    return None


def bits(out: Outputs) -> npt.NDArray[np.int64]:
    """Outputs as whole numbers; NaN is one of them (its sign and payload mean nothing)."""
    return np.where(np.isnan(out), np.nan, out).view(np.int64)


@pytest.mark.slow
@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_no_look_ahead(case: Case) -> None:
    """At every position of invented bars, in which every field is known."""
    assert first_leak(lambda bars: run_batch(case, bars), invented_bars(BARS)) is None


@pytest.mark.slow
@pytest.mark.real_data
@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_no_look_ahead_on_real_bars(case: Case) -> None:
    assert first_leak(lambda bars: run_batch(case, bars), real_bars(BARS)) is None


def test_the_sweep_catches_a_peek() -> None:
    """The average of 9 is known from bar 8 on: the cut after it shows that it knew bar 9."""

    def peeking(bars: Bars) -> Outputs:
        state = np.zeros(1, EMA)[0]
        ahead = np.append(bars["close"][1:], bars["close"][-1])
        return np.array([ema_step(state, x, 9) for x in ahead])

    assert first_leak(peeking, invented_bars(60)) == 9


def test_a_bent_bar_differs_in_every_field_and_ratio() -> None:
    """Bent alike, the takers' share of the volume would stay as it is, and a peek at it unseen."""
    assert {"open_time", *BEND} == set(BAR.names or ())
    assert 1.0 not in BEND.values()
    assert BEND["taker_buy_volume"] != BEND["volume"]
    assert BEND["taker_buy_quote_volume"] != BEND["quote_volume"]
    assert BEND["close"] not in (BEND["open"], BEND["quote_volume"] / BEND["volume"])
    assert BEND["bid_size"] != BEND["ask_size"]
