"""The grid of source 1 over the market: 243 combinations, each with signals, trades and returns."""

from __future__ import annotations

from typing import TYPE_CHECKING

from bench.measurement import MS_PER_S, Measurement, time_ms
from tercel.adapters.workers import ThreadWorkers
from tercel.app.grid import GridLimits, combinations, read_grid
from tercel.app.sweep import Sweep, SweepJob, side_by_side
from tercel.app.sweep import sweep as sweep_of
from tercel.bootstrap import load_settings

if TYPE_CHECKING:
    from bench.bars import Desk

GRID = "source1"
RUNS = 3
CORES = 2
BAR_S = 8.0


def sweep(desk: Desk) -> list[Measurement]:
    """The whole grid on two threads: signals once for each combination, trades, daily returns."""
    job = grid_job(desk)

    def run() -> Sweep:
        return side_by_side(job.spec.series, list(sweep_of(job, ThreadWorkers(CORES))))

    trades = int(run().whole["trades"].sum())
    samples = tuple(sample / MS_PER_S for sample in time_ms(run, RUNS, warm_ups=0))
    work = f"{len(job.combinations)} combinations of three_r over 400,000 bars, two cores"
    note = f"signals, {trades:,} trades, daily returns; aimed at 6"
    return [Measurement(work, "s", samples, BAR_S, note)]


def grid_job(desk: Desk) -> SweepJob:
    """three_r on the market with every combination of the grid."""
    from bench.bars import three_r_specs

    [spec], account = three_r_specs(desk)
    grid = read_grid(GRID, spec.strategy, load_settings().grids)
    limits = GridLimits(spec.series.key.bar_ms, grid.size)
    return SweepJob(spec, account, combinations(grid, spec.strategy, spec.values, limits))
