"""Finding, loading and checking strategies: the built-in ones by name, a user's own by path.

A strategy is a Python file with PARAMS, REASONS, PLAN, `state_dtype`, `step` and `signals`; both
kinds are loaded the same way and run at the same speed. Mistakes in a user's file are told in the
user's terms: their file, their line, and what the compiler could not make of it.
"""

from __future__ import annotations

import difflib
import hashlib
import importlib
import importlib.util
import os
import pkgutil
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np

from tercel.app.strategy_errors import line_in
from tercel.core import strategies as built_in
from tercel.core.jit import CORE_ROOT, cache_of, hash_sources
from tercel.core.parameters import Parameters
from tercel.core.plan import TradePlan
from tercel.core.records import BAR, CONTEXT
from tercel.domain.errors import StrategyError, UserError

NEAR = 0.75
"""How alike a name must be to be suggested, 0 to 1."""
SOURCES_MAX = 2_000
"""Files, and folders, below a strategy's folder that are taken for its code."""
REQUIRED: dict[str, str] = {
    "PARAMS": "the strategy's parameters: PARAMS = parameters(Param(...), ...)",
    "REASONS": "a tuple of names, one for each reason code a signal carries",
    "PLAN": "how its trades are managed: PLAN = TradePlan(...)",
    "state_dtype": "a function of params that returns the record dtype of its state",
    "step": "the compiled step(state, bar, context, params, signal)",
    "signals": "the compiled loop signals(state, bars, contexts, params, out) over step",
}


INPUTS: tuple[str, ...] = (
    "pressure",
    *(name for name in (*(BAR.names or ()), *(CONTEXT.names or ())) if not name.endswith("_time")),
)
"""What NEEDS and USES of a strategy file may name."""


@dataclass(frozen=True, slots=True)
class Strategy:
    """A loaded strategy."""

    name: str
    title: str
    """First paragraph of the file's docstring."""
    path: Path
    parameters: Parameters
    reasons: tuple[str, ...]
    plan: TradePlan
    state_dtype: Callable[[Any], np.dtype[np.record]]
    step: Callable[..., None]
    signals: Callable[..., None]
    code_hash: str
    """SHA-256 over the core's sources and, of a user's file, `sources_beside` it."""
    check: Callable[[Any], str] | None = None
    """Says what is impossible about a combination of parameters; empty when nothing is."""
    needs: tuple[str, ...] = ()
    """Fields of BAR and CONTEXT, and `pressure`, without which it never signals."""
    uses: tuple[str, ...] = ()
    """The same that count where known, and are passed over where not."""
    is_filter: bool = False
    """It scores other strategies' signals in -1..1 instead of trading its own."""

    def values(self, overrides: Mapping[str, object], bar_ms: int) -> dict[str, int | float | str]:
        """Parameter values with `overrides` for bars of `bar_ms`. Raises UserError."""
        found = self._parsed(overrides)
        problem = self.check(self.parameters.record(found, bar_ms)) if self.check else ""
        if problem:
            raise UserError(f"{self.name}: {problem}")
        return found

    def _parsed(self, overrides: Mapping[str, object]) -> dict[str, int | float | str]:
        try:
            return self.parameters.values(overrides)
        except KeyError as error:
            unknown = str(error.args[0])
            near = difflib.get_close_matches(unknown, self.parameters.names, 1, NEAR)
            hint = f"did you mean {near[0]}? " if near else ""
            names = ", ".join(self.parameters.names) or "none"
            raise UserError(
                f"{self.name}: no parameter {unknown!r}; {hint}it has {names}"
            ) from None
        except ValueError as error:
            raise UserError(f"{self.name}: parameter {error}") from None


def built_in_names() -> list[str]:
    """Names of the strategies that come with Tercel, sorted."""
    return sorted(module.name for module in pkgutil.iter_modules(built_in.__path__))


def load_strategy(name_or_path: str) -> Strategy:
    """A built-in strategy by name, or a user's by path (`./my_idea.py`). Raises UserError,
    StrategyError.
    """
    path = Path(name_or_path)
    if path.suffix == ".py" or len(path.parts) > 1:
        path = path.resolve() if path.is_file() else path
        sources = sources_beside(path)
        return _check(_import_file(path, sources), path, _code_hash(sources))
    if name_or_path in built_in_names():
        module = importlib.import_module(f"{built_in.__name__}.{name_or_path}")
        return _check(module, Path(str(module.__file__)), _code_hash([]))
    near = difflib.get_close_matches(name_or_path, built_in_names(), 1, NEAR)
    hint = f"did you mean {near[0]}? " if near else ""
    own = (
        f"; for your own file write ./{name_or_path}.py"
        if Path(f"{name_or_path}.py").exists()
        else ""
    )
    raise UserError(
        f"no strategy {name_or_path!r}; {hint}there are {', '.join(built_in_names())}, "
        f"or the path of your own file (tercel new my_idea){own}"
    )


def sources_beside(path: Path) -> list[Path]:
    """The Python files in the folder of `path` and below it: what a strategy may import.

    Hidden folders and virtual environments are left out. A strategy may lie in a huge folder, such
    as a home folder: beyond SOURCES_MAX files or folders only those beside it count, and an edit of
    a package below it goes unnoticed.
    """
    folder, found = path.parent, list[Path]()
    for visited, (here, below, names) in enumerate(os.walk(folder)):
        if "pyvenv.cfg" in names and Path(here) != folder:
            below.clear()
            continue
        below[:] = sorted(name for name in below if not name.startswith("."))
        found += [Path(here, name) for name in sorted(names) if name.endswith(".py")]
        if max(len(found), visited) > SOURCES_MAX:
            return sorted(folder.glob("*.py"))
    return found


def _code_hash(sources: list[Path]) -> str:
    """SHA-256 of the hash that names the kernel cache: over the core and `sources`."""
    return hashlib.sha256(hash_sources([*CORE_ROOT.rglob("*.py"), *sources]).encode()).hexdigest()


def _import_file(path: Path, sources: list[Path]) -> ModuleType:
    """Execute a user's file as a module, its kernels cached under a hash of `sources`."""
    if not path.is_file():
        raise UserError(f"no strategy file {path}; `tercel new {path.stem}` writes one")
    # By its path: two files of one name in different folders are two modules.
    name = f"tercel_user_{path.stem}_{hashlib.sha256(str(path).encode()).hexdigest()[:8]}"
    spec = importlib.util.spec_from_file_location(name, path)
    if spec is None or spec.loader is None:
        raise StrategyError(f"{path}: not a Python file")
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module  # dataclasses and numba look their module up here
    folder = str(path.parent)
    loaded_before = set(sys.modules)
    sys.path.insert(0, folder)
    # A neighbour edited twice within a second would be taken from its bytecode, which is dated by
    # the second: none is written.
    wrote_bytecode, sys.dont_write_bytecode = sys.dont_write_bytecode, True
    try:
        with cache_of(sources):
            spec.loader.exec_module(module)
    except SyntaxError as error:
        raise StrategyError(f"{path}:{error.lineno}: {error.msg}") from None
    except Exception as error:
        line = line_in(path, error)
        raise StrategyError(f"{path}:{line}: {type(error).__name__}: {error}") from error
    finally:
        sys.dont_write_bytecode = wrote_bytecode
        sys.path.remove(folder)
        for neighbour in set(sys.modules) - loaded_before - {name}:
            _set_apart(neighbour, folder, name)
    return module


def _set_apart(neighbour: str, folder: str, owner: str) -> None:
    """Give up the name of a module loaded from `folder`: another strategy's may have the same.

    It stays under a name of its own, which it and its kernels are told: by that name numba finds
    the module of a kernel that it takes from its cache.
    """
    module = sys.modules[neighbour]
    place = os.path.join(folder, *neighbour.split("."))
    paths = [*getattr(module, "__path__", ()), getattr(module, "__file__", None)]
    if place in paths or f"{place}.py" in paths:
        del sys.modules[neighbour]
        module.__name__ = f"{owner}.{neighbour}"
        sys.modules[module.__name__] = module
        for value in vars(module).values():
            function = getattr(value, "py_func", None)
            if function is not None and function.__module__ == neighbour:
                function.__module__ = module.__name__


def _check(module: ModuleType, path: Path, code_hash: str) -> Strategy:
    """The module as a Strategy. Raises StrategyError that says what is missing or of the wrong
    kind.
    """
    missing = [f"{what} ({why})" for what, why in REQUIRED.items() if not hasattr(module, what)]
    if missing:
        raise StrategyError(f"{path}: a strategy file needs {'; '.join(missing)}")
    if not isinstance(module.PARAMS, Parameters):
        raise StrategyError(f"{path}: PARAMS must be made by parameters(Param(...), ...)")
    if not isinstance(module.PLAN, TradePlan):
        raise StrategyError(f"{path}: PLAN must be a TradePlan")
    if found := module.PLAN.problems():
        raise StrategyError(f"{path}: PLAN: {'; '.join(found)}")
    for kernel_name in ("step", "signals"):
        if not callable(getattr(module, kernel_name)):
            raise StrategyError(f"{path}: {kernel_name} must be a function under @kernel")
    for what in ("NEEDS", "USES"):
        unknown = [name for name in getattr(module, what, ()) if name not in INPUTS]
        if unknown:
            raise StrategyError(
                f"{path}: {what} names no input {unknown[0]!r}; inputs are {', '.join(INPUTS)}"
            )
    title = " ".join((module.__doc__ or "").strip().split("\n\n")[0].split())
    return Strategy(
        name=path.stem,
        title=title,
        path=path,
        parameters=module.PARAMS,
        reasons=tuple(module.REASONS),
        plan=module.PLAN,
        state_dtype=module.state_dtype,
        step=module.step,
        signals=module.signals,
        code_hash=code_hash,
        check=getattr(module, "check", None),
        needs=tuple(getattr(module, "NEEDS", ())),
        uses=tuple(getattr(module, "USES", ())),
        is_filter=bool(getattr(module, "IS_FILTER", False)),
    )
