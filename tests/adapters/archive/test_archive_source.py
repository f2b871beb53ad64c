"""The archive source against a real HTTP server on loopback: good days and bad ones."""

from __future__ import annotations

import socket
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from tests.fakes import bars_without, make_bars, same_bars
from tests.loopback import ArchiveServer, Fault, serving

from tercel.adapters.archive import ArchiveBarSource, download
from tercel.adapters.archive.partial import PartialFile
from tercel.adapters.clock import VirtualClock
from tercel.core.records import BAR, Records
from tercel.domain.bars import SeriesKey
from tercel.domain.errors import DataError, StorageError, UserError, VenueError
from tercel.domain.fetch_policy import FetchPolicy
from tercel.domain.periods import Period, day_of, month_of
from tercel.domain.times import DAY_MS, parse_time

HOURLY = SeriesKey("binance-usdm", "BTCUSDT", "1h")
MARCH = month_of(parse_time("2024-03-10"))
FEBRUARY = month_of(parse_time("2024-02-10"))
NOW = parse_time("2024-05-01T12:00")


def bars_of(period: Period, key: SeriesKey = HOURLY) -> Records:
    return make_bars(period.start_ms, (period.end_ms - period.start_ms) // key.bar_ms, key.bar_ms)


class Bench:
    """A server, a clock and a source that talks to it."""

    def __init__(self, folder: Path) -> None:
        self.server = ArchiveServer()
        self.clock = VirtualClock(NOW)
        self.folder = folder
        self.policy = FetchPolicy(timeout_seconds=10.0)
        self.sources: list[ArchiveBarSource] = []

    def source(self, **changes: object) -> ArchiveBarSource:
        policy = replace(self.policy, archive_url=self.server.url, **changes)  # type: ignore[arg-type]
        self.sources.append(ArchiveBarSource(policy, self.clock, self.folder, seed=1))
        return self.sources[-1]

    async def fetched(
        self, start_ms: int, end_ms: int, key: SeriesKey = HOURLY, **changes: object
    ) -> Records:
        pieces = [bars async for bars in self.source(**changes).fetch(key, start_ms, end_ms)]
        return np.concatenate(pieces) if pieces else np.zeros(0, dtype=BAR)

    def parts(self) -> list[str]:
        return sorted(path.name for path in self.folder.rglob("*.part*"))


@pytest.fixture
async def bench(tmp_path: Path) -> AsyncIterator[Bench]:
    made = Bench(tmp_path)
    async with serving(made.server):
        yield made
        for source in made.sources:
            await source.close()
            await source.close()


async def test_whole_months_come_as_months_and_the_rest_as_days(bench: Bench) -> None:
    """One month and two days: three files, each asked for once, nothing left behind on disk."""
    april = month_of(MARCH.end_ms)
    bench.server.publish(HOURLY, MARCH, bars_of(MARCH), header=True)
    for day in (day_of(april.start_ms), day_of(april.start_ms + DAY_MS)):
        bench.server.publish(HOURLY, day, bars_of(day), microseconds=True)
    got = await bench.fetched(MARCH.start_ms, april.start_ms + 2 * DAY_MS)
    assert same_bars(got, make_bars(MARCH.start_ms, 33 * 24, HOURLY.bar_ms))
    assert [path.rsplit("/", 1)[1] for path in bench.server.requests if path.endswith(".zip")] == [
        "BTCUSDT-1h-2024-03.zip",
        "BTCUSDT-1h-2024-04-01.zip",
        "BTCUSDT-1h-2024-04-02.zip",
    ]
    assert bench.server.requests[1].startswith("/data/futures/um/monthly/klines/BTCUSDT/1h/")
    assert not bench.parts()


async def test_spot_has_its_own_folder(bench: Bench) -> None:
    key = replace(HOURLY, venue="binance-spot")
    bench.server.publish(key, MARCH, bars_of(MARCH))
    assert len(await bench.fetched(MARCH.start_ms, MARCH.end_ms, key)) == 31 * 24
    assert bench.server.requests[1].startswith("/data/spot/monthly/klines/BTCUSDT/1h/")


async def test_other_venues_have_no_archive(bench: Bench) -> None:
    with pytest.raises(UserError, match="bybit-linear has no bulk archive"):
        await bench.fetched(MARCH.start_ms, MARCH.end_ms, SeriesKey("bybit-linear", "BTCUSDT"))


async def test_only_bars_of_the_range(bench: Bench) -> None:
    day = day_of(MARCH.start_ms)
    bench.server.publish(HOURLY, day, bars_of(day))
    start = day.start_ms + 5 * HOURLY.bar_ms
    got = await bench.fetched(start, start + 3 * HOURLY.bar_ms)
    assert same_bars(got, make_bars(start, 3, HOURLY.bar_ms))
    assert not len(await bench.fetched(NOW, NOW + DAY_MS))


async def test_files_that_are_not_there_are_no_error(bench: Bench) -> None:
    """Old ones are remembered as absent; a recent one may still be published."""
    april = month_of(MARCH.end_ms)
    bench.server.publish(HOURLY, MARCH, bars_of(MARCH))
    del bench.server.files[next(path for path in bench.server.files if path.endswith(".zip"))]
    got = await bench.fetched(FEBRUARY.start_ms, april.end_ms)
    assert not len(got)
    absent = bench.source().absent(HOURLY)
    assert [(gap.start, gap.end, gap.bars) for gap in absent] == [
        (FEBRUARY.start_ms, FEBRUARY.end_ms, 29 * 24)
    ]


async def test_remembers_holes_inside_a_good_file(bench: Bench) -> None:
    """The venue was down for two hours: nobody needs to download that month again to see it."""
    hole = (MARCH.start_ms + DAY_MS, MARCH.start_ms + DAY_MS + 2 * HOURLY.bar_ms)
    last = (MARCH.end_ms - HOURLY.bar_ms, MARCH.end_ms)
    bench.server.publish(HOURLY, MARCH, bars_without(bars_of(MARCH), [hole, last]))
    await bench.fetched(MARCH.start_ms, MARCH.end_ms)
    found = bench.source().absent(HOURLY)
    assert [(gap.start, gap.end) for gap in found] == [hole, last]
    mirror = FetchPolicy(archive_url="http://mirror.invalid")
    assert ArchiveBarSource(mirror, bench.clock, bench.folder).absent(HOURLY) == ()
    memory = next(bench.folder.glob("absent/**/*.json"))
    memory.write_text('{"absent": [[1]]}')
    assert bench.source().absent(HOURLY) == ()


async def test_a_memory_that_cannot_be_written_is_no_error(bench: Bench) -> None:
    (bench.folder / "absent").write_text("a file where a folder should be")
    bench.server.publish(HOURLY, MARCH, bars_of(MARCH)[:-1])
    assert len(await bench.fetched(MARCH.start_ms, MARCH.end_ms)) == 31 * 24 - 1


async def test_a_cut_download_is_resumed(bench: Bench) -> None:
    name = bench.server.publish(HOURLY, MARCH, bars_of(MARCH))
    bench.server.fail(name, Fault(cut_after=3000), Fault(cut_after=2000))
    got = await bench.fetched(MARCH.start_ms, MARCH.end_ms)
    assert same_bars(got, bars_of(MARCH))
    ranges = [headers.get("Range") for headers in bench.server.headers]
    assert ranges == [None, None, None, "bytes=3000-", None, "bytes=5000-"]


@pytest.mark.parametrize("lacking", ["etags", "ranges"])
async def test_a_cut_download_starts_afresh_where_it_must(bench: Bench, lacking: str) -> None:
    setattr(bench.server, lacking, False)
    name = bench.server.publish(HOURLY, MARCH, bars_of(MARCH))
    bench.server.fail(name, Fault(cut_after=3000))
    assert same_bars(await bench.fetched(MARCH.start_ms, MARCH.end_ms), bars_of(MARCH))
    assert bench.server.count(name) == 2


async def test_a_download_is_kept_until_its_bars_are_stored(bench: Bench) -> None:
    """Killed between download and store: the next run reads the bytes from disk."""
    name = bench.server.publish(HOURLY, MARCH, bars_of(MARCH))
    stream = bench.source().fetch(HOURLY, MARCH.start_ms, MARCH.end_ms)
    await anext(stream)
    await stream.aclose()
    assert bench.parts() == [f"{name}.part", f"{name}.part.etag"]
    assert same_bars(await bench.fetched(MARCH.start_ms, MARCH.end_ms), bars_of(MARCH))
    assert bench.server.count(".zip") == 1
    assert not bench.parts()


async def test_a_part_of_another_version_is_thrown_away(bench: Bench) -> None:
    """The file was republished shorter than what we hold of it, or the range goes wrong."""
    name = bench.server.publish(HOURLY, MARCH, bars_of(MARCH))
    part = PartialFile(bench.folder / HOURLY.venue / name)
    with part.writing(resumed=False, etag='"old"') as write:
        write(b"x" * 100)
    bench.server.fail(name, Fault(status=416))
    assert same_bars(await bench.fetched(MARCH.start_ms, MARCH.end_ms), bars_of(MARCH))
    with part.writing(resumed=False, etag='"old"') as write:
        write(b"x" * 100)
    bench.server.fail(name, Fault(status=206, headers={"Content-Range": "bytes 7-9/10"}))
    assert same_bars(await bench.fetched(MARCH.start_ms, MARCH.end_ms), bars_of(MARCH))


async def test_a_wrong_checksum_is_tried_again(bench: Bench) -> None:
    name = bench.server.publish(HOURLY, MARCH, bars_of(MARCH))
    bench.server.fail(name, Fault(body=b"damaged on the way"))
    bench.server.fail(f"{name}.CHECKSUM", Fault(body=b""), Fault(body=b"<html>"))
    assert same_bars(await bench.fetched(MARCH.start_ms, MARCH.end_ms), bars_of(MARCH))


async def test_a_checksum_that_stays_wrong_names_file_expected_and_got(bench: Bench) -> None:
    name = bench.server.publish(HOURLY, MARCH, bars_of(MARCH))
    checksum = next(path for path in bench.server.files if path.endswith(".CHECKSUM"))
    bench.server.files[checksum] = f"{'0' * 64}  {name}".encode()
    with pytest.raises(VenueError) as caught:
        await bench.fetched(MARCH.start_ms, MARCH.end_ms, retries=2)
    assert bench.server.count(name) == 3
    assert name in str(caught.value)
    assert f"expected {'0' * 64}, got " in str(caught.value)
    assert "gave up after 3 tries" in str(caught.value)
    assert not bench.parts()


async def test_waits_as_long_as_the_server_asks(bench: Bench) -> None:
    name = bench.server.publish(HOURLY, MARCH, bars_of(MARCH))
    bench.server.fail(f"{name}.CHECKSUM", Fault(status=429, headers={"Retry-After": "120"}))
    bench.server.fail(name, Fault(status=418, headers={"Retry-After": "Wed, 01 May 2024 12:10:00"}))
    assert len(await bench.fetched(MARCH.start_ms, MARCH.end_ms, retry_after_seconds_max=900.0))
    waited_ms = bench.clock.now_ms() - NOW
    assert 600_000 <= waited_ms < 700_000


async def test_does_not_wait_for_a_ban_of_hours(bench: Bench) -> None:
    name = bench.server.publish(HOURLY, MARCH, bars_of(MARCH))
    bench.server.fail(f"{name}.CHECKSUM", Fault(status=418, headers={"Retry-After": "86400"}))
    with pytest.raises(VenueError, match="left alone for 86400 s"):
        await bench.fetched(MARCH.start_ms, MARCH.end_ms)
    assert len(bench.server.requests) == 1


async def test_backs_off_from_a_struggling_server(bench: Bench) -> None:
    name = bench.server.publish(HOURLY, MARCH, bars_of(MARCH))
    bench.server.fail(name, *[Fault(status=503)] * 4)
    assert len(await bench.fetched(MARCH.start_ms, MARCH.end_ms))
    # Waits of 1, 2, 4 and 8 s, each shortened by up to half.
    assert 7_500 <= bench.clock.now_ms() - NOW <= 18_000


async def test_gives_up_in_the_end(bench: Bench) -> None:
    name = bench.server.publish(HOURLY, MARCH, bars_of(MARCH))
    bench.server.fail(name, *[Fault(status=503)] * 10)
    with pytest.raises(VenueError, match="gave up after 1 try: HTTP 503"):
        await bench.fetched(MARCH.start_ms, MARCH.end_ms, retries=0)


async def test_a_server_that_says_nothing(bench: Bench) -> None:
    name = bench.server.publish(HOURLY, MARCH, bars_of(MARCH))
    bench.server.fail(name, Fault(hang=True))
    with pytest.raises(VenueError, match=r"no answer within 0\.1 s"):
        await bench.fetched(MARCH.start_ms, MARCH.end_ms, retries=0, timeout_seconds=0.1)


async def test_a_refusal_is_final(bench: Bench) -> None:
    name = bench.server.publish(HOURLY, MARCH, bars_of(MARCH))
    bench.server.fail(f"{name}.CHECKSUM", Fault(status=451))
    with pytest.raises(VenueError, match=r"HTTP 451 .*--no-archive"):
        await bench.fetched(MARCH.start_ms, MARCH.end_ms)
    assert len(bench.server.requests) == 1


async def test_no_server_at_all(bench: Bench) -> None:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    policy = FetchPolicy(archive_url=f"http://127.0.0.1:{port}", retries=2)
    source = ArchiveBarSource(policy, bench.clock, bench.folder)
    with pytest.raises(VenueError) as caught:
        await anext(source.fetch(HOURLY, MARCH.start_ms, MARCH.end_ms))
    await source.close()
    assert "\n" not in str(caught.value)
    assert f"http://127.0.0.1:{port}: gave up after 3 tries" in str(caught.value)


async def test_a_damaged_file_with_a_right_checksum_is_the_archives_fault(bench: Bench) -> None:
    bars = bars_of(MARCH)
    bars["high"][4] = np.nan
    name = bench.server.publish(HOURLY, MARCH, bars)
    with pytest.raises(DataError, match=name):
        await bench.fetched(MARCH.start_ms, MARCH.end_ms)


async def test_a_file_without_end(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(download, "FILE_BYTES_MAX", 1000)
    bench.server.publish(HOURLY, MARCH, bars_of(MARCH))
    with pytest.raises(VenueError, match="more than 1,000 bytes"):
        await bench.fetched(MARCH.start_ms, MARCH.end_ms)


async def test_a_cache_folder_that_cannot_be_written(bench: Bench) -> None:
    bench.server.publish(HOURLY, MARCH, bars_of(MARCH))
    (bench.folder / HOURLY.venue).write_text("a file where a folder should be")
    with pytest.raises(StorageError, match="cannot write the download"):
        await bench.fetched(MARCH.start_ms, MARCH.end_ms)
