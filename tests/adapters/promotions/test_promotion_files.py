"""Promotion records on disk: what is written is read, damage is told, nothing is left half."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest

from tercel.adapters.promotions import PromotionFiles
from tercel.app.promotion import PromotedDay, PromotionHash, PromotionRecord
from tercel.domain.errors import DataError, StorageError

RECORD = PromotionRecord(
    strategy="swing", symbol="BTCUSDT", venue="binance-spot", timeframe="1m", pressure="bar",
    hashes=PromotionHash("a" * 64, "b" * 64, "c" * 64),
    days=(PromotedDay("2026-02-09", 3, 12.5), PromotedDay("2026-02-13", 0, 0.0)),
    profit_factor=1.5, tercel="0.1.0", created_time=1_771_027_200_000,
)  # fmt: skip


def test_what_is_written_is_read(tmp_path: Path) -> None:
    files = PromotionFiles(tmp_path / "validated")
    assert files.read("swing", "BTCUSDT") is None
    path = files.write(RECORD)
    assert path == tmp_path / "validated" / "swing-BTCUSDT.json"
    assert files.read("swing", "BTCUSDT") == RECORD
    assert files.read("swing", "ETHUSDT") is None
    newer = replace(RECORD, profit_factor=2.0)
    files.write(newer)
    assert files.read("swing", "BTCUSDT") == newer
    assert [each.name for each in path.parent.iterdir()] == ["swing-BTCUSDT.json"]
    assert json.loads(path.read_text())["hash"] == RECORD.hashes.whole


@pytest.mark.parametrize(
    ("old", "new"),
    [("{", ""), ('"schema": 1', '"schema": 2'), ('"risk"', '"rsik"'), ("ccc", "ccd"),
     ('"symbol"', '"symbl"')],
)  # fmt: skip
def test_damage_is_told(tmp_path: Path, old: str, new: str) -> None:
    files = PromotionFiles(tmp_path)
    path = files.write(RECORD)
    path.write_text(path.read_text().replace(old, new, 1))
    with pytest.raises(DataError, match=r"damaged .*; run `tercel validate swing BTCUSDT` again"):
        files.read("swing", "BTCUSDT")


def test_a_folder_that_cannot_be_written(tmp_path: Path) -> None:
    (tmp_path / "taken").write_text("a file")
    with pytest.raises(StorageError, match="cannot write"):
        PromotionFiles(tmp_path / "taken").write(RECORD)
