"""The composition root: settings become sources, logs and stores."""

from __future__ import annotations

import dataclasses
import logging
import os
from pathlib import Path

import pytest
from tests.context_fakes import FEAR, rows
from tests.journal_rows import step
from tests.session_states import full_state

from tercel import bootstrap
from tercel.domain.errors import ConfigError, StorageError, UserError
from tercel.domain.fetch_policy import FetchPolicy, SourceChoice


def test_download_settings_reach_the_policy_of_each_venue() -> None:
    settings = bootstrap.load_settings(
        overrides=[
            "fetch.retries=2",
            "fetch.rest_urls={bybit-linear: 'http://127.0.0.1:9'}",
            "fetch.archive_urls={binance-spot: 'http://127.0.0.1:8'}",
        ]
    )
    spot = bootstrap.fetch_policy(settings, "binance-spot")
    assert spot.archive_url == "http://127.0.0.1:8"
    assert spot.rest_url == ""
    bybit = bootstrap.fetch_policy(settings, "bybit-linear")
    assert (bybit.archive_url, bybit.rest_url) == ("", "http://127.0.0.1:9")
    assert bybit.retries == 2
    shared = {field.name for field in dataclasses.fields(FetchPolicy)} - {"archive_url", "rest_url"}
    for name in shared:
        assert getattr(bybit, name) == getattr(settings.fetch, name)


@pytest.mark.parametrize(
    ("venue", "choice", "archive", "rest"),
    [
        ("binance-usdm", SourceChoice(), True, True),
        ("binance-spot", SourceChoice(use_rest=False), True, False),
        ("binance-spot", SourceChoice(use_archive=False), False, True),
        ("bybit-linear", SourceChoice(), False, True),
        ("bitget-usdtm", SourceChoice(use_rest=False), False, False),
    ],
)
def test_sources_of_a_venue(venue: str, choice: SourceChoice, archive: bool, rest: bool) -> None:
    settings = bootstrap.load_settings()
    sources = bootstrap.bar_sources(settings, venue, bootstrap.system_clock(), choice)
    assert (sources.archive is not None) == archive
    assert (sources.rest is not None) == rest


def test_bars_and_context_are_in_one_lake(tmp_path: Path) -> None:
    settings = bootstrap.load_settings().with_lake(tmp_path)
    bootstrap.open_context(settings).merge(rows(FEAR, [1_704_067_200_000], [50]), origin="test")
    assert (tmp_path / "all/all/fear_greed/alternative-me.parquet").is_file()
    assert bootstrap.open_lake(settings).keys() == []


def test_logs_follow_the_settings() -> None:
    root = logging.getLogger()
    before = root.handlers[:], root.level
    try:
        bootstrap.start_logs(bootstrap.load_settings(overrides=["log.level=error"]))
        assert root.level == logging.ERROR
    finally:
        root.handlers[:], level = before
        root.setLevel(level)


@pytest.mark.parametrize("is_there", [False, True])
def test_a_log_file_is_its_owners_alone(tmp_path: Path, is_there: bool) -> None:
    """Positions and orders are in it; one that others could read loses that."""
    file, root = tmp_path / "session.log", logging.getLogger()
    before, umask = (root.handlers[:], root.level), os.umask(0o022)
    try:
        if is_there:
            file.write_text("{}\n")
        bootstrap.start_logs(bootstrap.load_settings(), file)
        assert file.stat().st_mode & 0o777 == 0o600
        assert file.read_text() == ("{}\n" if is_there else "")
    finally:
        os.umask(umask)
        for handler in root.handlers:
            if isinstance(handler, logging.StreamHandler) and handler not in before[0]:
                handler.stream.close()
        root.handlers[:], level = before
        root.setLevel(level)


def test_without_ccxt_the_archive_has_to_do(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bootstrap, "find_spec", lambda _: None)
    settings, clock = bootstrap.load_settings(), bootstrap.system_clock()
    with_archive = bootstrap.bar_sources(settings, "binance-usdm", clock, SourceChoice())
    assert (with_archive.archive is not None, with_archive.rest) == (True, None)
    without = bootstrap.bar_sources(settings, "bybit-linear", clock, SourceChoice())
    assert without.rest is not None, "asking it names what to install"


async def test_state_and_journal_are_files_of_the_session_where_no_address_is_set(
    tmp_path: Path,
) -> None:
    state, journal = bootstrap.open_state("", tmp_path), bootstrap.open_journal("", tmp_path)
    await state.write(full_state())
    await journal.write(step(1))
    await state.close()
    await journal.close()
    assert (tmp_path / "state.sqlite").exists()
    assert (tmp_path / "journal.sqlite").exists()


async def test_state_and_journal_of_an_address(tmp_path: Path) -> None:
    state = bootstrap.open_state(f"sqlite:///{tmp_path}/mine.db", tmp_path / "session")
    await state.write(full_state())
    await state.close()
    assert (tmp_path / "mine.db").exists()
    server = bootstrap.open_state("redis://me:hunter2@127.0.0.1:1/0", tmp_path)
    with pytest.raises(StorageError, match=r"redis://me:\(hidden\)@127\.0\.0\.1:1/0"):
        await server.read_full_snapshot()
    await server.close()
    journal = bootstrap.open_journal("", tmp_path / "session", create=False)
    with pytest.raises(UserError, match="no journal yet"):
        await journal.read("order")
    await journal.close()
    assert not (tmp_path / "session").exists()


@pytest.mark.parametrize("url", ["mongodb://me:hunter2@h", "state.sqlite", "sqlite:///"])
def test_a_state_of_another_kind(tmp_path: Path, url: str) -> None:
    with pytest.raises(ConfigError, match=r"state\.url: expected redis") as caught:
        bootstrap.open_state(url, tmp_path)
    assert "hunter2" not in str(caught.value)
