"""Is this machine ready? Each check says what it found, how good that is, and what to do about it.

In order: Python, packages, extras, settings, the kernel cache, the compiler, processor, memory,
disks, the lake, the clock. Nothing here needs a network, and nothing is changed except the kernel
cache. A check that itself goes wrong is a failed check, never a crash: that is when a doctor is
needed.
"""

from __future__ import annotations

import os
import platform
import shutil
import sys
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from enum import StrEnum
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tercel.app.dependencies import Requirement, extra_hint, parse_requirement
from tercel.domain.errors import TercelError
from tercel.domain.times import format_time

if TYPE_CHECKING:
    from tercel.app.ports import BarStore, Clock
    from tercel.domain.settings import Settings

PYTHON_MIN = (3, 11)
MEMORY_BYTES_MIN = 1 << 30
"""Less available memory than this is worth a word: a 400,000-bar backtest takes up to 400 MB."""
DISK_BYTES_WARN, DISK_BYTES_FAIL = 5 << 30, 256 << 20
"""A year of 1m bars of one symbol is about 40 MB; a run folder a few MB."""
CLOCK_DRIFT_MS_MAX = 50
"""Wall and monotonic clock may disagree by this over the seconds that the checks take."""
WALL_MS_MIN, WALL_MS_MAX = 1_704_067_200_000, 4_102_444_800_000
"""2024 to 2100: outside of it the machine's clock is not set."""
UNREADABLE_SHOWN_MAX = 3


class Status(StrEnum):
    """How a check came out."""

    OK = "ok"
    WARN = "warn"
    FAIL = "fail"


@dataclass(frozen=True, slots=True)
class Check:
    """What one check found, and what to do about it."""

    name: str
    status: Status
    detail: str
    hint: str = ""


@dataclass(frozen=True, slots=True)
class Surroundings:
    """What the doctor looks at, so that tests can show it other machines."""

    load_settings: Callable[[], Settings]
    open_lake: Callable[[Settings], BarStore]
    clock: Clock
    requirements: Callable[[], Sequence[str]]
    installed_version: Callable[[str], str] = metadata.version
    monotonic_ns: Callable[[], int] = time.monotonic_ns
    free_bytes: Callable[[Path], int] = lambda folder: shutil.disk_usage(folder).free
    may_write: Callable[[Path], bool] = lambda folder: os.access(folder, os.W_OK)
    proc: Path = Path("/proc")


def examine(around: Surroundings) -> list[Check]:
    """Every check, in order. Raises nothing."""
    started = around.clock.now_ms(), around.monotonic_ns()
    settings: list[Settings] = []
    checks = [
        *_guarded("python", lambda: [check_python(sys.version_info[:3])]),
        *_guarded("packages", lambda: check_packages(around)),
        *_guarded("settings", lambda: [_check_settings(around, settings)]),
        *_guarded("kernel cache", lambda: [check_kernel_cache(around)]),
        *_guarded("compiler", lambda: [check_compiler(around.monotonic_ns)]),
        *_guarded("processor", lambda: [check_processor(around.proc)]),
        *_guarded("memory", lambda: [check_memory(around.proc)]),
    ]
    if settings:
        checks += _guarded("disk", lambda: check_disks(around, settings[0]))
        checks += _guarded("lake", lambda: [check_lake(around, settings[0])])
    return [*checks, *_guarded("clock", lambda: [check_clock(around, *started)])]


def _guarded(name: str, look: Callable[[], Iterable[Check]]) -> list[Check]:
    """What `look` finds. Whatever goes wrong in it is its finding: this is the top of a task."""
    try:
        return list(look())
    except TercelError as error:
        return [Check(name, Status.FAIL, str(error))]
    except Exception as error:  # the doctor reports what nobody foresaw
        said = f"{type(error).__name__}: {error}"
        return [Check(name, Status.FAIL, said, "please report this line as a bug")]


def check_python(version: tuple[int, ...]) -> Check:
    """The running interpreter against the oldest one supported."""
    shown = f"{'.'.join(map(str, version))} ({platform.system()} {platform.machine()})"
    if version[:2] < PYTHON_MIN:
        return Check("python", Status.FAIL, shown, "install Python 3.11 or newer")
    return Check("python", Status.OK, shown)


# --- packages


def check_packages(around: Surroundings) -> list[Check]:
    """Installed versions against the declared ranges: one check of what is needed, one an extra."""
    needed: list[Requirement] = []
    extras: list[Requirement] = []
    for requirement in map(parse_requirement, around.requirements()):
        (extras if requirement.extra else needed).append(requirement)
    missing, outside, good = [], [], []
    for requirement in needed:
        version = _version(around, requirement)
        shown = f"{requirement.package} {version or requirement.range}"
        if version is None:
            missing.append(shown)
        elif not requirement.allows(version):
            outside.append(f"{shown} (asked for {requirement.range})")
        else:
            good.append(shown)
    return [_packages_found(missing, outside, good), *(_extra(around, extra) for extra in extras)]


def _packages_found(missing: list[str], outside: list[str], good: list[str]) -> Check:
    hint = "install tercel again: pip install --upgrade tercel"
    if missing:
        return Check("packages", Status.FAIL, f"missing: {', '.join(missing)}", hint)
    if outside:
        return Check("packages", Status.WARN, f"outside the range: {', '.join(outside)}", hint)
    return Check("packages", Status.OK, ", ".join(good))


def _extra(around: Surroundings, wanted: Requirement) -> Check:
    name = f"extra {wanted.extra}"
    version = _version(around, wanted)
    hint = extra_hint(wanted)
    if version is None:
        return Check(name, Status.OK, f"{wanted.package} is not installed (optional)", hint)
    if not wanted.allows(version):
        detail = f"{wanted.package} {version} (asked for {wanted.range})"
        return Check(name, Status.WARN, detail, hint)
    return Check(name, Status.OK, f"{wanted.package} {version}")


def _version(around: Surroundings, requirement: Requirement) -> str | None:
    try:
        return around.installed_version(requirement.package)
    except metadata.PackageNotFoundError:
        return None


# --- settings and kernels


def _check_settings(around: Surroundings, found: list[Settings]) -> Check:
    """Whether the settings are valid; they are kept in `found` for the checks that follow."""
    try:
        settings = around.load_settings()
    except TercelError as error:
        first, *others = str(error).splitlines()
        more = f" (and {len(others)} more)" if others else ""
        return Check("settings", Status.FAIL, first + more, "tercel config check")
    found.append(settings)
    return Check("settings", Status.OK, f"valid; lake {settings.data.lake}, {settings.runs.folder}")


def check_kernel_cache(around: Surroundings) -> Check:
    """Where compiled kernels are kept, how much they take, and whether they can be kept at all."""
    from tercel.core import jit

    root, folder = jit.cache_root(), jit.CACHE_FOLDER
    size = sum(_bytes_of(file) for file in folder.rglob("*"))
    detail = f"{folder} ({_size(size)}), core {jit.core_hash()}"
    if not folder.is_relative_to(root):
        hint = f"{root} cannot be written, so this may be lost; set TERCEL_CACHE_DIR"
        return Check("kernel cache", Status.WARN, detail, hint)
    if not around.may_write(folder):
        return Check(
            "kernel cache", Status.FAIL, f"{folder} cannot be written", "set TERCEL_CACHE_DIR"
        )
    if folder.name != jit.core_hash():
        return Check("kernel cache", Status.WARN, detail, "the core changed since start: run again")
    return Check("kernel cache", Status.OK, detail)


def _bytes_of(file: Path) -> int:
    """0 for a folder, and for what another process has just replaced or removed."""
    try:
        return file.stat().st_size if file.is_file() else 0
    except FileNotFoundError:
        return 0


def check_compiler(monotonic_ns: Callable[[], int]) -> Check:
    """Whether numba can compile, or load, a small kernel and get its sum right."""
    import numpy as np

    from tercel.core.jit import kernel

    def total(values: Any) -> float:
        result = 0.0
        for value in values:
            result += value
        return result

    compiled = kernel(total)
    start = monotonic_ns()
    answer = compiled(np.arange(4.0))
    took_ms = (monotonic_ns() - start) / 1e6
    if answer != 6.0:
        return Check("compiler", Status.FAIL, f"0 + 1 + 2 + 3 came out as {answer}")
    if compiled is total:
        hint = "unset NUMBA_DISABLE_JIT: everything is about a hundred times slower"
        return Check("compiler", Status.WARN, "kernels are not compiled", hint)
    return Check("compiler", Status.OK, f"a small kernel was ready after {took_ms:.0f} ms")


# --- the machine


def check_processor(proc: Path) -> Check:
    """Model, usable cores and vector units. A missing vector unit is slower, not wrong."""
    model, flags = platform.processor() or platform.machine(), ""
    for line in _lines(proc / "cpuinfo"):
        name, _, value = line.partition(":")
        if name.strip() == "model name":
            model = value.strip()
        if name.strip() == "flags":
            flags = value
    units = [unit for unit in ("avx", "avx2", "avx512f") if unit in flags.split()]
    vectors = f", {' '.join(units)}" if units else ""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    return Check("processor", Status.OK, f"{model}, {cores} cores{vectors}")


def check_memory(proc: Path) -> Check:
    """Memory that a backtest could use now."""
    figures = {
        line.split(":")[0]: int(line.split()[1]) * 1024
        for line in _lines(proc / "meminfo")
        if line.startswith(("MemTotal:", "MemAvailable:"))
    }
    if len(figures) < 2:
        return Check("memory", Status.OK, "not known on this system")
    available = figures["MemAvailable"]
    detail = f"{_size(available)} available of {_size(figures['MemTotal'])}"
    if available < MEMORY_BYTES_MIN:
        hint = "close something; a long backtest takes up to 400 MB"
        return Check("memory", Status.WARN, detail, hint)
    return Check("memory", Status.OK, detail)


def check_disks(around: Surroundings, settings: Settings) -> Iterator[Check]:
    """Room and permission where the lake and the runs are, or will be."""
    for name, folder in (("disk lake", settings.data.lake), ("disk runs", settings.runs.folder)):
        standing = _nearest_folder(folder)
        free = around.free_bytes(standing)
        detail = f"{_size(free)} free at {folder}"
        if not around.may_write(standing):
            hint = f"choose another folder: --set {_setting(name)}=PATH"
            yield Check(name, Status.FAIL, f"{standing} cannot be written", hint)
        elif free < DISK_BYTES_FAIL:
            yield Check(name, Status.FAIL, detail, f"make room, or --set {_setting(name)}=PATH")
        elif free < DISK_BYTES_WARN:
            yield Check(name, Status.WARN, detail, "a year of 1m bars is about 40 MB a symbol")
        else:
            yield Check(name, Status.OK, detail)


def _setting(name: str) -> str:
    return "data.lake" if name == "disk lake" else "runs.folder"


def _nearest_folder(path: Path) -> Path:
    """`path`, or the first folder above it that exists."""
    whole = path.absolute()
    return next(folder for folder in (whole, *whole.parents) if folder.is_dir())


def _lines(file: Path) -> list[str]:
    return file.read_text(encoding="utf-8", errors="replace").splitlines() if file.is_file() else []


def _size(count: float) -> str:
    """`3.2 GB` of bytes."""
    for unit in ("B", "kB", "MB", "GB"):
        if count < 1000:
            return f"{count:.0f} {unit}" if unit == "B" else f"{count:.1f} {unit}"
        count /= 1000
    return f"{count:.1f} TB"


# --- data and time


def check_lake(around: Surroundings, settings: Settings) -> Check:
    """Series, unreadable ones, and how old the newest bar is."""
    store = around.open_lake(settings)
    unreadable, newest, bars = [], 0, 0
    keys = store.keys()
    for key in keys:
        try:
            info = store.info(key)
        except TercelError as error:
            unreadable.append(f"{key}: {error}")
            continue
        bars += info.bars
        newest = max(newest, info.last_time)
    if unreadable:
        shown = "; ".join(unreadable[:UNREADABLE_SHOWN_MAX])
        detail = f"{len(unreadable)} of {len(keys)} series cannot be read: {shown}"
        return Check("lake", Status.FAIL, detail, "tercel data check")
    if not keys:
        hint = "tercel data synth, or tercel data fetch BTCUSDT --since 2025-01-01"
        return Check("lake", Status.WARN, f"{settings.data.lake} is empty", hint)
    detail = f"{len(keys)} series, {bars:,} bars, the newest of {format_time(newest)} UTC"
    if newest > around.clock.now_ms():
        return Check("lake", Status.WARN, detail, "bars from the future: is the clock right?")
    return Check("lake", Status.OK, detail)


def check_clock(around: Surroundings, wall_ms: int, monotonic_ns: int) -> Check:
    """Whether the wall clock is set, and ran evenly while the checks took place."""
    now = around.clock.now_ms()
    drift = abs((now - wall_ms) - (around.monotonic_ns() - monotonic_ns) / 1e6)
    hint = "switch on time synchronisation (NTP)"
    if not WALL_MS_MIN <= now < WALL_MS_MAX:
        return Check("clock", Status.FAIL, f"the machine says {format_time(now)} UTC", hint)
    if drift > CLOCK_DRIFT_MS_MAX:
        detail = f"wall and monotonic clock drifted apart by {drift:.0f} ms"
        return Check("clock", Status.WARN, detail, hint)
    return Check(
        "clock",
        Status.OK,
        f"{format_time(now)} UTC, running evenly; "
        "the offset to a venue is measured when a session starts",
    )
