"""`tercel data synth`: kept under `synthetic`, labelled, repeatable, never over another seed."""

from __future__ import annotations

from pathlib import Path

import pytest
import typer
from typer.testing import CliRunner, Result

from tercel.adapters.lake import LakeBarStore, LakeContextStore
from tercel.adapters.synthetic import context_series, generate, market_named
from tercel.domain.bars import SeriesKey
from tercel.domain.errors import UserError
from tercel.domain.settings import SyntheticSettings
from tercel.entry.cli.synth import synth, wanted_markets

DEFAULTS = SyntheticSettings(seed=5, days=1, symbols=("BTCUSDT",), start="2024-03-01", edge=0.0)
SETTINGS = {"SEED": "5", "DAYS": "1", "SYMBOLS": "[BTCUSDT]", "START": "2024-03-01", "EDGE": "0.0"}


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> object:
    """Runs the command as the program would, over a lake in `tmp_path`."""
    monkeypatch.chdir(tmp_path)
    for name, value in SETTINGS.items():
        monkeypatch.setenv(f"TERCEL__SYNTHETIC__{name}", value)
    monkeypatch.setenv("COLUMNS", "160")
    app = typer.Typer()
    app.command()(synth)

    def invoke(*arguments: str) -> Result:
        return CliRunner().invoke(app, list(arguments))

    return invoke


def said(run: object, *arguments: str) -> str:
    """What the command prints; an error of ours is raised."""
    assert callable(run)
    result = run(*arguments)
    if result.exception:
        raise result.exception
    return str(result.output)


def test_the_settings_decide_what_is_not_said(run: object, tmp_path: Path) -> None:
    output = said(run)
    assert "synthetic market: not real prices" in output
    assert "BTCUSDT" in output
    assert "1,440" in output
    store = LakeBarStore(tmp_path / "lake")
    key = SeriesKey("synthetic", "BTCUSDT")
    assert list(store.keys()) == [key]
    market = market_named("BTCUSDT", 5, 1_709_251_200_000, 1, 0.0)
    assert store.read(key).bars.tobytes() == generate(market).tobytes()
    assert store.gaps(key) == ()
    assert "with 291 values of funding and open interest" in output
    context = LakeContextStore(tmp_path / "lake")
    kept = [context.read(one) for one in context.keys()]  # noqa: SIM118 (a port)
    made = context_series(market)
    assert [series.key for series in kept] == [series.key for series in made]
    assert [series.data_hash for series in kept] == [series.data_hash for series in made]
    assert (tmp_path / "lake" / "synthetic" / "BTCUSDT" / "market.json").is_file()


def test_twice_is_nothing_to_do(run: object) -> None:
    said(run, "btcusdt", "ETHUSDT", "--days", "2")
    again = said(run, "BTCUSDT", "ETHUSDT", "--days", "2")
    assert again.count("nothing to do") == 2
    assert "values of funding" not in again
    assert "extended" in said(run, "BTCUSDT", "--days", "3")


def test_another_seed_is_refused_until_told_to_replace(run: object, tmp_path: Path) -> None:
    said(run)
    with pytest.raises(UserError, match=r"seed 5 \(asked: 6\); choose another symbol"):
        said(run, "--seed", "6")
    assert "replaced" in said(run, "--seed", "6", "--replace")
    store = LakeBarStore(tmp_path / "lake")
    kept = store.read(SeriesKey("synthetic", "BTCUSDT")).bars
    market = market_named("BTCUSDT", 6, 1_709_251_200_000, 1, 0)
    assert kept.tobytes() == generate(market).tobytes()
    funding, _ = context_series(market)
    stored = LakeContextStore(tmp_path / "lake").read(funding.key)
    assert stored.data_hash == funding.data_hash


def test_another_lake_can_be_named(run: object, tmp_path: Path) -> None:
    said(run, "--lake", str(tmp_path / "other"), "--start", "2024-01-01", "--edge", "0.2")
    assert (tmp_path / "other" / "synthetic" / "BTCUSDT" / "1m" / "2024-01.parquet").is_file()
    assert not (tmp_path / "lake").exists()


def test_help_has_examples_to_paste(run: object) -> None:
    assert "tercel data synth BTCUSDT ETHUSDT --days 90 --seed 7" in said(run, "--help")


def test_bad_values_are_named() -> None:
    with pytest.raises(UserError, match="--start"):
        wanted_markets(DEFAULTS, None, (None, None, "yesterday", None))
    with pytest.raises(UserError, match="days is 0"):
        wanted_markets(DEFAULTS, None, (0, None, None, None))
    with pytest.raises(UserError, match="symbol"):
        wanted_markets(DEFAULTS, ["../BTC"], (None, None, None, None))
