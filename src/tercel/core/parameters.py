"""What a strategy lets its user turn: named numbers with a default, a range, a unit and one line of
meaning.

Kernels see them as one record (`params.ema_len`), so that a changed value never recompiles
anything. Choices travel as their index: `pressure = auto | book | taker | bar` is 0 | 1 | 2 | 3.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from tercel.core.jit import new, rec

Scalar = int | float | str | bool


@dataclass(frozen=True, slots=True)
class Param:
    """One tunable of a strategy, `low` to `high`; whole numbers when the default is an int."""

    name: str
    default: int | float | str
    low: float = 0.0
    high: float = 0.0
    unit: str = ""
    meaning: str = ""
    choices: tuple[str, ...] = ()

    @property
    def is_whole(self) -> bool:
        """Whether only whole numbers make sense."""
        return isinstance(self.default, int)

    @property
    def span(self) -> str:
        """The allowed values in words."""
        if self.choices:
            return " | ".join(self.choices)
        return f"{self.low:g} to {self.high:g}"

    def parse(self, value: object) -> int | float | str:
        """`value` as this parameter's own type. Raises ValueError that says what was expected."""
        expected = f"{self.name}: expected {self.span} {self.unit}".rstrip() + f", got {value!r}"
        if self.choices:
            if isinstance(value, str) and value in self.choices:
                return value
            raise ValueError(expected)
        if isinstance(value, bool) or not isinstance(value, int | float):
            raise ValueError(expected)  # noqa: TRY004 (one kind of error for one kind of mistake)
        if not self.low <= value <= self.high:
            raise ValueError(expected)
        if self.is_whole and float(value) != int(value):
            raise ValueError(f"{expected}: it must be a whole number")
        return int(value) if self.is_whole else float(value)


@dataclass(frozen=True, slots=True)
class Parameters:
    """Every tunable of one strategy, in order."""

    items: tuple[Param, ...]
    dtype: np.dtype[np.record] = field(init=False)

    def __post_init__(self) -> None:
        fields = [("bar_ms", "i8")]
        fields += [(p.name, "i8" if p.is_whole or p.choices else "f8") for p in self.items]
        object.__setattr__(self, "dtype", rec(*fields))

    def __getitem__(self, name: str) -> Param:
        for item in self.items:
            if item.name == name:
                return item
        raise KeyError(name)

    @property
    def names(self) -> tuple[str, ...]:
        """Their names, in order."""
        return tuple(p.name for p in self.items)

    def values(self, overrides: Mapping[str, object] | None = None) -> dict[str, int | float | str]:
        """Defaults with `overrides`, parsed. Raises KeyError for an unknown name, ValueError for a
        bad value.
        """
        overrides = overrides or {}
        for name in overrides:
            if name not in self.names:
                raise KeyError(name)
        return {p.name: p.parse(overrides.get(p.name, p.default)) for p in self.items}

    def record(self, values: Mapping[str, int | float | str], bar_ms: int) -> Any:
        """The record that kernels read. `bar_ms` is the length of the bars the strategy is fed."""
        made = new(self.dtype)
        made.bar_ms = bar_ms
        for p in self.items:
            value = values[p.name]
            made[p.name] = p.choices.index(str(value)) if p.choices else value
        return made


def parameters(*items: Param) -> Parameters:
    """The PARAMS of a strategy file."""
    return Parameters(items)
