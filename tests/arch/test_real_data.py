"""A test that wants real bars is skipped where there are none, and fails where there must be."""

from __future__ import annotations

from pathlib import Path

import pytest
from tests.market_data import data_root, real_bars, real_files


@pytest.fixture(params=["no folder", "no file"])
def nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest
) -> None:
    """A machine without real data, or without all of it."""
    root = tmp_path if request.param == "no file" else tmp_path / "data"
    monkeypatch.setenv("TERCEL_TEST_DATA", str(root))


@pytest.mark.parametrize("required", ["", "0"])
def test_without_real_data_a_test_is_skipped(
    nothing: None, monkeypatch: pytest.MonkeyPatch, required: str
) -> None:
    monkeypatch.setenv("TERCEL_TEST_DATA_REQUIRED", required)
    with pytest.raises(pytest.skip.Exception, match="set TERCEL_TEST_DATA"):
        real_bars(1)


def test_where_they_are_required_it_fails(nothing: None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TERCEL_TEST_DATA_REQUIRED", "1")
    with pytest.raises(pytest.fail.Exception, match="TERCEL_TEST_DATA_REQUIRED is set"):
        real_files("klines", ["a.parquet"])


def test_a_folder_of_their_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TERCEL_TEST_DATA", str(tmp_path))
    (tmp_path / "a.parquet").write_bytes(b"")
    assert real_files("", ["a.parquet"]) == [data_root() / "a.parquet"]
