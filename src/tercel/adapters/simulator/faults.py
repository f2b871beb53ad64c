"""Faults as data: a plan says what goes wrong, where and when; a watch tells when it is time.

Nothing here knows a protocol. Whoever simulates asks the watch at every occasion (a request, a
frame, a tick) whether a fault of a certain kind is due, and plays it; the watch counts. A plan
can be drawn from a seed, written and read as YAML, and shrunk: entries do not disturb each other,
so leaving one out changes nothing about when the others strike.
"""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np

from tercel.adapters.simulator.fault_codes import MARKED, FaultCode, figures_of
from tercel.domain.errors import UserError

__all__ = [
    "Fault",
    "FaultCode",
    "FaultPlan",
    "FaultWatch",
    "Strike",
    "When",
    "Where",
    "drawn_plan",
    "shrink",
]

HITS_MAX = 1_000_000
"""The most times one fault may strike."""


@dataclass(frozen=True, slots=True)
class When:
    """One of three triggers: the nth occasion, a time after the start, or a chance per occasion."""

    nth: int | None = None
    """Strikes at this occasion, counted from 1."""
    after_ms: int | None = None
    """Strikes at the first occasion at least this long after the start."""
    probability: float | None = None
    """Chance at each occasion, 0..1."""
    times: int = 1
    """How often at most: nth and after_ms go on with the occasions that follow."""

    def __post_init__(self) -> None:
        """Raise UserError for what cannot be meant."""
        given = [each for each in (self.nth, self.after_ms, self.probability) if each is not None]
        if len(given) != 1:
            raise UserError("a fault's `when` has one of nth, after_ms and probability")
        if self.nth is not None and self.nth < 1:
            raise UserError(f"a fault's nth is {self.nth}; occasions are counted from 1")
        if self.after_ms is not None and self.after_ms < 0:
            raise UserError(f"a fault's after_ms is {self.after_ms}; use 0 or more")
        if self.probability is not None and not 0.0 <= self.probability <= 1.0:
            raise UserError(f"a fault's probability is {self.probability}; use 0 to 1")
        if not 1 <= self.times <= HITS_MAX:
            raise UserError(f"a fault's times is {self.times}; use 1 to {HITS_MAX}")


@dataclass(frozen=True, slots=True)
class Where:
    """Where a fault may strike; what is empty matches everything."""

    endpoint: str = ""
    """A request as method and path, or the beginning of it: `POST /fapi/v1/order`."""
    stream: str = ""
    """A class of streams (`public`, `market`, `private`) or part of a stream's name (`@kline_`)."""
    symbol: str = ""

    def matches(self, here: Where) -> bool:
        """Whether `here`, an occasion, is meant."""
        return (
            here.endpoint.startswith(self.endpoint)
            and self.stream in here.stream
            and self.symbol in ("", here.symbol)
        )


EVERYWHERE = Where()


@dataclass(frozen=True, slots=True)
class Fault:
    """One entry of a plan."""

    what: FaultCode
    when: When
    where: Where = EVERYWHERE
    figures: Mapping[str, float] = field(default_factory=dict)
    """Numbers that say how bad; those left out have the code's defaults."""

    def __post_init__(self) -> None:
        """Raise UserError for a figure the code does not have."""
        for name in self.figures:
            if name not in figures_of(self.what):
                known = ", ".join(figures_of(self.what)) or "none"
                raise UserError(f"fault {self.what} has no figure {name!r}; it has {known}")

    def figure(self, name: str) -> float:
        """A figure of this fault, or its code's default."""
        return float(self.figures.get(name, figures_of(self.what)[name].default))

    def ms(self, name: str) -> int:
        """A figure that is a length of time, in whole milliseconds."""
        return round(self.figure(name))

    def __str__(self) -> str:
        trigger = (
            f"at occasion {self.when.nth}"
            if self.when.nth is not None
            else f"after {self.when.after_ms} ms"
            if self.when.after_ms is not None
            else f"with chance {self.when.probability:g}"
        )
        if self.when.times > 1:
            trigger += f", {self.when.times} times at most"
        place = " ".join(
            part for part in (self.where.endpoint, self.where.stream, self.where.symbol) if part
        )
        numbers = ", ".join(f"{name} {value:g}" for name, value in sorted(self.figures.items()))
        parts = [f"{self.what} {self.what.meaning}", trigger, place and f"at {place}", numbers]
        return "; ".join(part for part in parts if part)


@dataclass(frozen=True, slots=True)
class FaultPlan:
    """What goes wrong in a run; the seed decides the draws of chances."""

    faults: tuple[Fault, ...] = ()
    seed: int = 0

    def without(self, position: int) -> FaultPlan:
        """The plan with one entry left out."""
        return replace(self, faults=self.faults[:position] + self.faults[position + 1 :])

    def __str__(self) -> str:
        lines = [f"fault plan of seed {self.seed}: {len(self.faults)} faults"]
        return "\n".join([*lines, *(f"  {fault}" for fault in self.faults)])


@dataclass(frozen=True, slots=True)
class Strike:
    """A fault has struck."""

    time_ms: int
    what: FaultCode
    where: Where
    """The occasion."""

    def __str__(self) -> str:
        """In one line: code, meaning, where."""
        here = self.where
        places = (here.endpoint, here.stream and f"stream {here.stream}", here.symbol)
        place = " ".join(part for part in places if part)
        return f"fault {self.what} {self.what.meaning}" + (f": {place}" if place else "")


class FaultWatch:
    """A plan while it is being played: which fault is due, and how often each struck."""

    def __init__(
        self,
        plan: FaultPlan,
        start_ms: int,
        on_hit: Callable[[Fault, int], None] | None = None,
    ) -> None:
        self.plan = plan
        self.hits: Counter[FaultCode] = Counter()
        self.on_strike: Callable[[Strike], None] | None = None
        """Told of each strike as it happens: for whoever shows the venue to people."""
        self._start_ms = start_ms
        self._on_hit = on_hit
        self._occasions = [0] * len(plan.faults)
        self._struck = [0] * len(plan.faults)
        self._keys = [_draw_key(plan.seed, fault) for fault in plan.faults]
        self._by_code: dict[FaultCode, list[int]] = {}
        for position, fault in enumerate(plan.faults):
            self._by_code.setdefault(fault.what, []).append(position)

    def due(self, code: FaultCode, here: Where, now_ms: int) -> Fault | None:
        """The fault of kind `code` that strikes at this occasion, or None. It counts as struck."""
        return self.first_due((code,), here, now_ms)

    def first_due(self, codes: Iterable[FaultCode], here: Where, now_ms: int) -> Fault | None:
        """The first of several kinds that strikes at this occasion.

        The others count the occasion too, and strike at a later one.
        """
        found = None
        for code in codes:
            for position in self._by_code.get(code, ()):
                fault = self.plan.faults[position]
                if fault.where.matches(here):
                    self._occasions[position] += 1
                    if found is None and self._strikes(position, fault.when, now_ms):
                        found = fault
                        self._struck[position] += 1
        if found is not None:
            self.hits[found.what] += 1
            if self._on_hit is not None:
                self._on_hit(found, now_ms)
            if self.on_strike is not None:
                self.on_strike(Strike(now_ms, found.what, here))
        return found

    def plans(self, code: FaultCode) -> bool:
        """Whether the plan has this kind at all: what never strikes need not be prepared."""
        return code in self._by_code

    def unhit(self) -> tuple[Fault, ...]:
        """Entries that have not struck yet."""
        pairs = zip(self.plan.faults, self._struck, strict=True)
        return tuple(fault for fault, struck in pairs if not struck)

    def _strikes(self, position: int, when: When, now_ms: int) -> bool:
        if self._struck[position] >= when.times:
            return False
        occasion = self._occasions[position]
        if when.nth is not None:
            return occasion >= when.nth
        if when.after_ms is not None:
            return now_ms - self._start_ms >= when.after_ms
        return _draw(self._keys[position], occasion) < (when.probability or 0.0)


def _draw_key(seed: int, fault: Fault) -> bytes:
    """What the draws of an entry depend on: the seed and itself, not its place in the plan."""
    told = f"{seed}|{fault.what}|{fault.when}|{fault.where}|{sorted(fault.figures.items())}"
    return hashlib.blake2b(told.encode(), digest_size=16).digest()


def _draw(key: bytes, occasion: int) -> float:
    """A number in [0, 1) that belongs to one occasion."""
    drawn = hashlib.blake2b(occasion.to_bytes(8, "big"), key=key, digest_size=8).digest()
    return float(int.from_bytes(drawn, "big") / 2.0**64)


def drawn_plan(
    seed: int, codes: Sequence[FaultCode], *, duration_ms: int, faults_max: int = 12
) -> FaultPlan:
    """A plan drawn from `seed`: up to `faults_max` of `codes`, most at a time, some by chance.

    Each seed draws its own mix of kinds and its own intensity.
    """
    if not codes:
        return FaultPlan((), seed)
    draw = np.random.default_rng(seed)
    kinds = list(draw.permutation(np.array([str(code) for code in codes])))
    mix = [FaultCode[str(kind)] for kind in kinds[: int(draw.integers(1, len(kinds) + 1))]]
    count = int(draw.integers(1, faults_max + 1))
    return FaultPlan(tuple(_drawn(draw, mix, duration_ms) for _ in range(count)), seed)


def _drawn(draw: np.random.Generator, mix: Sequence[FaultCode], duration_ms: int) -> Fault:
    """One entry."""
    code = mix[int(draw.integers(len(mix)))]
    figures = {}
    for name, figure in figures_of(code).items():
        if figure is MARKED:
            figures[name] = float(draw.integers(2))
        else:
            value = float(draw.uniform(figure.low, figure.high))
            figures[name] = float(round(value)) if figure.high > 1 else round(value, 6)
    if draw.random() < 0.75:
        when = When(after_ms=int(draw.integers(0, max(duration_ms, 1))))
    else:
        when = When(probability=round(float(draw.uniform(0.001, 0.05)), 4), times=3)
    return Fault(code, when, figures=figures)


def shrink(plan: FaultPlan, fails: Callable[[FaultPlan], bool]) -> FaultPlan:
    """The plan with every entry left out that the failure does not need.

    `fails` runs a plan and tells whether it still fails. First halves are left out, then quarters,
    down to single entries: about as many runs as there are entries.
    """
    size = max(len(plan.faults) // 2, 1)
    while True:
        position = 0
        while position < len(plan.faults):
            rest = plan.faults[:position] + plan.faults[position + size :]
            smaller = replace(plan, faults=rest)
            if fails(smaller):
                plan = smaller
            else:
                position += size
        if size == 1:
            return plan
        size = max(size // 2, 1)
