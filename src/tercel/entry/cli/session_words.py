"""Words for a session: whether it trades, what does not work and what that means, its money.

Also how times, spans, amounts and texts of others are written wherever a session is shown.
"""

from __future__ import annotations

import math
from decimal import Decimal
from typing import TYPE_CHECKING

from tercel.domain.times import to_datetime

if TYPE_CHECKING:
    from tercel.app.live.status_records import (
        AlertStatus,
        CoolDownStatus,
        DecisionStatus,
        KeptPosition,
        OutageStatus,
        PositionStatus,
        SessionStatus,
        TradeStatus,
    )

REASONS = {
    "automation_off": "signals are only watched; `tercel automation on` trades them",
    "paused": "`tercel resume` ends it",
    "journal_down": "journal or state cannot be written",
    "unhealthy_feed": "positions and orders cannot be read",
    "daily_loss": "`tercel resume` ends it",
    "kill_24h": "`tercel kill --rearm` ends it",
    "kill_session": "`tercel kill --rearm` ends it",
    "equity_exhausted": "nothing is left of the capital",
}
"""What a refusal means for a whole session."""
TICK_TOLERANCE = Decimal("1e-6")
"""Ticks by which a price may be off its grid and still count as on it."""
FEW = 5
"""Symbols that are named; more are counted."""
ENDED = "SESSION_ENDED"
"""Code of the alert that says why."""
PAPER_WAITS = "Simulated stops and targets wait for prices"
OUTAGES = {
    "venue": "the venue cannot be reached",
    "reading": "positions and orders cannot be read",
    "user": "the stream of our orders is down",
    "market": "the market stream is down",
    "journal": "journal or state cannot be written",
}


def switches_line(status: SessionStatus) -> str:
    """Whether it trades, and if not, why."""
    if status.kill_latched:
        left = "verified flat" if status.kill_verified else "still closing"
        return f"KILLED ({left}): {status.kill_latched}"
    if not status.is_ready:
        return "starting: the venue is compared with the state"
    if status.is_stopping:
        return "ending: no entries; what was sent is waited for"
    if status.blocked:
        return f"no entries: {', '.join(map(_reason, status.blocked))}"
    held = _held_back(status)
    return f"automation on, but {held}" if held else "automation on, entries are made"


def is_trading(status: SessionStatus) -> bool:
    """Whether anything can be opened now."""
    return status.is_ready and not status.blocked and not _held_back(status)


def _reason(refusal: str) -> str:
    meaning = REASONS.get(refusal)
    return refusal if meaning is None else f"{refusal} ({meaning})"


def _held_back(status: SessionStatus) -> str:
    """What keeps single symbols, or everything for a while, from being entered; empty: nothing."""
    pauses = [each for each in status.breakers.cool_downs if each.of == "account"]
    if pauses:
        until = max(pauses, key=lambda each: each.until_ms)
        return f"no entries until {clock(until.until_ms)}: {until.name}"
    wrong = [feed.symbol for feed in status.feeds if feed.trouble]
    cooling = _cooling(status)
    told = []
    if wrong:
        where = ", ".join(wrong) if len(wrong) <= FEW else f"{len(wrong)} symbols"
        told.append(f"no entries in {where}: see market")
    if cooling:
        told.append(f"cooling down: {', '.join(cooling[:FEW])}")
        if len(cooling) > FEW:
            told[-1] += f" and {len(cooling) - FEW} more"
    return "; ".join(told)


def _cooling(status: SessionStatus) -> list[str]:
    """Symbols, or a strategy in one, that are left alone for a while, each until when and why.

    Those of the account are told by their symbol alone: no strategy enters it.
    """
    latest: dict[str, CoolDownStatus] = {}
    for each in status.breakers.cool_downs:
        where = each.of.removeprefix("account ")
        if each.of != "account" and (where not in latest or each.until_ms > latest[where].until_ms):
            latest[where] = each
    return [
        f"{where} until {clock(each.until_ms)} ({each.name.removesuffix(' cool-down')})"
        for where, each in latest.items()
    ]


def end_reason(status: SessionStatus) -> str:
    """Why a session ended, or could not begin; empty: it did not say."""
    for each in reversed(status.alerts):
        if each.code == ENDED:
            return each.text.partition("; left open: ")[0]
    critical = [each for each in status.alerts if each.level == "critical"]
    return critical[-1].text if critical else ""


def end_lines(status: SessionStatus) -> list[str]:
    """That it has ended and why, then what it leaves open, and what becomes of that."""
    why = end_reason(status)
    first = f"ended{f': {why}' if why else ''}"
    if not status.positions:
        return [f"{first}; no position is open"]
    return [f"{first}; left open:", *(f"  {_left(status, each)}" for each in status.positions)]


def _left(status: SessionStatus, each: PositionStatus) -> str:
    what = f"{each.symbol} {each.direction} {number(each.quantity)} [{each.strategy}]"
    if status.mode != "live":
        return f"{what}: on paper, closed at its last price at the next start"
    if each.stop_rests:
        return f"{what}: its stop rests at the venue at {exit_price(each, each.stop_price)}"
    return f"{what}: NO STOP IS KNOWN TO REST: look at the venue"


def outage_line(status: SessionStatus, outage: OutageStatus) -> str:
    """Since when something does not work, what that means, and what is done about it."""
    since = f"since {clock(outage.since_ms)} ({lasted(status.now_ms - outage.since_ms)})"
    trouble = f": {outage.trouble}" if outage.trouble else ""
    means = _meaning(status, outage.what)
    return f"{OUTAGES[outage.what]} {since}{trouble.rstrip('.')}. {means}"


def _meaning(status: SessionStatus, what: str) -> str:
    again = f"it is tried again every {status.read_again_ms / 1000:g} s"
    is_paper = status.mode != "live"
    if what == "venue":
        rest = "No position is open"
        if status.positions:
            rest = PAPER_WAITS if is_paper else "Stops and targets that rest there go on working"
        return f"No entries. {rest}. Streams reconnect by themselves, reading: {again}."
    return {
        "reading": f"No entries; what rests at the venue goes on working; {again}.",
        "user": "Positions and orders are read over REST meanwhile; it reconnects by itself.",
        "market": f"No entries. {PAPER_WAITS}; it reconnects by itself."
        if is_paper
        else "No entries; stops and targets stay active; it reconnects by itself.",
        "journal": "No entries; exits and stops go on; writing is tried again all the time.",
    }[what]


def money_lines(status: SessionStatus) -> tuple[str, str]:
    """Equity and net, each with what it is the sum of."""
    account = status.account
    closing = sum(each.net_quote for each in status.positions)
    still = (
        f", open {money(account.open_net_quote)} ({money(closing)} if closed now)"
        if status.positions
        else ""
    )
    return (
        f"equity {account.equity_quote:,.2f} = cash {account.cash_quote:,.2f}, open at the mark "
        f"{money(account.unrealised_quote)}",
        f"net {money(account.net_quote)} since the start at {account.start_quote:,.2f}: closed "
        f"trades {money(account.closed_net_quote)}{still}",
    )


def account_lines(status: SessionStatus) -> list[str]:
    """Costs, the day, and the accounts beside."""
    account = status.account
    return [
        f"realised {money(account.realised_quote)} = gross {money(account.gross_quote)}, fees "
        f"{money(-account.fee_quote)}, slippage {money(-account.slippage_quote)}, funding "
        f"{money(account.funding_quote)}",
        f"today (UTC): net {money(account.day_net_quote)}, entries {account.day_entries}",
        f"since the start: trades {account.trades}, won {account.wins}, worst drawdown "
        f"{100 * account.drawdown_fraction_max:.2f} %",
        _beside(status),
    ]


def _beside(status: SessionStatus) -> str:
    ghost, shadow = status.ghost, status.shadow
    words = f"beside it: ghost {money(ghost.net_quote)} in {ghost.trades} trades"
    if shadow is not None:
        words += f", shadow {money(shadow.net_quote)} in {shadow.trades}"
    return words


def trade_line(trade: TradeStatus) -> str:
    """One finished trade."""
    in_r = "" if trade.net_r is None else f" ({trade.net_r:+.2f} R)"
    return (
        f"{clock(trade.time_ms)} closed {trade.direction} {number(trade.quantity)} {trade.symbol} "
        f"{number(trade.entry_price)} -> {number(trade.exit_price)} {trade.exit_reason}: gross "
        f"{money(trade.gross_quote)}, net {money(trade.net_quote)}{in_r} [{trade.strategy}]"
    )


def opened_line(position: PositionStatus, *, since_ms: int = 0) -> str:
    """A position that is new, or that was there before the session began at `since_ms`."""
    verb = "opened" if position.entry_time_ms >= since_ms else "still open:"
    return (
        f"{clock(position.entry_time_ms)} {verb} {position.direction} {number(position.quantity)} "
        f"{position.symbol} at {number(position.entry_price)}, stop "
        f"{exit_price(position, position.stop_price)} [{position.strategy}]"
    )


def alert_line(alert: AlertStatus) -> str:
    """One alert."""
    return f"{clock(alert.time_ms)} {alert.level.upper()} {alert.code} {alert.text}".rstrip()


def decision_line(decision: DecisionStatus) -> str:
    """What a strategy wanted, and what came of it."""
    score = "" if decision.score is None else f" score {number(decision.score, 4)}"
    came = decision.decision if not decision.refusal else f"refused: {decision.refusal}"
    return (
        f"{clock(decision.time_ms)} {decision.symbol} {decision.strategy} {decision.side} "
        f"({decision.reason}{score}) {came}"
    )


def clean(text: str) -> str:
    """`text` without what a terminal would obey."""
    return "".join(each if each.isprintable() else "\N{REPLACEMENT CHARACTER}" for each in text)


def clock(time_ms: int) -> str:
    """`13:30:07` (UTC)."""
    return f"{to_datetime(time_ms):%H:%M:%S}"


def lasted(span_ms: int) -> str:
    """`1 d 02:03` or `02:03:04`."""
    seconds = max(span_ms, 0) // 1000
    days, seconds = divmod(seconds, 86_400)
    hours, minutes = seconds // 3600, seconds // 60 % 60
    return (
        f"{days} d {hours:02d}:{minutes:02d}"
        if days
        else f"{hours:02d}:{minutes:02d}:{seconds % 60:02d}"
    )


def number(value: float | None, digits: int = 10) -> str:
    """`60150.1`, or `-` where it is not known."""
    return "-" if value is None else f"{value:.{digits}g}"


def on_tick(price: float | None, tick_size: float, side: int) -> str:
    """A price as the venue is asked for it: in whole ticks, a buy (`side` +1) down, a sell up.

    The orders themselves are rounded in adapters/ccxt/precision.py, which says why.
    """
    if price is None or not tick_size > 0.0:
        return number(price)
    tick = Decimal(repr(tick_size))
    ticks = Decimal(repr(price)) / tick
    whole = round(ticks)
    if abs(ticks - whole) > TICK_TOLERANCE:
        whole = math.ceil(ticks) if side < 0 else math.floor(ticks)
    return number(float(whole * tick))


def exit_price(position: PositionStatus | KeptPosition, price: float | None) -> str:
    """A stop or target of a position, on its tick."""
    return on_tick(price, position.tick_size, -1 if position.direction == "long" else 1)


def money(value: float | None) -> str:
    """`+1,234.50` quote."""
    return "-" if value is None else f"{value:+,.2f}"
