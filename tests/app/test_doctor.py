"""The doctor, shown healthy and sick machines."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from dataclasses import replace
from importlib import metadata
from pathlib import Path
from typing import Any, cast

import pytest

from tercel.adapters.clock import VirtualClock
from tercel.adapters.config import packaged_config_dir, read_settings
from tercel.app import doctor
from tercel.app.dependencies import declared_requirements, parse_requirement
from tercel.app.doctor import Check, Status, Surroundings, examine
from tercel.app.ports import BarStore, SeriesInfo
from tercel.core import jit
from tercel.domain.bars import SeriesKey
from tercel.domain.errors import ConfigError, DataError
from tercel.domain.settings import Settings

NOW_MS = 1_780_000_000_000
INSTALLED = {"numba": "0.68.1", "polars": "2.1.0", "ccxt": "4.5.90"}
GIGABYTE = 10**9


class Lake:
    """A BarStore that knows how many bars each series has; None: it is damaged."""

    def __init__(self, last_time: int = NOW_MS - 60_000, **series: int | None) -> None:
        self._series = series
        self._last_time = last_time

    def keys(self) -> list[SeriesKey]:
        return [SeriesKey("binance-usdm", symbol) for symbol in sorted(self._series)]

    def info(self, key: SeriesKey) -> SeriesInfo:
        bars = self._series[key.symbol]
        if bars is None:
            raise DataError("2024-01.parquet: not a Parquet file")
        return SeriesInfo(key, bars, 0, self._last_time, 1, {})


def steady(step_ns: int = 0) -> Callable[[], int]:
    """A monotonic clock that moves by `step_ns` at each reading."""
    readings: Iterator[int] = iter(range(0, 10**18, step_ns) if step_ns else iter(lambda: 0, 1))
    return lambda: next(readings)


def version_of(package: str) -> str:
    """The made-up machine's packages."""
    if package not in INSTALLED:
        raise metadata.PackageNotFoundError(package)
    return INSTALLED[package]


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    """Settings whose folders lie in a temporary place."""
    options = [f"data.lake={tmp_path / 'a' / 'lake'}", f"runs.folder={tmp_path / 'runs'}"]
    return read_settings([packaged_config_dir()], None, {}, options).settings


@pytest.fixture
def healthy(settings: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Surroundings:
    """A machine on which nothing is wrong, and nobody edits the core meanwhile."""
    monkeypatch.setattr(jit, "core_hash", lambda: jit.CACHE_FOLDER.name)
    (tmp_path / "cpuinfo").write_text("model name : A Fast One\nflags : fpu avx avx2\n")
    (tmp_path / "meminfo").write_text("MemTotal: 16000000 kB\nMemAvailable: 8000000 kB\n")
    return Surroundings(
        load_settings=lambda: settings,
        open_lake=lambda _: cast(BarStore, Lake(BTCUSDT=1000, ETHUSDT=500)),
        clock=VirtualClock(NOW_MS),
        requirements=lambda: ["numba>=0.68,<0.70", "polars>=2.1,<3", "ccxt==4.5.90; extra == 'v'"],
        installed_version=version_of,
        monotonic_ns=steady(),
        free_bytes=lambda _: 100 * GIGABYTE,
        may_write=lambda _: True,
        proc=tmp_path,
    )


def found(around: Surroundings, name: str) -> Check:
    """The one check called `name`."""
    [check] = [check for check in examine(around) if check.name == name]
    return check


def test_a_healthy_machine(healthy: Surroundings) -> None:
    checks = examine(healthy)
    assert [check.name for check in checks] == [
        "python",
        "packages",
        "extra v",
        "settings",
        "kernel cache",
        "compiler",
        "processor",
        "memory",
        "disk lake",
        "disk runs",
        "lake",
        "clock",
    ]
    jit_off = os.environ.get("NUMBA_DISABLE_JIT", "0") != "0"
    sick = {check.name for check in checks if check.status is not Status.OK}
    assert sick == ({"compiler"} if jit_off else set())
    assert all(check.detail for check in checks)


@pytest.mark.parametrize(
    ("version", "status"), [((3, 10, 9), Status.FAIL), ((3, 11, 0), Status.OK)]
)
def test_python(version: tuple[int, ...], status: Status) -> None:
    assert doctor.check_python(version).status is status


@pytest.mark.parametrize(
    ("wanted", "status", "detail"),
    [
        (["numba>=0.68,<0.70"], Status.OK, "numba 0.68.1"),
        (["numba>=0.69"], Status.WARN, "outside the range: numba 0.68.1 (asked for >=0.69)"),
        (["numba>=0.69", "nosuch>=1"], Status.FAIL, "missing: nosuch >=1"),
    ],
)
def test_packages(healthy: Surroundings, wanted: list[str], status: Status, detail: str) -> None:
    check = found(replace(healthy, requirements=lambda: wanted), "packages")
    assert (check.status, check.detail) == (status, detail)
    assert bool(check.hint) == (status is not Status.OK)


@pytest.mark.parametrize(
    ("wanted", "status", "install"),
    [
        ("ccxt==4.5.90; extra == 'venues'", Status.OK, ""),
        ("ccxt==4.5.91 ; extra == 'venues'", Status.WARN, "ccxt==4.5.91"),
        ('nosuch>=1; extra == "venues"', Status.OK, "'nosuch>=1'"),
    ],
)
def test_extras(healthy: Surroundings, wanted: str, status: Status, install: str) -> None:
    check = found(replace(healthy, requirements=lambda: [wanted]), "extra venues")
    assert check.status is status
    hint = f"install it: `make venues` in Tercel's folder, or pip install {install}"
    assert check.hint == (hint if install else "")


@pytest.mark.parametrize(
    ("line", "version", "allowed"),
    [
        ("a>=1.2", "1.10", True),
        ("a>=1.2", "1.1.9", False),
        ("a>=0.68,<0.70", "0.70.0", False),
        ("a>=0.68,<0.70", "0.69.9", True),
        ("a==4.5.90", "4.5.90", True),
        ("a==4.5", "4.5.0", True),
        ("a!=2", "2.0", False),
        ("a>2", "2.0", False),
        ("a<=2", "2.0", True),
        ("a~=1.4", "1.9", True),
        ("a~=1.4", "2.0", False),
        ("a>=9", "9.1rc1", True),
        ("a", "0", True),
        ("a>=1", "unknown", False),
    ],
)
def test_version_ranges(line: str, version: str, allowed: bool) -> None:
    assert parse_requirement(line).allows(version) is allowed


def test_requirement_names() -> None:
    assert parse_requirement("ruamel.yaml >= 0.18").package == "ruamel.yaml"
    assert parse_requirement("uvicorn[standard]>=1; extra == 'api'").extra == "api"


def test_the_project_declares_what_it_needs(monkeypatch: pytest.MonkeyPatch) -> None:
    def not_installed(package: str) -> Any:
        raise metadata.PackageNotFoundError(package)

    monkeypatch.setattr(metadata, "requires", not_installed)
    names = {parse_requirement(line).package for line in declared_requirements()}
    assert {"numba", "polars", "pydantic", "ccxt"} <= names
    extras = {parse_requirement(line).extra for line in declared_requirements()}
    assert {"", "venues"} <= extras
    monkeypatch.setattr(metadata, "requires", lambda _: ["numba>=0.68"])
    assert declared_requirements() == ["numba>=0.68"]


def test_bad_settings_are_one_failed_check(healthy: Surroundings) -> None:
    def load() -> Settings:
        raise ConfigError("config/a.yaml:1: first\nconfig/a.yaml:2: second")

    checks = examine(replace(healthy, load_settings=load))
    [check] = [check for check in checks if check.status is Status.FAIL]
    assert check.detail == "config/a.yaml:1: first (and 1 more)"
    assert check.hint == "tercel config check"
    assert "lake" not in {check.name for check in checks}


def test_kernel_cache(
    healthy: Surroundings, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    assert str(jit.CACHE_FOLDER) in found(healthy, "kernel cache").detail
    locked = found(replace(healthy, may_write=lambda _: False), "kernel cache")
    assert (locked.status, locked.hint) == (Status.FAIL, "set TERCEL_CACHE_DIR")
    monkeypatch.setattr(jit, "core_hash", lambda: "changed")
    assert found(healthy, "kernel cache").status is Status.WARN
    monkeypatch.setenv("TERCEL_CACHE_DIR", str(tmp_path))
    elsewhere = found(healthy, "kernel cache")
    assert elsewhere.status is Status.WARN
    assert "TERCEL_CACHE_DIR" in elsewhere.hint


def test_a_kernel_that_is_replaced_meanwhile_counts_nothing(
    healthy: Surroundings, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Other processes write into the same cache."""
    kept, gone = tmp_path / "kept.nbi", tmp_path / "gone.nbi"
    kept.write_bytes(b"1234")
    gone.write_bytes(b"12345")
    monkeypatch.setattr(jit, "CACHE_FOLDER", tmp_path)
    monkeypatch.setattr(jit, "core_hash", lambda: tmp_path.name)
    monkeypatch.setenv("TERCEL_CACHE_DIR", str(tmp_path))
    is_file = Path.is_file

    def removed_once_seen(path: Path) -> bool:
        seen = is_file(path)
        if path == gone and seen:
            path.unlink()
        return seen

    monkeypatch.setattr(Path, "is_file", removed_once_seen)
    before = sum(len(file.read_bytes()) for file in tmp_path.iterdir() if is_file(file))
    check = found(healthy, "kernel cache")
    assert check.status is Status.OK
    assert f"({before - 5} B)" in check.detail


def test_compiler_that_is_off_or_wrong(
    healthy: Surroundings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(jit, "kernel", lambda function: function)
    check = found(healthy, "compiler")
    assert check.status is Status.WARN
    assert "NUMBA_DISABLE_JIT" in check.hint
    monkeypatch.setattr(jit, "kernel", lambda _: lambda values: 7.0)
    assert found(healthy, "compiler").status is Status.FAIL


def test_what_nobody_foresaw_is_a_failed_check(
    healthy: Surroundings, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(_: Any) -> Any:
        raise RuntimeError("LLVM is missing")

    monkeypatch.setattr(jit, "kernel", broken)
    check = found(healthy, "compiler")
    assert (check.status, check.detail) == (Status.FAIL, "RuntimeError: LLVM is missing")


def test_processor_and_memory(healthy: Surroundings, tmp_path: Path) -> None:
    processor = found(healthy, "processor").detail
    assert processor.startswith("A Fast One, ")
    assert processor.endswith("cores, avx avx2")
    assert found(healthy, "memory").detail == "8.2 GB available of 16.4 GB"
    (tmp_path / "meminfo").write_text("MemTotal: 16000000 kB\nMemAvailable: 500000 kB\n")
    assert found(healthy, "memory").status is Status.WARN


def test_a_system_without_proc(healthy: Surroundings, tmp_path: Path) -> None:
    around = replace(healthy, proc=tmp_path / "nowhere")
    assert found(around, "memory").detail == "not known on this system"
    assert "cores" in found(around, "processor").detail


@pytest.mark.parametrize(
    ("free", "status"),
    [
        (100 * GIGABYTE, Status.OK),
        (2 * GIGABYTE, Status.WARN),
        (GIGABYTE // 10, Status.FAIL),
    ],
)
def test_disks(healthy: Surroundings, free: int, status: Status) -> None:
    assert found(replace(healthy, free_bytes=lambda _: free), "disk lake").status is status


def test_a_disk_that_cannot_be_written(healthy: Surroundings, tmp_path: Path) -> None:
    asked: list[Path] = []

    def refuse(folder: Path) -> bool:
        asked.append(folder)
        return False

    check = found(replace(healthy, may_write=refuse), "disk runs")
    assert check.status is Status.FAIL
    assert "--set runs.folder=PATH" in check.hint
    assert asked[-1] == tmp_path


def test_the_real_disk_answers(healthy: Surroundings, tmp_path: Path) -> None:
    default = Surroundings(
        healthy.load_settings, healthy.open_lake, healthy.clock, healthy.requirements
    )
    assert default.free_bytes(tmp_path) > 0
    assert default.may_write(tmp_path)


@pytest.mark.parametrize(
    ("lake", "status", "said"),
    [
        (Lake(), Status.WARN, "is empty"),
        (Lake(BTCUSDT=1500), Status.OK, "1 series, 1,500 bars"),
        (Lake(BTCUSDT=1, ETHUSDT=None), Status.FAIL, "1 of 2 series cannot be read"),
        (Lake(NOW_MS + 60_000, BTCUSDT=1), Status.WARN, "1 series"),
    ],
)
def test_lake(healthy: Surroundings, lake: Lake, status: Status, said: str) -> None:
    check = found(replace(healthy, open_lake=lambda _: cast(BarStore, lake)), "lake")
    assert check.status is status
    assert said in check.detail


def test_a_lake_that_cannot_be_opened(healthy: Surroundings) -> None:
    def broken(_: Settings) -> BarStore:
        raise DataError("lake: not a folder")

    check = found(replace(healthy, open_lake=broken), "lake")
    assert (check.status, check.detail) == (Status.FAIL, "lake: not a folder")


def test_clock(healthy: Surroundings) -> None:
    assert found(healthy, "clock").status is Status.OK
    unset = found(replace(healthy, clock=VirtualClock(0)), "clock")
    assert (unset.status, unset.detail) == (
        Status.FAIL,
        "the machine says 1970-01-01 00:00 UTC",
    )
    running = found(replace(healthy, monotonic_ns=steady(200_000_000)), "clock")
    assert running.status is Status.WARN


def test_nearest_folder_ends_at_the_root() -> None:
    assert doctor._nearest_folder(Path("/no/such/place")) == Path("/")
    assert doctor._size(3_200_000_000_000) == "3.2 TB"
    assert doctor._size(12) == "12 B"
