"""The real venue's adapter, through the unmodified ccxt client, against a venue in memory."""

from __future__ import annotations

import asyncio
import json
from dataclasses import replace

import pytest
from tests.adapters.ccxt.live.server import (
    BUY,
    GOVERNOR,
    KEYS,
    SETTINGS,
    START_MS,
    STOP,
    SYMBOL,
    Bench,
    Reply,
    algo_row,
    on_bench,
    order_row,
)

from tercel.adapters.ccxt.link import WORDS_MAX
from tercel.core.codes import OrderKind, Slot
from tercel.domain.errors import UserError, VenueError
from tercel.domain.events import Fault, FeedNews, Filled, OrderUpdate, Outcome
from tercel.domain.orders import OrderPhase

LIMIT, MARKET, POST_ONLY = OrderKind.LIMIT, OrderKind.MARKET, OrderKind.POST_ONLY


def error(code: int, text: str = "words", status: int = 400, **headers: str) -> Reply:
    return Reply({"code": code, "msg": text}, status=status, headers=headers)


# --- opening ---


@on_bench
async def _opens(bench: Bench) -> None:
    await bench.open()
    asked = [f"{each.method} {each.path}" for each in bench.server.asked]
    assert asked.index("GET /sapi/v1/account/apiRestrictions") < asked.index(
        "POST /fapi/v1/positionSide/dual"
    )
    [side] = bench.server.sent("POST /fapi/v1/positionSide/dual")
    assert side["dualSidePosition"] == "false"
    [margin] = bench.server.sent("POST /fapi/v1/marginType")
    assert (margin["symbol"], margin["marginType"]) == ("BTCUSDT", "ISOLATED")
    [leverage] = bench.server.sent("POST /fapi/v1/leverage")
    assert (leverage["symbol"], leverage["leverage"]) == ("BTCUSDT", "5")
    assert bench.server.connected == ["/private/ws?listenKey=key1"]
    assert bench.take() == [FeedNews(0, "user", True)]


def test_opening_sets_up_the_account_and_connects() -> None:
    _opens()


@pytest.mark.parametrize(
    ("endpoint", "code"),
    [("POST /fapi/v1/marginType", -4046), ("POST /fapi/v1/positionSide/dual", -4059)],
)
def test_no_need_to_change_is_success(endpoint: str, code: int) -> None:
    async def opens(bench: Bench) -> None:
        bench.server.fail(endpoint, error(code, "No need to change"))
        await bench.open()
        assert bench.take() == [FeedNews(0, "user", True)]

    on_bench(opens)()


def test_what_is_set_already_is_left_alone() -> None:
    async def opens(bench: Bench) -> None:
        bench.server.answers["GET /fapi/v1/symbolConfig"] = [
            {"symbol": "BTCUSDT", "marginType": "ISOLATED", "leverage": 5},
            {"symbol": "ETHUSDT", "marginType": "CROSSED", "leverage": 20},
        ]
        await bench.open()
        margins = bench.server.sent("POST /fapi/v1/marginType")
        assert [each["symbol"] for each in margins] == ["ETHUSDT"]
        assert bench.server.count("POST /fapi/v1/leverage") == 1

    on_bench(opens, symbols=("BTCUSDT", "ETHUSDT"))()


@pytest.mark.parametrize(
    ("endpoint", "reply", "words"),
    [
        ("POST /fapi/v1/positionSide/dual", error(-4068, "exists position"), "one-way mode"),
        ("POST /fapi/v1/marginType", error(-4168, "multi-assets"), "isolated margin of BTCUSDT"),
        ("POST /fapi/v1/leverage", error(-4028, "Leverage 5 is not valid."), "leverage 5"),
        ("GET /sapi/v1/account/apiRestrictions", error(-2015, "Invalid API-key"), "Invalid API"),
        ("GET /sapi/v1/account/apiRestrictions", Reply({}), "whether the API key may withdraw"),
    ],
)
def test_an_account_that_cannot_be_set_up_stops_the_start(
    endpoint: str, reply: Reply, words: str
) -> None:
    async def opens(bench: Bench) -> None:
        bench.server.fail(endpoint, reply)
        with pytest.raises(VenueError, match=words) as caught:
            await bench.venue.open()
        assert "\n" not in str(caught.value)

    on_bench(opens)()


@pytest.mark.parametrize(
    ("code", "words"),
    [(-2015, "does not take the key"), (-2014, "take the key"), (-1022, "take the secret")],
)
def test_keys_that_are_wrong_are_named_by_their_variables(code: int, words: str) -> None:
    async def opens(bench: Bench) -> None:
        bench.server.fail("GET /sapi/v1/account/apiRestrictions", error(code, "Invalid."))
        with pytest.raises(VenueError, match=words) as caught:
            await bench.venue.open()
        assert "TEST_KEY in the environment and TEST_SECRET in .env" in str(caught.value)
        assert KEYS.key not in str(caught.value)
        assert "\n" not in str(caught.value)

    on_bench(opens)()


def test_keys_with_withdrawal_permission_are_refused_in_one_line() -> None:
    async def opens(bench: Bench) -> None:
        bench.server.answers["GET /sapi/v1/account/apiRestrictions"] = {"enableWithdrawals": True}
        with pytest.raises(UserError, match="may withdraw") as caught:
            await bench.venue.open()
        assert "\n" not in str(caught.value)
        assert bench.server.count("POST /fapi/v1/leverage") == 0

    on_bench(opens)()


def test_a_symbol_that_the_venue_does_not_have() -> None:
    async def opens(bench: Bench) -> None:
        with pytest.raises(UserError, match="NOPEUSDT"):
            await bench.venue.open()

    on_bench(opens, symbols=("NOPEUSDT",))()


@pytest.mark.parametrize(
    ("symbol", "meant"),
    [
        ("BTCUSD", "; did you mean BTCUSDT?"),
        ("ETHUDST", "; did you mean ETHUSDT?"),
        ("ETH", "; did you mean ETHUSDT?"),
        ("NOPE", ""),
    ],
)
def test_a_misspelt_symbol_is_met_with_those_that_may_be_meant(symbol: str, meant: str) -> None:
    async def opens(bench: Bench) -> None:
        with pytest.raises(UserError) as caught:
            await bench.venue.open()
        assert str(caught.value) == f"the venue does not know {symbol}{meant}"

    on_bench(opens, symbols=(symbol,))()


def test_secrets_are_in_no_error_even_when_the_venue_repeats_them() -> None:
    async def opens(bench: Bench) -> None:
        bench.server.fail("POST /fapi/v1/leverage", error(-1, f"key {KEYS.key} and {KEYS.secret}"))
        with pytest.raises(VenueError) as caught:
            await bench.venue.open()
        assert KEYS.key not in str(caught.value)
        assert KEYS.secret not in str(caught.value)

    on_bench(opens)()


@pytest.mark.parametrize("before", range(WORDS_MAX - 15, WORDS_MAX, 5))
def test_a_secret_that_the_end_of_the_line_would_cut_is_hidden_whole(before: int) -> None:
    """Cut first, the rest of it would not be known for a secret any more."""

    async def opens(bench: Bench) -> None:
        words = "w" * (before - 1)
        bench.server.fail("POST /fapi/v1/leverage", error(-1, f"{words} {KEYS.secret}"))
        with pytest.raises(VenueError) as caught:
            await bench.venue.open()
        assert KEYS.secret[:5] not in str(caught.value)

    on_bench(opens)()


# --- orders ---


@pytest.mark.parametrize(
    ("request_changes", "sent"),
    [
        (
            {"kind": LIMIT, "price": 100.07},
            {"type": "LIMIT", "timeInForce": "GTC", "price": "100", "quantity": "0.01"},
        ),
        ({"kind": POST_ONLY}, {"type": "LIMIT", "timeInForce": "GTX"}),
        (
            {"kind": MARKET, "price": None, "side": -1, "reduce_only": True},
            {"type": "MARKET", "side": "SELL", "reduceOnly": "true", "quantity": "0.01"},
        ),
    ],
)
def test_each_kind_of_order_as_the_venue_wants_it(
    request_changes: dict[str, object], sent: dict[str, str]
) -> None:
    async def places(bench: Bench) -> None:
        await bench.open()
        answer = await bench.venue.place(replace(BUY, **request_changes))  # type: ignore[arg-type]
        assert (answer.outcome, answer.venue_id) == (Outcome.DONE, "11")
        [asked] = bench.server.sent("POST /fapi/v1/order")
        assert {name: asked[name] for name in sent} == sent
        assert asked["newClientOrderId"] == BUY.client_id
        assert ("price" in asked) == (asked["type"] == "LIMIT")

    on_bench(places)()


def test_conditional_orders_live_in_their_own_universe_from_birth_to_death() -> None:
    """Placed, asked for and cancelled at /algoOrder, never at /order (-4120, -2013, -2011)."""

    async def lives(bench: Bench) -> None:
        await bench.open()
        answer = await bench.venue.place(STOP)
        assert (answer.outcome, answer.phase, answer.venue_id) == (
            Outcome.DONE,
            OrderPhase.ACKED,
            "77",
        )
        [asked] = bench.server.sent("POST /fapi/v1/algoOrder")
        assert asked["triggerPrice"] == "95"
        assert asked["reduceOnly"] == "true"
        assert asked["clientAlgoId"] == STOP.client_id
        bench.server.answers["GET /fapi/v1/algoOrder"] = algo_row()
        bench.server.answers["DELETE /fapi/v1/algoOrder"] = {
            "algoId": 77,
            "clientAlgoId": STOP.client_id,
            "code": "200",
            "msg": "success",
        }
        found = await bench.venue.query(STOP.client_id, "BTCUSDT", is_conditional=True)
        assert found.phase is OrderPhase.ACKED
        gone = await bench.venue.cancel(STOP.client_id, "BTCUSDT", is_conditional=True)
        assert (gone.outcome, gone.phase) == (Outcome.DONE, OrderPhase.CANCELLED)
        assert not [each for each in bench.server.asked if each.path == "/fapi/v1/order"]

    on_bench(lives)()


def test_a_triggered_stop_is_told_by_its_engine_order() -> None:
    """TRIGGERED says nothing of fills: the engine order with another id does."""

    async def asks(bench: Bench) -> None:
        await bench.open()
        bench.server.answers["GET /fapi/v1/algoOrder"] = algo_row(
            algoStatus="TRIGGERED", actualOrderId="901", actualQty="0.000"
        )
        bench.server.answers["GET /fapi/v1/order"] = order_row(
            orderId=901, status="PARTIALLY_FILLED", executedQty="0.004"
        )
        found = await bench.venue.query(STOP.client_id, "BTCUSDT", is_conditional=True)
        assert (found.phase, found.filled_quantity) == (OrderPhase.PARTLY_FILLED, 0.004)
        assert (found.venue_id, found.is_triggered) == ("77", True)
        assert bench.server.sent("GET /fapi/v1/order")[0]["orderId"] == "901"

    on_bench(asks)()


@pytest.mark.parametrize(
    "failed",
    [error(-2013, "Order does not exist."), Reply(cut=True), Reply({"what": 1})],
    ids=["not there yet", "cut", "nonsense"],
)
@pytest.mark.parametrize(
    ("status", "filled", "phase"),
    [("TRIGGERED", "0.004", OrderPhase.ACKED), ("FINISHED", "0.010", OrderPhase.FILLED)],
)
def test_a_triggered_stop_whose_engine_order_cannot_be_read_is_no_missing_stop(
    status: str, filled: str, phase: OrderPhase, failed: Reply
) -> None:
    """A second stop would rest while the first is at work. Whose its fills are is known by then."""

    async def asks(bench: Bench) -> None:
        await bench.open()
        bench.server.answers["GET /fapi/v1/algoOrder"] = algo_row(
            algoStatus=status, actualOrderId="901", actualQty=filled
        )
        bench.server.answers["GET /fapi/v1/order"] = failed
        found = await bench.venue.query(STOP.client_id, "BTCUSDT", is_conditional=True)
        assert (found.outcome, found.fault, found.venue_id) == (Outcome.DONE, Fault.NONE, "77")
        assert (found.phase, found.filled_quantity) == (phase, float(filled))
        bench.server.answers["GET /fapi/v1/userTrades"] = [trade(5, orderId=901)]
        picture = await bench.venue.read(["BTCUSDT"], START_MS)
        assert [each.client_id for each in picture.fills] == [STOP.client_id]

    on_bench(asks)()


@pytest.mark.parametrize(
    ("failed", "outcome"),
    [
        (error(-2013, "Order does not exist."), Outcome.REFUSED),
        (Reply(cut=True), Outcome.AMBIGUOUS),
    ],
)
def test_a_stop_that_ended_unfilled_is_not_over_before_its_engine_order_says_so(
    failed: Reply, outcome: Outcome
) -> None:
    """Its row may lag behind the fills."""

    async def asks(bench: Bench) -> None:
        await bench.open()
        bench.server.answers["GET /fapi/v1/algoOrder"] = algo_row(
            algoStatus="FINISHED", actualOrderId="901", actualQty="0.000"
        )
        bench.server.answers["GET /fapi/v1/order"] = failed
        found = await bench.venue.query(STOP.client_id, "BTCUSDT", is_conditional=True)
        assert (found.outcome, found.phase) == (outcome, None)

    on_bench(asks)()


@pytest.mark.parametrize(("status", "is_triggered"), [("NEW", False), ("TRIGGERING", True)])
def test_a_stop_that_is_being_triggered_is_told_as_such(status: str, is_triggered: bool) -> None:
    """It is open all the same: one was never seen to go on from there."""

    async def asks(bench: Bench) -> None:
        await bench.open()
        row = algo_row(algoStatus=status)
        bench.server.answers["GET /fapi/v1/algoOrder"] = row
        bench.server.answers["GET /fapi/v1/openAlgoOrders"] = [row]
        found = await bench.venue.query(STOP.client_id, "BTCUSDT", is_conditional=True)
        assert (found.phase, found.is_triggered) == (OrderPhase.ACKED, is_triggered)
        [listed] = (await bench.venue.read(["BTCUSDT"], START_MS)).orders
        assert (listed.phase, listed.is_triggered) == (OrderPhase.ACKED, is_triggered)

    on_bench(asks)()


def test_fills_of_a_stop_that_was_asked_about_have_our_name() -> None:
    """Its engine order has another client id, and its news (ALGO_UPDATE) were lost: what the
    question told outranks what the order's own trades say.
    """

    async def asks(bench: Bench) -> None:
        await bench.open()
        bench.server.answers["GET /fapi/v1/algoOrder"] = algo_row(
            algoStatus="TRIGGERED", actualOrderId="901", actualQty="0.000"
        )
        engine = order_row(orderId=901, clientOrderId="x-another-id", side="SELL")
        bench.server.answers["GET /fapi/v1/order"] = engine
        await bench.venue.query(STOP.client_id, "BTCUSDT", is_conditional=True)
        bench.take()
        trade = {
            "s": "BTCUSDT", "c": "x-another-id", "S": "SELL", "o": "MARKET", "x": "TRADE",
            "X": "FILLED", "i": 901, "l": "0.010", "z": "0.010", "L": "95.0", "T": START_MS,
            "t": 505, "m": False, "q": "0.010", "N": "USDT", "n": "0.0004",
        }  # fmt: skip
        frame = {"e": "ORDER_TRADE_UPDATE", "E": START_MS, "T": START_MS, "o": trade}
        await bench.server.push("private", frame)
        await bench.settle()
        names = [
            each.fill.client_id if isinstance(each, Filled) else each.client_id
            for each in bench.take()
            if isinstance(each, Filled | OrderUpdate)
        ]
        assert names == [STOP.client_id, STOP.client_id]

    on_bench(asks)()


def test_less_than_a_lot_is_refused_without_asking_the_venue() -> None:
    async def places(bench: Bench) -> None:
        await bench.open()
        answer = await bench.venue.place(replace(BUY, quantity=0.0004))
        assert (answer.outcome, answer.fault) == (Outcome.REFUSED, Fault.FILTER)
        assert bench.server.count("POST /fapi/v1/order") == 0

    on_bench(places)()


def test_a_refused_filter_reads_the_rules_again() -> None:
    """The venue went from ticks of 0.10 to 0.50 while the session ran."""

    async def places(bench: Bench) -> None:
        await bench.open()
        coarse = [{"filterType": "PRICE_FILTER", "tickSize": "0.50"}]
        bench.server.answers["GET /fapi/v1/exchangeInfo"] = {
            "symbols": [{**SYMBOL, "filters": [*SYMBOL["filters"], *coarse]}]
        }
        bench.server.fail("POST /fapi/v1/order", error(-4014, "Price not increased by tick size."))
        wanted = replace(BUY, price=100.3)
        assert (await bench.venue.place(wanted)).fault is Fault.FILTER
        await bench.settle()
        await bench.venue.place(wanted)
        assert [each["price"] for each in bench.server.sent("POST /fapi/v1/order")] == [
            "100.3",
            "100",
        ]

    on_bench(places)()


AMBIGUOUS_REPLIES = {
    "timeout": Reply(order_row(), delay_seconds=5.0),
    "reset": Reply(cut=True),
    "html": Reply(status=502, text="<html>Bad Gateway</html>"),
    "cloudflare 524": Reply(status=524, text="<html>a timeout occurred</html>"),
    "not json": Reply(status=200, text="<html>ok?</html>"),
    "cut json": Reply(status=200, text='{"orderId": 11, "cli'),
    "nonsense": Reply({"what": 1}),
    "-1006": error(-1006),
    "-1007": error(-1007, status=408),
    "503 unknown": Reply({"msg": "Unknown error, please check your request."}, status=503),
    "503 of a proxy": Reply(status=503, text="<h1>503 Service Unavailable</h1>"),
    "503 in plain text": Reply(status=503, text="Service Unavailable"),
    "redirect": Reply(status=307, text="", headers={"Location": "http://127.0.0.1:9101/x"}),
}


@pytest.mark.parametrize("name", AMBIGUOUS_REPLIES)
@pytest.mark.parametrize("write", ["place", "cancel", "stop"])
def test_a_write_whose_answer_was_lost_is_ambiguous_and_sent_once(name: str, write: str) -> None:
    async def places(bench: Bench) -> None:
        await bench.open()
        endpoint = {
            "place": "POST /fapi/v1/order",
            "cancel": "DELETE /fapi/v1/order",
            "stop": "POST /fapi/v1/algoOrder",
        }[write]
        bench.server.fail(endpoint, AMBIGUOUS_REPLIES[name])
        if write == "cancel":
            answer = await bench.venue.cancel(BUY.client_id, "BTCUSDT", is_conditional=False)
        else:
            answer = await bench.venue.place(BUY if write == "place" else STOP)
        await bench.settle(10.0)
        assert answer.outcome is Outcome.AMBIGUOUS
        assert bench.server.count(endpoint) == 1

    on_bench(places)()


def test_a_venue_that_nothing_reaches_has_certainly_not_got_it() -> None:
    async def places(bench: Bench) -> None:
        await bench.open()
        far = {"binance-usdm": "http://127.0.0.1:9"}
        near = {"binance-usdm": "ws://127.0.0.1:9"}
        other = replace_venue(bench, far, near)
        await other.connect()
        other._rules = bench.venue.rules
        answer = await other.place(BUY)
        await other.close()
        assert (answer.outcome, answer.fault) == (Outcome.REFUSED, Fault.BUSY)

    on_bench(places)()


def replace_venue(bench: Bench, rest: dict[str, str], stream: dict[str, str]):  # type: ignore[no-untyped-def]
    from tercel.adapters.ccxt.venue import CcxtVenue, VenueChoice

    settings = SETTINGS.model_copy(update={"rest_urls": rest, "stream_urls": stream})
    choice = VenueChoice("binance-usdm", ("BTCUSDT",), settings)
    return CcxtVenue(choice, KEYS, bench.governor, bench.clock, bench.connector)


def test_an_order_that_is_not_there() -> None:
    async def asks(bench: Bench) -> None:
        await bench.open()
        bench.server.answers["GET /fapi/v1/order"] = error(-2013, "Order does not exist.")
        answer = await bench.venue.query("t-s-0-0-9", "BTCUSDT", is_conditional=False)
        assert (answer.outcome, answer.fault) == (Outcome.REFUSED, Fault.NOT_FOUND)

    on_bench(asks)()


def test_a_question_without_an_answer_teaches_nothing() -> None:
    async def asks(bench: Bench) -> None:
        await bench.open()
        bench.server.fail("GET /fapi/v1/order", *[Reply(cut=True)] * 5)
        answer = await bench.venue.query(BUY.client_id, "BTCUSDT", is_conditional=False)
        assert answer.outcome is Outcome.AMBIGUOUS

    on_bench(asks)()


# --- limits and bans ---


def test_no_request_leaves_during_a_ban_and_writes_are_refused_not_kept() -> None:
    """An entry that were sent two minutes late would be worse than none."""

    async def banned(bench: Bench) -> None:
        await bench.open()
        until = bench.clock.now_ms() + 120_000
        bench.server.fail(
            "POST /fapi/v1/order", error(-1003, f"IP banned until {until}.", status=418)
        )
        answer = await bench.venue.place(BUY)
        assert (answer.outcome, answer.fault) == (Outcome.REFUSED, Fault.BUSY)
        before = len(bench.server.asked)
        again = await bench.venue.place(BUY)
        assert (again.outcome, again.fault) == (Outcome.REFUSED, Fault.BUSY)
        reading = asyncio.create_task(bench.venue.read(["BTCUSDT"], START_MS))
        await bench.settle(100.0)
        assert len(bench.server.asked) == before
        await reading
        assert bench.clock.now_ms() >= until

    on_bench(banned)()


def test_a_stop_that_waits_for_its_turn_when_a_ban_begins_is_refused_then() -> None:
    """It is of a market that was ten minutes ago once the ban is over."""

    async def banned(bench: Bench) -> None:
        await bench.open()
        while bench.governor.throttled == 0:
            await bench.venue.cancel("t-s-0-0-9", "BTCUSDT", is_conditional=False)
        waiting = asyncio.create_task(bench.venue.place(STOP))
        await bench.settle(0.1)
        bench.governor.hold(600.0)
        begun_ms = bench.clock.now_ms()
        answer = await waiting
        assert (answer.outcome, answer.fault) == (Outcome.REFUSED, Fault.BUSY)
        assert "not sent" in answer.text
        assert bench.clock.now_ms() == begun_ms
        assert bench.server.count("POST /fapi/v1/algoOrder") == 0

    few = GOVERNOR.model_copy(update={"calls_max": 10})
    on_bench(banned, governor=few)()


def test_retry_after_is_obeyed() -> None:
    async def busy(bench: Bench) -> None:
        await bench.open()
        bench.server.fail(
            "GET /fapi/v1/time", Reply({"code": -1003, "msg": ""}, 429, {"Retry-After": "300"})
        )
        with pytest.raises(VenueError):
            await bench.venue.time_ms()
        assert bench.governor.held_ms() == 300_000

    on_bench(busy)()


CLOSE = replace(STOP, kind=OrderKind.MARKET, trigger_price=None, slot=Slot.CLOSE)


async def outcomes(bench: Bench) -> list[Outcome]:
    """Of an entry, a stop, a cancel and a close that are sent now."""
    sent = (
        bench.venue.place(BUY),
        bench.venue.place(STOP),
        bench.venue.cancel(STOP.client_id, "BTCUSDT", is_conditional=True),
        bench.venue.place(CLOSE),
    )
    return [(await each).outcome for each in sent]


@pytest.mark.parametrize(("window", "until_ms"), [("TEN_SECONDS", 10_000), ("MINUTE", 60_000)])
def test_too_many_orders_hold_entries_alone_until_their_window_ends(
    window: str, until_ms: int
) -> None:
    """Cancels are not counted among orders, and a position is better closed in vain than kept."""

    async def busy(bench: Bench) -> None:
        await bench.open()
        bench.server.answers["DELETE /fapi/v1/algoOrder"] = algo_row(algoStatus="CANCELED")
        many = error(-1015, f"Too many new orders; current limit is 9 orders per {window}.", 429)
        bench.server.fail("POST /fapi/v1/order", many)
        assert (await bench.venue.place(BUY)).fault is Fault.BUSY
        before = bench.server.count("POST /fapi/v1/order")
        assert await outcomes(bench) == [Outcome.REFUSED, *[Outcome.DONE] * 3]
        assert bench.server.count("POST /fapi/v1/order") == before + 1, "the close alone"
        await bench.venue.read(["BTCUSDT"], START_MS)
        assert bench.clock.now_ms() < START_MS + 1_000
        await bench.settle((START_MS + until_ms - 600 - bench.clock.now_ms()) / 1000)
        assert (await bench.venue.place(BUY)).outcome is Outcome.REFUSED
        await bench.settle(0.6)
        assert (await bench.venue.place(BUY)).outcome is Outcome.DONE

    on_bench(busy)()


@pytest.mark.parametrize("code", [-1015, -1003])
def test_what_protects_or_closes_is_tried_when_the_venue_may_be_asked_again(code: int) -> None:
    """After its Retry-After; entries wait for the end of the minute, as without one everybody."""

    async def busy(bench: Bench) -> None:
        await bench.open()
        bench.server.answers["DELETE /fapi/v1/algoOrder"] = algo_row(algoStatus="CANCELED")
        words = "Too many new orders" if code == -1015 else "Too many requests"
        bench.server.fail(
            "POST /fapi/v1/order", Reply({"code": code, "msg": words}, 429, {"Retry-After": "3"})
        )
        await bench.venue.place(BUY)
        assert await outcomes(bench) == [Outcome.REFUSED] * 4
        await bench.settle(3.1)
        assert await outcomes(bench) == [Outcome.REFUSED, *[Outcome.DONE] * 3]
        reading = asyncio.create_task(bench.venue.read(["BTCUSDT"], START_MS))
        await bench.settle(1.0)
        assert reading.done() == (code == -1015)
        await reading
        await bench.settle(START_MS / 1000 + 60 - bench.clock.now_ms() / 1000)
        assert await outcomes(bench) == [Outcome.DONE] * 4

    on_bench(busy)()


def test_too_many_requests_hold_everybody_where_the_venue_does_not_say_for_how_long() -> None:
    async def busy(bench: Bench) -> None:
        await bench.open()
        bench.server.answers["DELETE /fapi/v1/algoOrder"] = algo_row(algoStatus="CANCELED")
        bench.server.fail("POST /fapi/v1/order", error(-1003, "Too many requests.", 429))
        await bench.venue.place(BUY)
        await bench.settle(50.0)
        assert await outcomes(bench) == [Outcome.REFUSED] * 4
        await bench.settle(10.0)
        assert await outcomes(bench) == [Outcome.DONE] * 4

    on_bench(busy)()


def test_the_venues_weight_header_is_heard() -> None:
    async def heavy(bench: Bench) -> None:
        await bench.open()
        bench.server.fail(
            "GET /fapi/v1/time",
            Reply({"serverTime": 1}, headers={"X-MBX-USED-WEIGHT-1M": "2400"}),
        )
        await bench.venue.time_ms()
        begun_ms = bench.clock.now_ms()
        await bench.venue.time_ms()
        assert bench.clock.now_ms() // 60_000 == begun_ms // 60_000 + 1

    on_bench(heavy)()


def test_a_throttled_stop_goes_before_a_throttled_entry() -> None:
    async def throttled(bench: Bench) -> None:
        await bench.venue.connect()
        bench.venue._rules = {}
        await bench.open()
        while bench.governor.throttled == 0:
            await bench.venue.place(BUY)
        bench.server.asked.clear()
        entry = asyncio.create_task(bench.venue.place(BUY))
        stop = asyncio.create_task(bench.venue.place(STOP))
        await asyncio.gather(entry, stop)
        assert [each.path for each in bench.server.asked] == [
            "/fapi/v1/algoOrder",
            "/fapi/v1/order",
        ]

    few = GOVERNOR.model_copy(update={"calls_max": 10})
    on_bench(throttled, governor=few)()


def test_an_entry_that_would_leave_too_late_is_refused_and_never_sent() -> None:
    """Its price is of another market by then; the stop behind it leaves, however late."""

    async def throttled(bench: Bench) -> None:
        await bench.open()
        bench.governor.hold(0.4)  # so short that orders wait for its end
        bench.server.asked.clear()
        entry, stop = await asyncio.gather(bench.venue.place(BUY), bench.venue.place(STOP))
        assert (entry.outcome, entry.fault) == (Outcome.REFUSED, Fault.BUSY)
        assert "not sent" in entry.text
        assert stop.outcome is Outcome.DONE
        await bench.settle(50.0)
        assert [each.path for each in bench.server.asked] == ["/fapi/v1/algoOrder"]
        assert not [each for each in bench.take() if isinstance(each, FeedNews) and not each.is_up]

    few = GOVERNOR.model_copy(update={"entry_wait_ms_max": 100})
    on_bench(throttled, governor=few)()


# --- reading the account ---


def test_the_account_as_one_picture() -> None:
    async def reads(bench: Bench) -> None:
        await bench.open()
        bench.server.answers |= {
            "GET /fapi/v3/positionRisk": [
                position("BTCUSDT", "-0.010"),
                position("ETHUSDT", "1"),
                position("BTCUSDT", "0"),
            ],
            "GET /fapi/v1/openOrders": [order_row(status="PARTIALLY_FILLED", executedQty="0.004")],
            "GET /fapi/v1/openAlgoOrders": [algo_row()],
            "GET /fapi/v1/userTrades": [trade(5, orderId=11), trade(4, orderId=900)],
            "GET /fapi/v1/order": order_row(orderId=900, clientOrderId=STOP.client_id),
        }
        picture = await bench.venue.read(["BTCUSDT"], START_MS)
        assert (picture.wallet_quote, picture.available_quote) == (1000.5, 900.25)
        [held] = picture.positions
        assert (held.symbol, held.quantity) == ("BTCUSDT", -0.01)
        resting, stop = picture.orders
        assert (resting.client_id, resting.phase, resting.filled_quantity) == (
            "t-s-0-0-1",
            OrderPhase.PARTLY_FILLED,
            0.004,
        )
        assert (stop.client_id, stop.is_conditional, stop.trigger_price, stop.reduce_only) == (
            STOP.client_id,
            True,
            95.0,
            True,
        )
        assert [(fill.trade_id, fill.client_id) for fill in picture.fills] == [
            ("4", STOP.client_id),
            ("5", "t-s-0-0-1"),
        ]

    on_bench(reads)()


def position(symbol: str, amount: str) -> dict[str, object]:
    return {
        "symbol": symbol,
        "positionSide": "BOTH",
        "positionAmt": amount,
        "entryPrice": "100.0",
        "markPrice": "99.0",
        "liquidationPrice": "0",
        "unRealizedProfit": "0.01",
    }


def trade(number: int, **changes: object) -> dict[str, object]:
    return {
        "id": number,
        "orderId": 11,
        "symbol": "BTCUSDT",
        "side": "BUY",
        "price": "100.0",
        "qty": "0.001",
        "commission": "0.00004",
        "commissionAsset": "USDT",
        "maker": False,
        "time": START_MS + number,
        **changes,
    }


def test_trades_are_read_page_by_page_to_the_last_one() -> None:
    """2,500 trades, many in one millisecond: a page of 1,000, then by id."""

    async def reads(bench: Bench) -> None:
        await bench.open()
        every = [trade(number, time=START_MS) for number in range(1, 2501)]

        def page(params: dict[str, str]) -> list[dict[str, object]]:
            assert not ({"startTime", "fromId"} <= params.keys())
            first = int(params.get("fromId", 0))
            return [row for row in every if int(str(row["id"])) >= first][:1000]

        bench.server.answers["GET /fapi/v1/userTrades"] = page
        bench.server.answers["GET /fapi/v1/order"] = order_row()
        picture = await bench.venue.read(["BTCUSDT"], START_MS)
        assert [int(fill.trade_id) for fill in picture.fills] == list(range(1, 2501))
        assert bench.server.count("GET /fapi/v1/userTrades") == 3

    on_bench(reads)()


def test_trades_of_weeks_ago_are_read_week_by_week() -> None:
    async def reads(bench: Bench) -> None:
        await bench.open()
        day_ms = 86_400_000
        await bench.venue.read(["BTCUSDT"], bench.clock.now_ms() - 20 * day_ms)
        asked = bench.server.sent("GET /fapi/v1/userTrades")
        spans = [(int(each["startTime"]), int(each["endTime"])) for each in asked]
        assert len(spans) == 3
        assert all(end - start < 7 * day_ms for start, end in spans)
        assert spans[1][0] == spans[0][1] + 1

    on_bench(reads)()


def test_fees_in_bnb_are_counted_in_quote() -> None:
    async def reads(bench: Bench) -> None:
        await bench.open()
        bench.server.answers["GET /fapi/v1/userTrades"] = [
            trade(1, commission="0.0001", commissionAsset="BNB")
        ]
        bench.server.answers["GET /fapi/v1/order"] = order_row()
        picture = await bench.venue.read(["BTCUSDT"], START_MS)
        assert picture.fills[0].fee_quote == pytest.approx(0.06)

    on_bench(reads)()


def test_a_position_in_hedge_mode_is_not_misread() -> None:
    async def reads(bench: Bench) -> None:
        await bench.open()
        bench.server.answers["GET /fapi/v3/positionRisk"] = [
            {"symbol": "BTCUSDT", "positionSide": "LONG", "positionAmt": "1"}
        ]
        with pytest.raises(VenueError, match="hedge mode"):
            await bench.venue.read(["BTCUSDT"], START_MS)

    on_bench(reads)()


def test_a_picture_that_cannot_be_read_is_no_empty_picture() -> None:
    async def reads(bench: Bench) -> None:
        await bench.open()
        for endpoint, body in (
            ("GET /fapi/v3/positionRisk", {"not": "a list"}),
            ("GET /fapi/v1/openOrders", [{"symbol": "BTCUSDT"}]),
            ("GET /fapi/v3/account", {}),
        ):
            bench.server.fail(endpoint, Reply(body))
            with pytest.raises(VenueError):
                await bench.venue.read(["BTCUSDT"], START_MS)

    on_bench(reads)()


def test_rest_going_down_and_up_is_news() -> None:
    async def reads(bench: Bench) -> None:
        await bench.open()
        bench.take()
        bench.server.fail("GET /fapi/v1/openOrders", *[Reply(status=502, text="<html>")] * 3)
        with pytest.raises(VenueError):
            await bench.venue.read(["BTCUSDT"], START_MS)
        await bench.venue.read(["BTCUSDT"], START_MS)
        await bench.settle()
        news = [each for each in bench.take() if isinstance(each, FeedNews)]
        assert [(each.stream, each.is_up) for each in news] == [("rest", False), ("rest", True)]

    on_bench(reads)()


def test_a_read_is_tried_again_and_a_write_never() -> None:
    async def reads(bench: Bench) -> None:
        await bench.open()
        bench.server.fail("GET /fapi/v1/openOrders", Reply(cut=True), Reply(status=504, text="x"))
        await bench.venue.read(["BTCUSDT"], START_MS)
        assert bench.server.count("GET /fapi/v1/openOrders") == 3

    on_bench(reads)()


def test_signatures_carry_venue_time_and_the_window() -> None:
    async def places(bench: Bench) -> None:
        await bench.open()
        await bench.settle(3600.0)
        await bench.venue.place(replace(BUY, slot=Slot.CLOSE))
        [asked] = bench.server.sent("POST /fapi/v1/order")
        assert abs(int(asked["timestamp"]) - bench.clock.now_ms()) < 100
        assert asked["recvWindow"] == "5000"
        assert "secret" not in json.dumps(asked)

    on_bench(places)()
