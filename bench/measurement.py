"""A timed piece of work: its samples, its bar, and whether it was met."""

from __future__ import annotations

import gc
import statistics
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

MS_PER_S = 1e3


@dataclass(frozen=True, slots=True)
class Measurement:
    """Samples of one piece of work, in `unit`; the median is held against `bar`."""

    work: str
    unit: str
    samples: tuple[float, ...]
    bar: float | None = None
    note: str = ""

    @property
    def median(self) -> float:
        """The middle sample."""
        return statistics.median(self.samples)

    @property
    def verdict(self) -> str:
        """met, missed, or a dash where there is no bar."""
        if self.bar is None:
            return "-"
        return "met" if self.median <= self.bar else "**missed**"


def time_ms(run: Callable[[], object], repeats: int, *, warm_ups: int = 1) -> tuple[float, ...]:
    """Milliseconds of `repeats` calls after `warm_ups` calls, the garbage collector held still."""
    for _ in range(warm_ups):
        run()
    samples = []
    gc.collect()
    gc.disable()
    try:
        for _ in range(repeats):
            began = time.perf_counter()
            run()
            samples.append((time.perf_counter() - began) * MS_PER_S)
    finally:
        gc.enable()
    return tuple(samples)


def figure(value: float) -> str:
    """Three significant digits, without exponents: 0.0123, 4.56, 78.9, 12,346."""
    if value >= 1000.0:
        return f"{value:,.0f}"
    if value >= 100.0:
        return f"{value:.0f}"
    if value >= 10.0:
        return f"{value:.1f}"
    return f"{value:.2f}" if value >= 1.0 else f"{value:.3g}"


def table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A Markdown table; every column but the first is aligned to the right."""
    rule = ["---", *("---:" for _ in head[1:])]
    return "\n".join(f"| {' | '.join(cells)} |" for cells in (head, rule, *rows))


def measurement_table(measurements: Sequence[Measurement]) -> str:
    """work | unit | median | min | max | runs | bar | verdict"""
    head = ("work", "unit", "median", "min", "max", "runs", "bar", "verdict")
    rows = [
        (
            f"{m.work}{f' ({m.note})' if m.note else ''}",
            m.unit,
            figure(m.median),
            figure(min(m.samples)),
            figure(max(m.samples)),
            str(len(m.samples)),
            "-" if m.bar is None else f"≤ {m.bar:g}",
            m.verdict,
        )
        for m in measurements
    ]
    return table(head, rows)
