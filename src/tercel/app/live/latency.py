"""How long things take in a running session: a bounded record by name, and its percentiles."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

SAMPLES_KEPT = 2_000


@dataclass(frozen=True, slots=True)
class Latency:
    """Percentiles of one thing, ms."""

    name: str
    samples: int
    median_ms: float
    p99_ms: float
    worst_ms: float


class Latencies:
    """Collects durations by name."""

    def __init__(self) -> None:
        self._samples: dict[str, deque[float]] = {}

    def add(self, name: str, milliseconds: float) -> None:
        """One more duration."""
        self._samples.setdefault(name, deque(maxlen=SAMPLES_KEPT)).append(milliseconds)

    @contextmanager
    def measure(self, name: str) -> Iterator[None]:
        """The duration of what happens inside."""
        begun = time.perf_counter_ns()
        try:
            yield
        finally:
            self.add(name, (time.perf_counter_ns() - begun) / 1e6)

    def table(self) -> tuple[Latency, ...]:
        """Everything measured, by name."""
        made = []
        for name, samples in sorted(self._samples.items()):
            ordered = sorted(samples)
            made.append(
                Latency(
                    name,
                    len(ordered),
                    ordered[len(ordered) // 2],
                    ordered[min(len(ordered) - 1, int(len(ordered) * 0.99))],
                    ordered[-1],
                )
            )
        return tuple(made)
