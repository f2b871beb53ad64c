"""`tercel`: the commands, each imported only when it is called, and the one place where errors
become lines.
"""

from __future__ import annotations

import errno
import importlib
import sys
import traceback
from collections.abc import Sequence
from inspect import cleandoc

import typer
from typer.exceptions import TyperException

from tercel import __version__
from tercel.domain.errors import InterruptedWorkError, TercelError
from tercel.entry.cli.terminal import problem

COMMANDS: dict[str, tuple[str, str]] = {
    "backtest": (
        "tercel.entry.cli.backtest:backtest",
        "Trade strategies over bars of the lake and report honestly what happened.",
    ),
    "walk": (
        "tercel.entry.cli.walk:walk",
        "Walk-forward: choose parameters on the past, report them on what followed.",
    ),
    "arena": (
        "tercel.entry.cli.arena:arena",
        "Every strategy on the same bars with the same capital, ranked; an allocator, tested.",
    ),
    "overfit": (
        "tercel.entry.cli.overfit:overfit",
        "Is a run more than the luck of the best of many trials?",
    ),
    "gate": (
        "tercel.entry.cli.gate:gate",
        "Hold a backtest against the thresholds it must meet before going live.",
    ),
    "validate": (
        "tercel.entry.cli.validate:validate",
        "Trade chosen days; few trades and a profit promote the strategy.",
    ),
    "drift": (
        "tercel.entry.cli.drift:drift",
        "Do recent trades still look like those of the backtest?",
    ),
    "run": (
        "tercel.entry.cli.run:run",
        "Run a session: replay, paper or live, the same code as the backtest.",
    ),
    "status": (
        "tercel.entry.cli.session_commands:status",
        "The running session: account, positions, orders, feeds, breakers, decisions.",
    ),
    "positions": (
        "tercel.entry.cli.session_commands:positions",
        "Open positions: entry, price, R, profit, stop, targets, liquidation.",
    ),
    "pause": (
        "tercel.entry.cli.session_commands:pause",
        "Nothing new is opened until resumed; exits and stops go on.",
    ),
    "resume": (
        "tercel.entry.cli.session_commands:resume",
        "Entries are made again.",
    ),
    "automation": (
        "tercel.entry.cli.session_commands:automation",
        "on: signals are traded; off: they are only watched (ghost).",
    ),
    "kill": (
        "tercel.entry.cli.session_commands:kill",
        "Cancel every order, close every position, verify, latch.",
    ),
    "journal": (
        "tercel.entry.cli.journal:journal",
        "What sessions wrote down: trades, orders, refusals, alerts and more.",
    ),
    "parity": (
        "tercel.entry.cli.parity:parity",
        "Prove a session: decide everything again, and compare its trades with a backtest.",
    ),
    "data": (
        "tercel.entry.cli.data:app",
        "The data lake: import, fetch, list, check, repair, export, synthetic markets.",
    ),
    "venue": (
        "tercel.entry.cli.venue:venue",
        "A simulated exchange on this machine that speaks a venue's own protocol.",
    ),
    "strategies": (
        "tercel.entry.cli.strategies:strategies",
        "The strategies and their parameters.",
    ),
    "new": (
        "tercel.entry.cli.new:new",
        "Write a commented strategy file of your own into the current folder.",
    ),
    "lookahead": (
        "tercel.entry.cli.lookahead:lookahead",
        "Prove that a strategy never looks at bars to come.",
    ),
    "config": ("tercel.entry.cli.config:app", "Show and check the settings."),
    "doctor": (
        "tercel.entry.cli.doctor:doctor",
        "Check this machine: Python, packages, kernel cache, CPU, lake, clock.",
    ),
}
"""Command name -> (where it is, its one line of help). The help of `tercel` needs none of the
modules.
"""

THAT_LOG = frozenset({"data", "doctor", "journal", "parity", "positions", "run", "status"})
"""Commands that open a store or a venue, which may log; the others need no logging library."""

EXIT_USER = 2
EXIT_INTERRUPTED = 130


def _print_version(asked: bool) -> None:
    if asked:
        print(f"tercel {__version__}")  # noqa: T201
        raise typer.Exit


def tercel(
    debug: bool = typer.Option(False, "--debug", help="Show tracebacks of errors."),
    version: bool = typer.Option(
        False, "--version", callback=_print_version, is_eager=True, help="Print the version."
    ),
) -> None:
    """Research crypto-futures scalping strategies, and see honestly whether they have an edge.

    [bold]First steps[/bold]

      tercel data synth                                   a market to play with
      tercel backtest three_r BTCUSDT --venue synthetic   trade it
      tercel data fetch BTCUSDT --since 2024-01-01        real bars
      tercel new my_idea                                  a strategy of your own

    `tercel COMMAND --help` explains each command, with examples.
    """


def _elsewhere() -> None:
    """A command that was not asked for: only its line of help is shown."""


def build(wanted: str | None) -> typer.Typer:
    """The command line with one command imported; the others are there by name and help alone."""
    app = typer.Typer(
        add_completion=False,
        no_args_is_help=True,
        rich_markup_mode="rich",
        pretty_exceptions_enable=False,
    )
    app.callback(help=unwrapped(tercel.__doc__))(tercel)
    for name, (target, summary) in COMMANDS.items():
        if name != wanted:
            app.command(name, help=summary)(_elsewhere)
            continue
        module, attribute = target.split(":")
        found = getattr(importlib.import_module(module), attribute)
        if isinstance(found, typer.Typer):
            for each in found.registered_commands:
                each.help = each.help or unwrapped(getattr(each.callback, "__doc__", None))
            app.add_typer(found, name=name)
        else:
            epilog = getattr(sys.modules[module], "EPILOG", None)
            app.command(name, help=unwrapped(found.__doc__), epilog=epilog)(found)
    return app


def unwrapped(text: str | None) -> str:
    """`text` with its paragraphs as one line each: the terminal wraps them, and a second wrap of
    lines that are wrapped already is ragged. What is indented stays as it is.
    """
    paragraphs = cleandoc(text or "").split("\n\n")
    return "\n\n".join(
        each if "\n " in f"\n{each}" else each.replace("\n", " ") for each in paragraphs
    )


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the command line. Exit codes: 0 done, 2 the user's mistake, 1 ours or the world's, 130
    interrupted.
    """
    arguments = list(sys.argv[1:] if arguments is None else arguments)
    debug = "--debug" in arguments
    arguments = [each for each in arguments if each != "--debug"]
    wanted = next((each for each in arguments if not each.startswith("-")), None)
    try:
        if wanted in THAT_LOG and "--help" not in arguments:
            _keep_logs_off_standard_output()
        code = build(wanted)(args=arguments, standalone_mode=False, prog_name="tercel")
        if code == EXIT_INTERRUPTED:
            problem("interrupted: what was finished is kept, nothing is half-written")
    except Exception as error:
        if debug:
            traceback.print_exc()
        code = explain(error)
    raise SystemExit(code if isinstance(code, int) else 0)


def _keep_logs_off_standard_output() -> None:
    """What is printed there is for programs to read; `tercel run` sets up its own log later."""
    from tercel.adapters.logs import warn_on_standard_error

    warn_on_standard_error()


def explain(error: Exception) -> int:
    """One line about `error` on standard error; the exit code."""
    if isinstance(error, InterruptedWorkError):
        problem(str(error))
        return error.exit_code
    if isinstance(error, TercelError):
        problem(f"error: {error}")
        return error.exit_code
    if isinstance(error, TyperException):
        if not error.format_message():  # a bare `tercel data`: its help is the answer
            return EXIT_USER
        where = getattr(getattr(error, "ctx", None), "command_path", "tercel")
        told = " ".join(error.format_message().replace("Value error, ", "").split())
        problem(f"error: {told.rstrip('.')}; see `{where} --help`")
        return EXIT_USER
    if isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EROFS, errno.EACCES):
        where = error.filename or "a file of the run or of the kernel cache"
        problem(
            f"error: {where} cannot be written: {error.strerror}; free some space there, or choose "
            "another folder (--runs, --lake, TERCEL_CACHE_DIR)"
        )
        return 1
    problem(
        f"internal error: {type(error).__name__}: {error}. This is a bug in Tercel: run the same "
        "command with --debug and report what it prints"
    )
    return 1


if __name__ == "__main__":
    main()
