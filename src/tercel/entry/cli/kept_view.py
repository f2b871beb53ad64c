"""What is shown of a session that does not run: what its state store kept last."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tercel.domain.times import to_datetime
from tercel.entry.cli.session_words import exit_price, money, number

if TYPE_CHECKING:
    from tercel.app.live.status_records import KeptPosition, KeptStatus


def kept_lines(kept: KeptStatus) -> list[str]:
    """Marked as what it is in the first line."""
    switches = "on" if kept.automation else "off" if kept.automation is not None else "never set"
    lines = [
        f"NOT RUNNING. Kept at {_moment(kept.saved_ms)} UTC by session {kept.session_id}, "
        f"{kept.mode}:",
        f"automation {switches}{', paused' if kept.is_paused else ''}",
        f"balance {kept.balance_quote:,.2f}  24 h {money(kept.net_24h_quote)}  trades of "
        f"{kept.trades_date or 'the day'}: {kept.trades_today}  losses in a row: "
        f"{kept.losses_in_a_row}",
        f"ghost {money(kept.ghost.net_quote)} in {kept.ghost.trades}  shadow "
        f"{money(kept.shadow.net_quote)} in {kept.shadow.trades}",
    ]
    if kept.kill_latched:
        lines.insert(1, f"KILLED: {kept.kill_latched}")
    if kept.cool_down_until_ms > kept.saved_ms:
        lines.append(f"cool-down until {_moment(kept.cool_down_until_ms)} UTC")
    where = "of its simulated exchange" if kept.mode == "paper" else "that may rest at the venue"
    lines.append(f"orders {where}: {kept.orders}")
    return [*lines, *kept_position_lines(kept)]


def kept_position_lines(kept: KeptStatus) -> list[str]:
    """Open positions, two lines each, after one that says how old they are."""
    if not kept.positions:
        return []
    first = f"open when kept, {_moment(kept.saved_ms)} UTC; nobody watches them now:"
    return [first, *(line for each in kept.positions for line in _position(each))]


def _position(each: KeptPosition) -> tuple[str, str]:
    order = each.stop_order_id or "NO STOP WAS KNOWN TO REST"
    return (
        f"  {each.symbol} {each.direction} {number(each.quantity)} {each.strategy}  from "
        f"{number(each.entry_price)} at {_moment(each.entry_time_ms)}",
        f"    stop {exit_price(each, each.stop_price)} ({order})  target "
        f"{exit_price(each, each.target_price)}",
    )


def _moment(time_ms: int) -> str:
    return f"{to_datetime(time_ms):%Y-%m-%d %H:%M:%S}"
