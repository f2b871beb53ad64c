"""Seeded markets with and without a planted edge, traded by a strategy that knows where it lies.

The strategy (`pressed.py`) goes with the book when one side is `edge_ratio` times the other and
holds for `edge_bars` minutes: the signal that the synthetic market plants its edge behind.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from tercel.adapters.config import packaged_config_dir, read_settings
from tercel.adapters.synthetic import generate
from tercel.app.backtest import AccountSpec, StreamSpec, simulate
from tercel.app.gate import Gate, check_gate, measure
from tercel.app.instruments import infer_instrument
from tercel.app.statistics import summarise
from tercel.app.strategies import Strategy, load_strategy
from tercel.app.synthesise import SyntheticMarket
from tercel.app.trading_records import stream_record
from tercel.core.jit import new
from tercel.core.records import LIMITS
from tercel.domain.bars import BarSeries, SeriesKey
from tercel.domain.results import StreamLabel
from tercel.domain.settings import Settings

DAYS = 30
EDGE = 0.3
"""7 bps of drift in the 15 minutes after a pressed bar, against noise of 23 bps."""
COSTS = "source1"
"""0.017 % a side and one to three ticks: about 3.4 bps a round trip."""
CASH = 10_000.0
THREADS = 2


@dataclass(frozen=True, slots=True)
class Trial:
    """What a gate is tried on."""

    edge: float
    costs: str
    preset: str = "honest"
    coin: bool = False
    """Enter on a tossed side: nothing but luck is left, whatever is planted."""


def settings() -> Settings:
    """The packaged settings, with orders of a fixed value."""
    loaded = read_settings([packaged_config_dir()], environ={}).settings
    sizing = loaded.sizing.with_overrides({"mode": "notional", "notional_quote": CASH})
    return loaded.model_copy(update={"sizing": sizing})


def pressed() -> Strategy:
    """The strategy of this folder."""
    return load_strategy(str(Path(__file__).parent / "pressed.py"))


def judged(seed: int, trial: Trial, strategy: Strategy, known: Settings) -> Gate:
    """The gate on one market of that seed, no breaker on: the gate is on trial."""
    market = SyntheticMarket(seed=seed, days=DAYS, edge=trial.edge)
    bars = generate(market)
    key = SeriesKey("synthetic", market.symbol)
    profile = known.cost_profile(trial.costs)
    record = stream_record(known, strategy, profile, infer_instrument(bars))
    spec = StreamSpec(
        label=StreamLabel(0, strategy.name, key.venue, key.symbol, key.timeframe),
        strategy=strategy,
        values=strategy.values({"coin": int(trial.coin)}, key.bar_ms),
        series=BarSeries(key, bars, (), ""),
        settings=record,
    )
    result = simulate((spec,), AccountSpec(CASH, new(LIMITS)))
    figures = measure(summarise(result), result.trades)
    return check_gate(figures, trial.preset, known.gate.presets[trial.preset])


def passing(seeds: Iterable[int], trial: Trial) -> int:
    """How many of the markets pass the gate, on two threads."""
    strategy, known = pressed(), settings()
    with ThreadPoolExecutor(THREADS) as pool:
        gates = pool.map(lambda seed: judged(seed, trial, strategy, known), seeds)
        return sum(gate.passed for gate in gates)


def binomial_above(hits: int, total: int, chance: float) -> float:
    """Probability of more than `hits` of `total` when each is a hit with that chance."""
    return math.fsum(
        math.comb(total, k) * chance**k * (1.0 - chance) ** (total - k)
        for k in range(hits + 1, total + 1)
    )
