"""The unmodified ccxt.pro client trades on the venue, in memory and on virtual time."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import aiohttp
import pytest
from tests.adapters.simulator.binance.trading import START_MS, Trader, fault, venue_with

from tercel.adapters.simulator.binance.assembly import Venue
from tercel.adapters.simulator.faults import Fault, FaultCode, When
from tercel.adapters.simulator.mounts.in_memory import in_memory
from tercel.adapters.simulator.mounts.memory import Latency
from tercel.adapters.simulator.mounts.virtual_loop import LoopClock, run_virtually

ccxt = pytest.importorskip("ccxt.pro")

BTC = "BTC/USDT:USDT"
LATENCY = Latency(0.005, 0.005)


@dataclass
class Desk:
    """A client, the venue it trades on, and the hand that moves the market."""

    client: Any
    trader: Trader
    clock: LoopClock
    frames: list[Any] = field(default_factory=list)

    def price(self, price: float) -> None:
        """Move the market now."""
        self.trader.now_ms = self.clock.now_ms()
        self.trader.price(price)

    def events(self, name: str) -> list[Any]:
        """Frames of that event, as they came off the wire."""
        return [
            frame for frame in self.frames if isinstance(frame, dict) and frame.get("e") == name
        ]


def client_config(venue: Venue, host: str = "127.0.0.1:9101") -> dict[str, Any]:
    """What points ccxt at the venue: nothing but addresses, keys and options."""
    keys = venue.settings.credentials
    rest = f"http://{host}"
    paths = {"fapiPublic": "v1", "fapiPublicV2": "v2", "fapiPublicV3": "v3", "fapiPrivate": "v1",
             "fapiPrivateV2": "v2", "fapiPrivateV3": "v3"}  # fmt: skip
    urls: dict[str, Any] = {name: f"{rest}/fapi/{version}" for name, version in paths.items()}
    urls["fapiData"] = f"{rest}/futures/data"
    urls["sapi"] = f"{rest}/sapi/v1"
    urls["ws"] = {
        "linear": f"ws://{host}/ws",
        "ws-api": {"linear": f"ws://{host}/ws-fapi/v1"},
    }
    return {
        "apiKey": keys.key,
        "secret": keys.secret,
        "enableRateLimit": False,
        "options": {
            "fetchCurrencies": False,
            "fetchMargins": False,
            "fetchMarkets": {"types": ["linear"]},
            "fetchOpenOrders": {"warnWithoutSymbol": False},
        },
        "urls": {"api": urls},
    }


@asynccontextmanager
async def desk_on(venue: Venue, clock: LoopClock, *, plays: bool = False) -> AsyncIterator[Desk]:
    """A desk on `venue`; its market plays by itself or is moved by hand."""
    ticks = venue.ticks() if plays else ()
    async with (
        in_memory(venue.facade, ticks, clock, LATENCY) as mount,
        aiohttp.ClientSession(connector=mount.connector()) as session,
    ):
        client = ccxt.binanceusdm({**client_config(venue), "session": session})
        client.exceptions["exact"].update(client.exceptions["linear"]["exact"])
        client.milliseconds = clock.now_ms
        desk = Desk(client, Trader(venue, clock.now_ms()), clock)
        handle = client.handle_message

        def hook(connection: Any, frame: Any) -> None:
            desk.frames.append(frame)
            handle(connection, frame)

        client.handle_message = hook
        try:
            yield desk
        finally:
            await client.close()


def trade(use: Callable[[Desk], Awaitable[Any]], *faults: Fault) -> Any:
    """What `use` returns, with a desk on a venue with these faults."""

    async def work(clock: LoopClock) -> Any:
        async with desk_on(venue_with(*faults), clock) as desk:
            return await use(desk)

    return run_virtually(work, epoch_ms=START_MS)


def test_markets_the_account_and_its_settings() -> None:
    async def use(desk: Desk) -> None:
        client = desk.client
        markets = await client.load_markets()
        assert list(markets) == [BTC, "ETH/USDT:USDT"]
        one = markets[BTC]
        assert (one["swap"], one["linear"], one["active"]) == (True, True, True)
        assert one["precision"]["price"] == 0.1
        assert one["limits"]["cost"]["min"] == 100.0
        assert abs(await client.fetch_time() - desk.clock.now_ms()) <= 5
        balance = await client.fetch_balance()
        assert (balance["USDT"]["free"], balance["USDT"]["total"]) == (10_000.0, 10_000.0)
        assert (await client.set_leverage(10, BTC))["leverage"] == 10
        with pytest.raises(ccxt.MarginModeAlreadySet):
            await client.set_margin_mode("cross", BTC)
        assert (await client.fetch_position_mode(BTC))["hedged"] is False
        with pytest.raises(ccxt.OperationRejected):
            await client.set_position_mode(False)
        assert (await client.fetch_trading_fee(BTC))["taker"] == 0.0005
        tiers = await client.fetch_leverage_tiers([BTC])
        assert tiers[BTC][0]["maxLeverage"] >= 100
        assert (await client.fetch_leverages([BTC]))[BTC]["longLeverage"] == 10
        restrictions = await client.sapiGetAccountApiRestrictions()
        assert restrictions["enableWithdrawals"] is False

    trade(use)


def test_market_data_over_rest() -> None:
    async def use(desk: Desk) -> None:
        client = desk.client
        bars = await client.fetch_ohlcv(BTC, "1m", limit=5)
        assert [bar[0] for bar in bars][-1] == START_MS
        assert (await client.fetch_ticker(BTC))["last"] == 40_000.0
        book = await client.fetch_order_book(BTC, 5)
        assert book["bids"][0][:2] == [40_000.0, 10.0]
        assert len(await client.fetch_trades(BTC)) == 1
        assert (await client.fetch_funding_rate(BTC))["fundingRate"] == 0.0001
        assert await client.fetch_funding_rate_history(BTC) == []
        assert (await client.fetch_open_interest(BTC))["openInterestAmount"] > 0
        assert len(await client.fetch_open_interest_history(BTC, "5m", limit=3)) == 3
        ratios = await client.fetch_long_short_ratio_history(BTC, "5m", limit=3)
        assert ratios[0]["longShortRatio"] == 1.0

    trade(use)


def test_orders_of_every_kind_and_their_errors() -> None:
    async def use(desk: Desk) -> None:
        client = desk.client
        bought = await client.create_order(BTC, "market", "buy", 0.01)
        assert (bought["status"], bought["filled"], bought["average"]) == (
            "closed", 0.01, 40_000.1,
        )  # fmt: skip
        (position,) = await client.fetch_positions([BTC])
        assert (position["side"], position["contracts"]) == ("long", 0.01)
        (fill,) = await client.fetch_my_trades(BTC)
        assert (fill["order"], fill["fee"]["cost"]) == (bought["id"], 0.2000005)
        mine = {"newClientOrderId": "mine-1"}
        limit = await client.create_order(BTC, "limit", "buy", 0.01, 39_000, mine)
        assert (limit["status"], limit["clientOrderId"]) == ("open", "mine-1")
        with pytest.raises(ccxt.InvalidOrder, match="-4116"):
            await client.create_order(BTC, "limit", "buy", 0.01, 39_000, mine)
        asked = await client.fetch_order(None, BTC, {"origClientOrderId": "mine-1"})
        assert asked["id"] == limit["id"]
        changed = await client.edit_order(limit["id"], BTC, "limit", "buy", 0.02, 39_100)
        assert changed["amount"] == 0.02
        post = await client.create_order(BTC, "limit", "buy", 0.01, 39_000, {"postOnly": True})
        assert post["status"] == "open"
        with pytest.raises(ccxt.OrderNotFillable):
            await client.create_order(BTC, "limit", "buy", 0.01, 40_050, {"postOnly": True})
        with pytest.raises(ccxt.InsufficientFunds):
            await client.create_order(BTC, "market", "buy", 100)
        with pytest.raises(ccxt.InvalidOrder, match="-4120"):
            await client.fapiPrivatePostOrder({
                "symbol": "BTCUSDT", "side": "SELL", "type": "STOP_MARKET", "quantity": "0.01",
                "stopPrice": "39000",
            })  # fmt: skip
        assert (await client.cancel_order(limit["id"], BTC))["status"] == "canceled"
        with pytest.raises(ccxt.OrderNotFound):
            await client.cancel_order(limit["id"], BTC)
        assert len(await client.fetch_open_orders(BTC)) == 1
        await client.cancel_all_orders(BTC)
        assert await client.fetch_open_orders() == []
        assert len(await client.fetch_orders(BTC)) == 3

    trade(use)


def test_stops_are_asked_for_with_trigger() -> None:
    async def use(desk: Desk) -> None:
        client, trigger = desk.client, {"trigger": True}
        await client.create_order(BTC, "market", "buy", 0.01)
        stop = await client.create_order(
            BTC, "market", "sell", 0.01, None,
            {"stopLossPrice": 39_000, "reduceOnly": True, "clientAlgoId": "sl-1"},
        )  # fmt: skip
        target = await client.create_order(
            BTC, "market", "sell", 0.01, None, {"takeProfitPrice": 41_000, "reduceOnly": True}
        )
        trail = await client.create_order(
            BTC, "market", "sell", 0.01, None, {"trailingPercent": 1.0, "reduceOnly": True}
        )
        assert (stop["status"], stop["triggerPrice"], stop["clientOrderId"]) == (
            "open", 39_000.0, "sl-1",
        )  # fmt: skip
        assert await client.fetch_open_orders(BTC) == []
        waiting = await client.fetch_open_orders(BTC, params=trigger)
        assert [order["id"] for order in waiting] == [stop["id"], target["id"], trail["id"]]
        with pytest.raises(ccxt.OrderNotFound):
            await client.fetch_order(stop["id"], BTC)
        with pytest.raises(ccxt.OrderImmediatelyFillable):
            await client.create_order(
                BTC, "market", "sell", 0.01, None, {"stopLossPrice": 41_000, "reduceOnly": True}
            )
        await client.cancel_order(trail["id"], BTC, trigger)
        desk.price(38_990)
        fired = await client.fetch_order(stop["id"], BTC, trigger)
        order_id = fired["info"]["actualOrderId"]
        fills = await client.fetch_my_trades(BTC)
        assert fills[-1]["order"] == order_id
        assert await client.fetch_positions([BTC]) == []
        await client.cancel_all_orders(BTC, trigger)
        assert await client.fetch_open_orders(BTC, params=trigger) == []

    trade(use)


def test_streams_of_the_market_and_of_the_account() -> None:
    async def use(desk: Desk) -> None:
        client = desk.client
        await client.load_markets()
        watching = [
            asyncio.ensure_future(call)
            for call in (
                client.watch_ohlcv(BTC, "1m"), client.watch_trades(BTC), client.watch_ticker(BTC),
                client.watch_order_book(BTC), client.watch_bids_asks([BTC]),
                client.watch_mark_price(BTC), client.watch_orders(BTC), client.watch_balance(),
            )
        ]  # fmt: skip
        await desk.clock.sleep(2)
        for step in range(10):
            desk.price(40_000 + step)
            await desk.clock.sleep(0.5)
        made = await client.create_order(BTC, "market", "buy", 0.01)
        done, waiting = await asyncio.wait(watching, timeout=10)
        assert not waiting
        for task in done:
            task.result()
        bars, trades, _, book, _, mark, orders, balance = (task.result() for task in watching)
        assert bars[-1][0] == START_MS
        assert trades[-1]["price"] > 39_999
        assert book["bids"][0][0] < book["asks"][0][0]
        assert mark["markPrice"] > 39_999
        assert orders[-1]["id"] == made["id"]
        assert balance["USDT"]["total"] < 10_000
        raw = [event["o"]["x"] for event in desk.events("ORDER_TRADE_UPDATE")]
        assert raw == ["NEW", "TRADE"]
        assert desk.events("depthUpdate")
        assert desk.events("TRADE_LITE")

    trade(use)


def test_requests_over_the_websocket() -> None:
    async def use(desk: Desk) -> None:
        client = desk.client
        made = await client.create_order_ws(BTC, "limit", "buy", 0.01, 39_000)
        assert made["status"] == "open"
        assert (await client.cancel_order_ws(made["id"], BTC))["status"] == "canceled"
        assert (await client.fetch_balance_ws())["USDT"]["total"] == 10_000.0

    trade(use)


def test_the_listen_key_is_kept_alive_by_a_renewal_and_dies_without() -> None:
    async def use(desk: Desk) -> None:
        client = desk.client
        await client.load_markets()
        task = asyncio.ensure_future(client.watch_orders(BTC))
        await desk.clock.sleep(1)
        keys = desk.trader.venue.facade.state.keys
        assert keys.is_alive(desk.clock.now_ms())
        for _ in range(4):
            await desk.clock.sleep(1_800)
            await client.fapiPrivatePutListenKey()
        assert keys.is_alive(desk.clock.now_ms())
        await desk.clock.sleep(3_601)
        assert not keys.is_alive(desk.clock.now_ms())
        assert desk.events("listenKeyExpired")
        with pytest.raises(ccxt.ExchangeError, match="-1125"):
            await client.fapiPrivatePutListenKey()
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)

    trade(use)


def test_too_many_requests_become_a_ban() -> None:
    async def use(desk: Desk) -> None:
        client = desk.client

        async def ask_until_refused(path: Callable[[], Awaitable[Any]]) -> str:
            for _ in range(100):
                try:
                    await path()
                except ccxt.DDoSProtection as error:
                    return str(error)
            raise AssertionError("never refused")

        assert "429" in await ask_until_refused(client.fapiPublicGetTicker24hr)
        while "418" not in await ask_until_refused(client.fapiPublicGetTime):
            pass
        await desk.clock.sleep(121)
        await client.fetch_time()

    trade(use)


def test_a_lost_answer_is_a_network_error_and_the_order_lives() -> None:
    async def use(desk: Desk) -> None:
        client = desk.client
        await client.load_markets()
        for _ in range(2):  # refused before anything is sent, then lost on the way back
            with pytest.raises(ccxt.NetworkError):
                await client.create_order(BTC, "limit", "buy", 0.01, 39_000)
        assert len(await client.fetch_open_orders(BTC)) == 1
        with pytest.raises(ccxt.ExchangeNotAvailable):
            await client.fetch_ticker(BTC)
        with pytest.raises(ccxt.RequestTimeout):
            await client.fetch_ticker(BTC)

    ticker = [
        Fault(FaultCode.T4, When(nth=4), figures={"status": 503}),
        Fault(FaultCode.T3, When(nth=5), figures={"delay_ms": 20_000}),
    ]
    trade(use, fault(FaultCode.O1), *ticker, fault(FaultCode.T1, nth=2))


def test_the_same_seed_gives_the_same_trace() -> None:
    """The bars of the venue's own market, with faults, twice: frame for frame the same."""
    plan = [Fault(code, When(probability=0.2, times=20)) for code in (FaultCode.U1, FaultCode.T12,
            FaultCode.M1)]  # fmt: skip

    def trace() -> list[Any]:
        async def work(clock: LoopClock) -> list[Any]:
            async with desk_on(venue_with(*plan), clock, plays=True) as desk:
                await desk.client.load_markets()
                task = asyncio.ensure_future(desk.client.watch_orders(BTC))
                await desk.client.watch_trades(BTC)
                for number in range(3):
                    mine = {"newClientOrderId": f"n-{number}"}
                    await desk.client.create_order(BTC, "market", "buy", 0.01, None, mine)
                    await clock.sleep(20)
                task.cancel()
                await asyncio.gather(task, return_exceptions=True)
                return desk.frames

        found: list[Any] = run_virtually(work, epoch_ms=START_MS)
        return found

    first = trace()
    assert len(first) > 20
    assert first == trace()
