"""One exchange class of ccxt, without the hundred others.

`import ccxt.pro` runs `ccxt/__init__.py` and those of its parts, which import every exchange three
times: half a second of each start. Here those three packages are entered into `sys.modules` with
their `__init__` still to run, the module of the one exchange is imported beneath them, and whoever
asks one of them for anything else (`ccxt.exchanges`, `ccxt.async_support.kraken`) makes its
`__init__` run then: for everybody else ccxt is as it always was.
"""

from __future__ import annotations

import importlib
import sys
from importlib.util import find_spec, module_from_spec
from types import ModuleType
from typing import Any

PACKAGES = {
    "ccxt": "ccxt.base.exchange",
    "ccxt.async_support": "ccxt.async_support.base.exchange",
    "ccxt.pro": "ccxt.async_support.base.exchange",
}
"""Parents first; and the module of the base class that each calls `Exchange`."""
ERRORS = "ccxt.base.errors"
UNSET = frozenset(
    f"__{name}__"
    for name in (
        *("path", "spec", "file", "loader", "package", "cached", "name", "doc", "dict"),
        *("wrapped", "warningregistry", "builtins"),
    )
)
"""What the import system, `inspect` and `warnings` look for in any module: no `__init__` of ccxt
gives a package any of these, so nobody need run it to say so.
"""


class _Unopened(ModuleType):
    """A package whose `__init__` has not run."""

    def __setattr__(self, name: str, value: Any) -> None:
        # The import system puts a module of that name here; `__init__` would put its class.
        named = vars(value).get(name) if isinstance(value, ModuleType) else None
        super().__setattr__(name, named if isinstance(named, type) else value)

    def __getattr__(self, name: str) -> Any:
        if name in UNSET:
            raise AttributeError(name)
        home = PACKAGES[self.__name__] if name == "Exchange" else ERRORS
        found = getattr(sys.modules.get(home), name, None)
        if isinstance(found, type):
            return found
        path = f"{self.__name__}.{name}"
        if not name.startswith("__") and find_spec(path) is not None:
            # Set again: of a module that is loaded already the import system sets nothing.
            setattr(self, name, importlib.import_module(path))
        else:
            _open(self)
        return getattr(self, name)


def _open(package: ModuleType) -> None:
    """Run the package's own `__init__`, all of it or, as far as anybody can see, nothing."""
    if package.__spec__ is None or package.__spec__.loader is None:
        raise ImportError(f"{package.__name__} cannot be loaded")
    before = dict(vars(package))
    package.__class__ = ModuleType
    try:
        package.__spec__.loader.exec_module(package)
    except BaseException:
        vars(package).clear()
        vars(package).update(before)
        package.__class__ = _Unopened
        raise


def exchange_class(name: str) -> Any:
    """The class `name` of ccxt.pro. Raises ImportError where ccxt is not installed."""
    for each in PACKAGES:
        if each not in sys.modules:
            _enter(each)
    return getattr(importlib.import_module(f"ccxt.pro.{name}"), name)


def _enter(name: str) -> None:
    """Put a package into `sys.modules` as the import system would, but for running it."""
    spec = find_spec(name)
    if spec is None:
        raise ImportError(f"{name} is not installed")
    package = module_from_spec(spec)
    package.__class__ = _Unopened
    sys.modules[name] = package
    parent, _, child = name.rpartition(".")
    if parent:
        setattr(sys.modules[parent], child, package)
