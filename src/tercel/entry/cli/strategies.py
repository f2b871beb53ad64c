"""`tercel strategies`: what can be backtested, and what can be turned."""

from __future__ import annotations

import typer


def strategies(
    name: str = typer.Argument(
        "", help="A strategy, or the path of your own: shows its parameters."
    ),
) -> None:
    """List the strategies, or the parameters of one with defaults, ranges and units.

    [bold]Examples[/bold]

      tercel strategies
      tercel strategies three_r
    """
    from tercel.app.strategies import built_in_names, load_strategy
    from tercel.entry.cli.terminal import console, table

    screen = console()
    if not name:
        listing = table("strategy", "what it does", "needs", "parameters", numeric=("parameters",))
        for each in built_in_names():
            strategy = load_strategy(each)
            title = f"(filter) {strategy.title}" if strategy.is_filter else strategy.title
            needs = ", ".join(strategy.needs)
            listing.add_row(each, title, needs, str(len(strategy.parameters.items)))
        screen.print(listing)
        screen.print(
            "`tercel strategies NAME` shows parameters; `tercel new my_idea` starts your own."
        )
        return
    strategy = load_strategy(name)
    screen.print(f"[bold]{name}[/bold]: {strategy.title.removeprefix(f'{strategy.name}: ')}")
    screen.print(f"needs: {', '.join(strategy.needs) or 'open, high, low, close'}")
    if strategy.uses:
        screen.print(f"uses where known: {', '.join(strategy.uses)}")
    listing = table("parameter", "default", "range", "unit", "meaning", numeric=("default",))
    for item in strategy.parameters.items:
        listing.add_row(item.name, str(item.default), item.span, item.unit, item.meaning)
    screen.print(listing)
