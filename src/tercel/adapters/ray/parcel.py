"""What is sent to other machines: plain data, and strategies by their name or path.

A strategy's compiled functions cannot travel; its file is read again where the work is done. So a
strategy of one's own has to lie at the same path on every machine of a cluster.
"""

from __future__ import annotations

from dataclasses import fields, is_dataclass, replace
from typing import Any, TypeVar

import numpy as np

from tercel.app.strategies import Strategy, built_in_names, load_strategy
from tercel.domain.errors import StrategyError

Content = TypeVar("Content")


def name_of(strategy: Strategy) -> tuple[str, str]:
    """(by what name or path it is loaded elsewhere, hash of its code)."""
    known = strategy.name in built_in_names()
    return (strategy.name if known else str(strategy.path), strategy.code_hash)


def named(name: tuple[str, str]) -> Strategy:
    """The strategy of `name_of`. Raises StrategyError when its code is not what was sent from."""
    name_or_path, code_hash = name
    strategy = load_strategy(name_or_path)
    if strategy.code_hash != code_hash:
        raise StrategyError(
            f"{name_or_path}: a machine of the cluster has other code for it than this one; "
            "install the same version of Tercel, and the same file, on all of them"
        )
    return strategy


def writable(content: Content) -> Content:
    """`content` with a copy of each array that may not be written to.

    Arrays of an object store are shared and read-only, for which numba would compile every kernel
    once more. Looks inside dataclasses, tuples and mappings.
    """
    made: Content = _writable(content)
    return made


def _writable(content: Any) -> Any:
    if isinstance(content, np.ndarray):
        return content if content.flags.writeable else content.copy()
    if isinstance(content, Strategy):
        return content
    if is_dataclass(content) and not isinstance(content, type):
        inner = {each.name: _writable(getattr(content, each.name)) for each in fields(content)}
        return replace(content, **inner)
    if isinstance(content, dict):
        return {key: _writable(value) for key, value in content.items()}
    if type(content) is tuple:
        return tuple(_writable(value) for value in content)
    return content
