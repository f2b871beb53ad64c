"""What a session looks like on a terminal: a view that stays in its place, or plain lines.

`open_view` chooses: a terminal gets `LiveView`, a file or a pipe gets `PlainView`, which says only
what happens. `picture` is the same for `tercel status`. Texts that come from venues and strategies
are shown as they are, never as markup, and without control characters.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Protocol, TypeVar

from tercel.domain.times import to_datetime
from tercel.entry.cli.session_words import (
    account_lines,
    alert_line,
    clean,
    clock,
    decision_line,
    exit_price,
    is_trading,
    lasted,
    money,
    money_lines,
    number,
    on_tick,
    opened_line,
    outage_line,
    switches_line,
    trade_line,
)

if TYPE_CHECKING:
    from rich.console import Console, RenderableType
    from rich.live import Live
    from rich.text import Text

    from tercel.app.live.status_records import (
        AlertStatus,
        BreakerStatus,
        FeedStatus,
        OrderStatusNow,
        PositionStatus,
        SessionStatus,
        TradeStatus,
    )

REFRESHES_PER_SECOND = 4.0
LATEST = 5
"""Decisions, trades and alerts shown of each."""
FEEDS_SHOWN = 12
"""Healthy feeds; unhealthy ones are all shown."""
DECISIONS, FEW = 3, 2
"""Where there is no room for all: decisions; trades, alerts and parts of a line."""
ALERT_MS_MAX = 10 * 60_000
"""In a view that stays, an older alert makes room unless it is critical."""
LEVEL_STYLES = {"info": "dim", "warning": "yellow", "critical": "bold red"}
ROUTINE = frozenset({"EVALUATION_SUSPENDED", "EVALUATION_RESUMED"})
"""Alerts of every trade: positions and trades tell the same."""
NEAR = 0.5
"""Share of its limit from which a counter is shown."""


class View(Protocol):
    """Where a running session is shown."""

    def update(self, status: SessionStatus) -> None:
        """The session as it is now."""
        ...

    def tell(self, line: str) -> None:
        """One line that stays."""
        ...

    def close(self) -> None:
        """The session has ended; what was shown last stays. May be called twice."""
        ...


def open_view(console: Console) -> View:
    """A live view on a terminal, lines elsewhere."""
    return LiveView(console) if console.is_terminal else PlainView(console)


class LiveView:
    """The picture, kept in its place; lines go above it."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._status: SessionStatus | None = None
        self._live: Live | None = None

    def update(self, status: SessionStatus) -> None:
        """Cheap: it is drawn a few times a second, whatever was told in between."""
        from rich.live import Live

        self._status = status
        if self._live is None:
            self._live = Live(
                console=self._console,
                get_renderable=self._draw,
                refresh_per_second=REFRESHES_PER_SECOND,
            )
            self._live.start(refresh=True)

    def tell(self, line: str) -> None:
        """One line that stays."""
        self._console.print(clean(line), markup=False, highlight=False, soft_wrap=True)

    def close(self) -> None:
        """Draw once more, and leave it there."""
        if self._live is not None:
            self._live.refresh()
            self._live.stop()
            self._live = None

    def _draw(self) -> RenderableType:
        return "" if self._status is None else fitted(self._status, self._console)


class PlainView:
    """A line for each position, trade and alert."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._open: set[tuple[str, str, int]] = set()
        self._trades = self._alerts = 0
        """Numbers of the last ones told."""

    def update(self, status: SessionStatus) -> None:
        """Say what is new since the last call."""
        lines = [
            (position.entry_time_ms, opened_line(position, since_ms=status.started_ms))
            for position in status.positions
            if _key(position) not in self._open
        ]
        self._open = {_key(position) for position in status.positions}
        trades = _new(status.trades, self._trades, lambda each: each.number)
        alerts = _new(status.alerts, self._alerts, lambda each: each.number)
        for what, found, last in (
            ("trades", trades, self._trades),
            ("alerts", alerts, self._alerts),
        ):
            missed = found[0].number - last - 1 if found else 0
            if missed > 0:
                self.tell(f"... {missed} earlier {what}: tercel journal {what} has them")
        lines += [(each.time_ms, trade_line(each)) for each in trades]
        lines += [(each.time_ms, alert_line(each)) for each in alerts]
        self._trades = trades[-1].number if trades else self._trades
        self._alerts = alerts[-1].number if alerts else self._alerts
        for _, line in sorted(lines, key=lambda each: each[0]):
            self.tell(line)

    def tell(self, line: str) -> None:
        """One line."""
        self._console.print(clean(line), markup=False, highlight=False, soft_wrap=True)

    def close(self) -> None:
        """Nothing is kept open."""


_Item = TypeVar("_Item")


def _new(items: Iterable[_Item], last: int, number: Callable[[_Item], int]) -> list[_Item]:
    return [each for each in items if number(each) > last]


def _key(position: PositionStatus) -> tuple[str, str, int]:
    return position.symbol, position.strategy, position.entry_time_ms


# --- the picture ----------------------------------------------------------------------------------


def picture(status: SessionStatus) -> RenderableType:
    """Everything of a session, in 80 columns or more; what needs a person comes first."""
    from rich.console import Group

    parts = [*_head(status), *_positions(status)]
    parts += _section("market", _feeds(status))
    parts += _section("breakers", _breakers(status))
    parts += _section("decisions", [_text(decision_line(d)) for d in status.decisions[-LATEST:]])
    parts += _section("trades", [_trade(each) for each in status.trades[-LATEST:]])
    told = [each for each in status.alerts if each.code not in ROUTINE]
    parts += _section("alerts", [_alert(each) for each in told[-LATEST:]])
    parts += _section("account", [_text(line) for line in account_lines(status)])
    parts += _section("orders", _orders(status))
    parts += _section("latency", _latencies(status))
    return Group(*parts)


def fitted(status: SessionStatus, console: Console) -> RenderableType:
    """What of it matters most on the screen there is: whole lines, none of them cut off.

    Feeds and breakers take one line each unless there is room for all; old alerts are left to
    `tercel status` and the journal.
    """
    from rich.console import Group

    rows = console.height
    recent = replace(status, alerts=tuple(_worth_showing(status)))
    whole = picture(recent)
    if _rows(whole, console) <= rows:
        return whole
    shown: list[Text] = []
    for line in _by_importance(recent):
        if (needed := _rows(line, console)) <= rows:
            shown.append(line)
            rows -= needed
    return Group(*shown)


def _by_importance(status: SessionStatus) -> list[Text]:
    """The latest first, within decisions, trades and alerts: what is left out is the older."""
    lines = [*_head(status), *_positions(status), _feeds_in_short(status)]
    lines.append(_in_short("breakers", _breakers(status), "quiet"))
    lines += [_text(decision_line(each)) for each in status.decisions[: -DECISIONS - 1 : -1]]
    lines += [_trade(each) for each in status.trades[: -FEW - 1 : -1]]
    lines += [_alert(each) for each in status.alerts[: -FEW - 1 : -1]]
    return [*lines, *map(_text, account_lines(status)), *_orders(status)]


def _worth_showing(status: SessionStatus) -> Iterator[AlertStatus]:
    """Alerts of the last minutes, and critical ones of any time."""
    for each in status.alerts:
        is_recent = status.now_ms - each.time_ms <= ALERT_MS_MAX
        if each.code not in ROUTINE and (is_recent or each.level == "critical"):
            yield each


def _rows(shown: RenderableType, console: Console) -> int:
    return len(console.render_lines(shown, pad=False))


def _positions(status: SessionStatus) -> list[Text]:
    return _section("positions (net: if closed now)", position_lines(status.positions))


def _in_short(title: str, lines: Sequence[Text], quiet: str) -> Text:
    """One line for what is a section elsewhere; what is more than a few is counted."""
    from rich.text import Text

    shown = list(lines[:FEW])
    if len(lines) > FEW:
        shown.append(_text(f"and {len(lines) - FEW} more"))
    line = _text(f"{title}: ")
    return line.append_text(Text("; ").join(shown) if shown else _text(quiet, "dim"))


def _feeds_in_short(status: SessionStatus) -> Text:
    wrong = [each for each in status.feeds if each.trouble]
    healthy = len(status.feeds) - len(wrong)
    lines = [_text(f"{each.symbol} {each.trouble}", "red") for each in wrong]
    last = max((each.bar_close_ms for each in status.feeds), default=0)
    bar = f", last bar {clock(last)}" if last else ", no bar yet"
    count = f"{healthy} healthy{bar}" if wrong else f"all {healthy} healthy{bar}"
    return _in_short("market", [_text(count), *lines], "")


def _text(line: str, style: str = "") -> Text:
    from rich.text import Text

    return Text(clean(line), style=style, overflow="fold")


def _section(title: str, lines: Sequence[Text]) -> list[Text]:
    return [_text(title, "bold"), *(_indented(line) for line in lines)] if lines else []


def _indented(line: Text) -> Text:
    from rich.text import Text

    return Text("  ").append_text(line)


def _signed(value: float) -> str:
    return "green" if value > 0.0 else "red" if value < 0.0 else ""


def _head(status: SessionStatus) -> list[Text]:
    what = f"{', '.join(status.strategies)} on {', '.join(status.symbols)} {status.timeframe}"
    lines = [
        _text(
            f"{status.mode} at {status.venue}  {status.session_id}  "
            f"{to_datetime(status.now_ms):%Y-%m-%d %H:%M:%S} UTC, up {lasted(status.up_ms)}",
            "bold",
        ),
        _text(what, "dim"),
        _text(switches_line(status), _switches_style(status)),
    ]
    lines += [_text(outage_line(status, each), "bold red") for each in status.outages]
    equity, net = money_lines(status)
    lines += [_text(equity), _text(net, _signed(status.account.net_quote))]
    if status.mismatched:
        symbols = ", ".join(status.mismatched)
        lines.append(_text(f"the venue holds something else in {symbols}", "bold red"))
    return lines


def _switches_style(status: SessionStatus) -> str:
    if status.kill_latched:
        return "bold red"
    return "green" if is_trading(status) else "yellow"


def position_lines(positions: Sequence[PositionStatus]) -> list[Text]:
    """Open positions, two lines each: a table of so much would not fit 80 columns."""
    return [line for each in positions for line in _position(each)]


def _position(each: PositionStatus) -> tuple[Text, Text]:
    first = _text(f"{each.symbol} {each.direction} {number(each.quantity)}", "bold")
    in_r = "" if each.r_now is None else f"  {each.r_now:+.2f} R"
    first.append(
        clean(f" {each.strategy}  {number(each.entry_price)} -> {number(each.mark_price)}{in_r}"),
        "not bold",
    )
    first.append(f"  gross {money(each.gross_quote)} net ", "not bold")
    first.append(money(each.net_quote), _signed(each.net_quote))
    second = _text(f"  stop {exit_price(each, each.stop_price)}")
    if not each.stop_rests:
        second.append(" DOES NOT REST", "bold red")
    if each.target_prices:
        targets = (exit_price(each, price) for price in each.target_prices)
        second.append(f"  targets {' '.join(targets)}")
    if each.trail_price is not None:
        second.append(f"  trail {exit_price(each, each.trail_price)}")
    if each.liquidation_price is not None and each.liquidation_fraction is not None:
        away = f"{100 * each.liquidation_fraction:.1f} % away"
        second.append(f"  liquidation {number(each.liquidation_price)}, {away}")
    return first, second


def _orders(status: SessionStatus) -> list[Text]:
    return [
        _text(
            f"{each.symbol} {each.slot} {each.side} {number(each.left)} {each.kind} "
            f"{_asked_price(each)} {each.phase}"
        )
        for each in status.orders
    ]


def _asked_price(order: OrderStatusNow) -> str:
    price = order.trigger_price if order.price is None else order.price
    return on_tick(price, order.tick_size, 1 if order.side == "buy" else -1)


def _feeds(status: SessionStatus) -> list[Text]:
    healthy = [each for each in status.feeds if not each.trouble]
    shown = [*(each for each in status.feeds if each.trouble), *healthy[:FEEDS_SHOWN]]
    lines = [_feed(each) for each in shown]
    left = len(status.feeds) - len(shown)
    return [*lines, _text(f"... and {left} healthy ones", "dim")] if left > 0 else lines


def _feed(feed: FeedStatus) -> Text:
    bar = f"bar of {clock(feed.bar_close_ms)}" if feed.bar_close_ms else "no bar yet"
    quotes = "" if feed.bid is None else f"  {number(feed.bid)} / {number(feed.ask)}"
    line = _text(f"{feed.symbol} {number(feed.price)}{quotes}  {bar}  ")
    line.append(clean(feed.trouble) or "healthy", "red" if feed.trouble else "green")
    return line


def _breakers(status: SessionStatus) -> list[Text]:
    found = status.breakers
    lines = []
    if found.halted:
        lines.append(_text(f"stopped by {found.halted} at {clock(found.halted_ms)}", "bold red"))
    lines += [
        _text(f"{each.name} ({each.of}) until {clock(each.until_ms)}", "yellow")
        for each in found.cool_downs
    ]
    return [*lines, *(_counter(each) for each in found.counters if _is_near(each))]


def _is_near(counter: BreakerStatus) -> bool:
    """Whether it has a tale to tell: the free margin is a floor, and near is below it."""
    stands_at = counter.stands_at
    if counter.is_reached or stands_at is None or counter.name == "free margin":
        return counter.is_reached
    return stands_at >= NEAR * counter.limit


def counter_words(counter: BreakerStatus) -> str:
    """`1.20 % of 5.00 %`, `3 of 10`."""
    if counter.unit == "fraction":
        now = "-" if counter.stands_at is None else f"{100 * counter.stands_at:.2f} %"
        return f"{now} of {100 * counter.limit:.2f} %"
    return f"{number(counter.stands_at)} of {number(counter.limit)}"


def _counter(counter: BreakerStatus) -> Text:
    line = f"{counter.name} ({counter.of}): {counter_words(counter)}"
    return _text(line, "yellow" if counter.is_reached else "")


def _trade(trade: TradeStatus) -> Text:
    return _text(trade_line(trade), _signed(trade.net_quote))


def _alert(alert: AlertStatus) -> Text:
    return _text(alert_line(alert), LEVEL_STYLES.get(alert.level, ""))


def _latencies(status: SessionStatus) -> list[Text]:
    return [
        _text(
            f"{each.name}: median {each.median_ms:.1f} ms, p99 {each.p99_ms:.1f} ms, worst "
            f"{each.worst_ms:.1f} ms of {each.samples}"
        )
        for each in status.latencies
    ]
