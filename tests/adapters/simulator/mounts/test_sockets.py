"""The venue on sockets of this machine, in real time."""

from __future__ import annotations

import asyncio
import json
from typing import Any
from urllib.parse import quote, quote_plus

import aiohttp
import pytest
from tests.adapters.simulator.binance.trading import BTC, fault, sign, venue_with
from yarl import URL

from tercel.adapters.clock import SystemClock, VirtualClock
from tercel.adapters.simulator.binance.assembly import Venue, VenueOrder, redated
from tercel.adapters.simulator.binance.settings import Limits, credentials_of
from tercel.adapters.simulator.faults import Fault, FaultCode, When
from tercel.adapters.simulator.market.ticks import BarTick
from tercel.adapters.simulator.mounts.pacing import PacedClock
from tercel.adapters.simulator.mounts.serving import (
    Place,
    Served,
    serve_until_stopped,
    serving,
)
from tercel.adapters.simulator.mounts.sockets import PortTakenError, check_host
from tercel.domain.errors import UserError

FAST = Place(speed=100.0)


def now_minute() -> int:
    """The minute that runs."""
    now_ms = SystemClock().now_ms()
    return now_ms - now_ms % 60_000


def venue_now(*faults: Fault, minutes: int = 120) -> Venue:
    """A venue whose bars begin this minute."""
    return venue_with(*faults, minutes=minutes, start_ms=now_minute(), speed=FAST.speed)


async def ask(session: aiohttp.ClientSession, url: str) -> Any:
    """The JSON of a reply."""
    async with session.get(url) as reply:
        return await reply.json()


async def test_requests_and_streams_of_a_client() -> None:
    venue = venue_now()
    async with serving(venue, FAST, SystemClock()) as served, aiohttp.ClientSession() as session:
        rest = f"http://{served.address}/fapi/v1"
        told = await ask(session, f"{rest}/time")
        assert abs(told["serverTime"] - served.clock.now_ms()) < 60_000
        async with session.ws_connect(f"ws://{served.address}/market/ws") as socket:
            asked = {"method": "SUBSCRIBE", "params": ["btcusdt@aggTrade"], "id": 1}
            await socket.send_str(json.dumps(asked))
            assert await socket.receive_json(timeout=10) == {"result": None, "id": 1}
            trade = await socket.receive_json(timeout=30)
            assert (trade["e"], trade["s"]) == ("aggTrade", BTC)
            await socket.ping()
        headers = {"X-MBX-APIKEY": credentials_of(1).key}
        body = f"symbol={BTC}&side=BUY&type=MARKET&quantity=0.01&newOrderRespType=RESULT"
        body += f"&timestamp={SystemClock().now_ms()}"
        body += f"&signature={sign(body)}"
        form = {**headers, "Content-Type": "application/x-www-form-urlencoded"}
        async with session.post(f"{rest}/order", data=body, headers=form) as reply:
            assert reply.headers["X-MBX-ORDER-COUNT-10S"] == "1"
            assert (await reply.json())["status"] == "FILLED"
        async with session.get(f"http://{served.address}/private/ws") as reply:
            assert reply.status == 404
        with pytest.raises(aiohttp.WSServerHandshakeError):
            await session.ws_connect(f"ws://{served.address}/private/ws?listenKey=none")


@pytest.mark.parametrize("how", ["percent-encoded", "plus for a space", "as it is"])
async def test_a_query_is_signed_as_it_was_written(how: str) -> None:
    """Clients encode in their own ways: the signature is over the bytes that were sent."""
    name = "my:order/1" if how != "plus for a space" else "my-order"
    orders = (
        f'[{{"symbol":"{BTC}","side":"BUY","type":"MARKET","quantity":"0.01",'
        f'"newClientOrderId":"{name}"}}]'
    )
    encoded = {"percent-encoded": quote(orders, safe=""), "as it is": orders}.get(
        how, quote_plus(orders.replace(",", ", "))
    )
    headers = {"X-MBX-APIKEY": credentials_of(1).key}
    async with (
        serving(venue_now(), FAST, SystemClock()) as served,
        aiohttp.ClientSession() as session,
    ):
        query = f"batchOrders={encoded}&timestamp={SystemClock().now_ms()}"
        query += f"&signature={sign(query)}"
        url = URL(f"http://{served.address}/fapi/v1/batchOrders?{query}", encoded=True)
        async with session.post(url, headers=headers) as reply:
            [told] = await reply.json()
    assert told["clientOrderId"] == name


@pytest.mark.parametrize(
    "broken",
    [
        fault(FaultCode.T1),
        fault(FaultCode.T2),
        fault(FaultCode.T5),
    ],
    ids=lambda each: each.what,
)
async def test_transports_that_break(broken: Fault) -> None:
    """With a POST: a GET whose connection breaks is sent again by aiohttp itself."""

    async def new_key(session: aiohttp.ClientSession, address: str) -> Any:
        headers = {"X-MBX-APIKEY": credentials_of(1).key}
        url = f"http://{address}/fapi/v1/listenKey"
        async with session.post(url, headers=headers) as reply:
            return await reply.json()

    venue = venue_now(broken)
    async with serving(venue, FAST, SystemClock()) as served, aiohttp.ClientSession() as session:
        with pytest.raises(aiohttp.ClientError):
            await new_key(session, served.address)
        assert "listenKey" in await new_key(session, served.address)
    assert venue.facade.state.watch.hits.total() == 1


async def test_a_body_that_trickles_in_is_whole_in_the_end() -> None:
    venue = venue_now(fault(FaultCode.T6, delay_ms=1_000))
    async with serving(venue, FAST, SystemClock()) as served, aiohttp.ClientSession() as session:
        assert "serverTime" in await ask(session, f"http://{served.address}/fapi/v1/time")


async def test_a_stream_that_is_reset() -> None:
    venue = venue_now(Fault(FaultCode.T7, When(nth=1)))
    async with serving(venue, FAST, SystemClock()) as served, aiohttp.ClientSession() as session:
        socket = await session.ws_connect(f"ws://{served.address}/market/ws")
        message = await socket.receive(timeout=30)
        assert message.type in (aiohttp.WSMsgType.CLOSED, aiohttp.WSMsgType.ERROR)
        assert socket.close_code == 1006


async def test_it_ends_when_the_bars_do() -> None:
    started: list[Served] = []
    closed: list[BarTick] = []
    is_over = await asyncio.wait_for(
        serve_until_stopped(
            venue_now(minutes=3), Place(speed=10_000), SystemClock(), started.append,
            lambda _, bar: closed.append(bar),
        ),
        60,
    )  # fmt: skip
    assert is_over
    assert len(started) == 1
    assert len(closed) == 6


async def test_a_port_that_is_taken() -> None:
    venue = venue_now()
    async with serving(venue, FAST, SystemClock()) as served:
        taken = Place(port=int(served.address.rpartition(":")[2]))
        with pytest.raises(PortTakenError, match="choose another --port"):
            async with serving(venue_now(), taken, SystemClock()):
                pass


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "::1"])
def test_this_machine_alone(host: str) -> None:
    assert check_host(host, may_be_public=False)


@pytest.mark.parametrize("host", ["0.0.0.0", "10.1.2.3", "example.org"])  # noqa: S104
def test_other_machines_only_when_asked(host: str) -> None:
    with pytest.raises(UserError):
        check_host(host, may_be_public=False)
    assert check_host("0.0.0.0", may_be_public=True) == "0.0.0.0"  # noqa: S104


async def test_time_runs_as_fast_as_it_is_told_to() -> None:
    real = VirtualClock(1_000_000)
    clock = PacedClock(real, 5_000_000, 60.0)
    await clock.sleep(30.0)
    assert real.now_ms() == 1_000_500
    assert clock.now_ms() == 5_030_000


def test_clients_have_as_long_as_they_think_they_have() -> None:
    usual, fast = Limits(), Limits().stretched(60.0)
    assert fast.listen_key_ms == 60 * usual.listen_key_ms
    assert fast.pong_within_ms == 60 * usual.pong_within_ms
    assert fast.weight_minute_max == usual.weight_minute_max
    assert usual.stretched(0.5) == usual


def test_another_date_moves_bars_and_funding() -> None:
    venue_order = VenueOrder(
        {BTC: venue_with().driver._series[BTC]}, start_ms=1_000, funding={BTC: {2_000: 0.1}}
    )
    first_ms = int(venue_order.series[BTC]["open_time"][0])
    moved = redated(venue_order, 61_000)
    assert int(moved.series[BTC]["open_time"][0]) == first_ms + 60_000
    assert moved.funding == {BTC: {62_000: 0.1}}
    assert int(venue_order.series[BTC]["open_time"][0]) == first_ms
