"""What went wrong in a strategy file, in its author's terms: file, line, the source there, the
cause.

Compiled code fails in two ways. The compiler refuses a function with a page of text: the innermost
place in the author's file and the first sentence of substance are taken from it. Or a step raises
while it runs, and compiled code keeps no line: the bar that failed is looked for, and stepped again
in plain Python, where the same thing happens at a line.
"""

from __future__ import annotations

import re
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Any, Literal

import numba
import numpy as np

from tercel.core.records import Records
from tercel.domain.errors import StrategyError
from tercel.domain.times import format_time

COMPILE_ERRORS = (
    numba.core.errors.NumbaError,
    numba.core.errors.UnsupportedBytecodeError,
    KeyError,
    TypeError,
    AttributeError,
    NameError,
    NotImplementedError,
)
"""What numba raises while it compiles."""
RUN_ERRORS = (ArithmeticError, IndexError, ValueError, AssertionError, RuntimeError)
"""What a compiled step can raise."""
REPLAYED_BARS_MAX = 2_000
"""Of a step that cannot be compiled: what is wrong with it in plain Python shows early."""
CAUSE_LENGTH_MAX = 240

_PLACE = re.compile(
    r'File "(?P<file>[^"]+)", line (?P<line>\d+)|\bat (?P<at>[^\n]+?\.py) \((?P<on>\d+)\)'
)
_NOISE = re.compile(r"^(Failed in |During:|There are \d+ candidate|\s*$)")
_RECORD = re.compile(r"Record\((?P<fields>.*?)\], \d+, (?:True|False)\)", re.DOTALL)
_REASON = re.compile(r"due to [\"'](?P<reason>.+?)[\"']\.?\s*$", re.DOTALL)


def line_in(path: Path, error: BaseException) -> int:
    """The last line of `path` on the way to `error`; 1 when it never came through it."""
    lines = [
        frame.lineno or 1
        for frame in traceback.extract_tb(error.__traceback__)
        if Path(frame.filename) == path.resolve()
    ]
    return lines[-1] if lines else 1


def source_line(path: Path, line: int) -> str:
    """Line `line` of a file, without its indent."""
    lines = path.read_text(encoding="utf-8").splitlines()
    return lines[line - 1].strip() if 0 < line <= len(lines) else ""


def is_run_error(error: Exception) -> bool:
    """Whether a step raised it while it ran, rather than the compiler."""
    return isinstance(error, RUN_ERRORS) and not isinstance(error, COMPILE_ERRORS)


def explain_run(
    path: Path, error: Exception, found: Replayed | None, bars: Records
) -> StrategyError:
    """The StrategyError for what a step raised over `bars`; `found` where plain Python did too."""
    cause = f"{type(error).__name__}: {error}"
    if found is not None:
        return _told(path, found.line, f"{cause} at the bar of {found.when}")
    first, last = (format_time(int(bars["open_time"][i])) for i in (0, -1))
    return StrategyError(f"{path}: {cause}, somewhere in the bars from {first} to {last}")


def explain_compile(
    path: Path, step: Callable[..., None], error: Exception, found: Replayed | None
) -> StrategyError:
    """The StrategyError for what the compiler refused; `found` where plain Python fails too."""
    place = compile_place(path, str(error)) or _place_of(path, error)
    if found is not None and (place is None or place not in _lines_of(step)):
        return _told(path, found.line, f"cannot be compiled: {found.problem}")
    return _told(path, place or 1, f"cannot be compiled: {compile_cause(str(error))}")


def _told(path: Path, line: int, cause: str) -> StrategyError:
    return StrategyError(f"{path}:{line}: {cause}  ->  {source_line(path, line)}")


def _lines_of(step: Callable[..., None]) -> range:
    """The lines of the step itself: an error placed elsewhere says only who called it."""
    code = getattr(step, "py_func", step).__code__
    last = max(line or 0 for _, _, line in code.co_lines())
    return range(code.co_firstlineno, last + 1)


def compile_place(path: Path, text: str) -> int | None:
    """The innermost line of the author's file that numba names; it writes the innermost first."""
    for match in _PLACE.finditer(text):
        if Path(match["file"] or match["at"]).name == path.name:
            return int(match["line"] or match["on"])
    return None


def _place_of(path: Path, error: Exception) -> int | None:
    """The line that numba keeps beside its text, if it is one of the author's file."""
    place = getattr(error, "loc", None)
    return int(place.line) if place and Path(place.filename).name == path.name else None


def compile_cause(text: str) -> str:
    """The first sentence of substance in numba's text; record types become their field names."""
    text = _RECORD.sub(_names, text)
    lines = [line.strip() for line in text.splitlines() if not _NOISE.match(line)]
    cause = lines[0] if lines else text.strip()
    if cause.endswith(":") and len(lines) > 1:
        cause = f"{cause} {lines[1].removeprefix('>>> ')}"
    if reason := _REASON.search(cause):
        cause = reason["reason"]
    return cause[:CAUSE_LENGTH_MAX]


def _names(match: re.Match[str]) -> str:
    found = re.findall(r"\('(\w+)', \{", match["fields"])
    return f"record with {', '.join(found)}" if found else "record"


class Replayed:
    """Where and when a step failed in plain Python."""

    def __init__(self, line: int, when: str, problem: str) -> None:
        self.line = line
        self.when = when
        """The bar's time in words."""
        self.problem = problem


def replay_in_python(
    path: Path, call: Callable[[int], None], bars: Records, *, with_nan: bool = False
) -> Replayed | None:
    """Call `call(i)` for each of `bars` until one fails; None when none does.

    numpy's floating point errors are raised: a division by zero is an exception when compiled.
    So is 0 / 0, but what gives NaN elsewhere (inf - inf) is not: only `with_nan` are both raised.
    """
    invalid: Literal["raise", "ignore"] = "raise" if with_nan else "ignore"
    for i in range(len(bars)):
        try:
            with np.errstate(divide="raise", invalid=invalid, over="ignore"):
                call(i)
        except (*COMPILE_ERRORS, *RUN_ERRORS, ImportError) as error:
            when = format_time(int(bars["open_time"][i]))
            return Replayed(line_in(path, error), when, f"{type(error).__name__}: {error}")
    return None


def plain(step: Callable[..., None]) -> Callable[..., Any]:
    """The Python function behind a compiled one."""
    found: Callable[..., Any] = getattr(step, "py_func", step)
    return found
