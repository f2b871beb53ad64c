"""A venue that publishes what a test says, and a keeper that fetches it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from tests.app.live.scenes import MINUTE, START, Cast, Script, settings
from tests.context_fakes import MemoryContextStore, rows

from tercel.app.live.context_keeper import ContextKeeper, KeeperRules
from tercel.app.live.known_context import KnownContext
from tercel.app.ports import Clock
from tercel.domain.context import ContextKey, ContextSeries
from tercel.domain.errors import VenueError
from tercel.domain.journal import AlertRow, JournalRow, ScoreRow

KINDS = ("funding_rate", "open_interest", "long_short_ratio")
SOURCES = {"funding_rate": "settlements", "open_interest": "rest-5m", "long_short_ratio": "rest-5m"}
VENUE = "binance-usdm"


def key_of(kind: str, symbol: str = "BTCUSDT") -> ContextKey:
    """The series that the venue's rows of a kind make."""
    return ContextKey(kind, VENUE, symbol, SOURCES[kind])


class Publisher:
    """ports.ContextSource of rows that a test puts there."""

    def __init__(self, kinds: Sequence[str] = KINDS) -> None:
        self.kinds = tuple(kinds)
        self.rows: dict[tuple[str, str], dict[int, float]] = {}
        self.failing: set[str] = set()
        """Kinds, or symbols, that cannot be read."""
        self.slow: tuple[Clock, float] | None = None
        """Answers take so many seconds on that clock."""
        self.asked: list[tuple[str, str, int]] = []
        self.closed = 0

    def publish(self, kind: str, known: Mapping[int, float], symbol: str = "BTCUSDT") -> Publisher:
        """Rows by the moment they become known."""
        self.rows.setdefault((kind, symbol), {}).update(known)
        return self

    async def read(self, kind: str, symbol: str, since_ms: int) -> ContextSeries:
        self.asked.append((kind, symbol, since_ms))
        if self.slow is not None:
            await self.slow[0].sleep(self.slow[1])
        if {kind, symbol} & self.failing:
            raise VenueError("no route to the venue")
        kept = sorted(self.rows.get((kind, symbol), {}).items())
        found = [(time, value) for time, value in kept if time >= since_ms]
        return rows(key_of(kind, symbol), [t for t, _ in found], [v for _, v in found])

    async def close(self) -> None:
        self.closed += 1


@dataclass
class Kept:
    """A keeper, and what it told."""

    keeper: ContextKeeper
    publisher: Publisher
    lake: MemoryContextStore
    told: list[JournalRow] = field(default_factory=list)

    async def start(self) -> None:
        """Step 5."""
        await self.keeper.start(self.told.extend)

    def value(self, name: str, open_time: int, symbol: str = "BTCUSDT") -> float:
        """A field of the context of the bar that opened at `open_time`."""
        return float(self.keeper.known(symbol, open_time)[name][0])

    def alerts(self) -> list[str]:
        """Codes of what was told."""
        return [row.code for row in self.told if isinstance(row, AlertRow)]

    def scores(self) -> list[tuple[str, float]]:
        """Scores that were journaled."""
        return [(row.name, row.value) for row in self.told if isinstance(row, ScoreRow)]


def kept(
    clock: Clock,
    *lake: ContextSeries,
    symbols: tuple[str, ...] = ("BTCUSDT",),
    warmup_bars: int = 10,
    writes_lake: bool = True,
) -> Kept:
    """A keeper of `symbols` on one-minute bars; the lake has `lake`."""
    every = settings()
    cast = Cast(symbols=symbols, streams=tuple(range(len(symbols))))
    plan = cast.session_plan(Script())
    publisher, store = Publisher(), MemoryContextStore(*lake)
    keeper = ContextKeeper(
        KnownContext(plan, every.context),
        publisher,
        store,
        KeeperRules(every.context, every.context_refresh, "s1", warmup_bars * MINUTE, writes_lake),
        clock,
    )
    return Kept(keeper, publisher, store)


__all__ = ["KINDS", "MINUTE", "START", "Kept", "Publisher", "kept", "key_of"]
