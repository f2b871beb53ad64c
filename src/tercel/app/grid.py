"""A grid: the values of some parameters of a strategy, and every combination of them.

It is named (`source1`, from config/grids.yaml) or written out:

    ema_len=15,20,25; range_pct=0.25:0.35:0.05; pressure=auto,taker

A list has the values, `from:to:step` has both ends in it (0.25, 0.30, 0.35). Combinations are in
the order of counting: the last parameter changes fastest. Every mistake is a UserError of one line.
"""

from __future__ import annotations

import difflib
import itertools
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal, InvalidOperation

from tercel.app.strategies import Strategy
from tercel.core.parameters import Param
from tercel.domain.errors import UserError
from tercel.domain.research_settings import Grids

Value = int | float | str


@dataclass(frozen=True, slots=True)
class Axis:
    """One parameter and the values to try, in the order given."""

    name: str
    values: tuple[Value, ...]


@dataclass(frozen=True, slots=True)
class Grid:
    """The parameters that vary. Its size is the product of their numbers of values."""

    name: str
    """As in the settings; the text itself where it was written out."""
    axes: tuple[Axis, ...]

    @property
    def size(self) -> int:
        """How many combinations there are."""
        return math.prod(len(axis.values) for axis in self.axes)

    @property
    def names(self) -> tuple[str, ...]:
        """The parameters that vary."""
        return tuple(axis.name for axis in self.axes)

    def choices(self) -> tuple[dict[str, Value], ...]:
        """Each combination as parameter -> value, the last parameter changing fastest."""
        every = itertools.product(*(axis.values for axis in self.axes))
        return tuple(dict(zip(self.names, values, strict=True)) for values in every)


@dataclass(frozen=True, slots=True)
class GridLimits:
    """What a grid has to fit into."""

    bar_ms: int
    """Length of the bars it will be traded on."""
    combinations_max: int


def read_grid(text: str, strategy: Strategy, grids: Grids) -> Grid:
    """The grid that `text` names or writes out, for `strategy`. Raises UserError."""
    name = text.strip()
    axes = _written(name) if "=" in name else _named(name, strategy, grids)
    return Grid(name, tuple(_axis(strategy, key, values) for key, values in axes.items()))


def combinations(
    grid: Grid, strategy: Strategy, base: Mapping[str, object], limits: GridLimits
) -> tuple[dict[str, Value], ...]:
    """All parameter values of each combination, in order; `base` are those that do not vary.

    Raises UserError when there are too many, or when the strategy's own `check` refuses one.
    """
    if grid.size > limits.combinations_max:
        raise UserError(
            f"grid {grid.name}: {grid.size:,} combinations, at most {limits.combinations_max:,} "
            "are accepted: leave values out, or raise walk.combinations_max"
        )
    made = []
    for choice in grid.choices():
        try:
            made.append(strategy.values({**base, **choice}, limits.bar_ms))
        except UserError as error:
            said = ", ".join(f"{name}={value}" for name, value in choice.items())
            raise UserError(f"grid {grid.name}: {said} is refused: {error}") from None
    return tuple(made)


def refuse_fixed(grid: Grid, overrides: Mapping[str, object]) -> None:
    """Raise UserError when a parameter of the grid was given by `--set` too."""
    for name in grid.names:
        if name in overrides:
            raise UserError(f"{name} is in the grid and in --set: keep one of them")


def _named(name: str, strategy: Strategy, grids: Grids) -> Mapping[str, Sequence[object]]:
    if name not in grids:
        near = difflib.get_close_matches(name, grids, 1)
        hint = f"did you mean {near[0]}? " if near else ""
        known = ", ".join(sorted(grids)) or "none"
        raise UserError(
            f"no grid {name!r}; {hint}there are {known}, or write one out: "
            '--grid "ema_len=15,20; volume_mult=1.1:1.3:0.1"'
        )
    found = grids[name].get(strategy.name)
    if not found:
        for_it = ", ".join(each for each in sorted(grids) if strategy.name in grids[each])
        raise UserError(
            f"grid {name} has nothing for {strategy.name}; "
            + (f"for it there are {for_it}" if for_it else "write one out with --grid")
        )
    return found


def _written(text: str) -> dict[str, Sequence[object]]:
    """`a=1,2; b=0:1:0.5` as parameter -> values."""
    axes: dict[str, Sequence[object]] = {}
    for part in text.split(";"):
        if not part.strip():
            continue
        name, equals, values = (piece.strip() for piece in part.partition("="))
        if not (name and equals and values):
            raise UserError(
                f"--grid: cannot read {part.strip()!r}; write parameter=value,value or "
                "parameter=from:to:step, with ; between parameters"
            )
        if name in axes:
            raise UserError(f"--grid: {name} is there twice")
        axes[name] = _span(name, values) if ":" in values else _list(name, values)
    if not axes:
        raise UserError("--grid: there is no parameter in it; write ema_len=15,20,25")
    return axes


def _list(name: str, text: str) -> list[object]:
    words = [word.strip() for word in text.split(",")]
    if "" in words:
        raise UserError(f"--grid: {name}: a value is missing in {text!r}")
    return [_scalar(word) for word in words]


def _span(name: str, text: str) -> list[object]:
    """The values of `from:to:step`, counted in decimals so that 0.25:0.35:0.05 has three."""
    pieces = [piece.strip() for piece in text.split(":")]
    try:
        first, last, step = (Decimal(piece) for piece in pieces)
    except (InvalidOperation, ValueError):
        raise UserError(
            f"--grid: {name}: cannot read {text!r} as from:to:step, such as 0.25:0.35:0.05"
        ) from None
    if not (first.is_finite() and last.is_finite() and step.is_finite()) or step <= 0:
        raise UserError(f"--grid: {name}: the step of {text!r} must be a number above zero")
    if last < first:
        raise UserError(f"--grid: {name}: {text!r} is empty: it ends before it begins")
    count = int((last - first) / step) + 1
    return [_scalar(str(first + step * number)) for number in range(min(count, SPAN_MAX + 1))]


SPAN_MAX = 100_000
"""Values counted out of one `from:to:step`; more of them are too many for any grid."""


def _scalar(word: str) -> object:
    """A whole number, a number, or the text itself."""
    for kind in (int, float):
        try:
            return kind(word)
        except ValueError:
            continue
    return word


def _axis(strategy: Strategy, name: str, values: Sequence[object]) -> Axis:
    """The values as the parameter's own type. Raises UserError."""
    if name not in strategy.parameters.names:
        strategy.values({name: None}, 1)  # raises, with the nearest name
    param = strategy.parameters[name]
    parsed = [_parsed(strategy, param, value) for value in values]
    if len(set(parsed)) < len(parsed):
        raise UserError(f"--grid: {name}: a value is there twice")
    return Axis(name, tuple(parsed))


def _parsed(strategy: Strategy, param: Param, value: object) -> Value:
    try:
        return param.parse(value)
    except ValueError as error:
        raise UserError(f"{strategy.name}: parameter {error}") from None
