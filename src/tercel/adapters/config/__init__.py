"""Settings from YAML files, the environment and command-line options.

`read_settings` in order: read each layer, lowest first (packaged defaults, `./config/`,
`$TERCEL_CONFIG_DIR`, `--config FILE`, `TERCEL__GROUP__FIELD`, `--set group.field=value`), cover
each with the next, check the result against the models, and report everything wrong at once.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import ValidationError

import tercel
from tercel.adapters.config.layers import (
    cover,
    environment_layer,
    file_layer,
    folder_files,
    folder_layer,
    folders_of,
    option_layer,
    shown_path,
)
from tercel.adapters.config.problems import explain
from tercel.adapters.config.yaml_reader import KeyPath, Layer
from tercel.domain.errors import ConfigError
from tercel.domain.settings import Scalar, Settings

__all__ = ["LoadedSettings", "config_dirs", "packaged_config_dir", "read_settings"]


STRATEGY_GROUPS = ("sizing", "limits", "pace", "fills")
"""Groups that the file of a strategy may differ from."""


@dataclass(frozen=True, slots=True)
class LoadedSettings:
    """The settings, and where they came from."""

    settings: Settings
    strategy_overrides: dict[str, Scalar]
    """Values of `--set name=value` without a dot: parameters of the strategy that is run."""
    sources: dict[str, str]
    """Where each value was written: `runs.seed` -> `config/runs.yaml:7`."""
    files: tuple[str, ...]
    """The files that were read, lowest layer first."""


def packaged_config_dir() -> Path:
    """The defaults: `tercel/_config` of an installed wheel, `config/` of a source checkout."""
    package = Path(tercel.__file__).resolve().parent
    for folder in (package / "_config", package.parents[1] / "config"):
        if folder.is_dir():
            return folder
    raise ConfigError(f"the default settings are missing from {package}; install tercel again")


def config_dirs(environ: Mapping[str, str], working_dir: Path | None = None) -> list[Path]:
    """Configuration folders, lowest first: packaged, `./config/` if any, `$TERCEL_CONFIG_DIR`."""
    return folders_of(environ, packaged_config_dir(), working_dir or Path.cwd())


def read_settings(
    folders: Sequence[Path] | None = None,
    run_file: Path | None = None,
    environ: Mapping[str, str] | None = None,
    overrides: Sequence[str] = (),
) -> LoadedSettings:
    """Read, merge and check all settings.

    `folders` are configuration trees, lowest first (default: `config_dirs`); `run_file` is the
    `--config` file; `environ` defaults to the process's; `overrides` are the texts of `--set`.
    Raises ConfigError: one line for each problem, the first of them sufficient by itself.
    """
    environ = os.environ if environ is None else environ
    folders = config_dirs(environ) if folders is None else folders
    merged = Layer()
    files: list[str] = []
    for folder in folders:
        found = folder_files(folder)
        files += [shown_path(path) for path, _ in found]
        cover(merged, folder_layer(found))
        if not folder.is_dir():
            merged.problems.append(
                f"{shown_path(folder)}: not a folder of settings; see TERCEL_CONFIG_DIR"
            )
    if run_file is not None:
        files.append(shown_path(run_file))
        _cover_for_this_run(merged, file_layer(run_file))
    _cover_for_this_run(merged, environment_layer(environ, merged.tree))
    options, strategy_overrides = option_layer(overrides)
    _cover_for_this_run(merged, options)
    settings = _checked(merged)
    sources = {
        ".".join(path): merged.origins[path]
        for path in _leaf_paths(merged.tree)
        if path in merged.origins
    }
    return LoadedSettings(settings, strategy_overrides, sources, tuple(files))


def _cover_for_this_run(merged: Layer, layer: Layer) -> None:
    """Cover with a layer that was said for this run: its groups go before what the files of
    strategies say about the same field.
    """
    strategies = merged.tree.get("strategies")
    for group in STRATEGY_GROUPS:
        said = layer.tree.get(group)
        if not isinstance(said, dict) or not isinstance(strategies, dict):
            continue
        for name, own in strategies.items():
            fields = own.get(group) if isinstance(own, dict) else None
            if not isinstance(fields, dict):
                continue
            for field in said:
                fields.pop(field, None)
                merged.origins.pop(("strategies", name, group, field), None)
    cover(merged, layer)


def _checked(merged: Layer) -> Settings:
    problems = list(merged.problems)
    try:
        settings = Settings.model_validate(merged.tree)
    except ValidationError as error:
        # What a damaged file should have set is missing: saying so would bury what is wrong.
        problems += explain(error, merged.origins, missing=not problems)
    if problems:
        raise ConfigError("\n".join(problems))
    return settings


def _leaf_paths(tree: Mapping[str, Any], at: KeyPath = ()) -> Iterator[KeyPath]:
    for key, value in tree.items():
        if isinstance(value, dict):
            yield from _leaf_paths(value, (*at, key))
        else:
            yield (*at, key)
