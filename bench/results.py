"""The document: what was measured, on what, and what it does not say."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from bench.comparison import Comparison, comparison_table, differences
from bench.measurement import Measurement, measurement_table

INDICATOR = "indicator "

MEASURED_HOW = """\
- Market: the first 400,000 one-minute bars of BTCUSDT on Binance spot from 2023-07-01.
- Several strategies on three symbols: the 176 days from 2024-01-01 of which all three have every
  column, repeated until the year is full (`bench/portfolio.py`).
- In-process work: one call to warm up, then the runs counted above, garbage collector held still,
  one thread. The median is held against the bar.
- The live half: `bench/README.md` says from where to where each figure is taken. Sockets are those
  of this machine, the exchange is another process on it. A row that ends in "p99" has one sample,
  the percentile; the worst single one is the maximum of the row above it.
- Processes: wall time from start to exit of a fresh process, peak memory as the kernel counted it
  (`wait4`). "Nothing compiled yet" is a fresh process with an empty kernel cache.
- Peers: each in a fresh process of its own environment (`bench/peers.txt`). *First run* is import,
  preparation of its inputs and first run, which for vectorbt and Tercel depends on what is compiled
  already: both cases are given. *Warm run* is the median of the runs after it. Turning bars into
  the system's own form is in no warm run but backtrader's, which loads its feed as it runs.
- Two trades are equal when they enter and leave on the same bars, at prices equal to 1e-9 of
  themselves, with profits after fees equal to the cent. `make bench` fails when Tercel's differ
  from vectorbt's."""

NOTES = """\
- Peers' notions differ; `bench/README.md` says which settings bring each one nearest. Every one is
  more general than this strategy needs, as Tercel is; the bare loop shows what generality costs.
- vectorbt and the bare loop take whole columns; Tercel and the other three go from bar to bar.
- Equity of every bar is part of Tercel's, vectorbt's, backtesting.py's, backtrader's and the bare
  loop's runs; nautilus_trader keeps balances and is not asked for more.
- nautilus_trader also keeps orders, positions and accounts as objects and publishes events on a
  bus, which this strategy makes no use of.
- Tercel's first run is given bars in its own form; a peer's includes making its own.
- Where runs are few (backtrader, nautilus_trader), a median is little more than a sample.
- Compare within a table: its figures come from one run on one machine, one after another. A busy
  machine moves them, and not all by the same factor: see the load above and each min and max."""


def document(
    about: Mapping[str, str], measured: Sequence[Measurement], compared: Comparison | None
) -> str:
    """RESULTS.md."""
    bars = [each for each in measured if not each.work.startswith(INDICATOR)]
    indicators = [each for each in measured if each.work.startswith(INDICATOR)]
    parts = ["# Measured", "Written by `make bench`; do not edit."]
    parts.append("\n".join(f"- {name}: {value}" for name, value in about.items()))
    if bars:
        parts += ["## Bars", measurement_table(bars)]
    if compared:
        parts += ["## Beside its peers", comparison_table(compared)]
        parts += [f"- {line}" for line in differences(compared)]
    if indicators:
        parts += ["## Indicators", "Lengths as in `tests/naive/cases.py`; one core, warm."]
        parts.append(measurement_table(indicators))
    parts += ["## How it was measured", MEASURED_HOW, "## What it does not say", NOTES]
    return "\n\n".join(parts) + "\n"
