"""Promotion records as files: `<folder>/<strategy>-<symbol>.json`, written atomically.

{"schema": 1, "hash": "9f2c...", "strategy": "three_r", "symbol": "BTCUSDT",
 "venue": "binance-spot", "timeframe": "1m", "pressure": "taker",
 "hashes": {"code": "...", "parameters": "...", "risk": "..."},
 "days": [{"date": "2026-02-09", "trades": 5, "net_quote": 12.5}, ...],
 "profit_factor": 1.8, "tercel": "0.1.0", "created_time": 1771027200000}
`hash` is the one hash of the three, for people; `created_time` is ms UTC.
"""

from __future__ import annotations

import json
import os
import tempfile
from dataclasses import asdict
from pathlib import Path
from typing import Any

from tercel.app.promotion import PromotedDay, PromotionHash, PromotionRecord
from tercel.domain.errors import DataError, StorageError

SCHEMA = 1


class PromotionFiles:
    """app.promotion.PromotionStore in a folder."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def read(self, strategy: str, symbol: str) -> PromotionRecord | None:
        """The record, or None. Raises DataError when the file is damaged."""
        path = self._path(strategy, symbol)
        try:
            return _record(json.loads(path.read_text(encoding="utf-8")))
        except FileNotFoundError:
            return None
        except (ValueError, KeyError, TypeError) as error:
            raise DataError(
                f"{path} is damaged ({type(error).__name__}: {error}); run `tercel validate "
                f"{strategy} {symbol}` again"
            ) from None

    def write(self, record: PromotionRecord) -> Path:
        """Temporary file, fsync, rename. Raises StorageError."""
        path = self._path(record.strategy, record.symbol)
        stored = {"schema": SCHEMA, "hash": record.hashes.whole, **asdict(record)}
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            with tempfile.NamedTemporaryFile(
                "w", encoding="utf-8", dir=path.parent, prefix=".promotion-", delete=False
            ) as file:
                file.write(json.dumps(stored, indent=2, allow_nan=False) + "\n")
                file.flush()
                os.fsync(file.fileno())
            Path(file.name).chmod(0o644)
            Path(file.name).replace(path)
        except OSError as error:
            raise StorageError(f"cannot write {path}: {error.strerror}") from error
        return path

    def _path(self, strategy: str, symbol: str) -> Path:
        return self._folder / f"{strategy}-{symbol}.json"


def _record(stored: dict[str, Any]) -> PromotionRecord:
    """Raises KeyError, TypeError, ValueError for another format."""
    if stored["schema"] != SCHEMA:
        raise ValueError(f"schema {stored['schema']}, and {SCHEMA} is read")
    rest = {name: value for name, value in stored.items() if name not in ("schema", "hash")}
    rest["hashes"] = PromotionHash(**stored["hashes"])
    rest["days"] = tuple(PromotedDay(**day) for day in stored["days"])
    record = PromotionRecord(**rest)
    if stored["hash"] != record.hashes.whole:
        raise ValueError("its hashes contradict each other")
    return record
