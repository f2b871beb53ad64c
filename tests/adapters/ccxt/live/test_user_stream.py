"""The user stream: frames as events, and every way in which ccxt would lose some of them."""

from __future__ import annotations

from typing import Any

import pytest
from structlog.testing import capture_logs
from tests.adapters.ccxt.live.server import (
    BUY,
    KEYS,
    START_MS,
    STOP,
    Bench,
    Reply,
    on_bench,
    order_row,
)

from tercel.adapters.ccxt.binance.frames import UserFrames
from tercel.adapters.ccxt.binance.names import REMEMBERED_MAX, OrderNames
from tercel.adapters.ccxt.fees import FeePrices
from tercel.adapters.ccxt.link import WORDS_MAX
from tercel.domain.events import Event, FeedNews, Filled, FundingPaid, OrderUpdate, Outcome
from tercel.domain.orders import OrderPhase


def order_frame(**changes: Any) -> dict[str, Any]:
    """ORDER_TRADE_UPDATE of a buy of 0.01 at 100."""
    row = {
        "s": "BTCUSDT",
        "c": BUY.client_id,
        "S": "BUY",
        "o": "LIMIT",
        "x": "NEW",
        "X": "NEW",
        "i": 11,
        "l": "0",
        "z": "0",
        "L": "0",
        "T": START_MS,
        "t": 0,
        "m": False,
        "q": "0.010",
        "ap": "0",
    }
    return {"e": "ORDER_TRADE_UPDATE", "E": START_MS, "T": START_MS, "o": {**row, **changes}}


def fill_frame(number: int, filled: str, status: str = "PARTIALLY_FILLED", **changes: Any) -> Any:
    """A trade of 0.001."""
    row = {
        "x": "TRADE",
        "X": status,
        "l": "0.001",
        "z": filled,
        "L": "100.0",
        "t": number,
        "N": "USDT",
        "n": "0.00004",
        "m": True,
    }
    return order_frame(**{**row, **changes})


def algo_frame(status: str, **changes: Any) -> dict[str, Any]:
    """ALGO_UPDATE of the stop."""
    row = {
        "caid": STOP.client_id,
        "aid": 77,
        "at": "CONDITIONAL",
        "o": "STOP_MARKET",
        "s": "BTCUSDT",
        "S": "SELL",
        "q": "0.010",
        "X": status,
        "ai": "",
        "aq": "0",
        "tp": "95.0",
    }
    return {"e": "ALGO_UPDATE", "E": START_MS, "T": START_MS, "o": {**row, **changes}}


def account_frame(reason: str, **changes: Any) -> dict[str, Any]:
    row = {"m": reason, "B": [{"a": "USDT", "wb": "999", "cw": "999", "bc": "-0.5"}], **changes}
    return {"e": "ACCOUNT_UPDATE", "E": START_MS, "T": START_MS, "a": row}


@pytest.fixture
def frames() -> UserFrames:
    return UserFrames(FeePrices("USDT"), OrderNames())


def updates(events: list[Event]) -> list[OrderUpdate]:
    return [each for each in events if isinstance(each, OrderUpdate)]


def fills(events: list[Event]) -> list[Filled]:
    return [each for each in events if isinstance(each, Filled)]


# --- frames ---


@pytest.mark.parametrize(
    ("execution", "status", "phase"),
    [
        ("NEW", "NEW", OrderPhase.ACKED),
        ("CANCELED", "CANCELED", OrderPhase.CANCELLED),
        ("EXPIRED", "EXPIRED", OrderPhase.EXPIRED),
        ("EXPIRED", "EXPIRED_IN_MATCH", OrderPhase.EXPIRED),
        ("REJECTED", "REJECTED", OrderPhase.REJECTED),
        ("CALCULATED", "NEW_INSURANCE", OrderPhase.ACKED),
    ],
)
def test_orders_without_a_trade(
    frames: UserFrames, execution: str, status: str, phase: OrderPhase
) -> None:
    [update] = frames.parse(order_frame(x=execution, X=status))
    assert isinstance(update, OrderUpdate)
    assert (update.client_id, update.venue_id, update.phase) == (BUY.client_id, "11", phase)


def test_a_trade_is_a_fill_and_then_an_order_update(frames: UserFrames) -> None:
    filled, update = frames.parse(fill_frame(501, "0.010", "FILLED"))
    assert isinstance(filled, Filled)
    fill = filled.fill
    assert (fill.trade_id, fill.client_id, fill.venue_order_id) == ("501", BUY.client_id, "11")
    assert (fill.side, fill.price, fill.quantity, fill.fee_quote) == (1, 100.0, 0.001, 0.00004)
    assert (fill.is_maker, fill.time_ms, fill.kind) == (True, START_MS, "trade")
    assert isinstance(update, OrderUpdate)
    assert (update.phase, update.filled_quantity) == (OrderPhase.FILLED, 0.01)


def test_an_order_that_was_filled_in_part_and_cancelled_fills_nothing_again(
    frames: UserFrames,
) -> None:
    events = frames.parse(order_frame(x="CANCELED", X="CANCELED", z="0.004", l="0.004", t=501))
    assert fills(events) == []
    assert updates(events)[0].filled_quantity == 0.004


@pytest.mark.parametrize(
    ("client_id", "kind"),
    [
        ("autoclose-1700000", "liquidation"),
        ("adl_autoclose", "adl"),
        ("settlement_autoclose-1", "settlement"),
        ("web_abc", "liquidation"),
    ],
)
def test_liquidation_and_adl_are_fills(frames: UserFrames, client_id: str, kind: str) -> None:
    """x=CALCULATED: absent from ccxt's watch_my_trades; bots miss it."""
    events = frames.parse(fill_frame(502, "0.001", "FILLED", x="CALCULATED", c=client_id))
    assert [each.fill.kind for each in fills(events)] == [kind]


def test_a_forced_trade_without_an_id_is_left_to_rest(frames: UserFrames) -> None:
    """Booked without its id it would be booked again when REST tells it with one."""
    events = frames.parse(fill_frame(0, "0.001", "FILLED", x="CALCULATED"))
    assert fills(events) == []
    assert [each.is_up for each in events if isinstance(each, FeedNews)] == [False, True]


def test_fees_in_bnb_at_the_last_known_price() -> None:
    prices = FeePrices("USDT")
    frames = UserFrames(prices, OrderNames())
    in_bnb = fill_frame(503, "0.001", N="BNB", n="0.0001")
    assert fills(frames.parse(in_bnb))[0].fill.fee_quote == 0.0
    assert prices.unpriced == 1
    prices.learn("BNB", 600.0, START_MS)
    assert fills(frames.parse(in_bnb))[0].fill.fee_quote == pytest.approx(0.06)
    none = fill_frame(504, "0.001")
    del none["o"]["N"], none["o"]["n"]
    assert fills(frames.parse(none))[0].fill.fee_quote == 0.0


@pytest.mark.parametrize(
    ("status", "changes", "phase", "is_triggered"),
    [
        ("NEW", {}, OrderPhase.ACKED, False),
        ("TRIGGERING", {}, OrderPhase.ACKED, True),
        ("TRIGGERED", {"ai": "901"}, OrderPhase.ACKED, True),
        ("FINISHED", {"ai": "901", "aq": "0.010"}, OrderPhase.FILLED, True),
        ("FINISHED", {"ai": "901", "aq": "0"}, OrderPhase.CANCELLED, True),
        ("FINISHED", {"ai": "901", "aq": "0.004"}, OrderPhase.CANCELLED, True),
        ("CANCELED", {}, OrderPhase.CANCELLED, False),
        ("REJECTED", {"rm": "margin"}, OrderPhase.REJECTED, False),
        ("EXPIRED", {}, OrderPhase.EXPIRED, False),
    ],
)
def test_a_triggered_stop_is_not_filled_before_its_trades(
    frames: UserFrames, status: str, changes: dict[str, str], phase: OrderPhase, is_triggered: bool
) -> None:
    """ccxt calls TRIGGERED and FINISHED "closed" and invents filled = amount."""
    [update] = frames.parse(algo_frame(status, **changes))
    assert isinstance(update, OrderUpdate)
    assert (update.client_id, update.phase, update.is_triggered) == (
        STOP.client_id,
        phase,
        is_triggered,
    )
    assert update.filled_quantity == float(changes.get("aq", 0))


@pytest.mark.parametrize("told", [STOP.client_id, "x-another-id"])
def test_trades_of_the_engine_order_are_the_stops(frames: UserFrames, told: str) -> None:
    """Whatever client id the engine order has, and whichever of the two comes first."""
    frames.parse(algo_frame("TRIGGERED", ai="901"))
    events = frames.parse(fill_frame(505, "0.001", i=901, c=told, S="SELL"))
    assert fills(events)[0].fill.client_id == STOP.client_id
    assert updates(events)[0].client_id == STOP.client_id


def test_orders_of_two_symbols_may_have_one_number(frames: UserFrames) -> None:
    """Binance numbers orders per symbol: the stop's engine order and somebody's in Ether."""
    frames.parse(algo_frame("TRIGGERED", ai="901"))
    for told in ("t-s-1-0-9", "web_abc"):
        other = fill_frame(505, "0.001", i=901, c=told, s="ETHUSDT")
        events = frames.parse(other)
        assert fills(events)[0].fill.client_id == updates(events)[0].client_id == told
    stopped = frames.parse(fill_frame(505, "0.001", i=901, c="x-another-id", S="SELL"))
    assert fills(stopped)[0].fill.client_id == STOP.client_id


def test_an_id_of_ours_that_a_frame_tells_is_its_order_s(frames: UserFrames) -> None:
    """Nobody else gives it: whatever was learnt about that number was about something else."""
    frames.parse(algo_frame("TRIGGERED", ai="901"))
    events = frames.parse(fill_frame(505, "0.001", i=901))
    assert fills(events)[0].fill.client_id == updates(events)[0].client_id == BUY.client_id


def test_funding_is_news_and_other_changes_of_the_balance_are_not(frames: UserFrames) -> None:
    assert frames.parse(account_frame("ORDER")) == []
    assert frames.parse(account_frame("FUNDING_FEE", S="BTCUSDT")) == [
        FundingPaid(0, "BTCUSDT", -0.5)
    ]
    by_position = account_frame("FUNDING_FEE", P=[{"s": "ETHUSDT", "pa": "1"}])
    assert frames.parse(by_position) == [FundingPaid(0, "ETHUSDT", -0.5)]


@pytest.mark.parametrize(
    "frame",
    [
        {"e": "MARGIN_CALL", "p": []},
        {"e": "TRADE_LITE"},
        {"e": "ACCOUNT_CONFIG_UPDATE", "ac": {"s": "BTCUSDT", "l": 25}},
        {"e": "SOMETHING_NEW", "x": 1},
        {"no": "event"},
        [],
        "text",
        None,
    ],
)
def test_events_of_other_kinds_and_future_ones_harm_nothing(
    frames: UserFrames, frame: object
) -> None:
    assert frames.parse(frame) == []


def test_fields_of_the_future_harm_nothing(frames: UserFrames) -> None:
    frame = order_frame(ps="BOTH", st=1, newest={"a": 1})
    assert len(frames.parse(frame)) == 1
    assert frames.parse(order_frame(X="SOME_NEW_STATUS")) == []


@pytest.mark.parametrize(
    "frame",
    [
        {"e": "ORDER_TRADE_UPDATE", "o": {}},
        {"e": "ORDER_TRADE_UPDATE"},
        fill_frame(1, "0.001", L="abc"),
        {"e": "ACCOUNT_UPDATE", "a": {"m": "FUNDING_FEE"}},
        {"e": "ALGO_UPDATE", "o": None},
    ],
)
def test_an_event_of_money_that_cannot_be_read_interrupts(
    frames: UserFrames, frame: dict[str, Any]
) -> None:
    """The session then reads the venue over REST, rather than trust a picture with a hole."""
    news = frames.parse(frame)
    assert [(each.stream, each.is_up) for each in news if isinstance(each, FeedNews)] == [
        ("user", False),
        ("user", True),
    ]


def test_a_combined_stream_wraps_its_events(frames: UserFrames) -> None:
    wrapped = {"stream": "key1", "data": order_frame()}
    assert frames.parse(wrapped) == frames.parse(order_frame())


def test_names_are_bounded() -> None:
    names = OrderNames()
    for number in range(REMEMBERED_MAX + 10):
        names.learn("BTCUSDT", str(number), f"t-s-0-0-{number}")
    assert names.of("BTCUSDT", "0") == ""
    assert names.of("BTCUSDT", str(REMEMBERED_MAX + 9)) == f"t-s-0-0-{REMEMBERED_MAX + 9}"


# --- hazards of ccxt.pro 4.5.90 (research/venue.md, section 3) ---


def test_hazard_1_listen_key_is_renewed_for_ever_and_not_only_once() -> None:
    """Eight hours with something to tell: a renewal every 25 minutes, one connection."""

    async def lasts(bench: Bench) -> None:
        await bench.open()
        for _ in range(8 * 120):
            await bench.settle(30.0)
            await bench.server.push("private", account_frame("ORDER"))
        assert bench.server.count("PUT /fapi/v1/listenKey") == 8 * 60 // 25
        assert len(bench.server.connected) == 1

    on_bench(lasts)()


def test_the_key_of_a_silent_stream_is_renewed_every_minute() -> None:
    """That it has died shows nowhere else: the socket stays open and answers pings."""

    async def idles(bench: Bench) -> None:
        await bench.open()
        await bench.settle(3600.0)
        assert bench.server.count("PUT /fapi/v1/listenKey") in (59, 60)
        assert len(bench.server.connected) == 1

    on_bench(idles)()


def test_hazard_1_listen_key_expired_makes_a_new_key_and_connection() -> None:
    async def expires(bench: Bench) -> None:
        await bench.open()
        bench.take()
        bench.server.answers["POST /fapi/v1/listenKey"] = {"listenKey": "key2"}
        await bench.server.push("private", {"e": "listenKeyExpired", "listenKey": "key1"})
        await bench.settle(5.0)
        assert bench.server.connected[-1] == "/private/ws?listenKey=key2"
        assert [(each.stream, each.is_up) for each in told(bench)] == [
            ("user", False),
            ("user", True),
        ]

    on_bench(expires)()


def test_hazard_1_a_key_that_died_unnoticed_shows_when_it_is_renewed() -> None:
    """-1125: another program deleted the account's key; the socket stays open and silent."""

    async def dies(bench: Bench) -> None:
        await bench.open()
        bench.take()
        dead = Reply({"code": -1125, "msg": "This listenKey does not exist."}, status=400)
        bench.server.fail("PUT /fapi/v1/listenKey", dead)
        bench.server.answers["POST /fapi/v1/listenKey"] = {"listenKey": "key2"}
        await bench.settle(65.0)
        assert bench.server.connected[-1] == "/private/ws?listenKey=key2"
        assert [each.is_up for each in told(bench)] == [False, True]

    on_bench(dies)()


def test_hazard_1_a_renewal_that_fails_otherwise_is_tried_again_within_the_keys_life() -> None:
    async def fails(bench: Bench) -> None:
        await bench.open()
        bench.server.fail("PUT /fapi/v1/listenKey", *[Reply(status=502, text="x")] * 6)
        await bench.settle(30 * 60.0)
        assert bench.server.count("PUT /fapi/v1/listenKey") >= 7
        assert len(bench.server.connected) == 1

    on_bench(fails)()


def told(bench: Bench) -> list[FeedNews]:
    return [each for each in bench.take() if isinstance(each, FeedNews)]


def test_hazard_2_no_event_is_lost_while_nobody_waits() -> None:
    """60 fills pushed at once while nobody reads the news: 60 fills."""

    async def bursts(bench: Bench) -> None:
        await bench.venue.open()
        await bench.settle()
        for number in range(1, 61):
            await bench.server.push("private", fill_frame(number, f"0.{number:03d}"))
        await bench.settle(60.0)
        got: list[Event] = []
        news = bench.venue.news()
        async for event in news:
            got.append(event)
            if len(fills(got)) == 60:
                break
        assert [each.fill.trade_id for each in fills(got)] == [str(n) for n in range(1, 61)]

    on_bench(bursts)()


def test_hazard_3_positions_are_read_over_rest_and_never_from_the_stream() -> None:
    """ccxt loses the second of two account updates, and keeps a stale long beside a flat row."""

    async def updates_twice(bench: Bench) -> None:
        await bench.open()
        bench.take()
        for amount in ("0.010", "0"):
            held = {"s": "BTCUSDT", "pa": amount, "ep": "100", "ps": "BOTH"}
            await bench.server.push("private", account_frame("ORDER", P=[held]))
        await bench.settle()
        assert bench.take() == []
        picture = await bench.venue.read(["BTCUSDT"], START_MS)
        assert picture.positions == ()
        assert bench.venue._link.exchange.positions is None

    on_bench(updates_twice)()


def test_hazard_4_a_late_new_after_filled_is_told_as_it_came() -> None:
    """Monotony is the session's: the adapter keeps no order that could be turned back to open."""

    async def reorders(bench: Bench) -> None:
        await bench.open()
        bench.take()
        await bench.server.push("private", fill_frame(1, "0.010", "FILLED"))
        await bench.server.push("private", order_frame())
        await bench.settle()
        phases = [each.phase for each in updates(bench.take())]
        assert phases == [OrderPhase.FILLED, OrderPhase.ACKED]

    on_bench(reorders)()


def test_hazard_5_the_raw_hook_is_set_before_the_first_stream() -> None:
    async def opens(bench: Bench) -> None:
        await bench.open()
        [client] = bench.venue._link.exchange.clients.values()
        assert client.on_message_callback == bench.venue._link._on_message

    on_bench(opens)()


def test_hazard_6_a_half_open_socket_is_given_up() -> None:
    """Nothing comes, no close, no pong: within two pings a new connection."""

    async def hangs(bench: Bench) -> None:
        await bench.open()
        bench.take()
        bench.server.pongs = False
        await bench.settle(40.0)
        bench.server.pongs = True
        await bench.settle(40.0)
        assert len(bench.server.connected) >= 2
        states = [each.is_up for each in told(bench)]
        assert states[0] is False
        assert states[-1] is True

    on_bench(hangs)()


@pytest.mark.parametrize("code", [1000, 1001, 1006, 1008, 1012])
def test_hazard_7_every_close_reconnects_by_itself(code: int) -> None:
    async def closes(bench: Bench) -> None:
        await bench.open()
        bench.take()
        [socket] = bench.server.sockets["private"]
        if code == 1006:
            assert socket._req is not None
            assert socket._req.transport is not None
            socket._req.transport.close()
        else:
            await socket.close(code=code)
        await bench.settle(5.0)
        assert [each.is_up for each in told(bench)] == [False, True]
        assert bench.server.count("POST /fapi/v1/listenKey") == 2

    on_bench(closes)()


def test_hazard_9_a_slow_answer_is_asked_about_and_not_sent_again() -> None:
    async def slow(bench: Bench) -> None:
        await bench.open()
        bench.server.fail("POST /fapi/v1/order", Reply(order_row(), delay_seconds=5.0))
        bench.server.answers["GET /fapi/v1/order"] = order_row()
        assert (await bench.venue.place(BUY)).outcome is Outcome.AMBIGUOUS
        found = await bench.venue.query(BUY.client_id, "BTCUSDT", is_conditional=False)
        assert (found.outcome, found.phase) == (Outcome.DONE, OrderPhase.ACKED)
        await bench.settle(10.0)
        assert bench.server.count("POST /fapi/v1/order") == 1

    on_bench(slow)()


def test_hazard_10_orders_are_cancelled_one_by_one_and_never_all_at_once() -> None:
    """Replies to cancel-all tell of no order, and it leaves conditional orders where they are."""

    async def cancels(bench: Bench) -> None:
        await bench.open()
        gone = {"algoId": 77, "clientAlgoId": STOP.client_id, "code": "200", "msg": "success"}
        bench.server.answers["DELETE /fapi/v1/algoOrder"] = gone
        bench.server.answers["DELETE /fapi/v1/order"] = order_row(status="CANCELED")
        for request in (BUY, STOP):
            answer = await bench.venue.cancel(
                request.client_id, "BTCUSDT", is_conditional=request.is_conditional
            )
            assert (answer.outcome, answer.phase) == (Outcome.DONE, OrderPhase.CANCELLED)
        paths = {each.path for each in bench.server.asked}
        assert not paths & {"/fapi/v1/allOpenOrders", "/fapi/v1/algoOpenOrders"}

    on_bench(cancels)()


def test_a_frame_that_is_not_json_ends_ccxts_reading_in_silence_and_ours_recovers() -> None:
    async def breaks(bench: Bench) -> None:
        await bench.open()
        bench.take()
        await bench.server.push("private", '{"e": "ORDER_TRADE_UPDATE", "o": {"s"')
        await bench.settle(60.0)
        await bench.server.push("private", fill_frame(9, "0.001"))
        await bench.settle()
        events = bench.take()
        assert [each.fill.trade_id for each in fills(events)] == ["9"]
        assert [each.is_up for each in events if isinstance(each, FeedNews)] == [False, True]

    on_bench(breaks, loud=False)()


def test_a_bug_in_reading_one_frame_does_not_end_the_stream() -> None:
    """An exception inside ccxt's callback would end its reading loop without a word."""

    async def breaks(bench: Bench) -> None:
        await bench.open()
        stream = bench.venue._side.user_stream
        good = stream.on_frame

        def bad(_frame: object) -> None:
            raise RuntimeError("a bug")

        stream.on_frame = bad
        await bench.server.push("private", fill_frame(1, "0.001"))
        await bench.settle()
        stream.on_frame = good
        await bench.server.push("private", fill_frame(2, "0.002"))
        await bench.settle()
        assert [each.fill.trade_id for each in fills(bench.take())] == ["2"]
        assert bench.venue._link.frames_failed == 1
        assert len(bench.server.connected) == 1

    on_bench(breaks)()


def test_a_venue_that_lets_nobody_in_is_tried_ever_more_slowly() -> None:
    """Pauses of 0.25, 0.5, 1, 2, 4, 4 ... s (venue.backoff_seconds_max is 4)."""

    async def refuses(bench: Bench) -> None:
        bench.server.refuse_sockets = True
        await bench.venue.open()
        await bench.settle(60.0)
        tries = bench.server.count("POST /fapi/v1/listenKey")
        assert 15 <= tries <= 20
        bench.server.refuse_sockets = False
        await bench.settle(5.0)
        assert len(bench.server.connected) == 1

    on_bench(refuses)()


def test_a_refused_handshake_tells_no_address_and_no_listen_key() -> None:
    """The client's error repeats wss://...?listenKey=...: whoever has that key reads our stream."""

    async def refuses(bench: Bench) -> None:
        bench.server.refuse_sockets = True
        with capture_logs() as logs:
            await bench.venue.open()
            await bench.settle(10.0)
        reasons = [each["reason"] for each in logs if each["event"] == "stream_down"]
        assert len(reasons) > 1
        for reason in reasons:
            assert "503" in reason
            assert "key1" not in reason
            assert "://" not in reason

    on_bench(refuses)()


def test_a_stream_that_is_refused_repeats_no_secret() -> None:
    """The end of a connection is news too, and news go into the journal."""

    async def refuses(bench: Bench) -> None:
        await bench.open()
        bench.take()
        stream = bench.venue._side.user_stream
        stream.drop(f"{'x' * 150} {KEYS.key} wss://host/ws?listenKey=key1 said listenKey: key1")
        await bench.settle(5.0)
        [down] = [each for each in told(bench) if not each.is_up]
        assert down.detail.startswith("x" * 150)
        assert KEYS.key[:8] not in down.detail
        assert "key1" not in down.detail
        assert len(down.detail) <= WORDS_MAX

    on_bench(refuses)()


def test_funding_without_its_symbol_is_looked_up() -> None:
    """Cross margin: the stream tells of the balance alone. Each payment is told once."""

    async def pays(bench: Bench) -> None:
        await bench.open()
        bench.take()
        bench.server.answers["GET /fapi/v1/income"] = [
            {"tranId": 2, "symbol": "ETHUSDT", "income": "0.2", "time": START_MS + 1},
            {"tranId": 1, "symbol": "BTCUSDT", "income": "-0.5", "time": START_MS},
        ]
        await bench.server.push("private", account_frame("FUNDING_FEE"))
        await bench.server.push("private", account_frame("FUNDING_FEE"))
        await bench.settle(1.0)
        paid = [each for each in bench.take() if isinstance(each, FundingPaid)]
        assert paid == [FundingPaid(0, "BTCUSDT", -0.5), FundingPaid(0, "ETHUSDT", 0.2)]

    on_bench(pays)()


def test_news_end_with_close() -> None:
    async def closes(bench: Bench) -> None:
        await bench.open()
        await bench.venue.close()
        await bench.settle()
        assert bench._collector.done()

    on_bench(closes)()
