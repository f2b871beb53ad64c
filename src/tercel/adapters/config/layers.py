"""The layers of settings, and how a higher one covers a lower one.

Each function makes one layer: from a folder, a file, the environment or `--set` options. `cover`
puts one on top of what is below: mappings are merged key by key, everything else is replaced.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from tercel.adapters.config.yaml_reader import KeyPath, Layer, parse_text
from tercel.domain.addresses import without_password
from tercel.domain.settings import Scalar, Settings

ENVIRONMENT_PREFIX = "TERCEL__"
SHORT_NAMES = {
    "TERCEL_STATE_URL": ("state", "url"),
    "TERCEL_JOURNAL_URL": ("journal", "url"),
}
"""Variables of a short name, and the settings that they are. Their values are texts, not YAML."""
GROUPS = tuple(Settings.model_fields)


def cover(below: Layer, above: Layer) -> None:
    """Put `above` on top of `below`, in place. A section left empty (null) covers nothing."""
    below.problems.extend(above.problems)
    _cover(below, above, below.tree, above.tree, ())


def _cover(
    below: Layer, above: Layer, under: dict[str, Any], over: Mapping[str, Any], at: KeyPath
) -> None:
    for key, value in over.items():
        path = (*at, key)
        section = isinstance(under.get(key), dict)
        if section and value is None:
            continue
        if section and isinstance(value, dict):
            _cover(below, above, under[key], value, path)
            continue
        below.origins[path] = above.origins.get(path, "")
        if isinstance(value, dict):
            under[key] = {}
            _cover(below, above, under[key], value, path)
        else:
            under[key] = value


def shown_path(path: Path) -> str:
    """`path` as a user would type it: relative to the working folder when it lies below it."""
    absolute, here = path.absolute(), Path.cwd()
    return str(absolute.relative_to(here) if absolute.is_relative_to(here) else absolute)


def file_layer(path: Path, at: KeyPath = ()) -> Layer:
    """The settings of one file; `at` is where its content belongs."""
    layer = Layer()
    place = shown_path(path)
    try:
        text = path.read_text(encoding="utf-8")
    except UnicodeDecodeError as error:
        layer.problems.append(f"{place}: not UTF-8 text (byte {error.start})")
        return layer
    except OSError as error:
        layer.problems.append(f"{place}: cannot be read: {error.strerror}")
        return layer
    tree = parse_text(text, place, layer, at=at, lines=True)
    if tree is not None and not isinstance(tree, dict):
        layer.problems.append(f"{place}:1: expected settings as `name: value` lines")
        return layer
    for key in reversed(at):
        tree = {key: tree or {}}
        layer.origins.setdefault(at, f"{place}:1")
    layer.tree = tree or {}
    return layer


def folder_files(folder: Path) -> list[tuple[Path, KeyPath]]:
    """The files of a configuration folder, and where the content of each belongs."""
    groups: list[tuple[Path, KeyPath]] = [(path, ()) for path in sorted(folder.glob("*.yaml"))]
    strategies = sorted((folder / "strategies").glob("*.yaml"))
    return groups + [(path, ("strategies", path.stem)) for path in strategies]


def folder_layer(files: Sequence[tuple[Path, KeyPath]]) -> Layer:
    """The settings of one folder. Its files have no order, so none may set what another sets."""
    layer = Layer()
    for path, at in files:
        one = file_layer(path, at)
        for key in _leaves(one.tree):
            if key in layer.origins and not isinstance(_at(layer.tree, key), dict):
                one.problems.append(
                    f"{one.origins[key]}: {'.'.join(key)}: set twice, here and in "
                    f"{layer.origins[key]}"
                )
        cover(layer, one)
    return layer


def _leaves(tree: Mapping[str, Any], at: KeyPath = ()) -> list[KeyPath]:
    """Paths of everything that is not a section with something in it."""
    found: list[KeyPath] = []
    for key, value in tree.items():
        if isinstance(value, dict) and value:
            found += _leaves(value, (*at, key))
        else:
            found.append((*at, key))
    return found


def _at(tree: Any, path: KeyPath) -> Any:
    for key in path:
        tree = tree.get(key) if isinstance(tree, dict) else None
    return tree


def _nested(path: KeyPath, value: Any) -> dict[str, Any]:
    for key in reversed(path):
        value = {key: value}
    made: dict[str, Any] = value
    return made


def _set(layer: Layer, path: KeyPath, text: str, place: str) -> None:
    """Set `path` of `layer` to the YAML value of `text`."""
    one = Layer()
    for depth in range(1, len(path) + 1):
        one.origins[path[:depth]] = place
    value = parse_text(text, place, one, at=path, lines=False)
    one.tree = {} if one.problems else _nested(path, value)
    cover(layer, one)


def environment_layer(environ: Mapping[str, str], below: Mapping[str, Any]) -> Layer:
    """`TERCEL__RUNS__SEED=7` as `runs.seed: 7`. Names are matched with those of the layers below.

    A variable cannot hold `-` or lower case, so `BINANCE_USDM` finds `binance-usdm` and `BTCUSDT`
    finds `BTCUSDT`. A name that nothing below has is taken in lower case; a new symbol as it is.
    """
    layer = Layer()
    for name, known in SHORT_NAMES.items():
        if name in environ:
            cover(layer, Layer(_nested(known, environ[name]), {known: name, known[:1]: name}))
    for name in sorted(environ):
        if not name.startswith(ENVIRONMENT_PREFIX):
            continue
        parts = name.removeprefix(ENVIRONMENT_PREFIX).split("__")
        if not all(parts):
            layer.problems.append(f"{name}: expected a name such as TERCEL__RUNS__SEED")
            continue
        path = _known_path(parts, below)
        if path in layer.origins and path in SHORT_NAMES.values():
            layer.problems.append(f"{name}: {layer.origins[path]} sets the same; unset one of them")
        _set(layer, path, environ[name], name)
    return layer


def _known_path(parts: Sequence[str], below: Any) -> KeyPath:
    path: list[str] = []
    for part in parts:
        names = below if isinstance(below, dict) else {}
        plain = part.lower().replace("-", "_")
        known = [name for name in names if name.lower().replace("-", "_") == plain]
        is_symbol = path[:1] == ["instruments"] and len(path) == 2
        path.append(known[0] if known else part if is_symbol else part.lower())
        below = names.get(path[-1])
    return tuple(path)


def option_layer(options: Sequence[str]) -> tuple[Layer, dict[str, Scalar]]:
    """The layer of `--set group.field=value`, and the strategy parameters of `--set name=value`."""
    layer = Layer()
    parameters: dict[str, Scalar] = {}
    for option in options:
        place = without_password(f"--set {option}")
        name, equals, text = option.partition("=")
        path = tuple(name.strip().split("."))
        if not equals or not all(path):
            layer.problems.append(f"{place}: expected group.field=value or parameter=value")
        elif len(path) > 1:
            _set(layer, path, text, place)
        elif path[0] in GROUPS:
            layer.problems.append(
                f"{place}: {path[0]} is a group of settings; expected {path[0]}.field=value"
            )
        else:
            value = parse_text(text, place, layer, at=path, lines=False)
            if isinstance(value, bool | int | float | str):
                parameters[path[0]] = value
            else:
                layer.problems.append(
                    f"{place}: expected a number, a text, true or false for a strategy's parameter"
                )
    return layer, parameters


def folders_of(environ: Mapping[str, str], packaged: Path, working: Path) -> list[Path]:
    """Configuration folders, lowest layer first: packaged, `./config/`, `$TERCEL_CONFIG_DIR`."""
    folders = [packaged]
    local = working / "config"
    if local.is_dir() and not os.path.samefile(local, packaged):
        folders.append(local)
    if named := environ.get("TERCEL_CONFIG_DIR"):
        folders.append(Path(named).expanduser())
    return folders
