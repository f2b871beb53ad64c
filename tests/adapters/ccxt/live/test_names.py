"""Whose fills those are that are read over REST: trades tell the number of their order alone."""

from __future__ import annotations

from tests.adapters.ccxt.live.server import BUY, START_MS, Bench, on_bench, order_row

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
