"""A user stream that is up and tells nothing: the venue is read, and at last it counts as down."""

from __future__ import annotations

from typing import Any

import pytest
from tests.app.live.scenes import MINUTE, Cast, Scene, settings
from tests.desk import Ask

from tercel.app.live.alerts import AlertCode
from tercel.app.live.outages import Outages
from tercel.core.codes import Slot
from tercel.core.plan import TradePlan
from tercel.domain.commands import Command, ReadVenue
from tercel.domain.events import FeedNews, Filled, FundingPaid
from tercel.domain.journal import FeedRow

RULES = settings().session
QUIET_MS = RULES.quiet_read_ms
LIMIT = TradePlan(entry="limit", entry_wait_bars=30)


def up(cast: Cast | None = None, **rules: Any) -> Scene:
    """A session whose user stream is up, read and settled."""
    scene = Scene(cast, **rules)
    scene.hand(FeedNews(scene.now, "user", is_up=True))
    scene.wait(3_000)
    return scene


def readings(scene: Scene, log: list[Command]) -> int:
    """How often the venue was read."""
    return len(scene.of(ReadVenue, log))


def unheard_entry(after_ms: int = 20_000) -> Scene:
    """A limit entry at rest whose fill the stream never tells; it has filled now."""
    scene = up(Cast(plan=LIMIT))
    scene.bar(ask=Ask())
    scene.wait(after_ms)
    scene.venue.tells = False
    entry = scene.placed(Slot.ENTRY)[-1]
    scene.venue.fill(entry.client_id, 100.0, now=scene.now)
    return scene


# --- how often it is read -------------------------------------------------------------------------


def test_nothing_is_read_while_nothing_is_open() -> None:
    scene = up()
    assert readings(scene, scene.wait(60_000)) == 0


@pytest.mark.parametrize(("plan", "pace_ms"), [(LIMIT, QUIET_MS), (TradePlan(), 3 * QUIET_MS)])
def test_the_venue_is_read_while_something_is_open_and_nothing_is_told(
    plan: TradePlan, pace_ms: int
) -> None:
    """An entry that fills unheard has no stop; a position that is protected can wait."""
    scene = up(Cast(plan=plan))
    scene.bar(ask=Ask())
    assert readings(scene, scene.wait(pace_ms - 1_000)) == 0
    assert readings(scene, scene.wait(4 * pace_ms + 1_500)) == 5


def test_a_stream_that_tells_something_is_not_doubted() -> None:
    scene = up().enter()
    log = []
    for _ in range(8):
        log += scene.wait(QUIET_MS // 2)
        scene.hand(FundingPaid(scene.now, "BTCUSDT", 0.0))
    assert readings(scene, log) == 0


def test_a_reading_is_asked_for_more_seldom_with_more_symbols() -> None:
    """Six symbols are ten calls instead of five."""
    symbols = ("BTCUSDT", "ETHUSDT", "SOLUSDT", "XRPUSDT", "ADAUSDT", "BNBUSDT")
    scene = up(Cast(symbols, tuple(range(6)), plan=LIMIT))
    scene.bar(ask={k: Ask() for k in range(6)})
    assert readings(scene, scene.wait(2 * QUIET_MS - 500)) == 0
    assert readings(scene, scene.wait(2 * QUIET_MS + 1_500)) == 2


def test_a_replay_reads_nothing() -> None:
    scene = up(reads_venue=False, is_exact=True).enter()
    assert readings(scene, scene.wait(60_000)) == 0


# --- a fill that is not told ----------------------------------------------------------------------


def test_an_entry_that_fills_unheard_gets_its_stop_at_the_next_reading() -> None:
    scene = unheard_entry()
    filled_ms = scene.now
    while not scene.placed(Slot.STOP):
        scene.tick(250)
    assert scene.now - filled_ms <= QUIET_MS
    scene.check_agreement()


def test_a_stream_that_has_not_told_a_fill_is_down_until_it_tells_something() -> None:
    scene = unheard_entry()
    scene.wait(QUIET_MS + RULES.answer_ms_max)
    [alert] = [each for each in scene.alerts(AlertCode.FEED_DOWN) if "fill" in each.text]
    assert "BTCUSDT:1" in alert.text
    polled = scene.wait(4 * (RULES.answer_ms_max + 250))
    assert readings(scene, polled) == 4
    before = len(scene.alerts(AlertCode.FEED_UP))
    log = scene.hand(FundingPaid(scene.now, "BTCUSDT", 0.0))
    assert len(scene.alerts(AlertCode.FEED_UP)) == before + 1
    assert readings(scene, log) >= 1
    assert readings(scene, scene.wait(3 * QUIET_MS)) <= 3 + 1
    assert len(scene.alerts(AlertCode.FEED_DOWN)) == 1


def test_a_fill_that_is_told_after_the_reading_is_no_sign() -> None:
    """The stream is slower than a reading, no more."""
    scene = unheard_entry(after_ms=2 * QUIET_MS - 1_000)
    assert readings(scene, scene.wait(2_000)) == 1
    assert scene.held() == 1.0
    [fill] = [each for each in scene.venue.fills if each.side > 0]
    scene.hand(Filled(scene.now, fill))
    scene.wait(QUIET_MS)
    assert not scene.alerts(AlertCode.FEED_DOWN)
    assert scene.held() == scene.at() == 1.0


def test_what_filled_while_it_was_told_to_be_down_is_no_sign() -> None:
    scene = up(Cast(plan=LIMIT))
    scene.bar(ask=Ask())
    scene.hand(FeedNews(scene.now, "user", is_up=False))
    scene.venue.tells = False
    scene.is_apart = True
    scene.venue.fill(scene.placed(Slot.ENTRY)[-1].client_id, 100.0, now=scene.now)
    scene.now += 1_000
    scene.venue.tells = True
    scene.hand(FeedNews(scene.now, "user", is_up=True))
    scene.is_apart = False
    scene.settle()
    assert scene.held() == 1.0
    scene.wait(QUIET_MS)
    assert not [each for each in scene.alerts(AlertCode.FEED_DOWN) if "fill" in each.text]


def test_it_is_journaled_and_shown_as_an_outage() -> None:
    scene = unheard_entry()
    outages = Outages()
    for command in scene.wait(QUIET_MS + RULES.answer_ms_max):
        outages.see(command)
    [outage] = outages.now()
    assert outage.what == "user"
    assert outage.trouble.startswith("has not told the fill")
    assert not scene.rows(FeedRow)[-1].is_up
    for command in scene.hand(FundingPaid(scene.now, "BTCUSDT", 0.0)):
        outages.see(command)
    assert outages.now() == ()


def test_bars_read_the_venue_as_before() -> None:
    scene = up().enter()
    scene.wait(MINUTE - 5_000)
    assert readings(scene, scene.bar()) == 1
