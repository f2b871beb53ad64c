"""What the session objects to while an entry is at work: it is not sent again."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from tests.app.live.scenes import Cast, Scene
from tests.app.live.test_entries import CHASE_MS, enter, later, refusals, smart_scene, waits
from tests.desk import Ask

from tercel.core.codes import Slot
from tercel.core.plan import TradePlan
from tercel.domain.events import FeedNews, JournalNews, MarketView


def mismatch(scene: Scene) -> None:
    scene.session.parts.flags.mismatched.add("BTCUSDT")


def unreadable(scene: Scene) -> None:
    scene.session.parts.unreadable_ms = scene.now


def overloaded(scene: Scene) -> None:
    scene.hand(FeedNews(scene.now, "queue", is_up=False))


def journal_down(scene: Scene) -> None:
    scene.hand(JournalNews(scene.now, is_up=False))


@pytest.mark.parametrize("turns", [0, 3])
@pytest.mark.parametrize(
    ("objection", "refusal"),
    [
        (mismatch, "position_mismatch"),
        (unreadable, "unhealthy_feed"),
        (overloaded, "stale_data"),
        (journal_down, "journal_down"),
    ],
)
def test_what_the_session_objects_to_is_neither_reposted_nor_taken(
    objection: Callable[[Scene], None], refusal: str, turns: int
) -> None:
    """After three re-posts an urgent entry would take the market."""
    scene = smart_scene()
    enter(scene, 90.0)
    for number in range(turns):
        later(scene, CHASE_MS, 100.1 + number, 100.12 + number)
    objection(scene)
    assert later(scene, CHASE_MS, 105.0, 105.02) == []
    assert not waits(scene)
    assert scene.venue.resting() == []
    assert scene.held() == scene.at() == 0.0
    assert refusals(scene) == [refusal]


def test_a_repost_pays_no_spread_and_asks_for_none() -> None:
    """It rests on its own side; only what takes the market pays what is between the two."""
    scene = smart_scene()
    enter(scene, 90.0)
    [again] = later(scene, CHASE_MS, 99.0, 101.0)
    assert again.price == 99.0
    assert waits(scene)


@pytest.mark.parametrize(
    ("view", "refusal"),
    [
        (MarketView(99.99, 100.01, 40_000), "stale_data"),
        (MarketView(99.99, 100.01, 100, "a gap"), "unhealthy_feed"),
    ],
)
def test_a_plan_posts_no_entry_again_on_a_bar_the_session_objects_to(
    view: MarketView, refusal: str
) -> None:
    scene = Scene(Cast(plan=TradePlan(entry="limit", entry_wait_bars=1, chase_max=5)))
    scene.bar(ask=Ask())
    log = scene.bar(close=103.0, view=view)
    assert scene.placed(Slot.ENTRY, log) == []
    assert scene.venue.resting() == []
    assert refusals(scene) == [refusal]
    assert scene.session.parts.desk.account.open_positions == 0


def test_a_plan_posts_an_entry_again_on_a_bar_that_is_sound() -> None:
    scene = Scene(Cast(plan=TradePlan(entry="limit", entry_wait_bars=1, chase_max=5)))
    scene.bar(ask=Ask())
    log = scene.bar(close=103.0)
    assert [order.price for order in scene.placed(Slot.ENTRY, log)] == [103.0]
