"""Every fault the venue plays strikes in a day of ordinary trading, and does what it says."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from itertools import pairwise
from typing import Any

import pytest
from tests.adapters.simulator.binance.trading import (
    BTC,
    START_MS,
    Trader,
    fault,
    names,
    venue_with,
)

from tercel.adapters.simulator.binance.facade import ROUTES
from tercel.adapters.simulator.binance.played import NOT_PLAYED, PLAYED, check_plan
from tercel.adapters.simulator.binance.routes import Route
from tercel.adapters.simulator.binance.wire import Breakage, RefusalError
from tercel.adapters.simulator.binance.ws_api import METHODS
from tercel.adapters.simulator.faults import Fault, FaultCode, FaultPlan, When, Where, drawn_plan
from tercel.domain.errors import UserError

SYMBOLS = ("BTCUSDT", "ETHUSDT")
MOUNTS_PLAY = (FaultCode.T1,)
"""Asked for by whoever accepts connections."""


def with_fault(code: FaultCode, **figures: float) -> Trader:
    """A trader on a venue with one fault, at its first occasion."""
    return Trader(venue_with(Fault(code, When(nth=1), figures=figures)))


def at(where: Where) -> FaultPlan:
    """A plan of one fault there."""
    return FaultPlan((Fault(FaultCode.T3, When(nth=1), where),))


def hits(trader: Trader) -> int:
    """How many faults have struck."""
    return trader.venue.facade.state.watch.hits.total()


def ordinary_day(trader: Trader) -> None:
    """A bit of everything: orders of each kind, streams of each class, all account requests."""
    openings: tuple[Callable[[], object], ...] = (
        lambda: trader.subscribe("/market/ws", "btcusdt@kline_1m", "btcusdt@aggTrade"),
        lambda: trader.subscribe("/public/ws", "btcusdt@depth@100ms", "btcusdt@bookTicker"),
        trader.account,
        trader.account,
    )
    for open_stream in openings:
        with suppress(RefusalError):
            open_stream()
    trader.ask("GET time")
    trader.ask("GET ticker/24hr", symbol=BTC)
    for _ in range(2):
        trader.ask("GET depth", symbol=BTC)
    trader.order()
    trader.order(price="39000", newClientOrderId="rest")
    trader.order(price="39000", timeInForce="GTX", newClientOrderId="maker")
    trader.ask("DELETE order", symbol=BTC, origClientOrderId="rest")
    trader.order(side="SELL", quantity="0.004", reduceOnly="true")
    trader.stop("39000", clientAlgoId="a")
    trader.wait(1_000).price(40_010).wait(1_000)
    trader.ask("GET /fapi/v3/account")
    trader.ask("DELETE algoOrder", clientAlgoId="a")
    limit = '{"symbol":"BTCUSDT","side":"BUY","type":"LIMIT","timeInForce":"GTC",'
    limit += '"quantity":"0.01","price":"39000"}'
    trader.ask("POST batchOrders", batchOrders=f"[{limit},{limit}]")
    trader.ask("PUT listenKey")
    trader.close_minute()
    trader.price(40_020).close_minute()
    trader.now_ms += 3_600_000
    trader.wait(200)


@pytest.mark.parametrize("code", [code for code in PLAYED if code not in MOUNTS_PLAY])
def test_each_fault_strikes_and_is_counted(code: FaultCode) -> None:
    trader = with_fault(code)
    ordinary_day(trader)
    assert trader.venue.facade.state.watch.hits == {code: 1}


@pytest.mark.parametrize("seed", range(40))
def test_any_mix_of_faults_is_played_without_a_slip(seed: int) -> None:
    plan = drawn_plan(seed, PLAYED, duration_ms=200_000)
    trader = Trader(venue_with(*plan.faults))
    ordinary_day(trader)
    totals = trader.venue.facade.state.exchange.totals()
    (balance,) = trader.venue.facade.state.exchange.balances()
    assert balance.wallet_quote == (
        totals.start_quote + totals.transfers_quote + totals.realised_quote - totals.fees_quote
        + totals.funding_quote - totals.liquidation_fees_quote
    )  # fmt: skip


def test_a_day_without_faults_has_none() -> None:
    trader = Trader()
    ordinary_day(trader)
    assert hits(trader) == 0
    assert trader.ask("GET openOrders") != []


def test_what_is_not_played_is_said() -> None:
    assert set(PLAYED) | set(NOT_PLAYED) == set(FaultCode)
    for code in NOT_PLAYED:
        with pytest.raises(UserError, match=rf"^fault 2: {code} .* is not injected"):
            check_plan(FaultPlan((fault(FaultCode.O1), fault(code))), SYMBOLS)


@pytest.mark.parametrize(
    ("where", "told"),
    [
        (
            Where("POST /fapi/v1/orderx"),
            "has no endpoint 'POST /fapi/v1/orderx'; did you mean POST /fapi/v1/order",
        ),
        (Where("POST /fapi/v1/klines"), "'POST /fapi/v1/klines'; did you mean GET /fapi/v1/klines"),
        (Where("PATCH /"), "has no endpoint 'PATCH /'; see docs/simulated-exchange.md"),
        (Where(symbol="BTCUSD"), "has no symbol 'BTCUSD'; did you mean BTCUSDT?"),
        (Where(symbol="btcusdt"), "has no symbol 'btcusdt'; did you mean BTCUSDT?"),
        (Where(symbol="XRP"), "has no symbol 'XRP'; --symbols are BTCUSDT, ETHUSDT"),
    ],
)
def test_a_fault_where_nothing_ever_happens_is_refused(where: Where, told: str) -> None:
    with pytest.raises(UserError) as error:
        check_plan(at(where), SYMBOLS)
    assert str(error.value).startswith("fault 1: where: this venue")
    assert told in str(error.value)


@pytest.mark.parametrize("endpoint", ["", "GET", "POST /fapi", "DELETE /fapi/v1/o", "CONNECT /"])
@pytest.mark.parametrize("stream", ["", "market", "private/ORDER_TRADE_UPDATE", "@kline_"])
def test_a_fault_may_name_the_beginning_of_an_endpoint_and_any_stream(
    endpoint: str, stream: str
) -> None:
    plan = at(Where(endpoint, stream, "ETHUSDT"))
    assert check_plan(plan, SYMBOLS) == plan


@pytest.mark.parametrize("route", [*ROUTES.values(), *METHODS.values()])
def test_a_fault_may_name_whatever_can_be_asked(route: Route) -> None:
    plan = at(Where(route.endpoint))
    assert check_plan(plan, SYMBOLS) == plan


# --- requests ---


@pytest.mark.parametrize(
    ("code", "figures", "breakage", "orders"),
    [
        (FaultCode.O1, {}, Breakage.RESET, 1),
        (FaultCode.O2, {}, Breakage.RESET, 0),
        (FaultCode.T2, {"processed": 1}, Breakage.RESET, 1),
        (FaultCode.T2, {"processed": 0}, Breakage.RESET, 0),
        (FaultCode.T5, {}, Breakage.TRUNCATED, 1),
        (FaultCode.T6, {}, Breakage.SLOW, 1),
    ],
)
def test_an_answer_that_does_not_arrive(
    code: FaultCode, figures: dict[str, float], breakage: Breakage, orders: int
) -> None:
    trader = with_fault(code, **figures)
    trader.order(price="39000")
    assert trader.last is not None
    assert trader.last.breakage is breakage
    assert len(trader.ask("GET openOrders")) == orders


@pytest.mark.parametrize(
    ("code", "processed", "status", "number"),
    [
        (FaultCode.O3, 1, 503, -1000),
        (FaultCode.O3, 0, 503, -1000),
        (FaultCode.O4, 1, 408, -1007),
        (FaultCode.O4, 0, 408, -1007),
    ],
)
def test_an_answer_that_leaves_the_outcome_open(
    code: FaultCode, processed: int, status: int, number: int
) -> None:
    trader = with_fault(code, processed=processed)
    answer = trader.order(price="39000")
    assert (trader.status, answer["code"]) == (status, number)
    assert len(trader.ask("GET openOrders")) == processed


def test_a_page_instead_of_an_answer() -> None:
    trader = with_fault(FaultCode.T4, status=504)
    assert trader.order(price="39000").startswith(b"<html>")
    assert trader.status == 504


def test_throttling_spares_what_makes_positions_smaller() -> None:
    trader = Trader(venue_with(Fault(FaultCode.O5, When(nth=2, times=9))))
    trader.order()
    assert trader.order()["code"] == -1008
    assert trader.order(side="SELL", reduceOnly="true")["status"] == "FILLED"


def test_early_and_late_news_of_an_order() -> None:
    trader = with_fault(FaultCode.O6, delay_ms=700)
    user = trader.account()
    trader.order()
    assert trader.last is not None
    assert trader.last.delay_ms == 700
    assert "ORDER_TRADE_UPDATE" in names(trader.heard(user))
    trader = with_fault(FaultCode.O7, delay_ms=5_000)
    user = trader.account()
    trader.order()
    assert names(trader.heard(user)) == ["ACCOUNT_UPDATE"]
    assert "ORDER_TRADE_UPDATE" in names(trader.wait(5_000).heard(user))


def test_a_new_order_that_queries_do_not_know_yet() -> None:
    trader = with_fault(FaultCode.O8, duration_ms=1_000)
    made = trader.order(price="39000")
    asked = {"symbol": BTC, "orderId": made["orderId"]}
    assert trader.ask("GET order", **asked)["code"] == -2013
    assert trader.ask("GET openOrders") == []
    assert trader.wait(1_000).ask("GET order", **asked)["status"] == "NEW"


def test_a_cancel_that_loses_and_one_that_half_wins() -> None:
    trader = with_fault(FaultCode.O9)
    trader.order(price="39000", newClientOrderId="a")
    assert trader.ask("DELETE order", symbol=BTC, origClientOrderId="a")["code"] == -2011
    assert trader.ask("GET order", symbol=BTC, origClientOrderId="a")["status"] == "FILLED"
    trader = with_fault(FaultCode.O10, fraction=0.3)
    user = trader.account()
    trader.order(price="39000", newClientOrderId="a")
    gone = trader.ask("DELETE order", symbol=BTC, origClientOrderId="a")
    assert (gone["status"], gone["executedQty"]) == ("CANCELED", "0.003")
    told = [event["o"]["x"] for event in trader.heard(user) if "o" in event]
    assert told == ["NEW", "TRADE", "CANCELED"]


def test_fills_in_parts_and_pieces() -> None:
    trader = with_fault(FaultCode.O12, fraction=0.4)
    told = trader.order()
    assert (told["status"], told["executedQty"]) == ("EXPIRED", "0.004")
    trader = with_fault(FaultCode.O13, pieces=5)
    assert trader.order()["status"] == "FILLED"
    fills = trader.ask("GET userTrades", symbol=BTC)
    assert len({fill["price"] for fill in fills}) == 5


def test_self_trade_prevention_and_a_price_moved_by_the_venue() -> None:
    trader = with_fault(FaultCode.O17)
    user = trader.account()
    made = trader.order(price="39000")
    asked = trader.ask("GET order", symbol=BTC, orderId=made["orderId"])
    assert asked["status"] == "EXPIRED_IN_MATCH"
    last = trader.heard(user)[-1]["o"]
    assert (last["x"], last["X"]) == ("EXPIRED", "EXPIRED_IN_MATCH")
    trader = with_fault(FaultCode.O19, ticks=3)
    made = trader.order(price="39000")
    assert trader.ask("GET order", symbol=BTC, orderId=made["orderId"])["price"] == "38999.7"


@pytest.mark.parametrize(
    ("code", "number"),
    [
        (FaultCode.O15, -5022), (FaultCode.O18, -4131), (FaultCode.A2, -4120),
        (FaultCode.C11, -2019), (FaultCode.C10, -2015), (FaultCode.L4, -1015),
    ],
)  # fmt: skip
def test_refusals_without_a_cause(code: FaultCode, number: int) -> None:
    trader = with_fault(code)
    assert trader.order(price="39000", timeInForce="GTX")["code"] == number
    assert trader.ask("GET openOrders") == []


def test_duplicate_though_it_was_placed() -> None:
    trader = with_fault(FaultCode.O14)
    assert trader.order(price="39000", newClientOrderId="a")["code"] == -4116
    assert trader.ask("GET order", symbol=BTC, origClientOrderId="a")["status"] == "NEW"


def test_limits_and_bans() -> None:
    trader = with_fault(FaultCode.L1, retry_after_seconds=0)
    trader.ask("GET time")
    assert trader.status == 429
    assert "Retry-After" not in trader.headers
    trader = with_fault(FaultCode.L2)
    assert trader.ask("GET time")["code"] == -1003
    assert trader.status == 418
    trader = with_fault(FaultCode.L3, weight=2_222)
    trader.ask("GET time")
    assert trader.headers["X-MBX-USED-WEIGHT-1M"] == "2222"


def test_stuck_while_triggering_and_cancelled_in_vain() -> None:
    trader = with_fault(FaultCode.A3, duration_ms=5_000)
    trader.order()
    trader.stop("39000", clientAlgoId="a")
    trader.wait(100).price(38_990)
    assert trader.ask("GET algoOrder", clientAlgoId="a")["algoStatus"] == "TRIGGERING"
    assert trader.ask("DELETE algoOrder", clientAlgoId="a")["code"] == -4117
    trader.wait(5_000)
    assert trader.ask("GET algoOrder", clientAlgoId="a")["algoStatus"] == "FINISHED"


# --- streams ---


@pytest.mark.parametrize(
    ("code", "told"),
    [
        (FaultCode.U1, ["NEW", "NEW", "TRADE"]),
        (FaultCode.U2, ["TRADE"]),
        (FaultCode.U11, ["TRADE"]),
    ],
)
def test_user_events_go_astray(code: FaultCode, told: list[str]) -> None:
    here = Where(stream="private/ORDER_TRADE_UPDATE")
    trader = Trader(venue_with(Fault(code, When(nth=1), here)))
    user = trader.account()
    trader.order()
    heard = [event["o"]["x"] for event in trader.wait(200).heard(user) if "o" in event]
    assert heard == told


def test_events_of_other_kinds_overtake() -> None:
    """Order is only promised within a kind."""
    here = Where(stream="private/ORDER_TRADE_UPDATE")
    usual, trader = Trader(), Trader(venue_with(Fault(FaultCode.U3, When(nth=2), here)))
    told = []
    for each in (usual, trader):
        user = each.account()
        each.order()
        told.append(names(each.wait(200).heard(user)))
    assert sorted(told[0]) == sorted(told[1])
    assert told[0] != told[1]


def test_an_old_event_comes_again() -> None:
    trader = Trader(venue_with(fault(FaultCode.U4, nth=2)))
    first = trader.account()
    made = trader.order()
    trader.venue.facade.disconnect(first)
    again = trader.account()
    (stale,) = trader.heard(again)
    assert (stale["o"]["i"], stale["o"]["X"]) == (made["orderId"], "NEW")


def test_the_user_stream_falls_silent_while_the_market_goes_on() -> None:
    trader = with_fault(FaultCode.U12, duration_ms=5_000)
    user, market = trader.account(), trader.subscribe("/market/ws", "btcusdt@aggTrade")
    trader.order()
    trader.price(40_010)
    assert trader.heard(user) == []
    assert len(trader.heard(market)) == 1
    trader.wait(5_000).order()
    assert trader.heard(user) != []


def test_keys_that_end() -> None:
    trader = with_fault(FaultCode.U5)
    user = trader.account()
    trader.wait(100).order()
    assert names(trader.heard(user)) == ["listenKeyExpired"]
    assert not user.is_closed
    trader = with_fault(FaultCode.U8)
    user = trader.account()
    trader.wait(100).order()
    assert trader.heard(user) == []
    trader = with_fault(FaultCode.U7)
    trader.account()
    assert trader.ask("PUT listenKey")["code"] == -1125


def test_a_field_nobody_knows() -> None:
    trader = with_fault(FaultCode.U9)
    user = trader.account()
    trader.order()
    assert any("zz" in event for event in trader.heard(user))


def test_connections_break_stall_and_fall_silent() -> None:
    trader = with_fault(FaultCode.T7, close_code=1012)
    session = trader.subscribe("/market/ws", "btcusdt@aggTrade")
    assert trader.wait(100).heard(session) == []
    assert session.is_closed
    trader = with_fault(FaultCode.T8, duration_ms=2_000)
    session = trader.subscribe("/market/ws", "btcusdt@aggTrade")
    trader.wait(100).price(40_010)
    assert trader.heard(session) == []
    trader.wait(2_000).price(40_020)
    assert len(trader.heard(session)) == 1
    trader = with_fault(FaultCode.T11, duration_ms=2_000)
    session = trader.subscribe("/market/ws", "btcusdt@aggTrade")
    trader.wait(100)
    for step in range(5):
        trader.price(40_000 + step).wait(100)
        assert trader.heard(session) == []
    assert len(trader.wait(2_000).heard(session)) == 5


def test_the_handshake_is_refused() -> None:
    trader = with_fault(FaultCode.T9)
    with pytest.raises(RefusalError) as refused:
        trader.listen("/market/ws")
    assert (refused.value.status, refused.value.headers) == (429, (("Retry-After", "5"),))
    trader.listen("/market/ws")


# --- the market ---


def test_a_gap_and_a_crossed_book() -> None:
    trader = Trader(venue_with(fault(FaultCode.M1, nth=2)))
    session = trader.subscribe("/public/ws", "btcusdt@depth@100ms")
    for step in range(4):
        trader.price(40_000 + step).wait(200)
    events = trader.heard(session)
    joined = [event["pu"] == before["u"] for before, event in pairwise(events)]
    assert joined.count(False) == 1
    trader = with_fault(FaultCode.M3, ticks=2)
    session = trader.subscribe("/public/ws", "btcusdt@bookTicker")
    trader.price(40_000)
    (told,) = trader.heard(session)
    assert float(told["b"]) > float(told["a"])


def test_final_klines_late_lost_and_wrong() -> None:
    def finals(trader: Trader, wait_ms: int = 0) -> list[Any]:
        session = trader.subscribe("/market/ws", "btcusdt@kline_1m")
        trader.price(40_000).close_minute().wait(wait_ms)
        return [event["k"] for event in trader.heard(session) if event["k"]["x"]]

    assert finals(with_fault(FaultCode.M4, delay_ms=2_000)) == []
    assert len(finals(with_fault(FaultCode.M4, delay_ms=2_000), 2_000)) == 1
    assert finals(with_fault(FaultCode.M5), 9_000) == []
    trader = with_fault(FaultCode.M7, ticks=4)
    (wrong,) = finals(trader)
    (right, _) = trader.ask("GET klines", symbol=BTC, interval="1m", startTime=START_MS)
    assert float(wrong["c"]) - float(right[4]) == pytest.approx(0.4)


def test_prices_freeze_shoot_out_and_part() -> None:
    trader = with_fault(FaultCode.M8, duration_ms=1_000)
    trader.price(41_000)
    assert trader.ask("GET ticker/price", symbol=BTC)["price"] == "40000.0"
    trader = Trader(venue_with(fault(FaultCode.M9, nth=3, fraction=-0.05)))
    session = trader.subscribe("/market/ws", "btcusdt@aggTrade")
    trader.price(40_000)
    wick, back = trader.heard(session)
    assert (wick["p"], back["p"]) == ("38000.0", "40000.0")
    assert wick["a"] < back["a"]
    trader.close_minute()
    bar = trader.ask("GET klines", symbol=BTC, interval="1m", startTime=START_MS)[0]
    assert bar[3] == "38000.0"
    trader = Trader(venue_with(fault(FaultCode.M13, nth=3, fraction=0.05)))
    trader.price(40_000)
    assert float(trader.ask("GET premiumIndex", symbol=BTC)["markPrice"]) == 42_000.0


def test_a_halted_symbol_comes_back() -> None:
    trader = with_fault(FaultCode.M15, duration_ms=1_000)
    trader.wait(100)
    assert trader.order()["code"] == -4141
    statuses = {one["status"] for one in trader.ask("GET exchangeInfo")["symbols"]}
    assert statuses == {"CLOSE", "TRADING"}
    assert trader.wait(1_000).order()["status"] == "FILLED"


# --- the account and the venue ---


def test_positions_taken_away_and_made_by_others() -> None:
    for code in (FaultCode.C1, FaultCode.C2):
        trader = with_fault(code, fraction=1.0)
        trader.order()
        assert trader.wait(100).ask("GET /fapi/v3/positionRisk") == []
    trader = with_fault(FaultCode.U10)
    user = trader.account()
    trader.wait(100)
    (position,) = trader.ask("GET /fapi/v3/positionRisk")
    assert position["positionAmt"] == "0.003"
    assert "ORDER_TRADE_UPDATE" in names(trader.heard(user))


def test_money_fees_and_stale_balances() -> None:
    trader = with_fault(FaultCode.C7, amount_quote=-500)
    assert trader.wait(100).ask("GET /fapi/v3/balance")[0]["balance"] == "9500.00000000"
    trader = with_fault(FaultCode.C8, fee_rate=0.001)
    trader.wait(100).order()
    assert trader.ask("GET userTrades", symbol=BTC)[0]["commission"] == "0.40000100"
    trader = with_fault(FaultCode.C12, duration_ms=1_000)
    trader.wait(100).ask("GET /fapi/v3/balance")
    trader.order()
    assert trader.ask("GET /fapi/v3/balance")[0]["balance"] == "10000.00000000"
    assert trader.wait(1_000).ask("GET /fapi/v3/balance")[0]["balance"] != "10000.00000000"


def test_clocks_and_maintenance() -> None:
    trader = with_fault(FaultCode.K1, skew_ms=-7_000)
    trader.wait(100)
    assert trader.ask("GET time")["serverTime"] == trader.now_ms - 7_000
    assert trader.ask("GET /fapi/v3/account")["code"] == -1021
    trader = with_fault(FaultCode.R3, duration_ms=1_000, cancels=1)
    trader.order(price="39000", newClientOrderId="a")
    trader.wait(100)
    assert trader.order()["code"] == -1016
    gone = trader.ask("DELETE order", symbol=BTC, origClientOrderId="a")
    assert gone["status"] == "CANCELED"
    assert trader.wait(1_000).order()["status"] == "FILLED"


def test_the_same_plan_gives_the_same_trace() -> None:
    def trace() -> list[Any]:
        plan = [Fault(code, When(probability=0.3, times=3)) for code in (FaultCode.U1, FaultCode.U2,
                FaultCode.T12, FaultCode.O7, FaultCode.M1)]  # fmt: skip
        trader = Trader(venue_with(*plan))
        user = trader.account()
        public = trader.subscribe("/public/ws", "btcusdt@depth@100ms")
        heard = []
        for step in range(10):
            trader.price(40_000 + step).wait(200)
            trader.order()
            heard += [trader.heard(user), trader.heard(public)]
        return heard

    assert trace() == trace()
