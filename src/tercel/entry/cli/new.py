"""`tercel new`: a strategy file of the user's own to start from."""

from __future__ import annotations

from pathlib import Path

import typer

from tercel.domain.errors import StorageError, UserError

TEMPLATE = Path(__file__).with_name("strategy_template.py.txt")


def new(
    name: str = typer.Argument(..., help="Name of the strategy: letters, digits, underscores."),
    force: bool = typer.Option(False, "--force", help="Overwrite an existing file."),
) -> None:
    """Write a commented strategy file into the current folder, ready to be backtested.

    [bold]Examples[/bold]

      tercel new my_idea
      tercel backtest ./my_idea.py BTCUSDT --venue synthetic
    """
    stem = name.removesuffix(".py")
    if not stem.isidentifier():
        raise UserError(
            f"{name!r} cannot name a strategy: use letters, digits and underscores, as in my_idea"
        )
    if TEMPLATE.parents[2].joinpath("core", "strategies", f"{stem}.py").exists():
        raise UserError(f"{stem} is the name of a built-in strategy; choose another")
    path = Path(f"{stem}.py")
    if path.exists() and not force:
        raise UserError(f"{path} exists already; choose another name, or --force to overwrite it")
    text = TEMPLATE.read_text(encoding="utf-8").replace("{name}", stem)
    try:
        path.write_text(text, encoding="utf-8")
    except OSError as error:
        raise StorageError(f"cannot write {path.resolve()}: {error.strerror}") from None
    from tercel.entry.cli.terminal import console

    console().print(f"wrote {path}; try it: tercel backtest ./{path} BTCUSDT --venue synthetic")
