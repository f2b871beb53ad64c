"""What of a session is kept: the state that a restart reads, and the image that a replay of its
journal begins with.
"""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import TYPE_CHECKING

import numpy as np

from tercel.app.live.desk import Desk
from tercel.app.live.ghost import BesideFigures
from tercel.app.live.plan import SessionPlan
from tercel.app.live.working import RESTING, STRAY_STREAM, OrderFields
from tercel.app.record_bytes import load_records
from tercel.core import breakers, minute
from tercel.core.codes import LEGS_MAX, OrderStatus, Slot
from tercel.core.records import ACCOUNT, MARKET, POSITION, SERIES_MAX, STREAM
from tercel.domain.errors import DataError
from tercel.domain.session_state import ActivePosition, KernelImage, SavedOrder, SessionState
from tercel.domain.times import to_datetime

if TYPE_CHECKING:
    from tercel.app.live.session import Session


def fingerprint() -> str:
    """Of the layout of the core's records: bytes of another one are never read."""
    text = repr([(dtype.descr, dtype.itemsize) for dtype in (ACCOUNT, STREAM, MARKET)])
    return hashlib.sha256(text.encode()).hexdigest()[:16]


_FINGERPRINT = fingerprint()


def labels_of(plan: SessionPlan) -> tuple[str, ...]:
    """What each stream is, in words that do not change."""
    return tuple(
        f"{stream.label.strategy} {stream.label.venue} {stream.label.symbol} "
        f"{stream.label.timeframe}"
        for stream in plan.streams
    )


def _market_of(label: str) -> tuple[str, str]:
    """Venue and symbol of a stream's label; a strategy may have spaces in its name."""
    _, venue, symbol, _ = label.rsplit(" ", 3)
    return venue, symbol


@lru_cache(maxsize=2)
def _date_of(day: int) -> str:
    """YYYY-MM-DD of a day since 1970."""
    return f"{to_datetime(day * breakers.DAY_MS):%Y-%m-%d}"


@dataclass(frozen=True, slots=True)
class KeptFrame:
    """What every kept state of a session has in common."""

    base: SessionState
    """What it began with: fields that the session does not move stay as they are."""
    plan: SessionPlan
    mode: str
    session_id: str
    labels: tuple[str, ...]

    def state(self) -> SessionState:
        """The state that nothing has been kept of yet."""
        return self.base


def frame_of(base: SessionState, plan: SessionPlan, mode: str, session_id: str) -> KeptFrame:
    """The frame of a session that begins with `base`."""
    return KeptFrame(base, plan, mode, session_id, labels_of(plan))


@dataclass(frozen=True, slots=True)
class KeptMoment:
    """Everything that is kept, as it was after one event: bytes, and what never changes again.

    It is taken after nearly every event, and nearly always superseded before it is written: `state`
    does the rest of the work for those that are.
    """

    frame: KeptFrame
    now_ms: int
    account: bytes
    """ACCOUNT."""
    streams: bytes
    """STREAM, one for each."""
    automation: bool
    is_paused: bool
    kill_latched: str
    figures: BesideFigures
    order_number: int
    orders: tuple[OrderFields, ...]
    seen_fills: tuple[str, ...]
    fills_since_ms: int

    def state(self) -> SessionState:
        """The state of that moment."""
        frame, figures, now_ms = self.frame, self.figures, self.now_ms
        account = np.frombuffer(self.account, ACCOUNT)  # one row: its fields are read as arrays
        pace = account["pace_state"]
        today = now_ms // breakers.DAY_MS
        # Zero: not known, as in a state of a version that did not always keep it.
        day_ago = account["day_ago_equity"].item()
        pnl_24h = account["equity_quote"].item() - day_ago if day_ago > 0.0 else 0.0
        orders = tuple(SavedOrder(*fields) for fields in self.orders)
        return replace(
            frame.base,
            automation_enabled=self.automation,
            mode=frame.mode,
            active_position=active_positions(frame.plan, self.streams, orders)
            if account["open_positions"].item()
            else (),
            account_balance=account["cash_quote"].item(),
            rolling_24h_pnl=pnl_24h,
            # As breakers.trades_today: a compiled call would cost more than all the rest.
            daily_trade_count=pace["trades_today"].item() if pace["day"].item() == today else 0,
            daily_trade_date=_date_of(today),
            consecutive_losses=pace["losses"].item(),
            cooldown_until=pace["pause_until"].item(),
            ghost_pnl=figures.ghost_pnl,
            ghost_trade_count=figures.ghost_trades,
            ghost_win_rate=figures.ghost_win_rate,
            shadow_pnl=figures.shadow_pnl,
            shadow_trade_count=figures.shadow_trades,
            is_paused=self.is_paused,
            kill_latched=self.kill_latched,
            session_id=frame.session_id,
            order_number=self.order_number,
            orders=orders,
            seen_fills=self.seen_fills,
            fills_since_ms=self.fills_since_ms,
            kernel=KernelImage(_FINGERPRINT, frame.labels, self.account, self.streams, b""),
            saved_ms=now_ms,
        )


def moment_of(session: Session) -> KeptMoment:
    """What of `session` is kept, as it is now."""
    parts = session.parts
    flags, desk, orders = parts.flags, parts.desk, parts.orders
    since_ms = parts.since_ms
    return KeptMoment(
        session.frame,
        parts.now,
        desk.accounts.tobytes(),
        desk.streams.tobytes(),
        flags.automation,
        flags.is_paused,
        flags.kill_latched,
        session.beside.figures(),
        orders.number,
        tuple([order.fields() for order in orders.live()]),
        parts.seen_since(since_ms),
        since_ms,
    )


def for_a_new_exchange(state: SessionState) -> SessionState:
    """`state` for a venue that begins anew: it has none of the orders, and its trades have the
    numbers again of those that were booked.
    """
    return replace(state, orders=(), seen_fills=())


def active_positions(
    plan: SessionPlan, streams: bytes, orders: Sequence[SavedOrder]
) -> tuple[ActivePosition, ...]:
    """Every open position, for people."""
    records = np.frombuffer(streams, STREAM)
    positions, tables = records["position"], records["orders"]
    made = []
    for k in np.flatnonzero(positions["quantity"] > 0.0).tolist():
        # As tuples and lists: a record is read field by field in Python.
        position = dict(zip(POSITION.names or (), positions[k].item(), strict=True))
        prices, statuses = tables["price"][k].tolist(), tables["status"][k].tolist()
        targets = [
            prices[slot]
            for slot in range(Slot.TARGET_1, Slot.TARGET_1 + LEGS_MAX)
            if statuses[slot] == OrderStatus.RESTING
        ]
        label = plan.streams[k].label
        made.append(
            ActivePosition(
                symbol=label.symbol,
                strategy=label.strategy,
                direction="long" if position["side"] > 0 else "short",
                entry_price=position["entry_price"],
                stop_price=prices[Slot.STOP],
                target_price=targets[0] if targets else float("nan"),
                position_size=position["quantity"],
                entry_time_utc=position["filled_time"],
                stop_order_id=_resting_id(orders, k, Slot.STOP),
                target_order_id=_resting_id(orders, k, Slot.TARGET_1),
            )
        )
    return tuple(made)


def is_readable(image: KernelImage | None) -> bool:
    """Whether there are records, and of this version."""
    return image is not None and image.fingerprint == _FINGERPRINT


def kept_ticks(image: KernelImage | None) -> dict[tuple[str, str], float]:
    """Tick sizes by (strategy, symbol); none where the bytes are of another version."""
    if image is None or not is_readable(image):
        return {}
    ticks = np.frombuffer(image.streams, STREAM)["instrument"]["tick_size"].tolist()
    # A strategy may have spaces in its name.
    names = [label.rsplit(" ", 3) for label in image.labels]
    return {(each[0], each[2]): tick for each, tick in zip(names, ticks, strict=True)}


def _resting_id(orders: Sequence[SavedOrder], k: int, slot: Slot) -> str:
    """Client id of the latest order that rests in a slot; empty: none does."""
    for order in reversed(orders):
        request = order.request
        if request.stream == k and request.slot is slot and order.phase in RESTING:
            return request.client_id
    return ""


def restore_books(session: Session, state: SessionState) -> None:
    """Account and streams from `state`: a restart goes on with them.

    Streams are found by their label, so that strategies may be added or taken away between two
    runs. Of another version's state only what stands beside the bytes is known. Raises DataError
    where a position would be lost: its stream is not traded any more, or the bytes are of another
    version.
    """
    image, desk = state.kernel, session.parts.desk
    if image is None:
        return
    if not is_readable(image):
        if state.active_position:
            raise DataError(
                "the kept state is of another version and has open positions; close them with the "
                "version that opened them, or at the venue, then start with --fresh"
            )
        known = desk.account.pace_state
        known.losses, known.pause_until = state.consecutive_losses, state.cooldown_until
        known.day, known.trades_today = state.saved_ms // breakers.DAY_MS, state.daily_trade_count
        return
    limits, pace = desk.account.limits.copy(), desk.account.pace.copy()
    watches, count = bool(desk.account.watches), int(desk.account.series_count)
    load_records(desk.account, image.account)
    desk.account.limits, desk.account.pace = limits, pace
    desk.account.watches, desk.account.series_count = watches, count
    kept = np.frombuffer(bytearray(image.streams), STREAM)
    here = {label: k for k, label in enumerate(session.frame.labels)}
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
        load_records(row, record.tobytes())
        row.number, row.series, row.leads = number, series, leads
        for name, value in own.items():
            if name == "plan" and row.position.quantity > 0.0:
                continue  # an open trade is managed as it was begun
            row[name] = value
    if image.labels != session.frame.labels:
        _count_entries(desk)
        _move_stop_times(session, image.labels, kept["series"].tolist())


def _count_entries(desk: Desk) -> None:
    """Positions and waiting entries anew, and what they tie up: the account has counted those of
    streams that are gone, and by the series of before.
    """
    account = desk.account
    statuses = desk.statuses[:, Slot.ENTRY]
    at_work = (desk.held > 0.0) | (statuses != OrderStatus.EMPTY)
    account.open_positions = np.count_nonzero(at_work)
    for name, is_side in (("longs", desk.sides > 0), ("shorts", desk.sides <= 0)):
        series = desk.streams["series"][at_work & is_side]
        account[name] = np.bincount(series, minlength=SERIES_MAX)
    minute.end(desk.accounts, desk.streams, 0, False)


def _move_stop_times(session: Session, labels: Sequence[str], series: Sequence[int]) -> None:
    """Losing stops go with their symbol: each was kept in the row of `series` that the stream of
    that label had.
    """
    desk = session.parts.desk
    rows = dict(zip(map(_market_of, labels), series, strict=True))
    kept = desk.account.stop_times.tolist()
    desk.account.stop_times[:] = 0
    for label, stream in zip(session.frame.labels, desk.rows, strict=True):
        row = rows.get(_market_of(label))
        if row is not None:
            desk.account.stop_times[stream.series] = kept[row]


def restore_orders(session: Session, state: SessionState) -> None:
    """The orders of `state`, each for the stream that has the label of its own.

    One whose stream is gone works for none: it is cancelled once the session has started, and what
    it fills is a stray's.
    """
    labels = () if state.kernel is None else state.kernel.labels
    here = {label: k for k, label in enumerate(session.frame.labels)}
    for saved in state.orders:
        kept = saved.request.stream
        is_known = kept < len(labels)  # a stray's never was
        k = here.get(labels[kept], STRAY_STREAM) if is_known else STRAY_STREAM
        session.parts.orders.restore(saved, k)


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
        load_records(desk.account, base64.b64decode(parts["account"]))
        for name, records in (("streams", desk.streams), ("markets", desk.markets)):
            data = base64.b64decode(parts[name])
            if len(data) != records.nbytes:
                raise DataError("the session traded other streams than this one")
            load_records(records, data)
        session.maker.restore([base64.b64decode(each) for each in parts["states"]])
    except (KeyError, ValueError) as error:
        raise DataError(f"the image of the session cannot be read: {error}") from error
