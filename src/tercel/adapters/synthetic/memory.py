"""`<lake>/synthetic/<SYMBOL>/market.json`: which market a synthetic symbol is, written atomically.

{"note": "synthetic market: not real prices", "model": 1,
 "market": {"seed": 1, "symbol": "BTCUSDT", "start_ms": 1704067200000, "days": 60, ...}}
`model` is the version of the formulas, `market` the fields of SyntheticMarket.
"""

from __future__ import annotations

import json
import os
import shutil
import tempfile
from dataclasses import asdict
from pathlib import Path

from tercel.app.synthesise import VENUE, MarketNote, SyntheticMarket
from tercel.domain.errors import DataError, StorageError, UserError

FILE_NAME = "market.json"
NOTE = "synthetic market: not real prices"


class MarketFiles:
    """app.synthesise.MarketMemory in the lake's folder; nothing outside `synthetic` is touched."""

    def __init__(self, lake: Path) -> None:
        self._venue = lake / VENUE

    def read(self, symbol: str) -> MarketNote | None:
        """The note of `symbol`, or None. Raises DataError when the file is damaged."""
        path = self._venue / symbol / FILE_NAME
        try:
            stored = json.loads(path.read_text(encoding="utf-8"))
            return MarketNote(int(stored["model"]), SyntheticMarket(**stored["market"]))
        except FileNotFoundError:
            return None
        except (ValueError, KeyError, TypeError, UserError) as error:
            raise DataError(
                f"{path} is damaged ({error}); remove the folder {path.parent} and make it anew"
            ) from error

    def write(self, note: MarketNote) -> None:
        """Write the note of its symbol: temporary file, fsync, rename. Raises StorageError."""
        path = self._venue / note.market.symbol / FILE_NAME
        stored = {"note": NOTE, "model": note.model, "market": asdict(note.market)}
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            with tempfile.NamedTemporaryFile(
                "w", encoding="utf-8", dir=path.parent, prefix=".market-", delete=False
            ) as file:
                file.write(json.dumps(stored, indent=1) + "\n")
                file.flush()
                os.fsync(file.fileno())
            Path(file.name).replace(path)
        except OSError as error:
            raise StorageError(f"cannot write {path}: {error.strerror}") from error

    def clear(self, symbol: str) -> None:
        """Remove the symbol's folder: renamed out of sight first, so that no half is ever read."""
        folder = self._venue / symbol
        try:
            if folder.exists():
                doomed = Path(tempfile.mkdtemp(prefix=".removed-", dir=self._venue))
                folder.rename(doomed / symbol)
                shutil.rmtree(doomed)
        except OSError as error:
            raise StorageError(f"cannot remove {folder}: {error.strerror}") from error
