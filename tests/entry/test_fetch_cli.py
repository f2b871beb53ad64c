"""`tercel data fetch` from end to end: real servers on loopback, the real lake, real signals."""

from __future__ import annotations

import asyncio
import os
import signal
import socket
import sys
from asyncio.subprocess import PIPE, Process
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from dataclasses import replace
from pathlib import Path

import pytest
from tests.entry.fetch_program import Composition, program
from tests.fakes import bars_without, make_bars, same_bars
from tests.loopback import ArchiveServer, Fault, KlineServer, serving, until
from typer.testing import CliRunner, Result

import tercel
from tercel.adapters.lake import LakeBarStore
from tercel.domain.bars import SeriesKey
from tercel.domain.errors import InterruptedWorkError, TercelError, UserError, VenueError
from tercel.domain.fetch_policy import FetchPolicy
from tercel.domain.periods import day_of, month_of, periods_of
from tercel.domain.times import parse_time

ROOT = Path(__file__).resolve().parents[2]
KEY = SeriesKey("binance-usdm", "BTCUSDT", "1h")
SINCE, END = parse_time("2024-01-01"), parse_time("2024-07-01")
ALL = make_bars(SINCE, (END - SINCE) // KEY.bar_ms, KEY.bar_ms)
RANGE = ("--timeframe", "1h", "--since", "2024-01-01", "--until", "2024-07-01")


class World:
    """Both servers, the folders, and ways to run the command against them."""

    def __init__(self, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.archive = ArchiveServer()
        self.klines = KlineServer(END)
        self.folder = folder
        self._monkeypatch = monkeypatch

    def publish(self, *symbols: str, until_ms: int = END) -> None:
        """The months from January on up to `until_ms`, and the days of the rest."""
        for symbol in symbols:
            key = replace(KEY, symbol=symbol)
            for period in periods_of(SINCE, until_ms):
                hours = (period.end_ms - period.start_ms) // key.bar_ms
                bars = make_bars(period.start_ms, hours, key.bar_ms)
                self.archive.publish(key, period, bars, header=True)

    def lake(self) -> LakeBarStore:
        return LakeBarStore(self.folder / "lake")

    async def run(self, *arguments: str, url: str | None = None) -> Result:
        """The command in this process; an error of ours is raised."""
        patient = FetchPolicy(
            retries=1,
            backoff_seconds_first=0.01,
            requests_per_second=1000,
            archive_url=url or self.archive.url,
            rest_url=url or self.klines.url,
        )
        root = Composition(self.folder, patient).module()
        self._monkeypatch.setitem(sys.modules, "tercel.bootstrap", root)
        self._monkeypatch.setattr(tercel, "bootstrap", root, raising=False)
        self._monkeypatch.setenv("COLUMNS", "200")
        result = await asyncio.to_thread(CliRunner().invoke, program(), list(arguments))
        if isinstance(result.exception, TercelError):
            raise result.exception
        return result

    async def start(self, *arguments: str) -> Process:
        """The command in a process of its own."""
        script = Path(__file__).with_name("fetch_program.py")
        environment = {
            **os.environ,
            "PYTHONPATH": f"{ROOT / 'src'}:{ROOT}",
            "ARCHIVE_URL": self.archive.url,
            "REST_URL": self.klines.url,
            "FOLDER": str(self.folder),
        }
        return await asyncio.create_subprocess_exec(
            *(sys.executable, "-W", "error", str(script), *arguments),
            env=environment,
            stdout=PIPE,
            stderr=PIPE,
        )

    def part_bytes(self, name: str) -> int:
        """Bytes downloaded so far of the archive file `name`."""
        part = self.folder / "cache" / KEY.venue / f"{name}.part"
        return part.stat().st_size if part.exists() else 0

    def stored(self, month: str) -> bool:
        """Whether the lake has a file of `month`."""
        return (self.folder / "lake" / KEY.venue / "BTCUSDT" / "1h" / f"{month}.parquet").exists()


@pytest.fixture
async def world(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[World]:
    made = World(tmp_path, monkeypatch)
    async with AsyncExitStack() as stack:
        await stack.enter_async_context(serving(made.archive))
        await stack.enter_async_context(serving(made.klines))
        yield made


async def test_archive_then_rest_for_several_symbols(world: World) -> None:
    """Archives to the end of May, June over REST; a second run asks for nothing."""
    published = parse_time("2024-06-01")
    world.publish("BTCUSDT", "ETHUSDT", until_ms=published)
    result = await world.run("btcusdt", "ETHUSDT", "BTCUSDT", *RANGE)
    assert result.exit_code == 0
    for symbol in ("BTCUSDT", "ETHUSDT"):
        assert same_bars(world.lake().read(replace(KEY, symbol=symbol)).bars, ALL)
        line = next(line for line in result.output.splitlines() if f"{symbol} 1h  " in line)
        assert line.split()[3:7] == ["4,368", "3,648", "720", "0"]
        assert f"{symbol} 1h: not in the archive: 2024-06" in result.output
    assert not list((world.folder / "cache").rglob("*.part*"))
    asked = len(world.archive.requests), len(world.klines.requests)
    again = await world.run("BTCUSDT", "ETHUSDT", *RANGE)
    assert again.exit_code == 0
    assert (len(world.archive.requests), len(world.klines.requests)) == asked


async def test_what_is_left_missing_is_said(world: World) -> None:
    """The venue was down for three hours: said each time, downloaded once."""
    world.publish("BTCUSDT")
    march = month_of(parse_time("2024-03-01"))
    down = (parse_time("2024-03-05T02:00"), parse_time("2024-03-05T05:00"))
    bars = make_bars(march.start_ms, 31 * 24, KEY.bar_ms)
    world.archive.publish(KEY, march, bars_without(bars, [down]))
    for _ in range(2):
        result = await world.run("BTCUSDT", "--no-rest", *RANGE)
        expected = "1 gaps left, the first from 2024-03-05 02:00 to 2024-03-05 05:00 (3 bars)"
        assert expected in result.output
    assert world.archive.count("2024-03.zip") == 1


async def test_stored_bars_that_differ_are_said(world: World) -> None:
    day = day_of(parse_time("2024-06-30"))
    bars = make_bars(day.start_ms, 24, KEY.bar_ms)
    world.archive.publish(KEY, day, bars)
    other = bars[4:5].copy()
    other["volume"] += 1.0
    world.lake().merge(KEY, other, source="import")
    result = await world.run("BTCUSDT", *RANGE[:2], "--since", "2024-06-30", *RANGE[4:])
    assert "1 bars differ from those stored, which were kept; the first: " in result.output


async def test_rest_alone_and_archive_alone(world: World) -> None:
    world.publish("BTCUSDT")
    options = ("--timeframe", "1h", "--until", "2024-02-01")
    lake = ("--lake", str(world.folder / "lake"))
    await world.run("BTCUSDT", "--since", "2024-01-20", "--no-archive", *options, *lake)
    assert not world.archive.requests
    await world.run("BTCUSDT", "--since", "2024-01-01", "--no-rest", *options)
    assert len(world.klines.requests) == 1
    assert same_bars(world.lake().read(KEY).bars, ALL[: 31 * 24])


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("BTCUSDT", "--venue", "kraken"), "--venue kraken: not one of binance-usdm"),
        (("BTCUSDT", "--venue", "synthetic"), "--venue synthetic: not one of binance-usdm"),
        (("BTCUSDT", "--timeframe", "7m"), "--timeframe 7m: not one of 1m"),
        (("BTC/USDT",), "'BTC/USDT' is not a symbol"),
        (("BTCUSDT", "--no-rest", "--no-archive"), "leave out --no-archive or --no-rest"),
        (("BTCUSDT", "--no-rest", "--venue", "bybit-linear"), "bybit-linear from: it has no bulk"),
        (("BTCUSDT", "--until", "yesterday"), "--until: cannot read 'yesterday'"),
    ],
)
async def test_mistakes_are_one_clear_line(
    world: World, arguments: tuple[str, ...], message: str
) -> None:
    with pytest.raises(UserError, match=message):
        await world.run(*arguments, "--since", "2024-01-01")


async def test_one_unknown_symbol_among_good_ones(world: World) -> None:
    world.publish("BTCUSDT")
    with pytest.raises(UserError, match="binance-usdm does not know NOUSDT"):
        await world.run("NOUSDT", "BTCUSDT", *RANGE)
    assert len(world.lake().read(KEY).bars) == len(ALL)


async def test_rest_that_cannot_be_reached_names_what_is_saved(world: World) -> None:
    world.publish("BTCUSDT", until_ms=parse_time("2024-06-01"))
    world.klines.fail("/klines", *[Fault(status=503)] * 9)
    with pytest.raises(VenueError) as caught:
        await world.run("BTCUSDT", *RANGE)
    assert "gave up after 2 tries" in str(caught.value)
    assert "saved: BTCUSDT 3,648 bars; running the same command again" in str(caught.value)


async def test_other_addresses_on_the_command_line(world: World) -> None:
    world.publish("BTCUSDT", until_ms=parse_time("2024-06-01"))
    addresses = ("--archive-url", world.archive.url, "--rest-url", world.klines.url)
    result = await world.run("BTCUSDT", *RANGE, *addresses, url="http://127.0.0.1:9")
    assert result.exit_code == 0
    assert world.klines.count("/klines") == 1


async def test_help_shows_examples(world: World) -> None:
    result = await world.run("--help")
    assert "tercel data fetch BTCUSDT --since 2025-01-01" in result.output


async def test_stopped_in_this_process(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    def stopped(work: object) -> None:
        work.close()  # type: ignore[attr-defined]
        raise KeyboardInterrupt

    monkeypatch.setattr(asyncio, "run", stopped)
    with pytest.raises(InterruptedWorkError, match="stopped; nothing was saved"):
        await world.run("BTCUSDT", *RANGE)


# ---- in a process of its own


async def stuck_in_march(world: World) -> tuple[Process, str]:
    """A fetch that stored January and February and hangs inside March; April to June are ahead."""
    world.publish("BTCUSDT")
    march = "BTCUSDT-1h-2024-03.zip"
    world.archive.fail(march, Fault(cut_after=4000, hang=True))
    process = await world.start("BTCUSDT", *RANGE)
    ahead = {
        path.rsplit("/", 1)[1]: len(content)
        for path, content in world.archive.files.items()
        if path.endswith(("-04.zip", "-05.zip", "-06.zip"))
    }
    await until(lambda: world.stored("2024-01") and world.stored("2024-02"))
    await until(lambda: world.part_bytes(march) == 4000)
    await until(lambda: all(world.part_bytes(name) == size for name, size in ahead.items()))
    return process, march


async def check_resumed(world: World, march: str) -> None:
    """A second run asks for the rest of March alone."""
    before = len(world.archive.requests)
    assert (await world.run("BTCUSDT", *RANGE)).exit_code == 0
    zips = [path for path in world.archive.requests[before:] if path.endswith(".zip")]
    assert [path.rsplit("/", 1)[1] for path in zips] == [march]
    assert world.archive.headers[world.archive.requests.index(zips[0], before)]["Range"] == (
        "bytes=4000-"
    )
    assert not world.klines.requests
    assert same_bars(world.lake().read(KEY).bars, ALL)
    assert not list((world.folder / "cache").rglob("*.part*"))


@pytest.mark.slow
async def test_killed_and_run_again(world: World) -> None:
    """kill -9 in the middle of March: what was downloaded is not asked for again."""
    process, march = await stuck_in_march(world)
    process.send_signal(signal.SIGKILL)
    await process.communicate()
    await check_resumed(world, march)


@pytest.mark.slow
async def test_interrupted_and_run_again(world: World) -> None:
    """Ctrl-C in the middle of March: one line, exit code 130, and the same resumption."""
    process, march = await stuck_in_march(world)
    process.send_signal(signal.SIGINT)
    _, error = await process.communicate()
    assert process.returncode == 130
    assert error.decode().splitlines() == [
        "stopped; saved: BTCUSDT 1,440 bars; running the same command again resumes there"
    ]
    await check_resumed(world, march)


@pytest.mark.slow
async def test_a_dead_server_is_one_line(world: World) -> None:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        world.archive.url = f"http://127.0.0.1:{probe.getsockname()[1]}"
    process = await world.start("BTCUSDT", "ETHUSDT", *RANGE)
    _, error = await process.communicate()
    assert process.returncode == 1
    lines = error.decode().splitlines()
    assert len(lines) == 1
    assert world.archive.url in lines[0]
    assert "nothing was saved" in lines[0]
