"""Which files hold context, and what a row of each means: when its value became known above all.

| file | rows stamped by | known |
|---|---|---|
| settlements: columns funding_time, funding_rate (fraction) | settlement | then |
| Binance's `BTCUSDT-fundingRate-2024-01`: calc_time, last_funding_rate | settlement | then |
| Binance's `BTCUSDT-metrics-2024-01-05`: create_time, sum_open_interest | snapshot | 5 min later |
| `coinglass/BTC_4h`: OHLC, `BTC_top_ratio_1d`: ratio | start of the period | at its end |
| `cryptoquant/BTC_all_exchanges_1d`: value | day | next midnight |
| fear and greed: value with a classification | 00:00 | then |
| `btc_exchange_reserves_1d`: netflow | day | next midnight |
| `sp500_1d`, `dollar_index_1h`: value or close; spx_close, dxy_close | start | at its end |
| `<venue>/<SYMBOL>/<kind>/<source>`: time, value (as a lake keeps it) | moment known | then |
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from tercel.adapters.importers import names
from tercel.app.ports import OtherMarketError, SourceHints
from tercel.domain.bars import TIMEFRAME_MS
from tercel.domain.context import (
    ALL,
    CONTEXT_KINDS,
    CONTEXT_VENUES,
    SNAPSHOT_DELAY_MS,
    ContextKey,
)
from tercel.domain.errors import DataError
from tercel.domain.times import DAY_MS

PERCENT = 0.01

_COIN_FILE = re.compile(r"([A-Z0-9]+)(?:_all_exchanges|_top_ratio)?_(\d+[mhd])(?:_ohlc)?")
_RESERVES = re.compile(r"([a-z0-9]+)_exchange_reserves(?:_1d)?")
_MARKET = re.compile(r"(sp500|dollar_index)_(\d+[mhd])")
_VENDOR_KINDS = {
    "funding": "funding_rate",
    "open_interest": "open_interest",
    "long_short": "long_short_ratio",
}
_METRICS = {"open_interest": "sum_open_interest", "long_short_ratio": "count_long_short_ratio"}


@dataclass(frozen=True, slots=True)
class Shape:
    """How one series is read out of a file."""

    key: ContextKey
    time: str
    """The column of its stamps, as plain_names has it."""
    value: str
    delay_ms: int = 0
    """From a row's stamp to the moment its value became known."""
    unit: float = 1.0
    """A value times this is in the unit of its kind."""
    is_settlement: bool = False
    """Stamps are settlements, which venues write down some milliseconds late."""


def plain_names(columns: list[str]) -> dict[str, str]:
    """Column names in lower snake case -> as the file has them: fundingTime is funding_time."""
    return {
        re.sub(r"\W+", "_", re.sub(r"(?<=[a-z])(?=[A-Z])", "_", name.strip())).lower(): name
        for name in columns
    }


def shapes_of(path: Path, columns: Mapping[str, str], hints: SourceHints) -> tuple[Shape, ...]:
    """The series in a file with these `columns` (plain_names); none where it is not known.

    Raises DataError where venue or symbol stay unknown, OtherMarketError where `hints` differ.
    """
    for recognise in _RECOGNISERS:
        if found := recognise(path, columns, hints):
            return found
    return ()


def _of_the_lake(path: Path, columns: Mapping[str, str], hints: SourceHints) -> tuple[Shape, ...]:
    folders = path.absolute().parts[-4:-1]
    if len(folders) < 3 or folders[2] not in CONTEXT_KINDS or folders[0] not in CONTEXT_VENUES:
        return ()
    if not {"time", "value"} <= columns.keys():
        return ()
    venue, symbol, kind = folders
    _agree(hints, venue, symbol)
    return (Shape(ContextKey(kind, venue, symbol, path.stem), "time", "value"),)


def _settlements(path: Path, columns: Mapping[str, str], hints: SourceHints) -> tuple[Shape, ...]:
    time = _first(columns, "funding_time", "calc_time")
    rate = _first(columns, "funding_rate", "last_funding_rate")
    if time is None or rate is None:
        return ()
    venue, symbol = _market(path, hints)
    key = ContextKey("funding_rate", venue, symbol, "settlements")
    return (Shape(key, time, rate, is_settlement=True),)


def _metrics(path: Path, columns: Mapping[str, str], hints: SourceHints) -> tuple[Shape, ...]:
    if "create_time" not in columns:
        return ()
    there = {kind: column for kind, column in _METRICS.items() if column in columns}
    venue, symbol = _market(path, hints) if there else ("", "")
    return tuple(
        Shape(ContextKey(kind, venue, symbol, "metrics"), "create_time", column, SNAPSHOT_DELAY_MS)
        for kind, column in there.items()
    )


def _vendor(path: Path, columns: Mapping[str, str], hints: SourceHints) -> tuple[Shape, ...]:
    folders = path.absolute().parts[-3:-1]
    match = _COIN_FILE.fullmatch(path.stem)
    if len(folders) < 2 or folders[1] not in ("coinglass", "cryptoquant") or match is None:
        return ()
    kind, span = _VENDOR_KINDS.get(folders[0]), TIMEFRAME_MS.get(match[2])
    value = _first(columns, "ratio", "close", "value")
    if kind is None or span is None or value is None or "time" not in columns:
        return ()
    symbol = f"{match[1]}USDT"
    _agree(hints, ALL, symbol)
    unit = PERCENT if kind == "funding_rate" else 1.0
    key = ContextKey(kind, ALL, symbol, f"{folders[1]}-{match[2]}")
    return (Shape(key, "time", value, span, unit),)


def _fear_greed(_: Path, columns: Mapping[str, str], hints: SourceHints) -> tuple[Shape, ...]:
    time = _first(columns, "time", "timestamp")
    named = _first(columns, "classification", "value_classification")
    if time is None or named is None or "value" not in columns:
        return ()
    _agree(hints, ALL, ALL)
    return (Shape(ContextKey("fear_greed", ALL, ALL, "alternative-me"), time, "value"),)


def _netflow(path: Path, columns: Mapping[str, str], hints: SourceHints) -> tuple[Shape, ...]:
    match = _RESERVES.fullmatch(path.stem)
    if match is None or not {"time", "netflow"} <= columns.keys():
        return ()
    symbol = f"{match[1].upper()}USDT"
    _agree(hints, ALL, symbol)
    key = ContextKey("exchange_netflow", ALL, symbol, "reserves-1d")
    return (Shape(key, "time", "netflow", DAY_MS),)


def _other_markets(path: Path, columns: Mapping[str, str], hints: SourceHints) -> tuple[Shape, ...]:
    if "time" not in columns:
        return ()
    together = {"sp500": "spx_close", "dollar_index": "dxy_close"}
    if found := {kind: column for kind, column in together.items() if column in columns}:
        _agree(hints, ALL, ALL)
        return tuple(
            Shape(ContextKey(kind, ALL, ALL, "yahoo-1d"), "time", column, DAY_MS)
            for kind, column in found.items()
        )
    match = _MARKET.fullmatch(path.stem)
    span = TIMEFRAME_MS.get(match[2]) if match else None
    value = _first(columns, "close", "value")
    if match is None or span is None or value is None:
        return ()
    _agree(hints, ALL, ALL)
    source = f"{path.absolute().parent.name}-{match[2]}"
    return (Shape(ContextKey(match[1], ALL, ALL, source), "time", value, span),)


_RECOGNISERS: tuple[Callable[[Path, Mapping[str, str], SourceHints], tuple[Shape, ...]], ...] = (
    _of_the_lake,
    _settlements,
    _metrics,
    _vendor,
    _fear_greed,
    _netflow,
    _other_markets,
)


def _market(path: Path, hints: SourceHints) -> tuple[str, str]:
    """(venue, symbol) of a venue's own file, from its path and `hints`."""
    folders = path.absolute().parts[:-1]
    venue = names.venue_of(folders, CONTEXT_VENUES)
    archive = names.ARCHIVE.fullmatch(path.stem)
    symbol = archive["symbol"] if archive else path.stem
    symbol = symbol.removesuffix("-SWAP").replace("-", "")
    plain = re.fullmatch(r"[A-Z0-9]{4,30}(_\d{6})?", symbol) and not symbol.isdigit()
    told = {"venue": (venue, hints.venue), "symbol": (symbol if plain else None, hints.symbol)}
    _agree(hints, venue, symbol if plain else None)
    for name, (from_path, hint) in told.items():
        if not (from_path or hint):
            raise DataError(f"{path}: its path does not tell the {name}; say it with --{name}")
    return str(venue or hints.venue), str(told["symbol"][0] or hints.symbol)


def _agree(hints: SourceHints, venue: str | None, symbol: str | None) -> None:
    """Raise OtherMarketError where the file is of another market than the one asked for."""
    for name, found, hint in (("venue", venue, hints.venue), ("symbol", symbol, hints.symbol)):
        if found and hint and found != hint:
            raise OtherMarketError(f"it is {name} {found}, not {hint}")


def _first(columns: Mapping[str, str], *wanted: str) -> str | None:
    """The first of `wanted` that is there."""
    return next((name for name in wanted if name in columns), None)
