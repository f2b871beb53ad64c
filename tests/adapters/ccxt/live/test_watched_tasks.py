"""Nothing that keeps a venue or a feed alive ends unheard: streams, their keys, what looks after
bars and rules.
"""

from __future__ import annotations

import asyncio

import pytest
from structlog.testing import capture_logs
from tests.adapters.ccxt.live.server import Bench, on_bench
from tests.adapters.ccxt.live.test_feed import Reader, close_bar

from tercel.adapters.ccxt.stream import Stream
from tercel.domain.events import FeedNews


def break_pings(stream: Stream, error: Exception) -> None:
    """Let the next ping of the present connection raise `error`."""

    async def ping(*_said: object) -> None:
        raise error

    stream._client.connection.ping = ping


@pytest.mark.parametrize("error", [OSError(28, "no buffer"), KeyError("a bug")])
def test_a_stream_whose_ping_fails_however_is_told_and_opened_anew(error: Exception) -> None:
    async def fails(bench: Bench) -> None:
        await bench.open()
        bench.take()
        break_pings(bench.venue._side.user_stream, error)
        await bench.settle(20.0)
        states = [each.is_up for each in bench.take() if isinstance(each, FeedNews)]
        assert states[:2] == [False, True]
        assert len(bench.server.sockets["private"]) == 1

    on_bench(fails)()


def test_a_connection_that_cannot_even_be_left_is_opened_anew() -> None:
    async def fails(bench: Bench) -> None:
        await bench.open()
        bench.take()
        stream = bench.venue._side.user_stream

        async def close() -> None:
            raise OSError(9, "bad file descriptor")

        stream._client.close = close
        stream.drop("a test")
        await bench.settle(5.0)
        states = [each.is_up for each in bench.take() if isinstance(each, FeedNews)]
        assert states[:2] == [False, True]

    on_bench(fails, loud=False)()


def test_what_an_unknown_error_says_is_told_without_keys() -> None:
    async def fails(bench: Bench) -> None:
        await bench.open()
        stream = bench.venue._side.user_stream
        break_pings(stream, ValueError("wss://venue/ws?listenKey=key1 key-of-a-test"))
        with capture_logs() as logs:
            await bench.settle(20.0)
        said = str([logs, bench.news])
        assert "ValueError" in said
        assert "key1" not in said
        assert "key-of-a-test" not in said

    on_bench(fails)()


@on_bench
async def test_the_news_of_a_venue_end_with_the_error_of_its_task(bench: Bench) -> None:
    async def keep() -> None:
        raise LookupError("a bug")

    await bench.venue.connect()
    bench.venue._side.keep = keep  # type: ignore[method-assign]
    await bench.venue.open()
    news = bench.venue.news()
    assert isinstance(await anext(news), FeedNews), "what came before it is told first"
    with pytest.raises(LookupError, match="a bug"):
        await asyncio.wait_for(anext(news), 60.0)


def test_the_items_of_a_feed_end_with_the_error_of_its_task() -> None:
    async def fails(bench: Bench) -> None:
        await bench.feed.open(("BTCUSDT",), "1m")
        reader = Reader(bench)
        await close_bar(bench, 0)
        bench.feed._lines["BTCUSDT"].missing = None  # type: ignore[method-assign, assignment]
        await bench.settle(1.0)
        assert reader.bars() == [0]
        assert isinstance(reader.task.exception(), TypeError)

    on_bench(fails)()


def test_an_error_while_missing_bars_are_fetched_ends_them_too() -> None:
    async def fails(bench: Bench) -> None:
        await bench.feed.open(("BTCUSDT",), "1m")
        reader = Reader(bench)
        await bench.settle(30.0)
        bench.feed._link.ask = None  # type: ignore[method-assign, assignment]
        await bench.settle(33.0)
        assert isinstance(reader.task.exception(), TypeError)

    on_bench(fails)()
