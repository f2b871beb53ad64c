"""Smart entry: how it is chosen, where it rests, and how a chase ends."""

from __future__ import annotations

import math
from typing import Any

import pytest
from tests.app.live.scenes import MINUTE, QUIET, START, Cast, Scene, refused, settings
from tests.desk import Ask

from tercel.app.live.entries import CHASED_BY_TIME, entry_kind, spread_bps_of
from tercel.app.live.wire import decode_event, encode_event
from tercel.core.codes import OrderKind, Refusal, Side, Slot
from tercel.core.plan import TradePlan
from tercel.domain.commands import CancelOrder, PlaceOrder, SaveState, WriteJournal
from tercel.domain.events import Fault, MarketView, OrderUpdate, Quote, TimerFired
from tercel.domain.journal import InputRow, RefusalRow
from tercel.domain.live_settings import ExecutionSettings
from tercel.domain.orders import OrderPhase, OrderRequest

SMART = ExecutionSettings(
    entry="smart",
    chase_seconds=8.0,
    reposts_max=3,
    urgent_score=85.0,
    market_spread_bps_max=2.5,
    post_only_atr_ratio_max=1.5,
)
CHASE_MS = 8_000
NAN = math.nan
TIGHT = QUIET
"""2 bps."""
LOOSE = MarketView(99.98, 100.02, 100)
"""4 bps."""
CALM, WILD = 1.0, 2.0
WAITING = Cast(plan=TradePlan(entry="limit", entry_wait_bars=2))
"""A plan that rests a limit by itself."""


def smart_scene(cast: Cast | None = None, **given: Any) -> Scene:
    return Scene(cast, execution=SMART, **given)


def enter(
    scene: Scene,
    score: float = 50.0,
    *,
    side: int = 1,
    view: MarketView | None = LOOSE,
    atr_ratio: float = CALM,
) -> OrderRequest:
    """A signal of that score; the entry that was sent."""
    first = len(scene.log)
    # The ATR needs bars before it is known; the figure of the last one is what counts.
    event_ms = scene.minute
    scene.script.asks[0, event_ms] = Ask(side=side, score=score)
    scene.minute += MINUTE
    event = scene.bars_event(event_ms, 100.0, view)
    commands = scene.session.handle(event)
    scene.session.parts.desk.markets[0]["atr_ratio"] = atr_ratio
    scene.log.extend(commands)
    while (turn := scene.session.next_turn()) is not None:
        for command in scene.session.handle(turn):
            scene.log.append(command)
            if isinstance(command, PlaceOrder):
                scene.outbox.append(command)
    scene.settle()
    [request] = scene.placed(Slot.ENTRY, scene.log[first:])
    return request


def later(scene: Scene, ms: int, bid: float = 0.0, ask: float = 0.0) -> list[OrderRequest]:
    """Time passes, with a quote of the market if `bid` is given; entries sent then."""
    scene.now += ms
    quotes = (Quote("BTCUSDT", bid, ask),) if bid else ()
    return scene.placed(Slot.ENTRY, scene.hand(TimerFired(scene.now, quotes)))


def waits(scene: Scene) -> bool:
    return bool(scene.session.parts.stream(0).orders[Slot.ENTRY].status)


def refusals(scene: Scene) -> list[str]:
    return [row.refusal for row in scene.rows(RefusalRow)]


# --- the choice -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("score", "spread_bps", "atr_ratio", "kind"),
    [
        (85.0, 2.5, WILD, OrderKind.MARKET),
        (85.0, 2.5, NAN, OrderKind.MARKET),
        (85.0, 2.6, CALM, OrderKind.POST_ONLY),
        (84.9, 0.1, CALM, OrderKind.POST_ONLY),
        (84.9, 0.1, 1.5, OrderKind.POST_ONLY),
        (84.9, 0.1, 1.51, OrderKind.LIMIT),
        (99.0, 9.0, WILD, OrderKind.LIMIT),
        (50.0, 9.0, NAN, OrderKind.LIMIT),
        (NAN, 0.1, CALM, None),
        (99.0, NAN, CALM, None),
    ],
)
def test_a_kind_for_every_market(
    score: float, spread_bps: float, atr_ratio: float, kind: OrderKind | None
) -> None:
    assert entry_kind(SMART, score, spread_bps, atr_ratio) is kind


@pytest.mark.parametrize(
    ("bid", "ask", "spread_bps"),
    [
        (99.99, 100.01, 2.0),
        (100.0, 100.0, NAN),
        (100.1, 100.0, NAN),
        (NAN, 100.0, NAN),
        (0.0, 1.0, NAN),
    ],
)
def test_a_crossed_or_missing_quote_has_no_spread(
    bid: float, ask: float, spread_bps: float
) -> None:
    assert spread_bps_of(bid, ask) == pytest.approx(spread_bps, nan_ok=True)


@pytest.mark.parametrize(
    ("score", "view", "atr_ratio", "side", "kind", "price"),
    [
        (90.0, TIGHT, WILD, Side.LONG, OrderKind.MARKET, None),
        (50.0, TIGHT, CALM, Side.LONG, OrderKind.POST_ONLY, 99.99),
        (50.0, TIGHT, CALM, Side.SHORT, OrderKind.POST_ONLY, 100.01),
        (50.0, TIGHT, WILD, Side.LONG, OrderKind.LIMIT, 100.0),
        (NAN, TIGHT, CALM, Side.LONG, OrderKind.MARKET, None),
        (50.0, None, CALM, Side.LONG, OrderKind.MARKET, None),
    ],
)
def test_the_entry_is_sent_as_chosen(
    score: float,
    view: MarketView | None,
    atr_ratio: float,
    side: Side,
    kind: OrderKind,
    price: float | None,
) -> None:
    request = enter(smart_scene(), score, side=int(side), view=view, atr_ratio=atr_ratio)
    assert (request.kind, request.price, request.side) == (kind, price, side)


def test_volatility_is_watched_though_no_breaker_asks_for_it() -> None:
    scene = smart_scene()
    for number in range(40):
        scene.bar(close=100.0 + number % 2)
    assert float(scene.session.parts.desk.markets[0].atr_ratio) == pytest.approx(1.0, abs=0.05)
    still = Scene()
    still.bar()
    assert not still.session.parts.desk.account.watches


def test_what_the_plan_says_counts_where_nothing_is_known_of_the_signal() -> None:
    scene = smart_scene(WAITING)
    request = enter(scene, NAN)
    assert (request.kind, request.price) == (OrderKind.LIMIT, 100.0)
    assert scene.session.waiting_symbols() == ()
    assert later(scene, 10 * CHASE_MS, 101.0, 101.1) == []
    scene.bar()
    assert waits(scene)
    scene.bar()  # its second bar: given up by the plan's own rule
    assert not waits(scene)


def test_by_default_the_plan_decides() -> None:
    scene = Scene(WAITING)
    request = enter(scene, 99.0, view=TIGHT)
    assert request.kind == OrderKind.LIMIT
    assert scene.session.waiting_symbols() == ()
    assert later(scene, 10 * CHASE_MS, 101.0, 101.1) == []
    plan = scene.session.parts.stream(0).plan
    assert (plan.entry_kind, plan.entry_wait_bars) == (OrderKind.LIMIT, 2)


# --- the chase ------------------------------------------------------------------------------------


def test_an_entry_is_reposted_three_times_and_given_up() -> None:
    scene = smart_scene()
    enter(scene)
    begun_ms = scene.now
    prices: list[tuple[int, float | None, OrderKind]] = []
    while waits(scene) and scene.now < begun_ms + 20 * CHASE_MS:
        bid = 100.0 + (scene.now + 250 - begun_ms) / CHASE_MS
        prices.extend(
            (scene.now - begun_ms, request.price, request.kind)
            for request in later(scene, 250, bid, bid + 0.1)
        )
    assert [(ms, kind) for ms, _, kind in prices] == [
        (CHASE_MS, OrderKind.POST_ONLY),
        (2 * CHASE_MS, OrderKind.POST_ONLY),
        (3 * CHASE_MS, OrderKind.POST_ONLY),
    ]
    assert [price for _, price, _ in prices] == [101.0, 102.0, 103.0]
    assert scene.now == begun_ms + 4 * CHASE_MS
    assert not scene.venue.resting()
    assert refusals(scene) == ["no_liquidity"]
    stream = scene.session.parts.stream(0)
    assert stream.refusals[Refusal.NO_LIQUIDITY] == 1
    assert scene.session.parts.desk.account.open_positions == 0
    assert scene.session.parts.desk.account.working_quote == pytest.approx(0.0)
    assert scene.session.waiting_symbols() == ()


def test_bars_do_not_end_a_chase() -> None:
    scene = smart_scene()
    enter(scene)
    scene.bar()
    scene.bar()
    assert waits(scene)


def test_an_old_order_is_cancelled_before_the_new_one_is_sent() -> None:
    scene = smart_scene()
    first = enter(scene)
    log = len(scene.log)
    [again] = later(scene, CHASE_MS, 100.5, 100.6)
    sent = [c for c in scene.log[log:] if isinstance(c, CancelOrder | PlaceOrder)]
    assert [type(c) for c in sent] == [CancelOrder, PlaceOrder]
    assert (again.price, again.quantity) == (100.5, first.quantity)
    assert scene.session.parts.desk.account.working_quote == pytest.approx(100.5)
    assert [o.request.client_id for o in scene.venue.resting()] == [again.client_id]


def test_a_sell_is_reposted_at_the_ask() -> None:
    scene = smart_scene()
    enter(scene, side=-1)
    [again] = later(scene, CHASE_MS, 99.4, 99.5)
    assert (again.side, again.price) == (Side.SHORT, 99.5)


def test_a_price_that_has_not_moved_keeps_its_place_in_the_queue() -> None:
    scene = smart_scene()
    enter(scene)
    for _ in range(3):
        assert later(scene, CHASE_MS, LOOSE.bid, LOOSE.ask) == []
    assert waits(scene)
    later(scene, CHASE_MS, LOOSE.bid, LOOSE.ask)
    assert not waits(scene)


def test_an_urgent_signal_takes_the_market_at_the_end() -> None:
    scene = smart_scene()
    enter(scene, 90.0)
    for number in range(3):
        later(scene, CHASE_MS, 100.1 + number, 100.12 + number)
    scene.venue.prices["BTCUSDT"] = 103.2
    [taken] = later(scene, CHASE_MS, 103.1, 103.12)
    assert (taken.kind, taken.quantity, taken.price) == (OrderKind.MARKET, 1.0, None)
    assert scene.held() == scene.at() == 1.0
    assert not scene.venue.resting(Slot.ENTRY)
    scene.check_agreement()
    position = scene.session.parts.stream(0).position
    assert float(position.slippage_quote) == pytest.approx(103.2 - 103.12)


def test_even_an_urgent_signal_does_not_pay_a_spread_beyond_the_limit() -> None:
    scene = smart_scene()
    enter(scene, 90.0)
    for _ in range(4):
        later(scene, CHASE_MS, 99.0, 101.0)
    assert scene.held() == 0.0
    assert refusals(scene) == ["wide_spread"]


def test_what_has_filled_stays_and_the_rest_is_chased() -> None:
    scene = smart_scene()
    first = enter(scene, 90.0)
    scene.venue.fill(first.client_id, 99.98, 0.4, now=scene.now)
    scene.settle()
    assert scene.held() == pytest.approx(0.4)
    [again] = later(scene, CHASE_MS, 100.5, 100.6)
    assert again.quantity == pytest.approx(0.6)
    scene.check_agreement()
    for _ in range(2):
        later(scene, CHASE_MS, 100.5, 100.6)
    later(scene, CHASE_MS, 100.5, 100.52)
    assert scene.held() == pytest.approx(1.0)
    scene.check_agreement()


def test_a_partly_filled_entry_that_is_given_up_is_no_refusal() -> None:
    scene = smart_scene()
    first = enter(scene)
    scene.venue.fill(first.client_id, 99.98, 0.4, now=scene.now)
    scene.settle()
    for _ in range(4):
        later(scene, CHASE_MS, 100.5, 100.6)
    assert not waits(scene)
    assert scene.held() == pytest.approx(0.4)
    assert refusals(scene) == []
    scene.check_agreement()


def test_a_fill_that_the_withdrawal_crossed_is_taken_back_and_protected() -> None:
    scene = smart_scene()
    first = enter(scene)
    for _ in range(3):
        later(scene, CHASE_MS, LOOSE.bid, LOOSE.ask)
    scene.is_apart = True
    later(scene, CHASE_MS, LOOSE.bid, LOOSE.ask)
    scene.venue.fill(first.client_id, 99.98, now=scene.now)
    scene.is_apart = False
    scene.settle()
    assert scene.held() == pytest.approx(1.0)
    scene.check_agreement()


def test_a_refused_post_only_is_tried_again_by_the_next_chase() -> None:
    scene = smart_scene()
    scene.venue.script("place", refused(Fault.WOULD_CROSS, -5022), Slot.ENTRY)
    enter(scene)
    assert not scene.venue.resting(Slot.ENTRY)
    assert waits(scene)
    assert later(scene, CHASE_MS - 250, 99.5, 99.6) == []
    [again] = later(scene, 250, 99.5, 99.6)
    assert (again.kind, again.price) == (OrderKind.POST_ONLY, 99.5)
    assert len(scene.venue.resting(Slot.ENTRY)) == 1


def test_without_a_quote_an_entry_waits_one_more_turn_and_goes() -> None:
    scene = smart_scene()
    enter(scene)
    later(scene, CHASE_MS)
    later(scene, CHASE_MS - 1)
    assert waits(scene)
    later(scene, 1)
    assert not waits(scene)
    assert not scene.venue.resting()
    assert refusals(scene) == ["unhealthy_feed"]


def test_quotes_are_wanted_while_an_entry_is_chased() -> None:
    scene = smart_scene()
    assert scene.session.waiting_symbols() == ()
    request = enter(scene)
    assert scene.session.waiting_symbols() == ("BTCUSDT",)
    scene.venue.fill(request.client_id, 99.98, now=scene.now)
    scene.settle()
    scene.tick(250)
    assert scene.session.entries.waiting_symbols() == ()


def test_the_plan_is_taken_back_once_the_entry_is_over() -> None:
    scene = smart_scene(WAITING)
    stream = scene.session.parts.stream(0)
    request = enter(scene)
    assert (stream.plan.entry_kind, stream.plan.entry_wait_bars) == (
        OrderKind.POST_ONLY,
        CHASED_BY_TIME,
    )
    scene.venue.fill(request.client_id, 99.98, now=scene.now)
    scene.settle()
    assert scene.of(SaveState, scene.tick(250))
    assert (stream.plan.entry_kind, stream.plan.entry_wait_bars) == (OrderKind.LIMIT, 2)
    assert not scene.of(SaveState, scene.tick(250))


def test_a_refused_signal_leaves_the_plan_as_it_was() -> None:
    scene = smart_scene(Cast(plan=WAITING.plan, pace={"score_min": 60.0}))
    scene.bar(ask=Ask(score=50.0), view=LOOSE)
    assert refusals(scene) == ["low_score"]
    stream = scene.session.parts.stream(0)
    assert (stream.plan.entry_kind, stream.plan.entry_wait_bars) == (OrderKind.LIMIT, 2)


def test_a_signal_while_an_entry_waits_changes_nothing_of_it() -> None:
    scene = smart_scene()
    enter(scene)
    log = scene.bar(ask=Ask(score=95.0), view=TIGHT)
    assert scene.placed(Slot.ENTRY, log) == []
    assert scene.session.parts.stream(0).plan.entry_kind == OrderKind.POST_ONLY
    assert scene.venue.resting(Slot.ENTRY)[0].request.kind == OrderKind.POST_ONLY
    assert later(scene, CHASE_MS, 100.5, 100.6)[0].price == 100.5


# --- a restart ------------------------------------------------------------------------------------


def test_after_a_restart_a_waiting_entry_is_chased_on() -> None:
    scene = smart_scene()
    enter(scene)
    again = scene.restart(execution=SMART)
    assert again.session.waiting_symbols() == ("BTCUSDT",)
    [request] = later(again, CHASE_MS, 100.5, 100.6)
    assert request.price == 100.5
    assert len(again.venue.resting(Slot.ENTRY)) == 1


def test_a_restart_without_smart_entry_goes_back_to_the_plan() -> None:
    scene = smart_scene(WAITING)
    request = enter(scene)
    scene.venue.fill(request.client_id, 99.98, 0.4, now=scene.now)
    scene.settle()
    again = scene.restart()
    plan = again.session.parts.stream(0).plan
    assert (plan.entry_kind, plan.entry_wait_bars) == (OrderKind.LIMIT, 2)
    assert again.session.entries.waiting_symbols() == ()
    again.check_agreement()


# --- the journal ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "event",
    [
        TimerFired(START),
        TimerFired(START, (Quote("BTCUSDT", 0.1 + 0.2, 1e-300), Quote("ETHUSDT", 1.0, 2.0))),
    ],
)
def test_quotes_survive_the_journal(event: TimerFired) -> None:
    assert decode_event("TimerFired", encode_event(event)) == event


def test_a_timer_of_an_older_journal_has_no_quotes() -> None:
    assert decode_event("TimerFired", b'{"time_ms":7}') == TimerFired(7)


def test_only_timers_that_did_something_are_journaled_and_they_decide_it_again() -> None:
    scene = smart_scene()
    log = len(scene.log)
    enter(scene)
    for _ in range(140):
        later(scene, 250, 100.5, 100.6)
    inputs = [
        row
        for command in scene.log[log:]
        if isinstance(command, WriteJournal)
        for row in command.rows
        if isinstance(row, InputRow)
    ]
    timers = [row for row in inputs if row.kind == "TimerFired"]
    assert len(timers) == 4  # three re-posts and the end
    events = [decode_event(row.kind, row.payload) for row in inputs]
    twin = smart_scene()
    twin.script.asks.update(scene.script.asks)
    sent: list[OrderRequest] = []
    for event in events:
        if type(event).__name__ not in ("Decide", "MinuteEnded"):
            sent.extend(twin.placed(Slot.ENTRY, list(twin.session.handle(event))))
            twin.session.parts.desk.markets[0]["atr_ratio"] = CALM
            while (turn := twin.session.next_turn()) is not None:
                sent.extend(twin.placed(Slot.ENTRY, list(twin.session.handle(turn))))
    assert sent == scene.placed(Slot.ENTRY, scene.log[log:])
    assert twin.session.image() == scene.session.image()


def test_an_order_that_the_venue_takes_away_is_posted_again_at_the_next_bar() -> None:
    scene = smart_scene()
    request = enter(scene)
    order = scene.venue.orders[request.client_id]
    order.phase = OrderPhase.CANCELLED
    log = scene.hand(OrderUpdate(scene.now, request.client_id, "v1", order.phase, 0.0))
    assert scene.placed(Slot.ENTRY, log) == []  # at once it would be taken away again
    log = scene.bar()
    assert [each.price for each in scene.placed(Slot.ENTRY, log)] == [LOOSE.bid]


def test_what_is_shipped_enters_as_the_plan_says() -> None:
    assert settings().execution.entry == "plan"
