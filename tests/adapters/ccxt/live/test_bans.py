"""While a venue wants to be left alone, nothing reaches it: the whole live half against the
simulated exchange, with everybody who ever calls a venue calling it.

A real session and its runner trade at every bar. Beside them orders, cancels, questions, readings,
klines, looks at the clock and renewals of the listen key leave as fast as the governor lets them.
Requests take a while in either direction: what left before the venue's word had come is no
disobedience.
"""

from __future__ import annotations

import ast
import asyncio
from collections.abc import Awaitable, Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pytest
from tests.adapters.ccxt.live.server import BUY, GOVERNOR, SETTINGS, STOP
from tests.adapters.simulator.binance.trading import START_MS, venue_with
from tests.app.live.scenes import MINUTE, Cast, Script, live_rules, settings
from tests.app.live.test_runner import MemoryJournal, MemoryStore
from tests.desk import Ask
from tests.market_data import once

import tercel.adapters.ccxt as ccxt_adapter
from tercel.adapters.ccxt.feed import CcxtFeed
from tercel.adapters.ccxt.keys import ApiKeys
from tercel.adapters.ccxt.venue import CcxtVenue, VenueChoice
from tercel.adapters.simulator.binance.assembly import Venue
from tercel.adapters.simulator.binance.settings import Limits
from tercel.adapters.simulator.fault_codes import FaultCode
from tercel.adapters.simulator.faults import Fault, When
from tercel.adapters.simulator.mounts.in_memory import in_memory
from tercel.adapters.simulator.mounts.memory import Latency
from tercel.adapters.simulator.mounts.virtual_loop import LoopClock, run_virtually
from tercel.app.live.bar_collector import BarCollector
from tercel.app.live.governor import Governor
from tercel.app.live.health import FeedHealth
from tercel.app.live.known_context import KnownContext
from tercel.app.live.prepare_live import warm_up
from tercel.app.live.runner import Runner
from tercel.app.live.session import Session, SessionMemory
from tercel.app.live.surroundings import Surroundings
from tercel.app.live.venue_clock import VenueClock
from tercel.core.codes import OrderKind, Side
from tercel.domain.bars import SeriesKey
from tercel.domain.errors import DataError, VenueError
from tercel.domain.events import BarsClosed, Operation
from tercel.domain.session_state import SessionState

SYMBOLS = ("BTCUSDT", "ETHUSDT")
ONE_WAY_MS = 20
LATENCY = Latency(ONE_WAY_MS / 1000, ONE_WAY_MS / 1000)
MINUTES = 6
TOO_MANY, BANNED = 429, 418


@dataclass(frozen=True)
class Word:
    """The venue asked everybody to wait."""

    status: int
    told_ms: int
    """When the client had read it."""
    until_ms: int


@dataclass
class Gate:
    """What arrives at the venue over REST, and what it answers."""

    venue: Venue
    words: list[Word] = field(default_factory=list)
    disobeyed: list[str] = field(default_factory=list)
    arrived: dict[str, int] = field(default_factory=dict)
    """Requests by endpoint."""

    def watch(self) -> None:
        """Look at every request from now on."""
        facade = self.venue.facade
        handle = facade.handle_request

        def handled(method: str, path: str, *rest: object) -> object:
            now_ms = rest[-1]
            assert isinstance(now_ms, int)
            self._arrive(f"{method} {path}", now_ms)
            reply = handle(method, path, *rest)  # type: ignore[arg-type]
            if reply.status in (TOO_MANY, BANNED):
                told = {name.lower(): value for name, value in reply.headers}
                self._hear(reply.status, now_ms, told.get("retry-after"))
            return reply

        facade.handle_request = handled  # type: ignore[method-assign,assignment]

    def _arrive(self, endpoint: str, now_ms: int) -> None:
        self.arrived[endpoint] = self.arrived.get(endpoint, 0) + 1
        for word in self.words:
            if word.told_ms < now_ms - ONE_WAY_MS and now_ms < word.until_ms:
                self.disobeyed.append(f"{endpoint} at {now_ms - START_MS}: {word}")

    def _hear(self, status: int, now_ms: int, retry_after: str | None) -> None:
        banned_ms = self.venue.facade.state.ledger.banned_until_ms
        if status == BANNED:
            until_ms = banned_ms
        elif retry_after is not None:
            until_ms = now_ms + int(retry_after) * 1_000
        else:
            # Nothing said: what was too much for this minute is forgiven with it.
            until_ms = now_ms - now_ms % MINUTE + MINUTE
        self.words.append(Word(status, now_ms + ONE_WAY_MS, until_ms))


class NoLake:
    """There is nothing in it."""

    def read(self, key: SeriesKey, start_ms: int, end_ms: int) -> object:
        raise DataError("nothing is there")


async def pester(venue: CcxtVenue, feed: CcxtFeed, dated: VenueClock) -> None:
    """Everything that anybody ever asks of a venue, without end, side by side."""
    await venue.connect()
    number = iter(range(1, 1_000_000))

    def orders() -> Iterator[Callable[[], Awaitable[object]]]:
        market = replace(BUY, symbol="ETHUSDT", kind=OrderKind.MARKET, price=None, quantity=0.1)
        stop = replace(STOP, symbol="ETHUSDT", trigger_price=1_500.0)
        while True:
            made = replace(market, client_id=f"t-s-9-0-{next(number)}")
            yield lambda made=made: venue.place(made)  # type: ignore[misc]
            kept = replace(stop, client_id=f"t-s-9-1-{next(number)}")
            yield lambda kept=kept: venue.place(kept)  # type: ignore[misc]
            gone = (kept.client_id, "ETHUSDT")
            yield lambda gone=gone: venue.query(*gone, is_conditional=True)  # type: ignore[misc]
            yield lambda gone=gone: venue.cancel(*gone, is_conditional=True)  # type: ignore[misc]

    def looks() -> Iterator[Callable[[], Awaitable[object]]]:
        while True:
            now_ms = dated.now_ms()
            span = (now_ms - 5 * MINUTE, now_ms)
            yield lambda: venue.read(SYMBOLS, START_MS)
            yield lambda span=span: feed.history("ETHUSDT", "1m", *span)  # type: ignore[misc]
            yield dated.refresh
            yield lambda: feed.instruments(SYMBOLS)
            yield lambda: venue._side.funding(START_MS)

    async def ask(deeds: Iterator[Callable[[], Awaitable[object]]]) -> None:
        for deed in deeds:
            with suppress(VenueError):
                await deed()
            await dated.sleep(0.7)

    await asyncio.gather(ask(orders()), ask(looks()), ask(looks()))


def live(faults: tuple[Fault, ...], limits: Limits | None = None) -> tuple[Gate, int | str]:
    """A session of some minutes at a venue with `faults`; its exit code, or why it did not
    start.
    """

    async def main(clock: LoopClock) -> tuple[Gate, int | str]:
        made = venue_with(*faults, minutes=MINUTES + 10)
        if limits is not None:
            made.facade.state.ledger._limits = limits
        gate = Gate(made)
        gate.watch()
        keys = ApiKeys(made.settings.credentials.key, made.settings.credentials.secret)
        own = SETTINGS.model_copy(update={"listen_key_minutes": 1.0, "clock_minutes": 1.0})
        async with in_memory(made.facade, made.ticks(), clock, LATENCY) as mount:
            turns = Governor(GOVERNOR, clock)

            async def ask() -> int:
                return await venue.time_ms()

            dated = VenueClock(clock, ask, 1.0)
            choice = VenueChoice("binance-usdm", SYMBOLS, own)
            venue = CcxtVenue(choice, keys, turns, dated, mount.connector)
            venue.on_clock_error(dated.nudge)
            feed = CcxtFeed("binance-usdm", own, turns, dated, mount.connector)
            runner = session_at(venue, feed, dated, turns)
            running = asyncio.create_task(runner.run(()))
            pestering = asyncio.create_task(pester(venue, feed, dated))
            await asyncio.wait({pestering}, timeout=MINUTES * 60.0)
            pestering.cancel()
            [end] = await asyncio.gather(pestering, return_exceptions=True)
            assert isinstance(end, asyncio.CancelledError)
            if not running.done():
                runner.submit(Operation.STOP, "test")
            [ended] = await asyncio.gather(running, return_exceptions=True)
            await venue.close()
            await feed.close()
            return gate, ended if isinstance(ended, int) else str(ended)

    gate, ended = run_virtually(main, epoch_ms=START_MS)
    return gate, ended


def session_at(
    venue: CcxtVenue, feed: CcxtFeed, dated: VenueClock, turns: Governor, **own: Any
) -> Runner:
    """A session on Bitcoin that asks for something at every bar; `own` are settings of it."""
    script = Script()
    opens = range(START_MS - 10 * MINUTE, START_MS + (MINUTES + 10) * MINUTE, MINUTE)
    for number, opened in enumerate(opens):
        side = Side.LONG if number % 2 else Side.SHORT
        script.asks[0, opened] = Ask(side, stop=200.0, exit_long=True, exit_short=True)
    cast = Cast(own={"tick_size": 0.1, "lot_size": 0.001, "quantity_min": 0.001})
    plan = cast.session_plan(script)
    rules = live_rules(silent_ms_max=5_000, spread_fraction_max=0.0, **own)
    session = Session(plan, rules, SessionMemory(SessionState(), "s1"))
    every = settings()
    known = KnownContext(plan, every.context)
    health = FeedHealth(plan.symbols, plan.bar_ms, every.health, 3_000, dated.now_ms())
    touched: list[str] = []

    async def history() -> list[BarsClosed]:
        return await warm_up(plan, (NoLake(), feed), dated.now_ms(), 60, known)  # type: ignore[arg-type]

    around = Surroundings(
        venue=venue,
        feed=feed,
        state=MemoryStore(touched),
        journal=MemoryJournal(touched),
        clock=dated,
        health=health,
        collector=BarCollector(plan.symbols, 1_500, known, health.view),
        history=history,
        closing=turns.close,
    )
    return Runner(session, around)


def test_a_busy_session_asks_everything_that_this_is_about() -> None:
    gate, code = live(())
    assert code == 0
    assert gate.words == []
    everything = {
        *("GET /fapi/v1/time", "GET /fapi/v1/exchangeInfo", "GET /fapi/v1/klines"),
        *("POST /fapi/v1/listenKey", "PUT /fapi/v1/listenKey", "GET /fapi/v1/income"),
        *("GET /fapi/v1/openOrders", "GET /fapi/v1/openAlgoOrders", "GET /fapi/v3/account"),
        *("GET /fapi/v3/positionRisk", "GET /fapi/v1/userTrades", "GET /fapi/v1/algoOrder"),
        *("POST /fapi/v1/order", "POST /fapi/v1/algoOrder", "DELETE /fapi/v1/algoOrder"),
    }
    assert everything <= set(gate.arrived), everything - set(gate.arrived)


@once
@pytest.mark.parametrize("nth", [1, 9, 60, 137])
def test_no_request_arrives_during_a_ban(nth: int) -> None:
    """418: at every step of a start, and while a session trades."""
    gate, ended = live((Fault(FaultCode.L2, When(nth=nth)),))
    assert ended == 0 or "IP banned until" in str(ended)
    assert [word.status for word in gate.words][:1] == [BANNED]
    assert gate.disobeyed == []
    assert sum(gate.arrived.values()) > nth + 100, "they go on after the ban"


@once
@pytest.mark.parametrize(("nth", "retry_after_seconds"), [(4, 0), (60, 0), (61, 1), (137, 10)])
def test_nor_after_too_many_requests_until_the_venue_may_be_asked_again(
    nth: int, retry_after_seconds: int
) -> None:
    """429 with a Retry-After, and without one: then until the minute has ended."""
    figures = {"retry_after_seconds": float(retry_after_seconds)}
    gate, ended = live((Fault(FaultCode.L1, When(nth=nth, times=3), figures=figures),))
    assert ended == 0 or "Too many requests" in str(ended)
    assert {word.status for word in gate.words} == {TOO_MANY}
    assert gate.disobeyed == []


def test_a_venue_that_allows_less_than_we_think_never_has_to_ban_us() -> None:
    """Its own count is told with every answer, but its limit is not: each minute ends with a 429,
    which is obeyed.
    """
    gate, code = live((), Limits(weight_minute_max=400, violations_max=5))
    assert code == 0
    assert len(gate.words) > 2
    assert {word.status for word in gate.words} == {TOO_MANY}
    assert gate.disobeyed == []


def test_the_link_alone_asks_a_venue_anything_over_rest() -> None:
    """Whoever called ccxt by himself would not wait for his turn. Streams are opened by `stream`;
    `source` downloads bars for the lake, and is no part of a session.
    """
    harmless = {"get_ws_url", "urls"}
    for file in sorted(Path(ccxt_adapter.__file__).parent.rglob("*.py")):
        if file.stem in ("link", "stream", "source"):
            continue
        tree = ast.parse(file.read_text(encoding="utf-8"))
        uses = [node for node in ast.walk(tree) if isinstance(node, ast.Attribute)]
        asked = {use.attr for use in uses if ast.unparse(use.value).endswith("exchange")}
        assert asked <= harmless, file.name
