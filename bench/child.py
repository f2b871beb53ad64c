"""A command as a fresh process: its wall time, its peak memory, and what it said.

The command is started by a small process of its own (this file, run as a script): the kernel counts
the memory of whoever forked a process into that process's peak, and the bench itself is large.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

TOLD_CHARACTERS = 4000
RSS_UNIT_BYTES = 1 if sys.platform == "darwin" else 1024
"""What ru_maxrss counts in."""


@dataclass(frozen=True, slots=True)
class ChildRun:
    """How a child went."""

    code: int
    wall_s: float
    peak_bytes: int
    told: str
    """The end of its output and errors."""


class ChildError(Exception):
    """A child failed or took too long."""


def run_child(
    command: Sequence[str],
    *,
    timeout_s: float,
    folder: Path | None = None,
    environment: Mapping[str, str] | None = None,
) -> ChildRun:
    """Run `command` to its end. Raises ChildError, with what it said, if it fails or is late."""
    launcher = [sys.executable, "-I", "-S", str(Path(__file__).resolve()), str(timeout_s)]
    answer = subprocess.run(
        [*launcher, *command],
        cwd=folder,
        env={**os.environ, **(environment or {})},
        check=True,
        capture_output=True,
        text=True,
    )
    made = ChildRun(**json.loads(answer.stdout))
    if made.code != 0:
        late = f" (limit {timeout_s:g} s)" if made.wall_s >= timeout_s else ""
        raise ChildError(
            f"{' '.join(command)}: exit {made.code} after {made.wall_s:.1f} s{late}: {made.told}"
        )
    return made


def launch(timeout_s: float, command: Sequence[str]) -> dict[str, object]:
    """Start `command`, wait for it, and tell of it. Killed after `timeout_s`."""
    with tempfile.TemporaryFile() as told:
        began = time.perf_counter()
        process = subprocess.Popen(command, stdout=told, stderr=told, stdin=subprocess.DEVNULL)
        alarm = threading.Timer(timeout_s, process.kill)
        alarm.start()
        _, status, usage = os.wait4(process.pid, 0)
        wall_s = time.perf_counter() - began
        alarm.cancel()
        process.returncode = os.waitstatus_to_exitcode(status)
        size = told.seek(0, os.SEEK_END)
        told.seek(max(0, size - TOLD_CHARACTERS))
        text = told.read().decode(errors="replace")
    return {
        "code": process.returncode,
        "wall_s": wall_s,
        "peak_bytes": usage.ru_maxrss * RSS_UNIT_BYTES,
        "told": text,
    }


if __name__ == "__main__":
    print(json.dumps(launch(float(sys.argv[1]), sys.argv[2:])))
