"""Where trades are looked for: wherever there may be one that was not read, and nowhere else."""

from __future__ import annotations

import pytest
from tests.adapters.ccxt.live.server import (
    BUY,
    GOVERNOR,
    START_MS,
    SYMBOL,
    Bench,
    Reply,
    on_bench,
    order_row,
)

from tercel.adapters.ccxt.activity import LATE_MS, UNHEARD_READINGS, Activity
from tercel.domain.live_settings import GovernorSettings
from tercel.domain.times import DAY_MS

SYMBOLS = ("BTCUSDT", "ETHUSDT")
SHIPPED = GovernorSettings(
    calls_max=10, window_seconds=10.0, weight_fraction_max=0.8, entry_wait_ms_max=3_000
)


def ask(activity: Activity, now_ms: int, *busy: str) -> tuple[str, ...]:
    """Whose trades one reading, which succeeds, asks for."""
    asked = activity.to_ask(SYMBOLS, busy, now_ms)
    activity.were_read(asked)
    return asked.symbols


def test_every_symbol_once_then_only_where_something_is_or_has_just_been() -> None:
    activity = Activity()
    assert ask(activity, 0) == SYMBOLS
    assert ask(activity, 1) == ()
    assert ask(activity, 2, "ETHUSDT") == ("ETHUSDT",)
    # What was there has gone meanwhile: how, its trades tell, and they may come late.
    assert ask(activity, 500_000) == ("ETHUSDT",)
    assert ask(activity, 500_000 + LATE_MS) == ("ETHUSDT",)
    assert ask(activity, 500_001 + LATE_MS) == ("ETHUSDT",)
    assert ask(activity, 500_002 + LATE_MS) == ()


def test_a_symbol_is_asked_until_late_trades_are_in() -> None:
    activity = Activity()
    ask(activity, 0)
    activity.note("BTCUSDT", 10)
    assert ask(activity, 20) == ("BTCUSDT",)
    assert ask(activity, 11 + LATE_MS) == ("BTCUSDT",)
    assert ask(activity, 12 + LATE_MS) == ()


def test_a_reading_that_failed_has_read_nothing() -> None:
    activity = Activity()
    assert activity.to_ask(SYMBOLS, (), 0).symbols == SYMBOLS
    assert ask(activity, 1) == SYMBOLS


def test_what_may_have_gone_unheard_is_read_once_more_even_if_a_reading_was_under_way() -> None:
    activity = Activity()
    ask(activity, 0)
    asked = activity.to_ask(SYMBOLS, (), 1)
    activity.doubt()
    activity.were_read(asked)
    assert ask(activity, 2) == SYMBOLS
    assert ask(activity, 3) == ()


def test_while_the_user_stream_is_down_every_symbol_is_asked_once_in_some_readings() -> None:
    """Somebody's round trip in a symbol where nothing is leaves no other trace."""
    symbols = tuple(f"S{number}USDT" for number in range(23))
    activity = Activity()

    def read() -> tuple[str, ...]:
        asked = activity.to_ask(symbols, (), 0)
        activity.were_read(asked)
        return asked.symbols

    assert read() == symbols
    activity.hear(is_up=False)
    assert read() == symbols
    for _ in range(3):
        asked = [read() for _ in range(UNHEARD_READINGS)]
        assert sorted(each for some in asked for each in some) == sorted(symbols)
        assert max(len(some) for some in asked) == 3
    failed = activity.to_ask(symbols, (), 0).symbols
    assert failed == read() != read()
    activity.hear(is_up=True)
    assert read() == symbols
    assert read() == ()


def test_what_the_account_says_nothing_of_is_not_asked_and_looked_at_once_more() -> None:
    """A second look when late news are in: then only what happens there opens it again."""
    activity = Activity()

    def read(now_ms: int, quiet: set[str]) -> tuple[str, ...]:
        asked = activity.to_ask(SYMBOLS, (), now_ms)
        cleared = asked.doubtful & quiet
        asked = asked.without(cleared)
        activity.were_read(asked)
        activity.clear(asked, cleared)
        return asked.symbols

    assert read(0, {"ETHUSDT"}) == ("BTCUSDT",)
    assert activity.to_ask(SYMBOLS, (), LATE_MS).symbols == ()
    assert activity.to_ask(SYMBOLS, (), LATE_MS + 1).symbols == ("ETHUSDT",)
    assert read(LATE_MS + 1, {"ETHUSDT"}) == ()
    assert activity.to_ask(SYMBOLS, (), 10 * LATE_MS).symbols == ()
    activity.note("ETHUSDT", 10 * LATE_MS)
    assert read(10 * LATE_MS + 1, {"ETHUSDT"}) == ("ETHUSDT",), "what happened is no mere doubt"
    activity.doubt()
    assert read(20 * LATE_MS, set()) == SYMBOLS


MANY = tuple(f"S{number}USDT" for number in range(40))


def income(symbol: str, **changes: object) -> dict[str, object]:
    """A row of /income."""
    return {
        "symbol": symbol, "incomeType": "COMMISSION", "income": "-0.01", "asset": "USDT",
        "time": START_MS, "tranId": 1, "tradeId": "5", "info": "", **changes,
    }  # fmt: skip


def test_a_start_with_forty_symbols_asks_for_the_fills_of_those_that_may_have_any() -> None:
    """One that an earlier session left something in, one with an order, one that somebody traded
    in: the income of the account is one call.
    """

    async def reads(bench: Bench) -> None:
        await start(bench)
        bench.server.answers["GET /fapi/v1/income"] = [income("S7USDT"), income("ELSEUSDT")]
        bench.server.answers["GET /fapi/v1/openOrders"] = [order_row(symbol="S9USDT")]
        await bench.venue.read(MANY, START_MS - 60_000)
        asked = bench.server.sent("GET /fapi/v1/userTrades")
        assert [each["symbol"] for each in asked] == ["S3USDT", "S7USDT", "S9USDT"]
        [row] = bench.server.sent("GET /fapi/v1/income")
        assert row["startTime"] == str(START_MS - 60_000)
        assert "incomeType" not in row

    on_bench(reads, symbols=MANY, kept=("S3USDT",))()


async def start(bench: Bench) -> None:
    """Forty symbols are there."""
    listed = [{**SYMBOL, "symbol": symbol} for symbol in MANY]
    bench.server.answers["GET /fapi/v1/exchangeInfo"] = {"symbols": listed}
    await bench.open()


@pytest.mark.parametrize(
    "reply",
    [
        Reply({"code": -1003, "msg": "Internal error"}, status=400),
        Reply([income("S1USDT")] * 1_000),
    ],
)
def test_every_symbol_is_asked_where_the_income_does_not_tell(reply: Reply) -> None:
    """It failed, or is more than a page."""

    async def reads(bench: Bench) -> None:
        await start(bench)
        bench.server.answers["GET /fapi/v1/income"] = lambda _: reply
        await bench.venue.read(MANY, START_MS)
        assert bench.server.count("GET /fapi/v1/userTrades") == len(MANY)

    on_bench(reads, symbols=MANY)()


def test_income_of_before_what_the_venue_knows_is_not_asked_for() -> None:
    async def reads(bench: Bench) -> None:
        await start(bench)
        await bench.venue.read(MANY, START_MS - 100 * DAY_MS)
        assert bench.server.count("GET /fapi/v1/income") == 0
        asked = {each["symbol"] for each in bench.server.sent("GET /fapi/v1/userTrades")}
        assert asked == set(MANY)

    on_bench(reads, symbols=MANY)()


def test_a_reading_asks_trades_of_symbols_in_which_something_happened() -> None:
    async def reads(bench: Bench) -> None:
        await bench.open()
        for _ in range(2):
            await bench.venue.read(SYMBOLS, START_MS)
        asked = bench.server.sent("GET /fapi/v1/userTrades")
        assert [each["symbol"] for each in asked] == ["BTCUSDT", "ETHUSDT"]
        bench.server.asked.clear()
        await bench.venue.place(BUY)
        await bench.venue.read(SYMBOLS, START_MS)
        row = {"s": "ETHUSDT", "c": "x", "S": "BUY", "x": "NEW", "X": "NEW", "i": 5, "z": "0"}
        await bench.server.push("private", {"e": "ORDER_TRADE_UPDATE", "o": {**row, "T": START_MS}})
        await bench.settle()
        await bench.venue.read(SYMBOLS, START_MS)
        asked = bench.server.sent("GET /fapi/v1/userTrades")
        assert [each["symbol"] for each in asked] == ["BTCUSDT", "BTCUSDT", "ETHUSDT"]

    on_bench(reads, symbols=SYMBOLS)()


def test_after_a_break_of_the_user_stream_trades_of_every_symbol_are_read() -> None:
    async def reads(bench: Bench) -> None:
        await bench.open()
        await bench.venue.read(SYMBOLS, START_MS)
        for socket in list(bench.server.sockets["private"]):
            await socket.close()
        await bench.settle(5.0)
        bench.server.asked.clear()
        await bench.venue.read(SYMBOLS, START_MS)
        assert bench.server.count("GET /fapi/v1/userTrades") == 2

    on_bench(reads, symbols=SYMBOLS)()


def test_while_the_user_stream_is_down_trades_of_idle_symbols_are_read_now_and_then() -> None:
    async def reads(bench: Bench) -> None:
        await bench.open()
        await bench.venue.read(SYMBOLS, START_MS)
        bench.venue._on_stream(False, "gone")
        await bench.venue.read(SYMBOLS, START_MS)
        bench.server.asked.clear()
        for _ in range(UNHEARD_READINGS):
            await bench.venue.read(SYMBOLS, START_MS)
        asked = bench.server.sent("GET /fapi/v1/userTrades")
        assert sorted(each["symbol"] for each in asked) == ["BTCUSDT", "ETHUSDT"]

    on_bench(reads, symbols=SYMBOLS)()


def test_positions_are_asked_for_only_where_the_account_holds_something() -> None:
    async def reads(bench: Bench) -> None:
        await bench.open()
        account = bench.server.answers["GET /fapi/v3/account"]
        row = {"symbol": "BTCUSDT", "positionSide": "BOTH", "positionAmt": "0.000"}
        bench.server.answers["GET /fapi/v3/account"] = {**account, "positions": [row]}
        await bench.venue.read(SYMBOLS, START_MS)
        assert bench.server.count("GET /fapi/v3/positionRisk") == 0
        row = {**row, "positionAmt": "-0.001"}
        bench.server.answers["GET /fapi/v3/account"] = {**account, "positions": [row]}
        await bench.venue.read(SYMBOLS, START_MS)
        assert bench.server.count("GET /fapi/v3/positionRisk") == 1

    on_bench(reads, symbols=SYMBOLS)()


def test_a_start_and_its_first_reading_fit_into_the_governors_bucket() -> None:
    """A bucket starts full: permissions, modes, leverage, the stream's key and the first picture
    are ten private calls.
    """

    async def starts(bench: Bench) -> None:
        account = bench.server.answers["GET /fapi/v3/account"]
        bench.server.answers["GET /fapi/v3/account"] = {**account, "positions": []}
        await bench.open()
        await bench.venue.read(["BTCUSDT"], START_MS)
        private = [each for each in bench.server.asked if "signature" in each.params]
        keys = bench.server.count("POST /fapi/v1/listenKey")
        assert (len(private) + keys, bench.governor.throttled) == (10, 0)

    on_bench(starts, governor=SHIPPED)()


def test_later_readings_leave_tokens_to_orders() -> None:
    async def reads(bench: Bench) -> None:
        await bench.open()
        await bench.venue.read(["BTCUSDT"], START_MS)
        bench.server.answers["GET /fapi/v1/openOrders"] = [order_row()]
        waited = bench.governor.throttled
        await bench.venue.read(["BTCUSDT"], START_MS)
        assert bench.governor.throttled > waited

    on_bench(reads, governor=GOVERNOR.model_copy(update={"calls_max": 10}))()
