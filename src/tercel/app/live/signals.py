"""Phase one of a session: the strategies, one closed bar at a time.

The streams of a strategy stand side by side in one array, and one compiled call steps them all.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from tercel.app.live.plan import SessionPlan
from tercel.app.record_bytes import load_records
from tercel.app.signals import quiet_signals
from tercel.app.strategies import Strategy
from tercel.app.strategy_errors import COMPILE_ERRORS, RUN_ERRORS
from tercel.core.codes import Side
from tercel.core.records import Records
from tercel.core.signal import confirm_by_flow
from tercel.core.stepping import Crew, step_each_of
from tercel.domain.errors import StrategyError

SEEN = "seen"
"""The field of a strategy's state that holds what its last decision looked at."""


class Views:
    """What steps have last looked at: `state.seen` of each as JSON. What is not known is null.

    Hundreds are written at each bar, so that numbers go into a text that is made once.
    """

    def __init__(self, states: Records) -> None:
        self._count = len(states)
        self._seen: Records | None = None
        self._names: tuple[str, ...] = ()
        self._text = ""
        if SEEN in (states.dtype.names or ()):
            seen = self._seen = states[SEEN]
            self._names = seen.dtype.names or ()
            if all(seen.dtype[name].kind in "fiu" for name in self._names):
                self._text = ", ".join(f'"{name}": %r' for name in self._names)

    def told(self) -> list[str]:
        """Of each state, in their order."""
        if self._seen is None:
            return ["{}"] * self._count
        return [self._json(values) for values in self._seen.tolist()]

    def of(self, row: int) -> str:
        """Of one state."""
        return "{}" if self._seen is None else self._json(self._seen[row].item())

    def _json(self, values: tuple[Any, ...]) -> str:
        if self._text:
            told = f"{{{self._text % values}}}".replace(": nan", ": null")
            if ": inf" not in told and ": -inf" not in told:
                return told
        named = dict(zip(self._names, values, strict=True))
        told = json.dumps(named, default=np.ndarray.tolist)
        return told.replace(": NaN", ": null").replace("[NaN", "[null").replace(", NaN", ", null")


@dataclass(frozen=True, slots=True, eq=False)
class _Member:
    """One stream of a strategy."""

    place: int
    """Its row among the signals."""
    series: int
    params: Any
    """PARAMS record."""


class _Group:
    """Streams of one strategy whose records are laid out alike."""

    def __init__(self, strategy: Strategy, members: Sequence[_Member]) -> None:
        self.strategy = strategy
        params = np.zeros(len(members), members[0].params.dtype)
        for row, each in enumerate(members):
            params[row] = each.params
        self.crew = Crew(
            states=np.zeros(len(members), strategy.state_dtype(members[0].params)),
            params=params,
            series=np.array([each.series for each in members], np.int64),
            places=np.array([each.place for each in members], np.int64),
        )
        self.views = Views(self.crew.states)
        self._step_each: Callable[..., int] | None = None

    def step(self, minute: Records, out: Records) -> None:
        """One bar of each; `out` is SIGNAL by place. Raises StrategyError."""
        strategy, crew, reasons = self.strategy, self.crew, len(self.strategy.reasons)
        try:
            if self._step_each is None:
                self._step_each = step_each_of(strategy.step, crew)
            wrong = self._step_each(minute, out, reasons)
        except (*COMPILE_ERRORS, *RUN_ERRORS) as error:
            raise StrategyError(f"{strategy.path}: {type(error).__name__}: {error}") from error
        if wrong >= 0:
            signal = out[crew.places[wrong]]
            raise StrategyError(
                f"{strategy.path}: its signal has side {signal['side']} and reason "
                f"{signal['reason']}: side is -1, 0 or 1, and reason indexes the "
                f"{reasons} names of REASONS"
            )


def _grouped(members: Sequence[tuple[Strategy, _Member]]) -> list[_Group]:
    """Members by strategy and layout, each group in their order."""
    found: dict[tuple[Any, ...], tuple[Strategy, list[_Member]]] = {}
    for strategy, member in members:
        layout = strategy.state_dtype(member.params)
        key = (id(strategy.step), layout, member.params.dtype)
        found.setdefault(key, (strategy, []))[1].append(member)
    return [_Group(strategy, group) for strategy, group in found.values()]


class SignalMaker:
    """Every strategy of a session, and the signals of the present minute."""

    def __init__(self, plan: SessionPlan) -> None:
        count = len(plan.streams)
        own: list[tuple[Strategy, _Member]] = []
        flows: list[tuple[Strategy, _Member]] = []
        self._score_min: dict[int, float] = {}
        """Streams that order flow has to confirm, and how strongly."""
        for k, stream in enumerate(plan.streams):
            params = stream.strategy.parameters.record(stream.values, plan.bar_ms)
            own.append((stream.strategy, _Member(k, stream.series, params)))
            if stream.flow is not None:
                flow = stream.flow.strategy
                params = flow.parameters.record(stream.flow.values, plan.bar_ms)
                flows.append((flow, _Member(k, stream.series, params)))
                self._score_min[k] = stream.flow.score_min
        self._own, self._flows = _grouped(own), _grouped(flows)
        self.signals = quiet_signals(count)
        """SIGNAL of each stream at the last minute."""
        # As bytes: numpy copies records field by field.
        self._signals_raw = self.signals.view(np.uint8)
        self._quiet_raw = self._signals_raw.copy()
        self._scores = quiet_signals(count)
        """SIGNAL of each stream's order-flow filter."""
        self._states: list[list[Any]] = [[] for _ in range(count)]
        """State records of each stream, views: its strategy's, then its filter's."""
        self._seats: dict[int, tuple[Views, int]] = {}
        """What each stream's strategy looks at, and its row there."""
        for group in (*self._own, *self._flows):
            for row, place in enumerate(group.crew.places.tolist()):
                self._states[place].append(group.crew.states[row])
                self._seats.setdefault(place, (group.views, row))

    def step(self, minute: Records) -> Records:
        """The SIGNAL of each stream for `minute` (MINUTE, one row a series).

        Raises StrategyError where a strategy fails: its state is not to be trusted any more.
        """
        self._signals_raw[:] = self._quiet_raw
        for group in self._own:
            group.step(minute, self.signals)
        if self._flows:
            self._confirm(minute)
        return self.signals

    def _confirm(self, minute: Records) -> None:
        """Veto what the order flow does not confirm."""
        for group in self._flows:
            group.step(minute, self._scores)
        for k in np.flatnonzero(self.signals["side"] != Side.NONE).tolist():
            if k in self._score_min:
                row = slice(k, k + 1)
                confirm_by_flow(self.signals[row], self._scores[row], self._score_min[k])

    def view(self, k: int) -> str:
        """What the strategy of stream `k` last looked at, as JSON."""
        views, row = self._seats[k]
        return views.of(row)

    def views(self) -> list[str]:
        """`view` of every stream: hundreds at once cost less than one by one."""
        told = {
            place: view
            for group in self._own
            for place, view in zip(group.crew.places.tolist(), group.views.told(), strict=True)
        }
        return [told[k] for k in range(len(told))]

    def image(self) -> list[bytes]:
        """Every state as bytes, exact to the bit."""
        return [bytes(state.tobytes()) for states in self._states for state in states]

    def restore(self, image: list[bytes]) -> None:
        """Every state from the bytes of `image`. Raises ValueError where they do not fit."""
        states = [state for states in self._states for state in states]
        if [len(part) for part in image] != [state.nbytes for state in states]:
            raise ValueError("strategy states of another layout")
        for state, part in zip(states, image, strict=True):
            load_records(state, part)
