"""What of a session is kept: the state that a restart reads, and the image that a replay of its
journal begins with.
"""

from __future__ import annotations

import base64
import hashlib
import json
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np

from tercel.core import breakers
from tercel.core.codes import LEGS_MAX, OrderStatus, Slot
from tercel.core.records import ACCOUNT, MARKET, POSITION, STREAM
from tercel.domain.errors import DataError
from tercel.domain.session_state import ActivePosition, KernelImage, SessionState
from tercel.domain.times import to_datetime

if TYPE_CHECKING:
    from tercel.app.live.session import Session


def fingerprint() -> str:
    """Of the layout of the core's records: bytes of another one are never read."""
    text = repr([(dtype.descr, dtype.itemsize) for dtype in (ACCOUNT, STREAM, MARKET)])
    return hashlib.sha256(text.encode()).hexdigest()[:16]


_FINGERPRINT = fingerprint()


def labels_of(session: Session) -> tuple[str, ...]:
    """What each stream is, in words that do not change."""
    return tuple(
        f"{stream.label.strategy} {stream.label.venue} {stream.label.symbol} "
        f"{stream.label.timeframe}"
        for stream in session.parts.plan.streams
    )


def active_positions(session: Session) -> tuple[ActivePosition, ...]:
    """Every open position, for people."""
    parts = session.parts
    made = []
    for k in np.flatnonzero(parts.desk.streams["position"]["quantity"] > 0.0):
        stream = parts.stream(int(k))
        # As tuples and lists: a record is read field by field in Python, and this is done often.
        position = dict(zip(POSITION.names or (), stream.position.item(), strict=True))
        orders = stream.orders
        prices, statuses = orders["price"].tolist(), orders["status"].tolist()
        targets = [
            prices[slot]
            for slot in range(Slot.TARGET_1, Slot.TARGET_1 + LEGS_MAX)
            if statuses[slot] == OrderStatus.RESTING
        ]
        made.append(
            ActivePosition(
                symbol=parts.symbol_of(int(k)),
                strategy=parts.plan.streams[int(k)].label.strategy,
                direction="long" if position["side"] > 0 else "short",
                entry_price=position["entry_price"],
                stop_price=prices[Slot.STOP],
                target_price=targets[0] if targets else float("nan"),
                position_size=position["quantity"],
                entry_time_utc=position["entry_time"],
                stop_order_id=_resting_id(session, int(k), Slot.STOP),
                target_order_id=_resting_id(session, int(k), Slot.TARGET_1),
            )
        )
    return tuple(made)


def _resting_id(session: Session, k: int, slot: Slot) -> str:
    orders = [order for order in session.parts.orders.of(k, slot) if order.rests]
    return orders[-1].request.client_id if orders else ""


def kept_state(session: Session) -> SessionState:
    """The state of `session` as it is now."""
    parts, beside = session.parts, session.beside
    account = parts.desk.account
    pace = account.pace_state
    since = parts.fills_since()
    recent = parts.seen_since(since)
    # Whether or not its kill switch is on.
    day_ago = float(breakers.equity_at(account, parts.now - breakers.DAY_MS))
    return replace(
        session.kept,
        automation_enabled=parts.flags.automation,
        mode=parts.rules.mode,
        active_position=active_positions(session),
        account_balance=float(account.cash_quote),
        rolling_24h_pnl=float(account.equity_quote) - day_ago if account.hours > 0 else 0.0,
        daily_trade_count=int(breakers.trades_today(pace, parts.now)),
        daily_trade_date=f"{to_datetime(parts.now):%Y-%m-%d}",
        consecutive_losses=int(pace.losses),
        cooldown_until=int(pace.pause_until),
        ghost_pnl=beside.ghost_pnl,
        ghost_trade_count=beside.ghost_trades,
        ghost_win_rate=beside.ghost_win_rate,
        shadow_pnl=beside.shadow_pnl,
        shadow_trade_count=beside.shadow_trades,
        is_paused=parts.flags.is_paused,
        kill_latched=parts.flags.kill_latched,
        session_id=session.session_id,
        order_number=parts.orders.number,
        orders=tuple(order.saved() for order in parts.orders.live()),
        seen_fills=recent,
        fills_since_ms=since,
        kernel=KernelImage(
            _FINGERPRINT,
            labels_of(session),
            bytes(account.tobytes()),
            bytes(parts.desk.streams.tobytes()),
            b"",
        ),
        saved_ms=parts.now,
    )


def restore_books(session: Session, state: SessionState) -> None:
    """Account and streams from `state`: a restart goes on with them.

    Streams are found by their label, so that strategies may be added or taken away between two
    runs. Raises DataError where a position would be lost: its stream is not traded any more, or the
    bytes are of another version.
    """
    image = state.kernel
    if image is None:
        return
    if image.fingerprint != _FINGERPRINT:
        if state.active_position:
            raise DataError(
                "the kept state is of another version and has open positions; close them with the "
                "version that opened them, or at the venue, then start with --fresh"
            )
        return
    desk = session.parts.desk
    limits, pace = desk.account.limits.copy(), desk.account.pace.copy()
    watches, count = bool(desk.account.watches), int(desk.account.series_count)
    _fill(desk.account, image.account)
    desk.account.limits, desk.account.pace = limits, pace
    desk.account.watches, desk.account.series_count = watches, count
    kept = np.frombuffer(bytearray(image.streams), STREAM)
    here = {label: k for k, label in enumerate(labels_of(session))}
    settings = ("plan", "instrument", "costs", "rules", "sizing", "pace")
    for label, record in zip(image.labels, kept, strict=True):
        k = here.get(label)
        if k is None:
            if record["position"]["quantity"] > 0.0:
                raise DataError(
                    f"the kept state has a position of {label}, which this session does not trade; "
                    "add it, or close the position first"
                )
            continue
        row = desk.rows[k]
        own = {name: row[name].copy() for name in settings}
        number, series, leads = int(row.number), int(row.series), bool(row.leads)
        _fill(row, record.tobytes())
        row.number, row.series, row.leads = number, series, leads
        for name, value in own.items():
            if name == "plan" and row.position.quantity > 0.0:
                continue  # an open trade is managed as it was begun
            row[name] = value


def _fill(record: Any, data: bytes) -> None:
    """The bytes of a record, in place."""
    record.reshape(1).view(np.uint8)[:] = np.frombuffer(data, np.uint8)


def image_of(session: Session) -> bytes:
    """Records and strategy states as JSON with base64: what a replay of the journal begins with."""
    desk = session.parts.desk
    parts = {
        "fingerprint": _FINGERPRINT,
        "account": desk.account.tobytes(),
        "streams": desk.streams.tobytes(),
        "markets": desk.markets.tobytes(),
        "states": session.maker.image(),
    }
    return json.dumps(
        {
            name: [base64.b64encode(each).decode() for each in value]
            if isinstance(value, list)
            else base64.b64encode(value).decode()
            if isinstance(value, bytes)
            else value
            for name, value in parts.items()
        }
    ).encode()


def load_image(session: Session, image: bytes) -> None:
    """Begin as `image_of` says. Raises DataError where it is of another version."""
    try:
        parts = json.loads(image)
        if parts["fingerprint"] != _FINGERPRINT:
            raise DataError("the session was journaled by another version: its records differ")
        desk = session.parts.desk
        _fill(desk.account, base64.b64decode(parts["account"]))
        for name, records in (("streams", desk.streams), ("markets", desk.markets)):
            data = base64.b64decode(parts[name])
            if len(data) != records.nbytes:
                raise DataError("the session traded other streams than this one")
            records.view(np.uint8)[:] = np.frombuffer(data, np.uint8)
        session.maker.restore([base64.b64decode(each) for each in parts["states"]])
    except (KeyError, ValueError) as error:
        raise DataError(f"the image of the session cannot be read: {error}") from error
