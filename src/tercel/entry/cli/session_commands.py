"""`tercel status`, `positions`, `pause`, `resume`, `automation` and `kill`: what is asked of a
running session from a second terminal.
"""

from __future__ import annotations

import asyncio
import sys
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from tercel.domain.errors import TercelError, UserError
from tercel.domain.events import Operation
from tercel.entry.cli import options, terminal

if TYPE_CHECKING:
    from collections.abc import Sequence

    from tercel.app.live.control import Reply
    from tercel.app.live.status_records import KeptStatus, SessionStatus
    from tercel.domain.settings import Settings

POLL_SECONDS = 0.2
"""Between two looks whether a kill is verified."""
EVERY_SECONDS_MIN = 0.1

Folder = Annotated[
    Path | None,
    typer.Option("--folder", help="Folder of the session; default: session.folder."),
]


class Switch(StrEnum):
    """What automation can be."""

    ON = "on"
    OFF = "off"


def status(
    as_json: Annotated[
        bool, typer.Option("--json", help="Everything, as one JSON object a line.")
    ] = False,
    watch: Annotated[
        bool, typer.Option("--watch", help="Stay, and keep it up to date; Ctrl-C leaves.")
    ] = False,
    every: Annotated[float, typer.Option(help="With --watch: seconds between two looks.")] = 1.0,
    folder: Folder = None,
    overrides: options.OneSetting = None,
    config: options.SettingsFile = None,
) -> None:
    """Show the running session: account, positions, orders, feeds, breakers, decisions, alerts.

    Where none runs, what the state store kept last is shown, marked as such. The session is not
    disturbed, and nothing is written.

    Exit codes: 0 a session runs, 1 none does, or it does not answer, 2 a mistake in the call.

    Examples:

    tercel status

    tercel status --watch --every 0.5

    tercel status --json | python -m json.tool
    """
    if every < EVERY_SECONDS_MIN:
        raise UserError(f"--every {every:g}: use at least {EVERY_SECONDS_MIN:g}")
    settings, place = _place(folder, overrides, config)
    if watch:
        asyncio.run(_watch(place, every, as_json=as_json))
        return
    found = asyncio.run(_look(settings, place))
    if as_json:
        typer.echo(_status_json(found))
    else:
        _show(found)
    _leave_if_none_runs(found, place)


def positions(
    as_json: Annotated[bool, typer.Option("--json", help="As one JSON object.")] = False,
    folder: Folder = None,
    overrides: options.OneSetting = None,
    config: options.SettingsFile = None,
) -> None:
    """Show open positions: entry, price, R, profit gross and net, stop, targets, liquidation.

    Net is after fees, slippage and funding, and after the fee of closing now. Where no session
    runs, the positions that the state store kept last are shown, marked as such.

    Exit codes: 0 a session runs, 1 none does, or it does not answer, 2 a mistake in the call.

    Examples:

    tercel positions

    tercel positions --json
    """
    settings, place = _place(folder, overrides, config)
    found = asyncio.run(_look(settings, place))
    if as_json:
        typer.echo(_positions_json(found))
    else:
        _show_positions(found)
    _leave_if_none_runs(found, place)


def pause(
    folder: Folder = None,
    overrides: options.OneSetting = None,
    config: options.SettingsFile = None,
) -> None:
    """Open nothing new until resumed: waiting entries are withdrawn, exits and stops go on.

    Exit codes: 0 done, 1 no session runs or it does not answer, 2 a mistake in the call.

    Examples:

    tercel pause

    tercel pause --folder session-eth
    """
    _ask(Operation.PAUSE, folder, overrides, config)


def resume(
    folder: Folder = None,
    overrides: options.OneSetting = None,
    config: options.SettingsFile = None,
) -> None:
    """Let entries be made again: ends `tercel pause`, and the pause of a daily loss.

    A kill switch stays latched: `tercel kill --rearm` lifts it.

    Exit codes: 0 done, 1 no session runs or it does not answer, 2 a mistake in the call.

    Examples:

    tercel resume
    """
    _ask(Operation.RESUME, folder, overrides, config)


def automation(
    switch: Annotated[Switch, typer.Argument(help="on or off.", show_default=False)],
    folder: Folder = None,
    overrides: options.OneSetting = None,
    config: options.SettingsFile = None,
) -> None:
    """Trade signals (on), or only watch what they would have made: the ghost account (off).

    Off withdraws waiting entries; open positions keep their stops and targets. On begins the ghost
    figures anew, and is refused while the kill switch is latched.

    Exit codes: 0 done, 1 refused, no session runs or it does not answer, 2 a mistake in the call.

    Examples:

    tercel automation off

    tercel automation on
    """
    asked = Operation.AUTOMATION_ON if switch is Switch.ON else Operation.AUTOMATION_OFF
    _ask(asked, folder, overrides, config)


def kill(
    rearm: Annotated[
        bool, typer.Option("--rearm", help="Unlatch the kill switch; automation stays off.")
    ] = False,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask for confirmation.")] = False,
    wait: Annotated[float, typer.Option(min=0.0, help="Seconds until it must be verified.")] = 30.0,
    folder: Folder = None,
    overrides: options.OneSetting = None,
    config: options.SettingsFile = None,
) -> None:
    """Kill switch: cancel every order, close every position, ask the venue whether all is flat.

    It latches: nothing is traded until `tercel kill --rearm`, also after a restart. On a terminal
    it asks first. Where no session answers, the file KILL is written into its folder: a session
    that runs there finds it at its next timer, one that is started later at its first.

    Exit codes: 0 verified by the venue (or unlatched), 1 not in time, or no session answers, 2 a
    mistake in the call.

    Examples:

    tercel kill

    tercel kill --yes --wait 60

    tercel kill --rearm
    """
    _, place = _place(folder, overrides, config)
    if rearm:
        _rearm(place)
        return
    if not yes and sys.stdin.isatty() and not _is_meant():
        terminal.problem("nothing was done")
        raise typer.Exit(1)
    if not asyncio.run(_kill(place, wait)):
        raise typer.Exit(1)


# --- asking ---------------------------------------------------------------------------------------


def _place(
    folder: Path | None, overrides: Sequence[str] | None, config: Path | None
) -> tuple[Settings, Path]:
    """The settings, and the folder of the session."""
    from tercel import bootstrap

    settings = bootstrap.load_settings(config, overrides or ())
    return settings, (folder or Path(settings.session.folder)).expanduser()


async def _reply(place: Path, operation: Operation | None = None) -> Reply:
    """Raises NoSessionError, SilentSessionError."""
    from tercel.adapters.control import ControlClient
    from tercel.app.live.control import STATUS, Request

    return await ControlClient(place).ask(Request(operation or STATUS, "cli"))


async def _status(place: Path) -> SessionStatus:
    reply = await _reply(place)
    if reply.status is None:
        raise TercelError(f"the session tells no status: {reply.text or 'it gave no reason'}")
    return reply.status


def _ask(
    operation: Operation,
    folder: Path | None,
    overrides: Sequence[str] | None,
    config: Path | None,
) -> None:
    """Ask an operation, and say what came of it."""
    _, place = _place(folder, overrides, config)
    _tell(asyncio.run(_reply(place, operation)))


def _tell(reply: Reply) -> None:
    from tercel.entry.cli.session_words import clean, switches_line

    if not reply.is_done:
        terminal.problem(clean(f"refused: {reply.text}"))
        raise typer.Exit(1)
    if reply.status is not None:
        _say(switches_line(reply.status))


def _say(line: str) -> None:
    from tercel.entry.cli.session_words import clean

    terminal.console().print(clean(line), markup=False, soft_wrap=True)


# --- kill -----------------------------------------------------------------------------------------


def _is_meant() -> bool:
    try:
        return typer.confirm("Cancel all orders and close all positions at market?", err=True)
    except typer.Abort:
        return False


def _rearm(place: Path) -> None:
    from tercel.adapters.control import KillFile, NoSessionError
    from tercel.entry.cli.session_words import switches_line

    try:
        was, reply = asyncio.run(_asked_to_rearm(place))
        if reply is None:
            _say(f"nothing is latched: the kill switch is armed; {switches_line(was)}")
            return
        if reply.is_done and reply.status is not None and not reply.status.kill_latched:
            latched = [was.kill_latched, was.breakers.halted]
            _say(f"re-armed; it was latched: {' and '.join(filter(None, latched))}")
        _tell(reply)
    except NoSessionError as error:
        if KillFile(place).take():
            raise NoSessionError(
                f"{error}; the file KILL in {place} was removed. A latch in the kept state stays: "
                "start the session, then ask again"
            ) from None
        raise


async def _asked_to_rearm(place: Path) -> tuple[SessionStatus, Reply | None]:
    """What was latched, and what came of unlatching it; None: there was nothing to unlatch.

    A breaker that stopped the account is lifted by it as well.
    """
    was = await _status(place)
    if not was.kill_latched and not was.breakers.halted:
        return was, None
    return was, await _reply(place, Operation.REARM)


async def _kill(place: Path, wait_seconds: float) -> bool:
    """Whether the venue said that nothing is open; everything is told."""
    from tercel import bootstrap
    from tercel.adapters.control import NoSessionError, SilentSessionError

    try:
        reply = await _reply(place, Operation.KILL)
    except (NoSessionError, SilentSessionError) as error:
        _leave_kill_file(place, error)
        return False
    if not reply.is_done:
        _leave_kill_file(place, TercelError(f"the session refused: {reply.text}"))
        return False
    clock = bootstrap.system_clock()
    deadline_ms = clock.now_ms() + round(1000 * wait_seconds)
    try:
        found = reply.status or await _status(place)
        while not found.kill_verified and clock.now_ms() < deadline_ms:
            await clock.sleep(POLL_SECONDS)
            found = await _status(place)
    except (NoSessionError, SilentSessionError) as error:
        terminal.problem(f"killed, but not verified: {error}; look at the venue itself")
        return False
    if found.kill_verified:
        _say("killed: the venue was asked, no position and no order is open; it stays latched")
        return True
    terminal.problem(
        f"killed, but not verified within {wait_seconds:g} s: by what is known here "
        f"{len(found.positions)} positions and {len(found.orders)} orders are left, which the "
        "venue has not confirmed; it goes on (tercel status --watch), and its own page is the "
        "last resort"
    )
    return False


def _leave_kill_file(place: Path, error: TercelError) -> None:
    """The way that needs no answer. Raises StorageError where it cannot be written."""
    from tercel.adapters.control import KillFile, NoSessionError

    if not place.is_dir():
        raise NoSessionError(f"{error}: there is no such folder, and nothing was killed")
    kill_file = KillFile(place)
    kill_file.write()
    terminal.problem(
        f"{error}. Wrote {kill_file.path.absolute()}: a session there is killed at its next timer, "
        "one that is started later at its first. Nothing is verified: positions may be open, with "
        "the stops that rest at the venue; look there. `tercel kill --rearm` takes the file back"
    )


# --- showing --------------------------------------------------------------------------------------


async def _look(settings: Settings, place: Path) -> SessionStatus | KeptStatus | None:
    """The session, else what was kept of it, else nothing. Raises SilentSessionError."""
    from tercel.adapters.control import NoSessionError

    try:
        return await _status(place)
    except NoSessionError:
        return await _kept(settings, place)


async def _kept(settings: Settings, place: Path) -> KeptStatus | None:
    """What the state store has; None: nothing. A file that is not there is not made."""
    from tercel import bootstrap
    from tercel.app.live.status import kept_status_of

    url = settings.state.url
    is_file = not url or url.startswith("sqlite:///")
    file = Path(url.removeprefix("sqlite:///")) if url else place / bootstrap.STATE_FILE
    if is_file and not file.expanduser().exists():
        return None
    store = bootstrap.open_state(url, place)
    try:
        state = (await store.read_full_snapshot()).state
    finally:
        await store.close()
    return kept_status_of(state) if state.saved_ms else None


async def _watch(place: Path, every_seconds: float, *, as_json: bool) -> None:
    """Show the session until it ends. Raises NoSessionError where none runs at the beginning."""
    from tercel import bootstrap
    from tercel.adapters.control import NoSessionError
    from tercel.entry.cli.live_view import open_view

    clock = bootstrap.system_clock()
    found = await _status(place)
    view = open_view(terminal.console())
    try:
        while True:
            if as_json:
                typer.echo(_status_json(found))
            else:
                view.update(found)
            await clock.sleep(every_seconds)
            found = await _status(place)
    except NoSessionError:
        view.close()
        terminal.problem("the session has ended")
    finally:
        view.close()


def _leave_if_none_runs(found: SessionStatus | KeptStatus | None, place: Path) -> None:
    from tercel.app.live.status_records import SessionStatus

    if isinstance(found, SessionStatus):
        return
    kept = "" if found is None else "; what is shown is what its state store kept last"
    terminal.problem(
        f"no session runs in {place}{kept}; `tercel run` starts one, --folder names another place"
    )
    raise typer.Exit(1)


def _show(found: SessionStatus | KeptStatus | None) -> None:
    from tercel.app.live.status_records import SessionStatus
    from tercel.entry.cli.kept_view import kept_lines
    from tercel.entry.cli.live_view import picture

    if isinstance(found, SessionStatus):
        terminal.console().print(picture(found))
    elif found is not None:
        for line in kept_lines(found):
            _say(line)


def _show_positions(found: SessionStatus | KeptStatus | None) -> None:
    from tercel.app.live.status_records import SessionStatus
    from tercel.entry.cli.kept_view import kept_position_lines
    from tercel.entry.cli.live_view import position_lines

    if isinstance(found, SessionStatus):
        for line in position_lines(found.positions):
            terminal.console().print(line)
    elif found is not None:
        for text in kept_position_lines(found):
            _say(text)
    if found is not None and not found.positions:
        _say("no open positions")


def _status_json(found: SessionStatus | KeptStatus | None) -> str:
    from tercel.app.live.status_records import Codec, SessionStatus

    if isinstance(found, SessionStatus):
        return f'{{"is_running":true,"status":{Codec(SessionStatus).encode(found).decode()}}}'
    return f'{{"is_running":false,"kept":{_kept_json(found)}}}'


def _kept_json(found: KeptStatus | None) -> str:
    from tercel.app.live.status_records import Codec, KeptStatus

    return "null" if found is None else Codec(KeptStatus).encode(found).decode()


def _positions_json(found: SessionStatus | KeptStatus | None) -> str:
    import json

    whole = json.loads(_status_json(found))
    shown = whole.get("status") or whole.get("kept") or {"positions": None}
    return json.dumps({"is_running": whole["is_running"], "positions": shown["positions"]})
