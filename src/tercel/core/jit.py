"""The one door to numba: the `kernel` decorator, the record constructor, and the kernel cache.

In order, when this module is first imported (before any kernel is):
1. hash every source file of the core, together with the numba and Python versions;
2. point numba's cache at `<cache root>/<hash>`.

Why: numba's cache checks the file of the function it loads, not the files of the functions that
one calls. An edited `ema_step` would go unnoticed by a cached `three_r.signals`. A folder named by
the hash of *all* core sources makes every edit a fresh folder (and an undone edit an old, warm
one).

This is the only module of the core that touches the file system, and only at import.
"""

from __future__ import annotations

import hashlib
import os
import stat
import sys
import tempfile
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from contextvars import ContextVar
from functools import cache
from pathlib import Path
from typing import Any, TypeVar, cast

import numba
import numpy as np
from numba import extending, types
from numba.core import cgutils

settings: Any = numba.config
"""numba builds its configuration at run time: no type checker sees its fields."""

F = TypeVar("F", bound=Callable[..., Any])

_user_code: ContextVar[bool] = ContextVar("user_code", default=False)
CORE_ROOT = Path(__file__).resolve().parent
CACHE_FOLDERS_KEPT = 8
"""Older kernel cache folders beyond this count are removed when a new one is made."""


def rec(*fields: tuple[Any, ...]) -> np.dtype[np.record]:
    """A record dtype whose fields read as attributes, compiled or not: `state.fast.value`.

    Each field is `(name, dtype)` or `(name, dtype, shape)`; a dtype may be another `rec`. A name
    that
    numpy's records already have (`sum`, `mean`, `view`, `size` ...) is refused: uncompiled code
    would read numpy's attribute instead of the field.
    """
    names = [name for name, *_ in fields]
    for name in names:
        if names.count(name) > 1:
            raise ValueError(f"a record cannot have two fields called {name!r}")
        if hasattr(np.record, name):
            raise ValueError(
                f"a record field cannot be called {name!r}: numpy's records have that name"
            )
    return cast("np.dtype[np.record]", np.dtype((np.record, list(fields))))


def new(dtype: np.dtype[Any]) -> Any:
    """One zeroed record of `dtype`, mutable in place by kernels."""
    return np.zeros(1, dtype)[0]


def kernel(function: F) -> F:
    """Compile `function` with the project's one set of options.

    No `fastmath` (it would make `isnan` false), no object mode; `nogil` so that threads can run
    whole kernels side by side. In a user's own file indices are checked: an array access past the
    end is an error with a line, not a crash. (Records and numbers, most of a strategy, cost nothing
    more.)
    """
    checked = _user_code.get()
    return cast("F", numba.njit(cache=True, nogil=True, boundscheck=checked)(function))


def address_of(function: Callable[..., Any], *records: np.dtype[Any]) -> int:
    """Where the machine code of a kernel of such records is, for `call`; it is compiled if need be.

    It holds as long as the kernel itself is kept. Nobody checks the records that `call` gives it:
    they have to be of these dtypes. Raises RuntimeError where there is none.
    """
    of_records = types.void(*(numba.from_dtype(dtype) for dtype in records))
    made = cast("Any", function).get_compile_result(of_records)
    address = int(made.library.get_pointer_to_function(made.fndesc.llvm_func_name))
    if address == 0:
        raise RuntimeError(f"numba has no machine code of {made.fndesc.qualname}")
    return address


def call(step: Any, state: Any, bar: Any, context: Any, params: Any, signal: Any) -> None:
    """Call a strategy's step from a kernel that serves many: `step` is the function, or, from
    compiled code, its `address_of`.

    numba knows functions as arguments, too, but looks such a one up by its name each time that
    Python calls the kernel.
    """
    step(state, bar, context, params, signal)


def _jump(_typing: Any, address: Any, records: Any) -> Any:
    """How numba calls the machine code at `address`; what it raises is raised here."""
    taken = tuple(records)

    def emitted(target: Any, builder: Any, _signature: Any, values: Any) -> Any:
        convention, utils = target.call_conv, cast("Any", cgutils)
        kind = convention.get_function_type(types.none, taken)
        code = builder.inttoptr(values[0], kind.as_pointer())
        given = utils.unpack_tuple(builder, values[1], len(taken))
        status, _nothing = convention.call_function(builder, code, types.none, taken, given)
        with utils.if_unlikely(builder, status.is_error):
            convention.return_status_propagate(builder, status)
        return target.get_dummy_value()

    return types.void(address, records), emitted


_call_at: Any = extending.intrinsic(_jump)


@extending.overload(call)
def _called(step: Any, state: Any, bar: Any, context: Any, params: Any, signal: Any) -> Any:  # noqa: ARG001
    if not isinstance(step, types.Integer):
        return None  # numba says that it cannot be called so

    def called(step: Any, state: Any, bar: Any, context: Any, params: Any, signal: Any) -> None:
        _call_at(step, (state, bar, context, params, signal))

    return called


def is_compiled(function: Callable[..., Any]) -> bool:
    """Whether it went through `kernel`, and kernels are compiled."""
    return hasattr(function, "py_func")


def prepare(function: Callable[..., Any], *arguments: Any) -> None:
    """Compile what a call with such arguments needs, or load it from the cache; nothing is run."""
    if is_compiled(function):
        cast("Any", function).compile(tuple(cast("Any", numba).typeof(each) for each in arguments))


def hash_sources(files: Iterable[Path]) -> str:
    """SHA-256 (16 hex digits) over `files`, the numba and Python versions, and bounds checking.

    numba's own cache does not tell a kernel with checked bounds from one without.
    """
    made_by = f"numba {numba.__version__} python {sys.version_info[:2]} {settings.BOUNDSCHECK}"
    digest = hashlib.sha256(made_by.encode())
    for file in sorted(files):
        digest.update(file.name.encode())
        digest.update(file.read_bytes())
    return digest.hexdigest()[:16]


def core_hash() -> str:
    """The hash of every core source file: it names the kernel cache and goes into each run."""
    return hash_sources(CORE_ROOT.rglob("*.py"))


def cache_root() -> Path:
    """Where compiled kernels are kept: `TERCEL_CACHE_DIR`, else `$XDG_CACHE_HOME/tercel`."""
    if own := os.environ.get("TERCEL_CACHE_DIR"):
        return Path(own)
    home = os.environ.get("XDG_CACHE_HOME") or Path("~/.cache").expanduser()
    return Path(home) / "tercel"


def _prune(kernels: Path, keep: Path) -> None:
    """Remove all but the newest cache folders: a developer's cache does not grow for ever."""
    import shutil

    folders = sorted(
        (f for f in kernels.iterdir() if f.is_dir()), key=lambda f: f.stat().st_mtime, reverse=True
    )
    for folder in folders[CACHE_FOLDERS_KEPT:]:
        if folder != keep:
            shutil.rmtree(folder, ignore_errors=True)


def _usable(folder: Path) -> bool:
    """True when `folder` exists (made if need be) and this process may write into it."""
    try:
        created = not folder.exists()
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder):
            pass
        os.utime(folder)  # in use: not an old one, whatever else is compiled
    except OSError:
        return False
    if created:
        with suppress(OSError):  # another process may be pruning too
            _prune(folder.parent, folder)
    return True


@cache
def _private_temporary(parent: Path) -> Path:
    """A folder in `parent` that only this user can write into. Raises OSError when there is none.

    numba's index files run code when they are loaded. `tercel-1000` is a name that anyone can guess
    and take first, so it is used only when it is ours alone; else a fresh one with a random name.
    """
    folder = parent / f"tercel-{os.getuid()}"
    with suppress(OSError):  # it exists already, or cannot be made: the look below tells
        folder.mkdir(mode=0o700)
    with suppress(OSError):
        found = folder.lstat()  # not stat: a link may point anywhere
        shared = found.st_mode & (stat.S_IWGRP | stat.S_IWOTH)
        if stat.S_ISDIR(found.st_mode) and found.st_uid == os.getuid() and not shared:
            return folder
    return Path(tempfile.mkdtemp(prefix="tercel-", dir=parent))


def _temporary_cache(key: str) -> Path | None:
    """The folder of `key` in the temporary folder; None where that cannot be written either."""
    try:
        folder = _private_temporary(Path(tempfile.gettempdir())) / "kernels" / key
    except OSError:
        return None
    return folder if _usable(folder) else None


def open_cache(key: str) -> Path:
    """Point numba's cache at the folder of `key`; a read-only home gets one warning and a temporary
    folder.
    """
    folder = cache_root() / "kernels" / key
    if not _usable(folder):
        refused = folder
        temporary = _temporary_cache(key)
        if temporary is None:
            raise SystemExit(
                "tercel: no writable folder for compiled kernels "
                f"(tried {refused} and {tempfile.gettempdir()}). "
                "Set TERCEL_CACHE_DIR to a writable folder."
            )
        folder = temporary
        print(  # noqa: T201 (the core has no logger; this line must not be lost)
            f"tercel: kernel cache {refused} cannot be written; using {folder}. "
            "Set TERCEL_CACHE_DIR to a writable folder.",
            file=sys.stderr,
        )
    settings.CACHE_DIR = str(folder)
    return folder


@contextmanager
def cache_of(files: Iterable[Path]) -> Iterator[Path]:
    """While a user's strategy is imported, cache its kernels under a hash of the core *and* of
    `files`.

    The same reason as above: a user's file may call a neighbour of its own, and calls the core.
    """
    before = settings.CACHE_DIR
    token = _user_code.set(True)
    with suppress(OSError):
        os.utime(CACHE_FOLDER)  # in use: a process that loads many files must not prune its own
    try:
        yield open_cache(hash_sources([*CORE_ROOT.rglob("*.py"), *files]))
    finally:
        _user_code.reset(token)
        settings.CACHE_DIR = before


CACHE_FOLDER = open_cache(core_hash())


def is_cold() -> bool:
    """Whether nothing has been compiled into the cache yet: the first run takes seconds longer."""
    if settings.DISABLE_JIT:
        return False
    return next(CACHE_FOLDER.rglob("*.nbi"), None) is None
