"""On what the figures were measured."""

from __future__ import annotations

import importlib.metadata
import os
import platform
from pathlib import Path

from tercel import __version__
from tercel.adapters.clock import SystemClock
from tercel.domain.times import format_date

PACKAGES = ("numpy", "numba", "llvmlite", "polars")
GIB = 1024**3


def processor() -> str:
    """The name the processor gives itself."""
    told = Path("/proc/cpuinfo")
    if told.is_file():
        for line in told.read_text(encoding="utf-8").splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()


def describe() -> dict[str, str]:
    """Machine, versions and date, in words."""
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / GIB
    load = os.getloadavg()[0]
    return {
        "date": format_date(SystemClock().now_ms()),
        "processor": f"{processor()}, {os.cpu_count()} cores",
        "memory": f"{memory:.0f} GiB",
        "system": f"{platform.system()} {platform.release()} {platform.machine()}",
        "load before": f"{load:.1f} processes waiting or running, mean of the last minute",
        "Python": platform.python_version(),
        "Tercel": __version__,
        **{name: importlib.metadata.version(name) for name in PACKAGES},
    }
