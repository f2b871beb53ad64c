"""What a simulated run trades: symbols, plans and habits, drawn from its seed."""

from __future__ import annotations

import functools
from dataclasses import dataclass, replace
from decimal import Decimal
from pathlib import Path
from typing import Any

import numpy as np
from tests.desk import stream
from tests.simulation.market import MINUTE_MS, Walk

from tercel.adapters.simulator.exchange.records import Bracket, ExchangeRules, Instrument
from tercel.app.backtest import AccountSpec
from tercel.app.live.parts import BesideRules, SessionRules
from tercel.app.live.plan import LiveStream, SessionPlan
from tercel.app.strategies import Strategy
from tercel.bootstrap import load_settings
from tercel.core.jit import new, rec
from tercel.core.parameters import parameters
from tercel.core.plan import TradePlan
from tercel.core.records import LIMITS, PACE
from tercel.domain.bars import SeriesKey
from tercel.domain.results import StreamLabel

VENUE = "binance-usdm"
BALANCE = Decimal(100_000)
D = Decimal
WALKS = (
    Walk("BTCUSDT", 30_000.0, D("0.1")),
    Walk("ETHUSDT", 2_000.0, D("0.01")),
)
LOTS = {"BTCUSDT": D("0.001"), "ETHUSDT": D("0.01")}
QUANTITIES = {"BTCUSDT": 0.02, "ETHUSDT": 0.3}
MAKER, TAKER = D("0.0002"), D("0.0005")

THREE_LEGS = TradePlan(
    legs=((1.0, 0.50), (2.0, 0.25)),
    trail_fraction=0.25,
    trail_arm_r=0.5,
    trail_offset_r=0.5,
    breakeven_after_leg=1,
)
PLANS = (
    THREE_LEGS,
    TradePlan(legs=((1.5, 1.0),), hold_minutes_max=45.0),
    replace(THREE_LEGS, entry="limit", entry_wait_bars=2, chase_max=2),
    replace(THREE_LEGS, entry="post_only", entry_wait_bars=1, chase_max=3),
    TradePlan(legs=((1.0, 0.4), (1.5, 0.3), (2.0, 0.3)), stop_follows_legs=True),
    TradePlan(legs=(), trail_fraction=1.0, trail_arm_r=0.2, trail_offset_r=0.6),
)


@dataclass(frozen=True, slots=True)
class Scene:
    """What one run is like before anything goes wrong."""

    seed: int
    streams: tuple[tuple[int, int], ...]
    """(row of WALKS, row of PLANS) of each stream."""
    latency_ms: tuple[int, int] = (15, 120)
    """One way between us and the venue, at least and at most."""
    is_isolated: bool = True
    shadow: bool = False
    eagerness: float = 0.35
    """Chance that a stream asks for a side at a close."""
    haste: float = 1.0
    """How much more prices move than usual."""
    plan: TradePlan | None = None
    """Of every stream, instead of a row of PLANS."""
    store_ms: int = 0
    """How long an order waits for journal and state, at most: so long after the decision of one
    stream the next one's comes, and other events between the two."""
    kill_chance: float = 0.0
    """Chance that somebody throws the kill switch at an entry."""

    @property
    def walks(self) -> tuple[Walk, ...]:
        """The symbols traded, in the order of WALKS."""
        return tuple(WALKS[row] for row in sorted({walk for walk, _ in self.streams}))


def plain_scene(seed: int, plan: int = 0) -> Scene:
    """One strategy on one symbol."""
    return Scene(seed, ((0, plan),))


def drawn_scene(seed: int) -> Scene:
    """The scene of a seed: mostly one stream, sometimes two, on one symbol or on two."""
    draw = np.random.default_rng([seed, 1])
    count = int(draw.choice([1, 1, 2]))
    streams = tuple(
        (int(draw.integers(len(WALKS))), int(draw.integers(len(PLANS)))) for _ in range(count)
    )
    if len({walk for walk, _ in streams}) == 1:
        streams = tuple((0, plan) for _, plan in streams)
    slow = int(draw.choice([60, 120, 400]))
    later = np.random.default_rng([seed, 5])
    return Scene(
        seed,
        streams,
        latency_ms=(10, slow),
        is_isolated=bool(draw.integers(2)),
        shadow=bool(draw.random() < 0.2),
        eagerness=float(draw.choice([0.1, 0.35, 0.8])),
        store_ms=int(later.choice([0, 0, 100, 700])),
        kill_chance=float(later.choice([0.0, 0.0, 0.05, 0.2])),
    )


# --- the strategy ---------------------------------------------------------------------------------


def busy(seed: int, number: int, eagerness: float) -> Strategy:
    """A strategy that asks often, by the minute alone: it has nothing to remember, so that a
    restart asks for the same.
    """
    salt = 2_654_435_761 * (seed * 31 + number * 7 + 1)

    def step(state: Any, bar: Any, context: Any, params: Any, signal: Any) -> None:
        # By key, not by attribute: numpy reads and writes a record's attributes in Python.
        mixed = (int(bar["open_time"]) // MINUTE_MS * 0x9E3779B97F4A7C15 + salt) & (2**64 - 1)
        mixed ^= mixed >> 29
        mixed = (mixed * 0xBF58476D1CE4E5B9) & (2**64 - 1)
        mixed ^= mixed >> 32
        if (mixed & 0xFFFF) / 65_536.0 < eagerness:
            signal["side"] = 1 if mixed & 0x10000 else -1
            signal["stop_distance"] = bar["close"] * (0.0015 + 0.0001 * ((mixed >> 20) & 0xF))
            signal["reason"] = 1
        leaves = (mixed >> 40) & 0x3F
        signal["exit_long"], signal["exit_short"] = leaves == 1, leaves == 2

    def signals(state: Any, bars: Any, contexts: Any, params: Any, out: Any) -> None:
        for at in range(len(bars)):
            step(state, bars[at], None, params, out[at])

    return Strategy(
        name=f"busy{number}",
        title="Asks often.",
        path=Path("busy.py"),
        parameters=parameters(),
        reasons=("none", "chance"),
        plan=TradePlan(),
        state_dtype=lambda _: rec(("nothing", "i8")),
        step=step,
        signals=signals,
        code_hash="",
    )


# --- plan, rules and exchange ---------------------------------------------------------------------


def session_plan(scene: Scene) -> SessionPlan:
    """The streams of the scene on one account."""
    rows = {walk.symbol: row for row, walk in enumerate(scene.walks)}
    made = []
    for number, (walk_row, plan_row) in enumerate(scene.streams):
        walk = WALKS[walk_row]
        settings = stream(
            scene.plan or PLANS[plan_row],
            tick_size=float(walk.tick),
            lot_size=float(LOTS[walk.symbol]),
            quantity_min=float(LOTS[walk.symbol]),
            quantity=QUANTITIES[walk.symbol],
            maker_fee_rate=float(MAKER),
            taker_fee_rate=float(TAKER),
        )
        made.append(
            LiveStream(
                StreamLabel(number, f"busy{number}", VENUE, walk.symbol, "1m"),
                busy(scene.seed, number, scene.eagerness),
                {},
                settings,
                rows[walk.symbol],
            )
        )
    keys = tuple(SeriesKey(VENUE, walk.symbol, "1m") for walk in scene.walks)
    account = AccountSpec(float(BALANCE), new(LIMITS), new(PACE))
    return SessionPlan(tuple(made), keys, account)


@functools.cache
def _settings() -> Any:
    return load_settings()


def session_rules(scene: Scene) -> SessionRules:
    """The rules of a live session, automation on."""
    settings = _settings()
    return SessionRules(
        settings.session,
        settings.execution,
        BesideRules(settings.ghost.fee_rate, scene.shadow, settings.shadow.alert_r),
        venue=VENUE,
        mode="live",
        automation_at_start=True,
    )


BRACKETS = (
    Bracket(1, 50, D(0), D(50_000), D("0.01"), D(0)),
    Bracket(2, 20, D(50_000), D(1_000_000), D("0.025"), D(750)),
)


def exchange_rules(scene: Scene) -> ExchangeRules:
    """The venue's rules for the symbols of the scene."""
    return ExchangeRules(
        instruments=tuple(
            Instrument(
                symbol=walk.symbol,
                base=walk.symbol.removesuffix("USDT"),
                quote="USDT",
                tick_size=walk.tick,
                lot_size=LOTS[walk.symbol],
                quantity_min=LOTS[walk.symbol],
                quantity_max=D(1000),
                market_quantity_max=D(500),
                notional_min_quote=D(5),
                brackets=BRACKETS,
                price_min=walk.tick,
                price_max=D(10_000_000),
                percent_price_up=D("1.1"),
                percent_price_down=D("0.9"),
            )
            for walk in scene.walks
        ),
        maker_fee_rate=MAKER,
        taker_fee_rate=TAKER,
    )
