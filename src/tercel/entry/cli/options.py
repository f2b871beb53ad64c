"""Options and arguments that several commands have, each written once; a command names its own."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

# --- what is traded, and over which bars ----------------------------------------------------------

Strategy = Annotated[str, typer.Argument(help="A strategy's name, or your own file's path.")]
Symbol = Annotated[str, typer.Argument(help="One symbol, as the lake has it.")]
Venue = Annotated[
    str | None, typer.Option(help="Needed where the lake has the symbol for several venues.")
]
Timeframe = Annotated[
    str | None, typer.Option(help="1m 5m 15m 30m 1h ...; default: the shortest there is.")
]
Start = Annotated[
    str | None, typer.Option("--from", help="First bar, UTC: 2023-07-01 or 2023-07-01T12:00.")
]
End = Annotated[
    str | None,
    typer.Option("--to", help="Until, UTC: a date means to the end of that day, a time before it."),
]

# --- under which settings -------------------------------------------------------------------------

Overrides = Annotated[
    list[str] | None,
    typer.Option("--set", help="NAME=VALUE: a strategy parameter, or a setting by its path."),
]
Config = Annotated[Path | None, typer.Option(help="A YAML file of settings for this run.")]
Cash = Annotated[float | None, typer.Option(help="Cash at the start, quote.")]
Costs = Annotated[str | None, typer.Option(help="Cost profile: binance_usdm, source1, free ...")]
SettingsFile = Annotated[
    Path | None, typer.Option("--config", help="YAML file on top of the configuration folders.")
]
OneSetting = Annotated[
    list[str] | None, typer.Option("--set", help="One setting: group.field=value. Repeatable.")
]
"""These two where nothing is traded, so that there are no strategy parameters to set."""

# --- where it lies --------------------------------------------------------------------------------

Lake = Annotated[
    Path | None, typer.Option(help="Folder of the lake; default: that of the settings.")
]
SessionFolder = Annotated[
    Path | None,
    typer.Option("--folder", help="Folder of the session; default: session.folder."),
]
Runs = Annotated[Path | None, typer.Option(help="Folder the run folder goes into.")]
