"""What a path says about the bars in a file.

| path ends in | told |
|---|---|
| `binance-spot/BTCUSDT/1m/2024-01.parquet` (bulk layout; also a lake) | venue, symbol, timeframe |
| `data/futures/um/monthly/klines/BTCUSDT/1m/BTCUSDT-1m-2024-01.zip` (mirror of the archive) | all |
| `BTCUSDT-1m-2024-01.zip`, `BTCUSDT-1m-2024-01-05.csv` | symbol, timeframe |
| `binance-usdm-quarterly/BTCUSDT_delivery_1d.parquet` | venue, timeframe |
| anything else | what a folder named after a venue, or a `_15m` in the name, tells |
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from tercel.app.ports import NotBarsError, SourceHints
from tercel.domain.bars import TIMEFRAME_MS, VENUES, SeriesKey
from tercel.domain.errors import DataError, UserError

ARCHIVE = re.compile(r"(?P<symbol>\w+)-(?P<kind>\w+)-\d{4}-\d{2}(-\d{2})?")
_INTERVAL = re.compile(r"\d+(s|m|h|d|w|mo|M)")
_MARKED_INTERVAL = re.compile(r"(?:^|[-_])(\d+(?:m|h|d))(?=$|[-_.])")
_SYMBOL = re.compile(r"[^\W_a-z][^\Wa-z]*")
_OTHER_KLINES = {
    "markPriceKlines": "mark price",
    "indexPriceKlines": "index price",
    "premiumIndexKlines": "premium index",
}
_QUARTERLY = "-quarterly"


@dataclass(frozen=True, slots=True)
class PathFacts:
    """What the path tells; None where it does not."""

    venue: str | None = None
    symbol: str | None = None
    timeframe: str | None = None


def read_path(path: Path) -> PathFacts:
    """What `path` tells. Raises NotBarsError when it says that the file holds something else."""
    folders = path.absolute().parts[:-1]
    for folder in folders:
        if folder in _OTHER_KLINES:
            raise NotBarsError(f"{_OTHER_KLINES[folder]} klines are not trades")
    venue = venue_of(folders)
    if len(folders) >= 3 and folders[-3] in VENUES and _INTERVAL.fullmatch(folders[-1]):
        return PathFacts(folders[-3], folders[-2], _supported(folders[-1]))
    if match := ARCHIVE.fullmatch(path.stem):
        if not _INTERVAL.fullmatch(match["kind"]):
            raise NotBarsError(f"{match['kind']}, not klines")
        return PathFacts(venue, match["symbol"], _supported(match["kind"]))
    marked = _MARKED_INTERVAL.search(path.stem)
    timeframe = marked[1] if marked and marked[1] in TIMEFRAME_MS else None
    symbol = None
    if marked and _SYMBOL.fullmatch(before := path.stem[: marked.start()]):
        symbol = before
    return PathFacts(venue, symbol, timeframe)


def key_of(path: Path, hints: SourceHints, *, symbol: str | None = None) -> SeriesKey:
    """The series of `path`; `symbol` is what the rows of the file say.

    A hint completes the path and never contradicts it: a file of another series is not among those
    asked for (NotBarsError). Raises DataError when something stays unknown.
    """
    facts = read_path(path)
    told = {
        "venue": (facts.venue, hints.venue),
        "symbol": (_upper(symbol or facts.symbol), _upper(hints.symbol)),
        "timeframe": (facts.timeframe, hints.timeframe),
    }
    known: dict[str, str] = {}
    for name, (from_path, hint) in told.items():
        if from_path and hint and from_path != hint:
            raise NotBarsError(f"it is {name} {from_path}, not {hint}")
        value = from_path or hint
        if value is None:
            raise DataError(f"{path}: its path does not tell the {name}; say it with --{name}")
        known[name] = value
    return SeriesKey(known["venue"], known["symbol"], known["timeframe"])


def check_hints(hints: SourceHints) -> None:
    """Raise UserError for a venue or timeframe that does not exist."""
    if hints.venue is not None and hints.venue not in VENUES:
        raise UserError(f"unknown venue {hints.venue!r}; it is one of {', '.join(VENUES)}")
    if hints.timeframe is not None and hints.timeframe not in TIMEFRAME_MS:
        known = ", ".join(TIMEFRAME_MS)
        raise UserError(f"unknown timeframe {hints.timeframe!r}; it is one of {known}")


def venue_of(folders: tuple[str, ...], known: Sequence[str] = VENUES) -> str | None:
    """The one of `known` venues that the innermost such folder names, as the lake or as Binance's
    archive does.
    """
    for place in range(len(folders) - 1, -1, -1):
        folder = folders[place].removesuffix(_QUARTERLY)
        if folder in known:
            return folder
        if folder in ("monthly", "daily") and place >= 2:
            if folders[place - 2 : place] == ("futures", "um"):
                return "binance-usdm"
            if folders[place - 1] == "spot":
                return "binance-spot"
    return None


def _upper(symbol: str | None) -> str | None:
    """Symbols are upper case in the lake, whatever a folder is called."""
    return None if symbol is None else symbol.upper()


def _supported(interval: str) -> str:
    if interval not in TIMEFRAME_MS:
        raise NotBarsError(
            f"timeframe {interval} is not one the lake holds ({', '.join(TIMEFRAME_MS)})"
        )
    return interval
