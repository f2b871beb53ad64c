"""Promotion: what was validated is what may trade.

A strategy that passed `tercel validate` is promoted: a record keeps SHA-256 hashes of the code it
runs on, its parameters and its risk configuration. Paper and live call `check_promotion` before
they trade, and refuse when one of them is another.

Source: source 5, "Backtest validation gate" (there over strategy.py and risk.py; here over every
file of the core that takes part, and over the figures as well).
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from tercel.app.prepare import FLOW_FILTER
from tercel.app.strategies import Strategy, load_strategy, sources_beside
from tercel.core.jit import CORE_ROOT
from tercel.domain.errors import UserError
from tercel.domain.settings import Settings

MODIFIED = "STRATEGY_MODIFIED_SINCE_VALIDATION"
NOT_VALIDATED = "STRATEGY_NOT_VALIDATED"
STRATEGIES_FOLDER = "strategies"
_STRATEGY_IMPORT = re.compile(r"tercel\.core\.strategies(?:\.|\s+import\s+)(\w+)")


class PromotionError(UserError):
    """A strategy may not trade: it was never validated, or not as it is now."""


@dataclass(frozen=True, slots=True)
class Promotable:
    """A strategy as it would trade."""

    strategy: Strategy
    symbol: str
    values: Mapping[str, int | float | str]
    """Parameter values by name."""
    cost_profile: str


@dataclass(frozen=True, slots=True)
class PromotionHash:
    """SHA-256 of everything that decides how a strategy trades, in three parts."""

    code: str
    parameters: str
    risk: str

    @property
    def whole(self) -> str:
        """One hash of the three."""
        return hashlib.sha256(f"{self.code}{self.parameters}{self.risk}".encode()).hexdigest()

    def differing(self, other: PromotionHash) -> tuple[str, ...]:
        """Names of the parts in which `other` differs."""
        names = (field.name for field in dataclasses.fields(self))
        return tuple(name for name in names if getattr(self, name) != getattr(other, name))


@dataclass(frozen=True, slots=True)
class PromotedDay:
    """What a validated day showed."""

    date: str
    trades: int
    net_quote: float


@dataclass(frozen=True, slots=True)
class PromotionRecord:
    """The proof that a strategy was validated, as it was then."""

    strategy: str
    symbol: str
    venue: str
    timeframe: str
    pressure: str
    """The pressure input on the validated days; `bar` is an estimate."""
    hashes: PromotionHash
    days: tuple[PromotedDay, ...]
    profit_factor: float
    tercel: str
    """Version that validated it."""
    created_time: int
    """ms UTC."""


class PromotionStore(Protocol):
    """Where promotion records are kept, one for each strategy and symbol."""

    def read(self, strategy: str, symbol: str) -> PromotionRecord | None:
        """The record, or None. Raises DataError when it is damaged."""
        ...

    def write(self, record: PromotionRecord) -> Path:
        """Keep the record, atomically, instead of an older one; where. Raises StorageError."""
        ...


def promotion_hash(settings: Settings, subject: Promotable) -> PromotionHash:
    """The hashes of `subject` under `settings`.

    Code: the core (of its strategies only those that take part) and a user's own files beside the
    strategy. Risk: sizing, limits, pace, clusters, margin tiers, plan, costs, fills, instrument
    overrides, and the order-flow filter with its parameters where it is on.
    """
    name = subject.strategy.name
    pace = settings.pace_of(name)
    flow = load_strategy(FLOW_FILTER) if pace.flow_min > 0.0 else None
    own = settings.strategy(name)
    plan = dataclasses.asdict(dataclasses.replace(subject.strategy.plan, **own.plan))
    risk = {
        "sizing": settings.sizing_of(name).model_dump(mode="json"),
        "limits": settings.limits_of(name).model_dump(mode="json"),
        "pace": pace.model_dump(mode="json"),
        "clusters": settings.model_dump(mode="json")["clusters"],
        "margin_tiers": settings.model_dump(mode="json")["margin_tiers"],
        "plan": plan,
        "costs": settings.cost_profile(subject.cost_profile).model_dump(mode="json"),
        "fills": settings.fills_of(name).model_dump(mode="json"),
        "instrument": {key: str(value) for key, value in sorted(own.instrument.items())},
        "flow": {} if flow is None else dict(settings.strategy(flow.name).params),
    }
    return PromotionHash(
        code=_code_hash(subject.strategy, flow),
        parameters=_digest(dict(subject.values)),
        risk=_digest(risk),
    )


def check_promotion(
    store: PromotionStore, settings: Settings, subject: Promotable
) -> PromotionRecord:
    """The record that lets `subject` trade.

    Raises PromotionError with both hashes when it changed since, or when there is no record.
    """
    name, symbol = subject.strategy.name, subject.symbol
    record = store.read(name, symbol)
    again = f"`tercel validate {name} {symbol}`"
    if record is None:
        raise PromotionError(f"{NOT_VALIDATED}: {name} {symbol} has no promotion; run {again}")
    now = promotion_hash(settings, subject)
    if now != record.hashes:
        parts = ", ".join(record.hashes.differing(now))
        raise PromotionError(
            f"{MODIFIED}: {name} {symbol} was validated as {record.hashes.whole}, and is now "
            f"{now.whole} ({parts} changed); run {again} again"
        )
    return record


def code_files(strategy: Strategy, flow: Strategy | None = None) -> dict[str, Path]:
    """Every source file that takes part, by a name that does not depend on where it lies."""
    folder = CORE_ROOT / STRATEGIES_FOLDER
    found = {
        path.relative_to(CORE_ROOT).as_posix(): path
        for path in CORE_ROOT.rglob("*.py")
        if path.parent != folder
    }
    wanted = [each.path for each in (strategy, flow) if each is not None]
    if strategy.path.parent != folder:
        beside = sources_beside(strategy.path)
        root = strategy.path.parent
        found.update({f"own/{path.relative_to(root).as_posix()}": path for path in beside})
        wanted += beside
    seen: set[Path] = set()
    while wanted:
        path = wanted.pop()
        if path in seen:
            continue
        seen.add(path)
        if path.parent == folder:
            found[path.relative_to(CORE_ROOT).as_posix()] = path
        names = _STRATEGY_IMPORT.findall(path.read_text(encoding="utf-8"))
        wanted += [folder / f"{name}.py" for name in names if (folder / f"{name}.py").is_file()]
    return dict(sorted(found.items()))


def _code_hash(strategy: Strategy, flow: Strategy | None) -> str:
    digest = hashlib.sha256()
    for name, path in code_files(strategy, flow).items():
        content = hashlib.sha256(path.read_bytes()).hexdigest()
        digest.update(f"{name} {content}\n".encode())
    return digest.hexdigest()


def _digest(value: Any) -> str:
    return hashlib.sha256(json.dumps(value, sort_keys=True).encode()).hexdigest()
