"""Phase one of a session: the strategies, one closed bar at a time."""

from __future__ import annotations

from typing import Any

import numpy as np

from tercel.app.live.plan import LiveStream, SessionPlan
from tercel.app.live.recorder import view_of
from tercel.app.signals import quiet_signals
from tercel.app.strategy_errors import COMPILE_ERRORS, RUN_ERRORS
from tercel.core.jit import new
from tercel.core.records import Records
from tercel.core.signal import confirm_by_flow, tally
from tercel.domain.errors import StrategyError


class _Mind:
    """A strategy, its parameters and its state."""

    def __init__(self, stream: LiveStream, bar_ms: int) -> None:
        self.strategy = stream.strategy
        self.params = stream.strategy.parameters.record(stream.values, bar_ms)
        self.state = new(stream.strategy.state_dtype(self.params))
        self.series = stream.series
        self.reasons = np.zeros(len(stream.strategy.reasons), np.int64)
        self.flow = stream.flow
        self.flow_params: Any = None
        self.flow_state: Any = None
        if stream.flow is not None:
            strategy = stream.flow.strategy
            self.flow_params = strategy.parameters.record(stream.flow.values, bar_ms)
            self.flow_state = new(strategy.state_dtype(self.flow_params))
            self.score = quiet_signals(1)

    def states(self) -> list[Any]:
        """The state records, to be kept."""
        return [self.state] if self.flow is None else [self.state, self.flow_state]

    def step(self, bar: Any, context: Any, out: Records) -> None:
        """One bar; `out` is one quiet SIGNAL."""
        self.strategy.step(self.state, bar, context, self.params, out[0])
        if tally(out, self.reasons) >= 0:
            raise StrategyError(
                f"{self.strategy.path}: its signal has side {out[0]['side']} and reason "
                f"{out[0]['reason']}: side is -1, 0 or 1, and reason indexes the "
                f"{len(self.reasons)} names of REASONS"
            )
        if self.flow is not None:
            self.flow.strategy.step(self.flow_state, bar, context, self.flow_params, self.score[0])
            confirm_by_flow(out, self.score, self.flow.score_min)


class SignalMaker:
    """Every strategy of a session, and the signals of the present minute."""

    def __init__(self, plan: SessionPlan) -> None:
        self._minds = [_Mind(stream, plan.bar_ms) for stream in plan.streams]
        self._quiet = quiet_signals(len(self._minds))
        self.signals = quiet_signals(len(self._minds))
        """SIGNAL of each stream at the last minute."""
        self._own = [self.signals[k : k + 1] for k in range(len(self._minds))]
        self._minute: Records | None = None
        self._inputs: list[tuple[Any, Any]] = []
        """BAR and CONTEXT of each series of `_minute`, views."""

    def step(self, minute: Records) -> Records:
        """The SIGNAL of each stream for `minute` (MINUTE, one row a series).

        Raises StrategyError where a strategy fails: its state is not to be trusted any more.
        """
        self.signals[:] = self._quiet
        if minute is not self._minute:
            self._minute = minute
            self._inputs = [(row.bar, row.context) for row in minute]
        present = minute["present"].tolist()
        for k, mind in enumerate(self._minds):
            if not present[mind.series]:
                continue
            try:
                mind.step(*self._inputs[mind.series], self._own[k])
            except (*COMPILE_ERRORS, *RUN_ERRORS) as error:
                raise StrategyError(
                    f"{mind.strategy.path}: {type(error).__name__}: {error}"
                ) from error
        return self.signals

    def view(self, k: int) -> str:
        """What the strategy of stream `k` last looked at, as JSON."""
        return view_of(self._minds[k].state)

    def image(self) -> list[bytes]:
        """Every state as bytes, exact to the bit."""
        return [bytes(state.tobytes()) for mind in self._minds for state in mind.states()]

    def restore(self, image: list[bytes]) -> None:
        """Every state from the bytes of `image`. Raises ValueError where they do not fit."""
        states = [state for mind in self._minds for state in mind.states()]
        if [len(part) for part in image] != [state.nbytes for state in states]:
            raise ValueError("strategy states of another layout")
        for state, part in zip(states, image, strict=True):
            state.reshape(1).view(np.uint8)[:] = np.frombuffer(part, np.uint8)
