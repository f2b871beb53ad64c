"""What a session looks like: contents, not layout."""

from __future__ import annotations

import dataclasses
import io
import re
from decimal import Decimal

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from rich.console import Console
from tests.live_status import (
    NOW_MS,
    a_decision,
    a_position,
    a_trade,
    an_alert,
    full_status,
    with_changes,
)

from tercel.adapters.ccxt.precision import VenueRules
from tercel.app.live.status_records import (
    BreakersStatus,
    CoolDownStatus,
    OutageStatus,
    SessionStatus,
)
from tercel.entry.cli.live_view import (
    LiveView,
    PlainView,
    fitted,
    open_view,
    picture,
)
from tercel.entry.cli.session_words import clean, lasted, number, on_tick, switches_line

ESCAPES = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]")


def screen(width: int = 80, *, terminal: bool = True) -> Console:
    return Console(
        file=io.StringIO(), width=width, record=True, force_terminal=terminal, color_system=None
    )


def shown(status: SessionStatus, width: int = 80) -> str:
    """The picture as plain text."""
    console = screen(width)
    console.print(picture(status))
    return console.export_text()


def quiet_breakers() -> BreakersStatus:
    return dataclasses.replace(full_status().breakers, cool_downs=(), counters=())


def words(text: str) -> str:
    """With single spaces: however it was laid out."""
    return " ".join(text.split())


@pytest.mark.parametrize(
    "part",
    [
        "paper at binance-usdm s1a2b3 2024-06-25 13:30:07 UTC, up 01:02:03",
        "three_r, swing on BTCUSDT, ETHUSDT 1m",
        "automation on, but no entries in ETHUSDT: see market; cooling down: BTCUSDT until "
        "13:35:07 (revenge)",
        "the stream of our orders is down since 13:29:02 (00:01:05): connection closed, code 1006. "
        "Positions and orders are read over REST meanwhile; it reconnects by itself.",
        "equity 10,088.00 = cash 10,050.50, open at the mark +37.50",
        "net +88.00 since the start at 10,000.00: closed trades +57.50, open +30.50 (+29.75 if "
        "closed now)",
        "realised +50.50 = gross +75.25, fees -20.50, slippage -3.50, funding -0.75",
        "today (UTC): net +12.25, entries 4",
        "since the start: trades 9, won 5, worst drawdown 1.25 %",
        "beside it: ghost -4.50 in 3 trades, shadow +47.25 in 9",
        "the venue holds something else in ETHUSDT",
        "positions (net: if closed now) BTCUSDT long 0.25 three_r",
        "BTCUSDT long 0.25 three_r 60000 -> 60150 +1.50 R gross +41.25 net +29.75",
        "stop 59900 targets 60200 60300 trail 60050 liquidation 50125, 16.7 % away",
        "BTCUSDT stop sell 0.25 stop 59900 acked",
        "BTCUSDT 60150 60149.9 / 60150.1 bar of 13:30:00 healthy",
        "ETHUSDT - no bar yet stale: no quote for 9000 ms",
        "revenge cool-down (account BTCUSDT) until 13:35:07",
        "daily trade limit (account): 10 of 10",
        "13:30:00 BTCUSDT three_r long (breakout score 72.5) refused: heat",
        "13:30:00 BTCUSDT three_r long (breakout score 72.5) entered",
        "closed short 2 ETHUSDT 3400 -> 3390 target_1: gross +20.00, net -8.50",
        "13:30:02 WARNING PAUSED asked by cli",
        "order to answer: median 41.5 ms, p99 88.2 ms, worst 120.0 ms of 12",
    ],
)
def test_the_picture_has(part: str) -> None:
    assert part in words(shown(full_status()))


@pytest.mark.parametrize("width", [40, 60, 80, 200])
def test_every_width_has_everything(width: int) -> None:
    text = shown(full_status(), width)
    assert max(map(len, text.splitlines())) <= width
    assert words(text).replace(" ", "") == words(shown(full_status(), 500)).replace(" ", "")


def test_what_needs_a_person_comes_first() -> None:
    rows = shown(with_changes(full_status(), outages=())).splitlines()
    sections = [row.strip() for row in rows if row[:1] != " " and len(row.split()) == 1]
    assert sections == [
        "market", "breakers", "decisions", "trades", "alerts", "account", "orders", "latency"
    ]  # fmt: skip
    assert rows.index("positions (net: if closed now)") < rows.index("market")


def fitting(status: SessionStatus, height: int = 24, width: int = 80) -> list[str]:
    """The rows of a view that stays, on a small screen."""
    console = Console(
        file=io.StringIO(), width=width, height=height, record=True, color_system=None
    )
    console.print(fitted(status, console))
    return console.export_text().splitlines()


def test_a_small_screen_has_the_promised_parts() -> None:
    """A position, many old alerts of two lines each, and all of it on 24 rows."""
    old = tuple(
        dataclasses.replace(an_alert(n, text="a long text " * 9), time_ms=NOW_MS - 3_600_000)
        for n in range(1, 6)
    )
    decisions = tuple(a_decision(n) for n in range(1, 6))
    status = with_changes(full_status(), alerts=old, decisions=decisions, outages=())
    rows = fitting(status)
    assert len(rows) <= 24
    text = words(" ".join(rows))
    for part in (
        "automation on, but no entries in ETHUSDT",
        "stop 59900 targets 60200 60300",
        "net +29.75",
        "market: 1 healthy, last bar 13:30:00; ETHUSDT stale: no quote for 9000 ms",
        "breakers: revenge cool-down (account BTCUSDT) until 13:35:07; daily trade limit",
        "closed short 2 ETHUSDT",
    ):
        assert part in text
    assert text.count("refused: heat") == 3
    assert "a long text" not in text


def test_a_small_screen_has_two_alerts_and_critical_ones_stay() -> None:
    old = dataclasses.replace(an_alert(1, "critical", "old"), time_ms=NOW_MS - 3_600_000)
    status = with_changes(full_status(), alerts=(old,), outages=(), breakers=quiet_breakers())
    assert "CRITICAL PAUSED old" in words(" ".join(fitting(status)))
    many = tuple(an_alert(n, text=f"number {n}.") for n in range(1, 9))
    text = words(" ".join(fitting(with_changes(status, alerts=many))))
    assert text.count("WARNING PAUSED") == 2
    assert "number 8." in text
    assert "number 7." in text
    assert "breakers: quiet" in text


@pytest.mark.parametrize(("height", "width"), [(5, 80), (12, 40), (24, 80), (50, 80), (200, 200)])
def test_no_screen_is_overrun(height: int, width: int) -> None:
    rows = fitting(full_status(), height, width)
    assert len(rows) <= height
    assert max(map(len, rows)) <= width


def test_what_is_far_from_its_limit_is_left_out() -> None:
    text = shown(full_status())
    assert "daily drawdown" not in text
    assert "24 h kill switch" not in text


def test_a_quiet_session_is_short() -> None:
    quiet = with_changes(
        full_status(),
        positions=(),
        orders=(),
        decisions=(),
        trades=(),
        alerts=(),
        latencies=(),
        mismatched=(),
        outages=(),
        shadow=None,
    )
    text = shown(quiet)
    for absent in ("positions", "orders", "decisions", "alerts", "latency", "shadow"):
        assert absent not in text


@pytest.mark.parametrize(
    ("changes", "line"),
    [
        ({"kill_latched": "asked by x"}, "KILLED (still closing): asked by x"),
        (
            {"kill_latched": "asked by x", "kill_verified": True},
            "KILLED (verified flat): asked by x",
        ),
        ({"is_ready": False}, "starting: the venue is compared with the state"),
        (
            {"blocked": ("automation_off", "kill_24h")},
            "no entries: automation_off (signals are only watched; `tercel automation on` trades "
            "them), kill_24h (`tercel kill --rearm` ends it)",
        ),
        (
            {"feeds": full_status().feeds[:1], "breakers": quiet_breakers()},
            "automation on, entries are made",
        ),
        (
            {"feeds": full_status().feeds[:1]},
            "automation on, but cooling down: BTCUSDT until 13:35:07 (revenge)",
        ),
        (
            {"breakers": quiet_breakers()},
            "automation on, but no entries in ETHUSDT: see market",
        ),
        (
            {"is_stopping": True, "blocked": ("paused",)},
            "ending: no entries; what was sent is waited for",
        ),
        (
            {
                "breakers": dataclasses.replace(
                    full_status().breakers,
                    cool_downs=(CoolDownStatus("loss streak cool-down", "account", NOW_MS + 1),),
                )
            },
            "automation on, but no entries until 13:30:07: loss streak cool-down",
        ),
    ],
)
def test_whether_it_trades_is_one_line(changes: dict[str, object], line: str) -> None:
    status = with_changes(full_status(), **changes)
    assert switches_line(status) == line
    assert line in words(shown(status))


def test_a_venue_that_is_gone_is_told_in_plain_words() -> None:
    """Since when, what it means for what is open, and what is done about it."""
    gone = (OutageStatus("venue", NOW_MS - 130_000, "Connect call failed"),)
    status = with_changes(full_status(), mode="live", outages=gone, blocked=("unhealthy_feed",))
    told = (
        "the venue cannot be reached since 13:27:57 (00:02:10): Connect call failed. No entries. "
        "Stops and targets that rest there go on working. Streams reconnect by themselves, "
        "reading: it is tried again every 2 s."
    )
    assert told in words(shown(status))
    assert "no entries: unhealthy_feed (positions and orders cannot be read)" in words(
        shown(status)
    )
    assert "No position is open." in words(shown(with_changes(status, positions=())))


@pytest.mark.parametrize("what", ["reading", "market", "journal"])
def test_every_outage_says_what_it_means(what: str) -> None:
    gone = (OutageStatus(what, NOW_MS, "why"),)
    status = with_changes(full_status(), mode="live", outages=gone)
    assert "since 13:30:07 (00:00:00): why. No entries; " in words(shown(status))


@pytest.mark.parametrize("what", ["venue", "market"])
def test_on_paper_nothing_rests_at_a_venue(what: str) -> None:
    """Its exchange is in the process, and sees prices only while the stream brings them."""
    status = with_changes(full_status(), outages=(OutageStatus(what, NOW_MS, "why"),))
    assert status.mode == "paper"
    told = words(shown(status))
    assert "why. No entries. Simulated stops and targets wait for prices" in told
    assert "rest there" not in told
    assert "stay active" not in told


def test_the_figures_add_up() -> None:
    status = full_status()
    account = status.account
    assert account.equity_quote == account.cash_quote + account.unrealised_quote
    assert account.net_quote == account.closed_net_quote + account.open_net_quote
    assert account.net_quote == account.realised_quote + account.unrealised_quote


def test_what_every_trade_tells_does_not_push_out_a_warning() -> None:
    routine = tuple(
        dataclasses.replace(an_alert(n, "info", "BTCUSDT"), code="EVALUATION_RESUMED")
        for n in range(2, 20)
    )
    text = shown(with_changes(full_status(), alerts=(an_alert(1), *routine)))
    assert "WARNING PAUSED" in text
    assert "EVALUATION_RESUMED" not in text


@given(
    price=st.floats(0.001, 100_000.0),
    tick=st.sampled_from([0.1, 0.01, 0.5, 0.001, 0.00001, 1.0]),
    side=st.sampled_from([1, -1]),
)
@example(price=65536.99999999999, tick=0.00001, side=1)
def test_prices_of_orders_are_shown_as_the_venue_gets_them(
    price: float, tick: float, side: int
) -> None:
    grain = Decimal(repr(tick))
    sent = VenueRules("S", grain, grain, grain, grain, Decimal(0), True).trigger_price(price, side)
    assert on_tick(price, tick, side) == number(float(sent))


def test_stops_and_targets_are_shown_on_their_tick() -> None:
    """The core thinks in finer prices: a long's exits are sells, which go up, a short's go down."""
    fine = dataclasses.replace(
        a_position(), stop_price=59_900.0321, target_prices=(60_200.4567,), trail_price=60_050.1501
    )
    order = dataclasses.replace(full_status().orders[0], price=None, trigger_price=59_900.0321)
    status = with_changes(full_status(), positions=(fine,), orders=(order,))
    told = words(shown(status))
    assert "stop 59900.1 targets 60200.5 trail 60050.2" in told
    assert "BTCUSDT stop sell 0.25 stop 59900.1" in told
    short = dataclasses.replace(fine, direction="short")
    told = words(shown(with_changes(status, positions=(short,))))
    assert "stop 59900 targets 60200.4 trail 60050.1" in told


def test_a_stop_that_does_not_rest_is_shouted() -> None:
    naked = dataclasses.replace(a_position(), stop_price=None, stop_rests=False)
    assert "stop - DOES NOT REST" in words(shown(with_changes(full_status(), positions=(naked,))))


def test_a_stopped_account_says_by_what() -> None:
    halted = dataclasses.replace(full_status().breakers, halted="kill_24h", halted_ms=0)
    assert "stopped by kill_24h at 00:00:00" in shown(with_changes(full_status(), breakers=halted))


def test_many_healthy_feeds_are_counted_and_unhealthy_ones_named() -> None:
    one = full_status().feeds[0]
    feeds = [dataclasses.replace(one, symbol=f"S{n}USDT") for n in range(30)]
    feeds[29] = dataclasses.replace(feeds[29], trouble="gap")
    text = shown(with_changes(full_status(), feeds=tuple(feeds)))
    assert "... and 17 healthy ones" in text
    assert "S29USDT" in text


def test_texts_of_others_are_neither_markup_nor_escapes() -> None:
    evil = "[red]x[/red] \x1b[2J\r\n\x07"
    status = with_changes(
        full_status(),
        alerts=(an_alert(text=evil),),
        decisions=(dataclasses.replace(a_decision(), reason=evil),),
        feeds=(dataclasses.replace(full_status().feeds[1], trouble=evil),),
        positions=(dataclasses.replace(a_position(), strategy=evil),),
        kill_latched=evil,
    )
    console = screen(300)
    console.print(picture(status))
    plain = PlainView(console)
    plain.update(status)
    plain.tell(evil)
    text = console.export_text()
    assert text.count("[red]x[/red]") == 8
    assert not set(text) & {"\x1b", "\r", "\x07"}
    assert clean("a\tb\x9bc") == "a\N{REPLACEMENT CHARACTER}b\N{REPLACEMENT CHARACTER}c"


def test_a_terminal_gets_the_live_view_and_a_pipe_lines() -> None:
    assert isinstance(open_view(screen()), LiveView)
    assert isinstance(open_view(screen(terminal=False)), PlainView)


def test_the_live_view_leaves_the_last_picture_and_the_lines() -> None:
    console = screen()
    view = open_view(console)
    view.update(full_status())
    view.tell("a [b]line[/b]")
    view.update(with_changes(full_status(), session_id="s9z9z9"))
    view.close()
    view.close()
    text = console.export_text()
    assert "a [b]line[/b]" in text
    assert "s9z9z9" in text.rpartition("paper at")[2]


def test_colours_are_left_out_where_they_are_not_wanted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NO_COLOR", "1")
    file = io.StringIO()
    view = LiveView(Console(file=file, width=80, force_terminal=True))
    view.update(full_status())
    view.close()
    colours = {
        code
        for escape in re.findall(r"\x1b\[([0-9;]*)m", file.getvalue())
        for code in escape.split(";")
        if code.startswith(("3", "4"))
    }
    assert colours == set()
    assert "+29.75" in ESCAPES.sub("", file.getvalue())


def test_plain_lines_say_only_what_is_new() -> None:
    console = screen(40, terminal=False)
    view = open_view(console)
    quiet = with_changes(full_status(), positions=(), trades=(), alerts=())
    view.update(quiet)
    assert console.export_text() == ""
    view.update(full_status())
    view.update(full_status())
    more = with_changes(
        full_status(),
        positions=(),
        trades=(a_trade(2, -8.5), a_trade(3, 1.25)),
        alerts=(an_alert(4, "critical", "closing"),),
    )
    view.update(more)
    view.update(full_status())
    view.close()
    lines = console.export_text().splitlines()
    assert [line.split()[1] for line in lines] == [
        "opened", "closed", "closed", "WARNING", "2", "closed", "CRITICAL", "opened"
    ]  # fmt: skip
    assert lines[0] == "13:20:07 opened long 0.25 BTCUSDT at 60000, stop 59900 [three_r]"
    assert lines[4] == "... 2 earlier alerts: tercel journal alerts has them"


def test_a_position_of_before_is_still_open() -> None:
    console = screen(200, terminal=False)
    view = open_view(console)
    quiet = with_changes(full_status(), trades=(), alerts=(), started_ms=NOW_MS - 1_000)
    view.update(quiet)
    assert "13:20:07 still open: long 0.25 BTCUSDT at 60000" in console.export_text()


def test_spans_are_read_easily() -> None:
    assert lasted(3_723_999) == "01:02:03"
    assert lasted(2 * 86_400_000 + 3_660_000) == "2 d 01:01"
    assert lasted(-5) == "00:00:00"
