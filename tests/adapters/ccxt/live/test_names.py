"""Whose fills those are that are read over REST: trades tell the number of their order alone."""

from __future__ import annotations

import pytest
from tests.adapters.ccxt.live.server import BUY, START_MS, Bench, Reply, on_bench, order_row

from tercel.adapters.ccxt.binance.account import NAMES_ASKED_MAX, UNKNOWN_MS_MAX
from tercel.domain.errors import VenueError
from tercel.domain.events import Outcome

SYMBOLS = ("BTCUSDT", "ETHUSDT")


def trade(number: int, order_id: int, **changes: object) -> dict[str, object]:
    """A row of /userTrades."""
    return {
        "id": number, "orderId": order_id, "symbol": "BTCUSDT", "side": "BUY", "price": "100.0",
        "qty": "0.010", "commission": "0.0004", "commissionAsset": "USDT", "maker": False,
        "time": START_MS, **changes,
    }  # fmt: skip


async def names(bench: Bench, *symbols: str) -> dict[tuple[str, str], str]:
    """Client ids of the fills of one reading, by symbol and trade id."""
    picture = await bench.venue.read(symbols or ("BTCUSDT",), START_MS - 10_000_000)
    return {(fill.symbol, fill.trade_id): fill.client_id for fill in picture.fills}


def test_orders_of_two_symbols_may_have_one_number() -> None:
    """The entry in Bitcoin, told by its answer, and an order by hand in Ether, asked for."""

    async def reads(bench: Bench) -> None:
        await bench.open()
        await bench.venue.place(BUY)
        bench.server.answers["GET /fapi/v1/userTrades"] = lambda asked: [
            trade(5, 11, symbol=asked["symbol"])
        ]
        bench.server.answers["GET /fapi/v1/order"] = order_row(clientOrderId="web_abc")
        assert await names(bench, *SYMBOLS) == {
            ("BTCUSDT", "5"): BUY.client_id,
            ("ETHUSDT", "5"): "web_abc",
        }
        assert [each["symbol"] for each in bench.server.sent("GET /fapi/v1/order")] == ["ETHUSDT"]

    on_bench(reads, symbols=SYMBOLS)()


def error(code: int, text: str = "words", status: int = 400) -> Reply:
    return Reply({"code": code, "msg": text}, status=status)


NOT_THERE = error(-2013, "Order does not exist.")


@pytest.mark.parametrize(
    "failed",
    [NOT_THERE, error(-1008, "Request throttled.", status=503), error(-1000), Reply(cut=True)],
    ids=["not there yet", "throttled", "unknown error", "cut"],
)
def test_a_young_fill_is_never_handed_out_without_its_name(failed: Reply) -> None:
    """The answer to an entry was lost, and the venue does not tell for a while whose trade that is:
    handed out without a name it would be somebody else's, and our position without its stop.
    """

    async def reads(bench: Bench) -> None:
        await bench.open()
        bench.server.fail("POST /fapi/v1/order", Reply(cut=True))
        assert (await bench.venue.place(BUY)).outcome is Outcome.AMBIGUOUS
        bench.server.answers["GET /fapi/v1/userTrades"] = [trade(5, 4711)]
        bench.server.answers["GET /fapi/v1/order"] = failed
        for _ in range(3):
            with pytest.raises(VenueError, match="whose order 4711 in BTCUSDT is: "):
                await names(bench)
            await bench.settle(1.0)
        bench.server.answers["GET /fapi/v1/order"] = order_row(orderId=4711)
        assert await names(bench) == {("BTCUSDT", "5"): BUY.client_id}

    on_bench(reads)()


def test_orders_that_are_not_there_yet_cost_one_reading_together() -> None:
    """Each is asked for, whatever became of the one before, and what was learnt is kept."""

    async def reads(bench: Bench) -> None:
        await bench.open()
        bench.server.answers["GET /fapi/v1/userTrades"] = lambda asked: [
            trade(number, number, symbol=asked["symbol"]) for number in (1, 2, 3)
        ]
        late = {"1", "3"}
        bench.server.answers["GET /fapi/v1/order"] = lambda asked: (
            NOT_THERE if asked["orderId"] in late else order_row(clientOrderId=BUY.client_id)
        )
        with pytest.raises(VenueError):
            await names(bench, *SYMBOLS)
        assert bench.server.count("GET /fapi/v1/order") == 6
        late.clear()
        assert set((await names(bench, *SYMBOLS)).values()) == {BUY.client_id}
        assert bench.server.count("GET /fapi/v1/order") == 10, "those that were late, once more"

    on_bench(reads, symbols=SYMBOLS)()


def test_an_order_that_the_venue_has_forgotten_leaves_its_fills_without_a_name() -> None:
    """By the trade's own time; the order is not asked for again."""

    async def reads(bench: Bench) -> None:
        await bench.open()
        old, young = START_MS - UNKNOWN_MS_MAX - 1_000, START_MS - UNKNOWN_MS_MAX + 10_000
        bench.server.answers["GET /fapi/v1/order"] = NOT_THERE
        bench.server.answers["GET /fapi/v1/userTrades"] = [
            trade(5, 900, time=old), trade(6, 900, time=young)
        ]  # fmt: skip
        with pytest.raises(VenueError):
            await names(bench)
        bench.server.answers["GET /fapi/v1/userTrades"] = [trade(5, 900, time=old)]
        bench.server.asked.clear()
        for _ in range(3):
            assert await names(bench) == {("BTCUSDT", "5"): ""}
            bench.venue._side.doubt()
        assert bench.server.count("GET /fapi/v1/order") == 1

    on_bench(reads)()


@pytest.mark.parametrize("is_forgotten", [False, True], ids=["known", "forgotten"])
def test_more_orders_than_one_reading_asks_for_are_asked_for_by_the_next(
    is_forgotten: bool,
) -> None:
    """None of their fills is handed out before, also where the venue has forgotten them all but
    the one of ours.
    """

    async def reads(bench: Bench) -> None:
        await bench.open()
        count = 2 * NAMES_ASKED_MAX + 1
        old = START_MS - UNKNOWN_MS_MAX - 1_000
        bench.server.answers["GET /fapi/v1/userTrades"] = [
            trade(number, number, time=old) for number in range(1, count + 1)
        ]
        ours = {1, count}

        def tell(asked: dict[str, str]) -> object:
            if is_forgotten and int(asked["orderId"]) not in ours:
                return NOT_THERE
            return order_row(clientOrderId=f"t-s-0-0-{asked['orderId']}")

        bench.server.answers["GET /fapi/v1/order"] = tell
        for reading in (1, 2):
            with pytest.raises(VenueError, match="not asked yet"):
                await names(bench)
            assert bench.server.count("GET /fapi/v1/order") == reading * NAMES_ASKED_MAX
        found = await names(bench)
        assert bench.server.count("GET /fapi/v1/order") == count
        named = {number for (_, number), name in found.items() if name}
        assert named == {str(each) for each in (ours if is_forgotten else range(1, count + 1))}

    on_bench(reads)()
