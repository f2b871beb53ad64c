"""`market.json`: written whole or not at all, read back equal, and never outside its venue."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tercel.adapters.synthetic import MarketFiles, SyntheticMarket
from tercel.app.synthesise import MODEL, MarketNote
from tercel.domain.errors import DataError, StorageError

NOTE = MarketNote(MODEL, SyntheticMarket(seed=2**63 - 1, symbol="XUSDT", edge=0.1))


def test_what_is_written_is_read(tmp_path: Path) -> None:
    memory = MarketFiles(tmp_path)
    assert memory.read("XUSDT") is None
    memory.write(NOTE)
    assert memory.read("XUSDT") == NOTE
    folder = tmp_path / "synthetic" / "XUSDT"
    assert [file.name for file in folder.iterdir()] == ["market.json"]
    text = json.loads((folder / "market.json").read_text())
    assert text["note"] == "synthetic market: not real prices"


def test_clear_removes_the_symbol_and_nothing_else(tmp_path: Path) -> None:
    memory = MarketFiles(tmp_path)
    memory.write(NOTE)
    real = tmp_path / "binance-usdm" / "XUSDT" / "1m"
    real.mkdir(parents=True)
    memory.clear("XUSDT")
    memory.clear("XUSDT")
    assert list((tmp_path / "synthetic").iterdir()) == []
    assert real.is_dir()


@pytest.mark.parametrize(
    "text",
    [
        "{",
        "[]",
        '{"model": 1}',
        '{"market": {}}',
        '{"model": 1, "market": {"seeds": 1}}',
        '{"model": 1, "market": {"days": -1}}',
    ],
)
def test_a_damaged_file_is_named(tmp_path: Path, text: str) -> None:
    path = tmp_path / "synthetic" / "XUSDT" / "market.json"
    path.parent.mkdir(parents=True)
    path.write_text(text)
    with pytest.raises(DataError, match=r"market\.json is damaged"):
        MarketFiles(tmp_path).read("XUSDT")


def test_a_folder_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    (tmp_path / "synthetic").write_text("a file where the folder should be")
    with pytest.raises(StorageError, match="cannot write"):
        MarketFiles(tmp_path).write(NOTE)


def test_a_folder_that_cannot_be_removed_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    memory = MarketFiles(tmp_path)
    memory.write(NOTE)

    def refuse(self: Path, target: Path) -> Path:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(Path, "rename", refuse)
    with pytest.raises(StorageError, match="cannot remove"):
        memory.clear("XUSDT")
