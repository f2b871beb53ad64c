"""Make synthetic bars and keep them in the lake, under the venue `synthetic` and nowhere else.

In order, for each market: compare with what the lake remembers of the symbol; refuse a different
market under the same name (unless told to replace it); write down the parameters; generate; merge.
The parameters are written before the bars: after a crash in between, the next run sees fewer bars
than promised and makes the rest, since the same seed makes the same bars. Funding and open interest
follow the bars in the same way (`keep_context`).
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, fields
from typing import Protocol

from tercel.app.ports import BarStore, ContextStore, Progress, SilentProgress
from tercel.core.records import Records
from tercel.domain.bars import SeriesKey
from tercel.domain.context import ContextSeries
from tercel.domain.errors import DataError, UserError
from tercel.domain.times import DAY_MS, format_date

VENUE = "synthetic"
DAYS_MAX = 3660
"""Ten years; making them takes about 0.25 GB of memory a year."""
BARS_PER_DAY = 1440
CONTEXT_SERIES = 2
"""Funding and open interest."""
_SYMBOL = re.compile(r"[A-Z0-9]{2,30}")


@dataclass(frozen=True, slots=True)
class SyntheticMarket:
    """Everything that decides a synthetic market: the same fields make the same bytes.

    Markets of one `seed` share a common factor, so several symbols of a seed move together. A
    longer market (more `days`, all else equal) begins with the shorter one, bar for bar.
    """

    seed: int = 1
    symbol: str = "BTCUSDT"
    start_ms: int = 1_704_067_200_000
    """First open time, ms UTC, at midnight (default 2024-01-01)."""
    days: int = 60
    start_price: float = 42_000.0
    """Quote per base. It also sets the grid: prices have six digits, sizes fewer (see below)."""
    edge: float = 0.0
    """Planted edge: the drift that follows a pressure signal, in standard deviations of the
    `edge_bars` minutes it is spread over. 0.1 is 2.3 bps at the defaults; 0 plants nothing."""
    edge_bars: int = 15
    """Minutes over which that drift is spread."""
    edge_ratio: float = 1.8
    """Pressure: bid_size >= edge_ratio * ask_size (long), or the reverse (short)."""
    volatility_bps: float = 6.0
    """Root mean square of 1m returns in the trend regimes, basis points."""
    quote_volume_minute: float = 1_000_000.0
    """Scale of traded value per minute, quote."""
    correlation: float = 0.7
    """Share of a return's variance that comes from the factor common to the seed, 0..1."""
    gaps_per_day: float = 1.0
    """Price jumps between a close and the next open."""
    halts_per_day: float = 0.2
    """Runs of 2 to 10 minutes without a trade."""
    wicks_per_day: float = 3.0
    """Minutes whose high or low shoots out and comes back."""
    missing_per_day: float = 0.0
    """Minutes left out altogether, as by a recorder that was down."""

    def __post_init__(self) -> None:
        """Raise UserError for what cannot be generated."""
        if not _SYMBOL.fullmatch(self.symbol):
            raise UserError(f"symbol {self.symbol!r}: use 2 to 30 capital letters and digits")
        if self.start_ms % DAY_MS:
            raise UserError(f"{self.symbol}: a synthetic market starts at midnight UTC")
        for name, low, high in _RANGES:
            value = getattr(self, name)
            if not low <= value <= high or not math.isfinite(value):
                raise UserError(f"{self.symbol}: {name} is {value:g}; use {low:g} to {high:g}")

    @property
    def price_decimals(self) -> int:
        """Decimals of every price: 42000.1 has one, 100.123 has two."""
        return min(max(5 - math.floor(math.log10(self.start_price)), 0), 8)

    @property
    def quantity_decimals(self) -> int:
        """Decimals of every size in base: three at a price of 42000, none below 100."""
        return min(max(math.floor(math.log10(self.start_price)) - 1, 0), 8)

    @property
    def tick_size(self) -> float:
        """The price grid, quote."""
        return float(10.0**-self.price_decimals)

    @property
    def edge_bps(self) -> float:
        """Planted drift of one signal in all, bps: edge * volatility_bps * sqrt(edge_bars)."""
        return self.edge * self.volatility_bps * math.sqrt(self.edge_bars)

    @property
    def end_ms(self) -> int:
        """The first open time after the market."""
        return self.start_ms + self.days * DAY_MS


_RANGES: tuple[tuple[str, float, float], ...] = (
    ("seed", 0, 2**63 - 1),
    ("start_ms", 0, 4_102_444_800_000),
    ("days", 1, DAYS_MAX),
    ("start_price", 1e-3, 1e7),
    ("edge", -1, 1),
    ("edge_bars", 1, 240),
    ("edge_ratio", 1.1, 5),
    ("volatility_bps", 0.5, 50),
    ("quote_volume_minute", 1_000, 1e10),
    ("correlation", 0, 1),
    ("gaps_per_day", 0, 50),
    ("halts_per_day", 0, 20),
    ("wicks_per_day", 0, 100),
    ("missing_per_day", 0, 100),
)


@dataclass(frozen=True, slots=True)
class Profile:
    """What a well-known symbol looks like; any other name gets the last one."""

    start_price: float
    volatility_bps: float
    quote_volume_minute: float


PROFILES: dict[str, Profile] = {
    "BTCUSDT": Profile(42_000.0, 6.0, 1_000_000.0),
    "ETHUSDT": Profile(2_300.0, 7.0, 500_000.0),
    "SOLUSDT": Profile(100.0, 10.0, 200_000.0),
}
PLAIN = Profile(100.0, 8.0, 100_000.0)

MODEL = 1
"""Version of the formulas behind the bars; raised whenever a market would make other bytes."""


def market_named(symbol: str, seed: int, start_ms: int, days: int, edge: float) -> SyntheticMarket:
    """A market with the size and volatility that a reader expects of `symbol`. Raises UserError."""
    profile = PROFILES.get(symbol, PLAIN)
    return SyntheticMarket(
        seed=seed,
        symbol=symbol,
        start_ms=start_ms,
        days=days,
        edge=edge,
        start_price=profile.start_price,
        volatility_bps=profile.volatility_bps,
        quote_volume_minute=profile.quote_volume_minute,
    )


@dataclass(frozen=True, slots=True)
class MarketNote:
    """What the lake remembers of a synthetic symbol."""

    model: int
    market: SyntheticMarket


class MarketMemory(Protocol):
    """Where the parameters of each synthetic symbol are kept, beside its bars."""

    def read(self, symbol: str) -> MarketNote | None:
        """What was noted of `symbol`, or None. Raises DataError when it cannot be read."""
        ...

    def write(self, note: MarketNote) -> None:
        """Note a market, atomically."""
        ...

    def clear(self, symbol: str) -> None:
        """Remove the synthetic symbol, bars and note."""
        ...


@dataclass(frozen=True, slots=True)
class SynthesisReport:
    """What was done for one symbol."""

    market: SyntheticMarket
    outcome: str
    """`made`, `extended`, `replaced` or `unchanged`."""
    bars_added: int


def synthesise(
    markets: Sequence[SyntheticMarket],
    generate: Callable[[SyntheticMarket], Records],
    store: BarStore,
    memory: MarketMemory,
    *,
    replace: bool = False,
    progress: Progress | None = None,
) -> list[SynthesisReport]:
    """Make each market and merge it into `store` under the venue `synthetic`.

    All are checked before anything is written. Raises UserError where another market has the name,
    DataError where the store holds bars that contradict the seed.
    """
    names = [market.symbol for market in markets]
    if len(set(names)) < len(names):
        raise UserError(f"each symbol once, please: {' '.join(names)}")
    outcomes = [_outcome(market, store, memory, replace=replace) for market in markets]
    said = progress or SilentProgress()
    said.start("synthetic market", float(len(markets)))
    reports = []
    for market, outcome in zip(markets, outcomes, strict=True):
        added = _make(market, outcome, generate, store, memory)
        reports.append(SynthesisReport(market, outcome, added))
        said.advance(1.0, market.symbol)
    return reports


def _outcome(
    market: SyntheticMarket, store: BarStore, memory: MarketMemory, *, replace: bool
) -> str:
    """What has to be done for `market`. Raises UserError when something else has its name."""
    key = SeriesKey(VENUE, market.symbol)
    note = memory.read(market.symbol)
    stored = store.keys()
    bars = store.info(key).bars if key in stored else 0
    difference = _difference(note, market) if note or bars else ""
    if difference and not replace:
        raise UserError(
            f"{VENUE} {market.symbol} is already in the lake {difference}; "
            "choose another symbol name, or add --replace to make it anew"
        )
    if difference:
        return "replaced"
    if note is None:
        return "made"
    if market.days > note.market.days:
        return "extended"
    complete = market.missing_per_day > 0 or bars >= note.market.days * BARS_PER_DAY
    return "unchanged" if bars and complete else "made"


def _difference(note: MarketNote | None, market: SyntheticMarket) -> str:
    """In words, how the stored market differs from the one asked for; its length may differ."""
    if note is None:
        return "with bars whose seed is unknown"
    if note.model != MODEL:
        return f"from version {note.model} of the synthetic market (this is version {MODEL})"
    for field in fields(market):
        stored, asked = getattr(note.market, field.name), getattr(market, field.name)
        if field.name != "days" and stored != asked:
            if field.name == "start_ms":
                return f"with start {format_date(stored)} (asked: {format_date(asked)})"
            return f"with {field.name} {stored} (asked: {asked})"
    return ""


def _make(
    market: SyntheticMarket,
    outcome: str,
    generate: Callable[[SyntheticMarket], Records],
    store: BarStore,
    memory: MarketMemory,
) -> int:
    """Bars added for one market."""
    if outcome == "unchanged":
        return 0
    if outcome == "replaced":
        memory.clear(market.symbol)
    note = memory.read(market.symbol)
    if note and note.market.days > market.days:  # an interrupted, longer run: finish that one
        market = note.market
    memory.write(MarketNote(MODEL, market))
    source = f"synthetic seed {market.seed}"
    report = store.merge(SeriesKey(VENUE, market.symbol), generate(market), source=source)
    if report.conflicts:
        raise DataError(
            f"{VENUE} {market.symbol}: {report.conflicts} stored bars are not those of seed "
            f"{market.seed} ({report.first_conflict}); add --replace to make the symbol anew"
        )
    return report.added


def keep_context(
    symbols: Sequence[str],
    generate: Callable[[SyntheticMarket], Sequence[ContextSeries]],
    store: ContextStore,
    memory: MarketMemory,
) -> int:
    """Make the funding and open interest of each noted market up to its end; values added.

    A market that has them already is not made again. Raises DataError where the store holds values
    that contradict the seed.
    """
    added = 0
    for symbol in symbols:
        note = memory.read(symbol)
        if note is None or _has_context(store, note.market):
            continue
        for series in generate(note.market):
            report = store.merge(series, origin=f"synthetic seed {note.market.seed}")
            if report.conflicts:
                raise DataError(
                    f"{series.key}: {report.conflicts} stored values are not those of seed "
                    f"{note.market.seed} ({report.first_conflict}); add --replace to make the "
                    "symbol anew"
                )
            added += report.added
    return added


def _has_context(store: ContextStore, market: SyntheticMarket) -> bool:
    """Whether both series reach the market's end: each has a value published at that moment."""
    own = [key for key in store.keys() if (key.venue, key.symbol) == (VENUE, market.symbol)]  # noqa: SIM118
    return len(own) >= CONTEXT_SERIES and all(
        store.info(key).last_time >= market.end_ms for key in own
    )
