"""Sessions out of settings: replay, paper and live are three compositions of the same session."""

from __future__ import annotations

import gc
import os
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING

from tercel.bootstrap import (
    open_context,
    open_journal,
    open_lake,
    open_lease,
    open_state,
)
from tercel.bootstrap.permission import check_may_trade
from tercel.domain.errors import DataError, UserError, VenueError

if TYPE_CHECKING:
    from tercel.adapters.ccxt.feed import CcxtFeed
    from tercel.adapters.control import ControlServer
    from tercel.app.live.alerts import AlertCode
    from tercel.app.live.context_keeper import ContextKeeper
    from tercel.app.live.control import Ask
    from tercel.app.live.governor import Governor
    from tercel.app.live.parts import SessionRules
    from tercel.app.live.plan import SessionPlan
    from tercel.app.live.replay import Replay
    from tercel.app.live.runner import Runner, Told
    from tercel.app.live.surroundings import Surroundings
    from tercel.app.live.venue_clock import FollowingClock, Warn
    from tercel.app.ports import (
        Clock,
        FeedBar,
        FeedQuote,
        Journal,
        MarketFeed,
        StateLease,
        StateStore,
        Venue,
    )
    from tercel.app.prepare import PreparedRun, RunRequest
    from tercel.domain.bars import SeriesKey
    from tercel.domain.commands import Command
    from tercel.domain.events import BarsClosed
    from tercel.domain.journal import SessionRow
    from tercel.domain.lease import LeaseHolder
    from tercel.domain.session_state import SessionState, StateRead
    from tercel.domain.settings import Settings
    from tercel.domain.venue_instrument import VenueInstrument

    Taps = tuple[Callable[[FeedBar | FeedQuote], None], ...]

BASE36 = "0123456789abcdefghijklmnopqrstuvwxyz"


@dataclass(frozen=True, slots=True)
class LiveChoice:
    """What `tercel run` was asked for, beside the settings."""

    mode: str
    """paper or live."""
    request: RunRequest
    automation: bool | None = None
    """None: as the state says."""
    is_fresh: bool = False
    """Begin with an empty state; what was kept is not read."""


@dataclass(frozen=True, slots=True)
class LiveSession:
    """A session ready to run."""

    runner: Runner
    row: SessionRow
    around: Surroundings
    folder: Path
    notices: tuple[str, ...]


def session_id(now_ms: int) -> str:
    """A short id that grows with time: seconds in base 36."""
    number, text = now_ms // 1000, ""
    while number:
        number, digit = divmod(number, 36)
        text = BASE36[digit] + text
    return text


def replay_session(
    settings: Settings,
    prepared: PreparedRun,
    session: str,
    told: Callable[[Command], None] | None = None,
) -> Replay:
    """A session over the bars of `prepared`, filled by the bar exchange."""
    from tercel.adapters.simulator.bars import BarExchange
    from tercel.app.live.parts import BesideRules, SessionRules
    from tercel.app.live.plan import plan_of
    from tercel.app.live.replay import Replay, series_of, stream_settings
    from tercel.app.live.session import Session, SessionMemory
    from tercel.domain.session_state import SessionState

    plan = plan_of(prepared)
    rules = SessionRules(
        session=settings.session,
        execution=settings.execution,
        beside=BesideRules(settings.ghost.fee_rate, False, settings.shadow.alert_r),
        venue=plan.series[0].venue,
        mode="replay",
        is_exact=True,
        reads_venue=False,
        nets_positions=False,
        every_evaluation=settings.journal.evaluations == "all",
        automation_at_start=True,
    )
    made = Session(plan, rules, SessionMemory(SessionState(), session))
    return Replay(made, BarExchange(stream_settings(plan)), series_of(prepared), told=told)


async def live_session(
    settings: Settings, choice: LiveChoice, clock: Clock, told: Told | None = None
) -> LiveSession:
    """A paper or live session: its state is read, its venue has told its rules and nothing else.

    Raises TercelError where it may not or cannot trade.
    """
    with nothing_collected():
        session_name = session_id(clock.now_ms())
        claimed = await _claimed(settings, session_name)
        try:
            return await _live_session(settings, choice, (clock, told), (session_name, claimed))
        except BaseException:
            await claimed[0].release()
            raise


@contextmanager
def nothing_collected() -> Iterator[None]:
    """Python's collector rests while modules are loaded: nothing of them is garbage, and each of
    its looks goes through all of them. Afterwards what is there is never looked through again.
    """
    gc.disable()
    try:
        yield
    finally:
        gc.freeze()
        gc.enable()


async def _claimed(settings: Settings, session_name: str) -> tuple[StateLease, LeaseHolder]:
    """The right to keep the state where it is kept, taken, and for whom. Raises UserError where a
    running session has it, StorageError.
    """
    lease = open_lease(settings.state.url, session_folder(settings))
    from tercel.app.live.holder import holder_here

    holder = holder_here(session_name, session_folder(settings))
    try:
        await lease.claim(holder)
    except BaseException:
        await lease.release()
        raise
    return lease, holder


async def _live_session(
    settings: Settings,
    choice: LiveChoice,
    outside: tuple[Clock, Told | None],
    who: tuple[str, tuple[StateLease, LeaseHolder]],
) -> LiveSession:
    from tercel.app.live.beside import watch_beside
    from tercel.app.live.governor import Governor
    from tercel.app.live.prepare_live import live_plan
    from tercel.app.live.readiness import prepare_kernels
    from tercel.app.live.runner import Runner
    from tercel.app.live.session import Session, SessionMemory
    from tercel.app.live.session_row import session_row
    from tercel.app.live.venue_clock import FollowingClock

    (clock, told), (session_name, (lease, holder)) = outside, who
    folder = session_folder(settings)
    stores = open_stores(settings, folder, holder)
    read = await _kept(stores[0], settings, choice)
    kept, notices = read.state, (*check_may_trade(settings, choice), *read.notices)
    moment = FollowingClock(clock)
    governor = Governor(settings.governor, moment)
    feed = _feed(settings, choice, governor, moment)
    try:
        rules = await _rules(feed, choice)
        begun_ms = await _venue_ms(feed, clock)
        plan = live_plan(settings, choice.request, {s: each.rules for s, each in rules.items()})
        prepare_kernels(plan)
        beside, unknown = await watch_beside(feed, plan)
        venue, taps = _venue(settings, choice, (governor, moment), (kept, rules))
        session = Session(
            plan,
            _session_rules(settings, choice, venue.name),
            SessionMemory(kept, session_name),
        )
        around = _surroundings(
            settings,
            plan,
            (venue, feed, taps, governor),
            (*stores, _keeper(settings, (plan, beside), session_name, (governor, moment))),
            (moment, _clock_warning(session_name, moment, told)),
        )
    except BaseException:
        await feed.close()
        raise
    around = replace(around, lease=lease)
    row = session_row(session, settings, begun_ms)
    notices = (*notices, unknown) if unknown else notices
    return LiveSession(Runner(session, around, told), row, around, folder, notices)


async def _rules(feed: MarketFeed, choice: LiveChoice) -> Mapping[str, VenueInstrument]:
    """The venue's own trading rules: the first time that it is asked anything."""
    try:
        return await feed.instruments(choice.request.symbols)
    except VenueError as error:
        raise VenueError(
            f"{choice.request.venue} cannot be reached ({error}); `tercel run --replay` needs no "
            "network, `tercel venue` is an exchange on this machine"
        ) from error


async def _venue_ms(feed: CcxtFeed, clock: Clock) -> int:
    """Now, as all in the journal is dated. Where the venue does not tell its time, ours:
    its clock warns of that once it runs.
    """
    try:
        return await feed.time_ms()
    except VenueError:
        return clock.now_ms()


def _session_rules(settings: Settings, choice: LiveChoice, venue: str) -> SessionRules:
    from tercel.app.live.parts import BesideRules, SessionRules

    return SessionRules(
        session=settings.session,
        execution=settings.execution,
        beside=BesideRules(
            settings.ghost.fee_rate, settings.shadow.enabled, settings.shadow.alert_r
        ),
        venue=venue,
        mode=choice.mode,
        every_evaluation=settings.journal.evaluations == "all",
        automation_at_start=choice.automation,
    )


def _surroundings(
    settings: Settings,
    plan: SessionPlan,
    outside: tuple[Venue, CcxtFeed, Taps, Governor],
    keeping: tuple[StateStore, Journal, ContextKeeper],
    dating: tuple[FollowingClock, Warn],
) -> Surroundings:
    """What the runner touches; the moment follows the venue's clock from now on."""
    from tercel.adapters.control import KillFile
    from tercel.app.live.bar_collector import BarCollector
    from tercel.app.live.context_keeper import ScoredState
    from tercel.app.live.health import FeedHealth
    from tercel.app.live.prepare_live import warm_up
    from tercel.app.live.surroundings import Surroundings
    from tercel.app.live.venue_clock import VenueClock

    venue, feed, taps, governor = outside
    state, journal, keeper = keeping
    moment, warn = dating
    own = settings.session
    # A simulated exchange inside the process has no time of its own: that of the market counts.
    ask = feed.time_ms if taps else venue.time_ms
    venue_clock = VenueClock(moment.clock, ask, settings.venue.clock_minutes, warn)
    moment.follow(venue_clock)
    venue.on_clock_error(venue_clock.nudge)
    store = open_lake(settings)
    known = keeper.known
    beside = () if known.beside is None else (known.beside.symbol,)
    health = FeedHealth(
        plan.symbols, plan.bar_ms, settings.health, own.fresh_ms_max, moment.now_ms()
    )
    for symbol in beside:
        health.watch_beside(symbol, moment.now_ms())

    async def history() -> list[BarsClosed]:
        return await warm_up(plan, (store, feed), moment.now_ms(), own.warmup_bars, known)

    async def closing() -> None:
        try:
            await keeper.close()
        finally:
            await governor.close()

    return Surroundings(
        venue=venue,
        feed=feed,
        state=ScoredState(state, keeper),
        journal=journal,
        clock=venue_clock,
        health=health,
        collector=BarCollector(plan.symbols, own.bar_wait_ms, known, health.view, beside),
        history=history,
        context=keeper,
        taps=(*taps, known.see),
        closing=closing,
        kill_file=KillFile(session_folder(settings)),
    )


def _keeper(
    settings: Settings,
    watched: tuple[SessionPlan, SeriesKey | None],
    session_name: str,
    manners: tuple[Governor, Clock],
) -> ContextKeeper:
    """What fetches funding, open interest and the long/short ratio; nothing is asked yet."""
    from tercel.adapters.ccxt.context import CcxtContext
    from tercel.app.live.context_keeper import ContextKeeper, KeeperRules
    from tercel.app.live.known_context import KnownContext

    (plan, beside), (governor, clock) = watched, manners
    venue, refresh = plan.series[0].venue, settings.context_refresh
    rules = KeeperRules(
        settings.context,
        refresh,
        session_name,
        warmup_ms=settings.session.warmup_bars * plan.bar_ms,
        # Another address is a simulated exchange: what it says is no fact about the market.
        writes_lake=refresh.store and venue not in settings.venue.rest_urls,
    )
    return ContextKeeper(
        KnownContext(plan, settings.context, beside),
        CcxtContext(venue, settings.venue, governor, clock),
        open_context(settings),
        rules,
        clock,
    )


def session_folder(settings: Settings) -> Path:
    """Where the session keeps its state, its journal and its control socket."""
    return Path(settings.session.folder).expanduser()


def open_stores(
    settings: Settings, folder: Path, holder: LeaseHolder | None = None
) -> tuple[StateStore, Journal]:
    """State and journal of a session in `folder`, or where the settings say; `holder` has its
    lease.
    """
    state = open_state(settings.state.url, folder, holder)
    return state, open_journal(settings.journal.url, folder)


def _clock_warning(session_name: str, moment: FollowingClock, told: Told | None) -> Warn:
    """Shows views what is wrong with the venue's clock.

    As a row, since that is how views take alerts; it is not in the journal: only the session writes
    there, and it has no part in how it is dated.
    """
    from tercel.domain.commands import Level, WriteJournal
    from tercel.domain.journal import AlertRow

    def warn(code: AlertCode, text: str) -> None:
        if told is not None:
            row = AlertRow(
                session_name, moment.now_ms(), Level.WARNING.value, code.value, text, stream=-1
            )
            told(WriteJournal((row,)))

    return warn


async def _kept(store: StateStore, settings: Settings, choice: LiveChoice) -> StateRead:
    """The state to go on from. Raises UserError where it is of a session of another mode: its
    positions are at another venue.
    """
    from tercel.app.live.keeping import for_a_new_exchange
    from tercel.domain.addresses import without_password
    from tercel.domain.session_state import SessionState, StateRead

    if choice.is_fresh:
        # Nothing of it is used, but a store that is not there must be told before anything begins.
        read = StateRead(SessionState())
        with suppress(DataError):
            read = await store.read_full_snapshot()
        return replace(read, state=SessionState())
    read = await store.read_full_snapshot()
    kept = read.state
    if kept.kernel is None or kept.mode == choice.mode:
        return read if choice.mode == "live" else replace(read, state=for_a_new_exchange(kept))
    await store.close()
    url = settings.state.url
    place, other = session_folder(settings), "folder with --folder"
    raise UserError(
        f"the state in {without_password(url) if url else place} is of a "
        f"{kept.mode or 'nameless'} session, not of a {choice.mode} one; choose another "
        f"{'state.url' if url else other}, or --fresh to begin anew"
    )


def _feed(settings: Settings, choice: LiveChoice, governor: Governor, clock: Clock) -> CcxtFeed:
    from tercel.adapters.ccxt.feed import CcxtFeed

    return CcxtFeed(choice.request.venue or "", settings.venue, governor, clock)


def _venue(
    settings: Settings,
    choice: LiveChoice,
    manners: tuple[Governor, Clock],
    known: tuple[SessionState, Mapping[str, VenueInstrument]],
) -> tuple[Venue, Taps]:
    """Where orders go, and who else is told of the market."""
    (governor, clock), (kept, rules) = manners, known
    name = choice.request.venue or ""
    if choice.mode == "live":
        from tercel.adapters.ccxt.keys import read_keys
        from tercel.adapters.ccxt.venue import CcxtVenue, VenueChoice

        keys = read_keys(name, os.environ, Path.cwd())
        wanted = VenueChoice(name, choice.request.symbols, settings.venue, kept.symbols)
        return CcxtVenue(wanted, keys, governor, clock), ()
    from tercel.adapters.simulator.exchange.exchange import Exchange
    from tercel.adapters.simulator.exchange.rules import exchange_rules
    from tercel.adapters.simulator.in_process import InProcessVenue

    start = kept.account_balance if kept.kernel is not None else settings.runs.start_quote
    exchange = Exchange(
        exchange_rules(settings, name, choice.request.symbols, told=rules),
        balance_quote=Decimal(repr(float(start))).quantize(Decimal("1E-8")),
        seed=settings.runs.seed,
    )
    venue = InProcessVenue(exchange, clock.now_ms, name)
    return venue, (venue.see,)


def control_server(settings: Settings, ask: Ask) -> ControlServer:
    """The control socket in the session's folder."""
    from tercel.adapters.control import ControlServer

    return ControlServer(session_folder(settings), ask)


def scaled_clock(clock: Clock, speed: float) -> Clock:
    """A clock `speed` times as fast as `clock`."""
    from tercel.adapters.clock import ScaledClock

    return clock if speed == 1.0 else ScaledClock(clock, speed)


def with_venue_url(settings: Settings, venue: str, url: str | None) -> Settings:
    """The same settings with `venue` at another address, http://HOST:PORT."""
    if url is None:
        return settings
    rest = url.rstrip("/")
    if not rest.startswith(("http://", "https://")):
        raise UserError(f"--venue-url {url}: expected http://HOST:PORT")
    stream = "ws" + rest.removeprefix("http")
    group = settings.venue.with_overrides(
        {
            "rest_urls": {**settings.venue.rest_urls, venue: rest},
            "stream_urls": {**settings.venue.stream_urls, venue: stream},
        }
    )
    return settings.model_copy(update={"venue": group})


def with_folder(settings: Settings, folder: Path | None) -> Settings:
    """The same settings with the session in `folder`; None keeps theirs."""
    if folder is None:
        return settings
    group = settings.session.with_overrides({"folder": str(folder)})
    return settings.model_copy(update={"session": group})


__all__ = [
    "LiveChoice",
    "LiveSession",
    "control_server",
    "live_session",
    "open_stores",
    "replay_session",
    "scaled_clock",
    "session_folder",
    "session_id",
    "with_folder",
    "with_venue_url",
]
