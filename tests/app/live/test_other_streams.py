"""A restart with other streams than were kept: added, taken away, or in another order."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import pytest
from tests.app.live.scenes import LOST, Cast, Reply, Scene, Script, ScriptedVenue, refused
from tests.desk import Ask

from tercel.app.live.alerts import AlertCode
from tercel.app.live.plan import SessionPlan
from tercel.app.live.working import STRAY_STREAM
from tercel.core.codes import Slot
from tercel.core.plan import TradePlan
from tercel.domain.commands import Alert, CancelForeign, CancelOrder, Level
from tercel.domain.events import Fault, Operation
from tercel.domain.journal import RefusalRow, TradeRow
from tercel.domain.orders import OrderPhase, OrderRequest

BTC, ETH = "BTCUSDT", "ETHUSDT"
WAITING = TradePlan(entry="limit", entry_wait_bars=10)


@dataclass(frozen=True, slots=True)
class Named(Cast):
    """Streams with the names of their strategies: labels that a restart may find elsewhere."""

    names: tuple[str, ...] = ()

    def session_plan(self, script: Script) -> SessionPlan:
        """As a session trades it."""
        plan = Cast.session_plan(self, script)
        return replace(
            plan,
            streams=tuple(
                replace(each, label=replace(each.label, strategy=name))
                for each, name in zip(plan.streams, self.names, strict=True)
            ),
        )


def cast(*streams: str, plan: TradePlan | None = None, **given: Any) -> Named:
    """`strategy symbol` of each stream; series in the order in which streams name them."""
    pairs = [each.split() for each in streams]
    symbols = tuple(dict.fromkeys(symbol for _, symbol in pairs))
    return Named(
        symbols,
        tuple(symbols.index(symbol) for _, symbol in pairs),
        plan or TradePlan(),
        names=tuple(name for name, _ in pairs),
        **given,
    )


def restarted(scene: Scene, other: Cast, **rules: Any) -> Scene:
    """The process was killed; the next one trades `other`."""
    scene.venue.news.clear()
    return Scene(other, scene.venue, scene.state, now=scene.now + 1_000, **rules)


def resting(scene: Scene) -> list[tuple[str, str]]:
    """Symbol and slot of what rests at the venue."""
    return sorted((o.request.symbol, o.request.slot.name) for o in scene.venue.resting())


def check(scene: Scene) -> None:
    """Session and venue hold the same, and stops of its size rest for all of it."""
    for symbol in scene.plan.symbols:
        held = sum(scene.held(k) for k in scene.plan.streams_of(symbol))
        stops = [o for o in scene.venue.resting(Slot.STOP) if o.request.symbol == symbol]
        assert held == scene.at(symbol)
        assert sum(o.left for o in stops) == abs(held)
    assert scene.cash_quote == pytest.approx(scene.venue.wallet_quote)


def critical(scene: Scene) -> list[Alert]:
    """What a person must see to."""
    return [each for each in scene.of(Alert) if each.level is Level.CRITICAL]


ORDERS = [
    cast(f"A {ETH}", f"A {BTC}"),
    cast(f"A {BTC}", f"B {BTC}", f"A {ETH}", f"B {ETH}"),
    cast(f"B {ETH}", f"A {ETH}", f"B {BTC}", f"A {BTC}"),
]


@pytest.mark.parametrize("other", ORDERS)
def test_orders_stay_with_their_positions(other: Named) -> None:
    """Nothing is sent, nothing cancelled, and each stop ends its own trade."""
    scene = Scene(cast(f"A {BTC}", f"A {ETH}"))
    scene.bar(ask={0: Ask(), 1: Ask(stop=5.0)})
    before = resting(scene)
    again = restarted(scene, other)
    again.wait(5_000)
    assert resting(again) == before
    assert again.placed() == []
    assert again.of(CancelOrder) == []
    assert critical(again) == []
    check(again)
    [stop] = [o for o in again.venue.resting(Slot.STOP) if o.request.symbol == BTC]
    again.venue.trigger(stop.request.client_id, 90.0, now=again.now)
    again.settle()
    [trade] = again.rows(TradeRow)
    assert (trade.symbol, trade.exit_reason) == (BTC, "stop")
    assert again.at(ETH) == 1.0
    check(again)


def test_a_stop_that_filled_while_down_ends_the_trade_that_it_protected() -> None:
    scene = Scene(cast(f"A {BTC}", f"A {ETH}"))
    scene.bar(ask={0: Ask(), 1: Ask(stop=5.0)})
    scene.venue.fill(scene.stop_id(0), 90.0, now=scene.now + 500)
    again = restarted(scene, cast(f"A {ETH}", f"A {BTC}"))
    again.wait(5_000)
    assert again.ended is None
    assert [(row.symbol, row.exit_reason) for row in again.rows(TradeRow)] == [(BTC, "stop")]
    assert again.at(ETH) == 1.0
    check(again)


def test_an_entry_that_filled_while_down_is_its_own_stream_s() -> None:
    scene = Scene(cast(f"A {BTC}", f"A {ETH}", plan=WAITING))
    scene.bar(ask={1: Ask(stop=3.0)})
    [entry] = scene.venue.resting(Slot.ENTRY)
    scene.venue.fill(entry.request.client_id, 100.0, now=scene.now + 100)
    other = cast(f"A {BTC}", f"B {BTC}", f"A {ETH}", f"B {ETH}", plan=WAITING)
    again = restarted(scene, other, on_unprotected="protect")
    again.wait(5_000)
    assert again.ended is None
    assert [again.held(k) for k in range(4)] == [0.0, 0.0, 1.0, 0.0]
    check(again)


def test_a_position_stays_where_streams_before_it_are_gone() -> None:
    scene = Scene(cast(f"A {BTC}", f"A {ETH}"))
    scene.bar(ask={1: Ask()})
    before = resting(scene)
    again = restarted(scene, cast(f"A {ETH}"))
    again.wait(5_000)
    assert again.held() == 1.0
    assert resting(again) == before
    check(again)


# --- streams that are gone ------------------------------------------------------------------------

FEWER = [cast(f"A {BTC}", plan=WAITING), cast(f"A {BTC}", f"B {ETH}", plan=WAITING)]
"""ETH is not traded any more; another strategy trades it."""


def waiting() -> Scene:
    """An entry in ETH waits."""
    scene = Scene(cast(f"A {BTC}", f"A {ETH}", plan=WAITING))
    scene.bar(ask={1: Ask()})
    assert resting(scene) == [(ETH, "ENTRY")]
    return scene


@pytest.mark.parametrize("other", FEWER)
def test_a_waiting_entry_of_a_stream_that_is_gone_is_cancelled(other: Named) -> None:
    """And counts no more, neither for the limits of positions nor for what is tied up."""
    scene = waiting()
    again = restarted(scene, other)
    again.wait(5_000)
    assert again.ended is None
    assert again.venue.resting() == []
    assert again.session.parts.orders.live() == []
    assert critical(again) == []
    account = again.session.parts.desk.account
    assert (int(account.open_positions), int(account.longs.sum())) == (0, 0)
    assert (float(account.working_quote), float(account.margin_quote)) == (0.0, 0.0)
    again.ask(Operation.KILL)
    again.wait(5_000)
    assert len(again.alerts(AlertCode.KILL_VERIFIED)) == 1


@pytest.mark.parametrize("trouble", [refused(Fault.BUSY), LOST, None])
def test_its_cancel_is_repeated_until_it_is_gone(trouble: Reply) -> None:
    scene = waiting()
    scene.venue.script("cancel", trouble, times=2)
    again = restarted(scene, FEWER[0])
    again.wait(60_000)
    assert again.venue.resting() == []
    assert again.session.parts.orders.live() == []


def test_it_is_kept_as_what_it_is_until_it_is_gone() -> None:
    """A third start knows it, too."""
    scene = waiting()
    scene.venue.script("cancel", None, times=1_000)
    second = restarted(scene, FEWER[0])
    second.wait(5_000)
    [kept] = second.state.orders
    assert kept.request.stream == STRAY_STREAM
    second.venue = unscripted(second.venue)
    third = restarted(second, FEWER[0])
    third.wait(5_000)
    assert third.venue.resting() == []


def unscripted(venue: ScriptedVenue) -> ScriptedVenue:
    """The same venue, which does what it is asked again."""
    made = ScriptedVenue()
    vars(made).update({name: value for name, value in vars(venue).items() if name != "_rules"})
    return made


@pytest.mark.parametrize("is_traded", [False, True])
def test_one_that_filled_while_down_is_a_position_that_nobody_knows(is_traded: bool) -> None:
    """Where its symbol is traded the start is refused, and nothing is touched; elsewhere the
    session trades on, and a person is told at once, and once.
    """
    scene = waiting()
    [entry] = scene.venue.resting()
    scene.venue.fill(entry.request.client_id, 100.0, now=scene.now + 100)
    again = restarted(scene, FEWER[is_traded])
    assert (again.ended is not None) == is_traded
    if not is_traded:
        again.wait(5_000)
    [told] = again.alerts(AlertCode.UNKNOWN_POSITION)
    assert told.text.startswith(ETH)
    assert again.placed() == []
    assert again.of(CancelOrder) == []
    assert again.at(ETH) == 1.0
    if not is_traded:
        assert again.session.parts.orders.live() == []


@pytest.mark.parametrize("is_traded", [False, True])
def test_one_that_fills_before_its_cancel_is_closed_or_told(is_traded: bool) -> None:
    """Where nothing is read a session cannot look after it: a person has to."""
    scene = waiting()
    [entry] = scene.venue.resting()
    scene.venue.script("cancel", None, times=1)
    again = restarted(scene, FEWER[is_traded])
    again.tick(250)
    scene.venue.fill(entry.request.client_id, 100.0, now=again.now)
    again.settle()
    again.wait(20_000)
    code = AlertCode.FOREIGN_FILL if is_traded else AlertCode.UNKNOWN_POSITION
    assert len(again.alerts(code)) == 1
    assert again.at(ETH) == (0.0 if is_traded else 1.0)
    assert again.rows(TradeRow) == []


def test_its_fills_that_never_come_are_given_up() -> None:
    """It was told to be filled, and the position is gone again before anybody read it."""
    scene = waiting()
    [entry] = scene.venue.resting()
    scene.venue.tells = False
    scene.venue.fill(entry.request.client_id, 100.0, now=scene.now + 100)
    scene.venue.outside(ETH, -1, 1.0, now=scene.now + 200)
    scene.venue.fills.clear()
    again = restarted(scene, FEWER[1])
    again.wait(30_000)
    assert again.ended is None
    assert again.session.parts.orders.live() == []


def left_behind(scene: Scene, slot: Slot) -> OrderRequest:
    """An order of ETH's stream that was not gone yet when its trade was over."""
    scene.bar(ask={1: Ask()})
    [order] = [o for o in scene.venue.resting(slot) if o.request.symbol == ETH]
    scene.venue.script("cancel", None, slot, times=1_000)
    scene.bar(ask={1: Ask(side=0, exit_long=True)})
    assert scene.at(ETH) == 0.0
    assert resting(scene) == [(ETH, slot.name)]
    scene.venue = unscripted(scene.venue)
    return order.request


@pytest.mark.parametrize("slot", [Slot.STOP, Slot.TARGET_1])
@pytest.mark.parametrize("names", [(f"A {BTC}",), (f"A {BTC}", f"B {ETH}")])
def test_an_exit_without_a_position_goes_with_its_stream(names: Sequence[str], slot: Slot) -> None:
    scene = Scene(cast(f"A {BTC}", f"A {ETH}"))
    left_behind(scene, slot)
    again = restarted(scene, cast(*names))
    again.wait(5_000)
    assert again.venue.resting() == []
    assert again.session.parts.orders.live() == []


@pytest.mark.parametrize("phase", [OrderPhase.CANCELLED, OrderPhase.EXPIRED])
def test_one_that_the_venue_has_ended_already_is_no_trouble(phase: OrderPhase) -> None:
    scene = Scene(cast(f"A {BTC}", f"A {ETH}"))
    stop = left_behind(scene, Slot.STOP)
    scene.venue.orders[stop.client_id].phase = phase
    again = restarted(scene, cast(f"A {BTC}"))
    again.wait(5_000)
    assert again.ended is None
    assert critical(again) == []
    assert again.session.parts.orders.live() == []


def test_a_stop_that_may_protect_somebody_s_position_is_not_touched() -> None:
    """A start that is refused cancels nothing; one that adopts lets it rest until its own does."""
    scene = Scene(cast(f"A {BTC}", f"A {ETH}"))
    stop = left_behind(scene, Slot.STOP)
    scene.venue.positions[ETH] = (1.0, 100.0)
    refused_start = restarted(scene, cast(f"A {BTC}", f"B {ETH}"))
    refused_start.wait(5_000)
    assert refused_start.ended is not None
    assert refused_start.of(CancelOrder) == []
    assert refused_start.of(CancelForeign) == []
    scene.venue.script("place", None, Slot.STOP, times=1)
    other = cast(f"A {BTC}", f"B {ETH}")
    again = restarted(scene, other, on_unknown_position="adopt", protect_ms_max=60_000)
    again.wait(1_000)
    assert stop.client_id in {o.request.client_id for o in again.venue.resting()}
    again.wait(20_000)
    [own] = again.venue.resting(Slot.STOP)
    assert own.request.client_id != stop.client_id
    assert again.held(1) == 1.0


# --- figures by symbol ----------------------------------------------------------------------------


@pytest.mark.parametrize("other", [*ORDERS, cast(f"A {ETH}", f"B {BTC}")])
def test_the_pause_after_a_losing_stop_is_that_of_its_symbol(other: Named) -> None:
    """Whatever trades it now, and no other symbol's."""
    pace = {"revenge_pause_ms": 900_000}
    scene = Scene(cast(f"A {BTC}", f"A {ETH}", pace=pace))
    scene.bar(ask={0: Ask()})
    scene.now += 1_000
    scene.venue.trigger(scene.stop_id(0), 90.0, now=scene.now)
    scene.settle()
    again = restarted(scene, replace(other, pace=pace))
    again.bar(ask={k: Ask() for k in range(len(other.streams))})
    assert [order.symbol for order in again.placed(Slot.ENTRY)] == [ETH]
    assert "revenge" in {row.refusal for row in again.rows(RefusalRow)}


@pytest.mark.parametrize("other", ORDERS)
def test_positions_are_counted_in_the_series_of_now(other: Named) -> None:
    scene = Scene(cast(f"A {BTC}", f"A {ETH}"))
    scene.bar(ask={0: Ask(), 1: Ask(side=-1)})
    account = restarted(scene, other).session.parts.desk.account
    btc, eth = other.symbols.index(BTC), other.symbols.index(ETH)
    assert int(account.open_positions) == 2
    assert (account.longs[[btc, eth]].tolist(), int(account.longs.sum())) == ([1, 0], 1)
    assert (account.shorts[[btc, eth]].tolist(), int(account.shorts.sum())) == ([0, 1], 1)
