"""`tercel config ...`: what the settings are, where each came from, and whether they are valid."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from tercel.entry.cli import terminal
from tercel.entry.cli.options import OneSetting, SettingsFile

if TYPE_CHECKING:
    from tercel.adapters.config import LoadedSettings

app = typer.Typer(
    no_args_is_help=True,
    help="The settings: what they are, where each came from, whether they are valid.",
)

ORIGIN_COLUMN = 50
"""Where the origins begin, in characters; a longer line pushes its own further right."""

_PLAIN_TEXT = re.compile(r"[A-Za-z/_~][A-Za-z0-9/_.~-]*(:[A-Za-z0-9/_.~-]+)*")
_SPECIAL = frozenset(
    {"~", "null", "true", "false", "Null", "True", "False", "NULL", "TRUE", "FALSE"}
)


@app.command(
    epilog="""Examples:

tercel config show

tercel config show costs --origin

tercel config show strategies.three_r

tercel config show --set runs.seed=7 > run.yaml"""
)
def show(
    group: Annotated[
        str | None, typer.Argument(help="A group, or a path into one: costs.profiles.bybit.")
    ] = None,
    origin: Annotated[
        bool, typer.Option("--origin", help="Add the file and line, variable or option.")
    ] = False,
    config: SettingsFile = None,
    options: OneSetting = None,
) -> None:
    """Print the settings in force as YAML, which `--config` can read again.

    Lowest to highest: packaged defaults, ./config/, $TERCEL_CONFIG_DIR, --config FILE, variables
    such as TERCEL__RUNS__SEED=7, --set. Values of keys, secrets and tokens are hidden.
    """
    loaded = _read(config, options)
    for line in yaml_lines(loaded, group or "", origin=origin):
        typer.echo(line)


@app.command(
    epilog="""Examples:

tercel config check

tercel config check --config run.yaml

tercel config check --set costs.profile.binance-usdm=source2"""
)
def check(config: SettingsFile = None, options: OneSetting = None) -> None:
    """Read all settings and say whether they are valid; each problem is one line, exit code 2."""
    loaded = _read(config, options)
    for file in loaded.files:
        typer.echo(f"read {file}")
    others = [place for place in loaded.sources.values() if not re.search(r":\d+$", place)]
    for place in dict.fromkeys(others):
        typer.echo(f"read {place}")
    typer.echo(f"OK: {len(loaded.sources)} settings from {len(loaded.files)} files")


def _read(config: Path | None, options: list[str] | None) -> LoadedSettings:
    from tercel import bootstrap

    loaded = bootstrap.load_everything(config, options or ())
    for name in loaded.strategy_overrides:
        terminal.problem(
            f"--set {name}: without a dot this is a parameter of the strategy that is run; "
            f"for all runs of one: --set strategies.NAME.params.{name}=..."
        )
    return loaded


def yaml_lines(loaded: LoadedSettings, path: str, *, origin: bool) -> Iterator[str]:
    """The settings at `path` as lines of YAML, below their full path, secrets hidden.

    Raises ConfigError for a path that does not exist.
    """
    from tercel.domain.settings import redacted

    tree: Any = redacted(loaded.settings.model_dump())
    keys = tuple(key for key in path.split(".") if key)
    for depth, key in enumerate(keys):
        tree = _step(tree, keys[:depth], key)
        if depth + 1 < len(keys):
            yield f"{'  ' * depth}{key}:"
    if not keys:
        yield from _section(tree, (), loaded.sources if origin else None)
    else:
        yield from _section({keys[-1]: tree}, keys[:-1], loaded.sources if origin else None)


def _step(tree: Any, above: tuple[str, ...], key: str) -> Any:
    """What is at `key`; an unknown one is an error that offers the known ones."""
    import difflib

    from tercel.domain.errors import ConfigError

    names = list(tree) if isinstance(tree, dict) else []
    if key in names:
        return tree[key]
    near = difflib.get_close_matches(key, names, n=1)
    hint = f"did you mean {near[0]}?" if near else f"there are: {', '.join(names[:16]) or 'none'}"
    raise ConfigError(f"{'.'.join((*above, key))}: no such setting; {hint}")


def _section(
    tree: Mapping[str, Any], at: tuple[str, ...], sources: Mapping[str, str] | None
) -> Iterator[str]:
    indent = "  " * len(at)
    for key, value in tree.items():
        path = (*at, key)
        if isinstance(value, dict) and value:
            yield f"{indent}{yaml_value(key)}:"
            yield from _section(value, path, sources)
            continue
        line = f"{indent}{yaml_value(key)}: {yaml_value(value)}"
        if sources is not None:
            line = f"{line:<{ORIGIN_COLUMN}}  # {sources.get('.'.join(path), 'not set')}"
        yield line


def yaml_value(value: Any) -> str:
    """`value` as YAML on one line that reads back as itself."""
    if isinstance(value, Path):
        value = str(value)
    if isinstance(value, Decimal):
        return f"{value.normalize():f}"
    if isinstance(value, list | tuple):
        return f"[{', '.join(yaml_value(item) for item in value)}]"
    if isinstance(value, str) and _PLAIN_TEXT.fullmatch(value) and value not in _SPECIAL:
        return value
    return json.dumps(value, ensure_ascii=False)
