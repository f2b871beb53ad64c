"""From what a session does to rows of its journal."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Sequence
from typing import Any

from tercel.app.live.plan import SessionPlan
from tercel.app.live.signals import SignalMaker
from tercel.app.live.wire import encode_event
from tercel.app.live.working import WorkingOrder
from tercel.core.codes import ExitReason, OrderKind, Refusal, Slot
from tercel.core.records import SIGNAL, Records
from tercel.domain.commands import Alert
from tercel.domain.events import Answer, Event
from tercel.domain.journal import (
    AlertRow,
    BreakerRow,
    EquityRow,
    EvaluationRow,
    FeedRow,
    FillRow,
    InputRow,
    IntentRow,
    JournalRow,
    OrderRow,
    PositionRow,
    RefusalRow,
    SignalRow,
    TradeRow,
)
from tercel.domain.orders import OrderRequest, VenueFill, parse_client_id

QUIET = ("none", "")
"""Decision and refusal of a strategy that asked for nothing."""
_Seen = tuple[int, int, float, bytes]
"""Side, reason and score of a SIGNAL, and all of it as bytes."""


def _known(value: float) -> float | None:
    """NaN as None."""
    return None if math.isnan(value) else float(value)


def _digest(signal: bytes) -> str:
    """What tells a SIGNAL record from others."""
    return hashlib.sha256(signal).hexdigest()[:16]


def _said(signal: Any) -> dict[str, Any]:
    """A SIGNAL record as Python's own numbers: its fields one by one cost many times as much."""
    return dict(zip(SIGNAL.names or (), signal.item(), strict=True))


class Recorder:
    """Collects rows until they are taken."""

    def __init__(self, plan: SessionPlan, session_id: str, *, every_evaluation: bool) -> None:
        self._plan = plan
        self._session = session_id
        self._every = every_evaluation
        self._inputs = 0
        self._rows: list[JournalRow] = []
        self._labels = [
            (stream.label.strategy, stream.label.symbol, stream.strategy.reasons)
            for stream in plan.streams
        ]

    def take(self) -> tuple[JournalRow, ...]:
        """The rows since the last call."""
        rows = tuple(self._rows)
        self._rows.clear()
        return rows

    def input(self, event: Event) -> None:
        """An event as it was handed in; before anything it led to."""
        self._inputs += 1
        row = InputRow(
            self._session, self._inputs, event.time_ms, type(event).__name__, encode_event(event)
        )
        self._rows.insert(0, row)

    def evaluation(self, k: int, time: int, maker: SignalMaker, told: tuple[str, str]) -> None:
        """The strategy of stream `k` looked at a bar; `told` is (decision, refusal)."""
        signal = maker.signals[k]
        said = _said(signal)
        if not self._every and said["side"] == 0:
            return
        seen = (said["side"], said["reason"], said["score"], signal.tobytes())
        self._evaluated(k, time, seen, maker.view(k), told)

    def quiet_evaluations(self, time: int, streams: Sequence[int], maker: SignalMaker) -> None:
        """The strategies of `streams` looked at a bar, asked for nothing, nothing was decided.

        Hundreds of them at each bar: fields are read off all signals at once.
        """
        if not self._every or not streams:
            return
        signals, views = maker.signals, maker.views()
        given, scores = signals["reason"].tolist(), signals["score"].tolist()
        raw, size = signals.tobytes(), signals.itemsize
        for k in streams:
            seen = (0, given[k], scores[k], raw[k * size : (k + 1) * size])
            self._evaluated(k, time, seen, views[k], QUIET)

    def _evaluated(self, k: int, time: int, seen: _Seen, view: str, told: tuple[str, str]) -> None:
        strategy, symbol, reasons = self._labels[k]
        side, reason, score, raw = seen
        self._rows.append(
            EvaluationRow(
                self._session,
                time,
                k,
                strategy,
                symbol,
                side,
                reasons[reason],
                _known(score),
                *told,
                view,
                _digest(raw),
            )
        )

    def signal(self, k: int, time: int, price: float, signal: Any) -> None:
        """A signal with a side."""
        said = _said(signal)
        self._rows.append(
            SignalRow(
                self._session,
                time,
                k,
                said["side"],
                price,
                said["stop_distance"],
                _known(said["target_distance"]),
                _known(said["score"]),
                self._labels[k][2][said["reason"]],
            )
        )

    def refusal(self, k: int, time: int, side: int, refusal: Refusal) -> None:
        """A signal that became no order."""
        self._rows.append(RefusalRow(self._session, time, k, side, refusal.name.lower()))

    def intent(self, time: int, action: str, request: OrderRequest) -> None:
        """What is about to be sent."""
        self._rows.append(
            IntentRow(
                self._session,
                time,
                request.client_id,
                action,
                request.stream,
                Slot(request.slot).name.lower(),
                request.symbol,
                request.side,
                OrderKind(request.kind).name.lower(),
                request.quantity,
                request.price,
                request.trigger_price,
                request.reduce_only,
                ExitReason(request.reason).name.lower(),
            )
        )

    def order(self, time: int, order: WorkingOrder, answer: Answer | None = None) -> None:
        """An order moved; by `answer` where it is one.

        What an earlier session sent was not waited for meanwhile: only what this one asked counts.
        """
        own = parse_client_id(order.request.client_id)
        is_own = own is not None and own.session == self._session
        asked = max(order.sent_ms if is_own else 0, order.asked_ms, order.cancel_ms)
        self._rows.append(
            OrderRow(
                self._session,
                time,
                order.request.client_id,
                order.venue_id,
                order.phase.value,
                order.told_filled,
                answer.code if answer else 0,
                answer.text if answer else "",
                float(time - asked) if answer and asked else None,
            )
        )

    def fill(self, k: int, slot: Slot, fill: VenueFill, reference: float) -> None:
        """A fill that was booked."""
        self._rows.append(
            FillRow(
                self._session,
                fill.time_ms,
                fill.trade_id,
                fill.client_id,
                k,
                slot.name.lower(),
                fill.symbol,
                fill.side,
                fill.price,
                reference,
                fill.quantity,
                fill.fee_quote,
                fill.is_maker,
                fill.kind,
                "main",
            )
        )

    def trades(self, desk: str, trades: Records, moments: tuple[int, int] | None = None) -> None:
        """Finished TRADE records; `moments` are when the venue filled the entry and the exit."""
        for trade in trades:
            entered, left = moments or (int(trade["entry_time"]), int(trade["exit_time"]))
            label = self._plan.streams[int(trade["stream"])].label
            self._rows.append(
                TradeRow(
                    self._session,
                    desk,
                    int(trade["stream"]),
                    label.strategy,
                    label.symbol,
                    int(trade["side"]),
                    entered,
                    left,
                    float(trade["quantity"]),
                    float(trade["entry_price"]),
                    float(trade["exit_price"]),
                    float(trade["gross_quote"]),
                    float(trade["fee_quote"]),
                    float(trade["slippage_quote"]),
                    float(trade["funding_quote"]),
                    float(trade["net_quote"]),
                    float(trade["risk_quote"]),
                    ExitReason(int(trade["exit_reason"])).name.lower(),
                    bytes(trade.tobytes()),
                )
            )

    def account(self, time: int, desk: str, account: Any) -> None:
        """The account at a close."""
        self._rows.append(
            EquityRow(
                self._session,
                time,
                desk,
                float(account["equity_quote"]),
                float(account["cash_quote"]),
                float(account["exposure_quote"]),
            )
        )

    def positions(self, time: int, streams: Records) -> None:
        """Every open position at a close."""
        for k, held in enumerate(streams["position"]["quantity"].tolist()):
            if not held > 0.0:
                continue
            position = streams[k].position
            value = float(position.side * (position.mark_price - position.entry_price))
            self._rows.append(
                PositionRow(
                    self._session,
                    time,
                    k,
                    self._plan.streams[k].label.symbol,
                    int(position.side),
                    float(position.quantity),
                    float(position.entry_price),
                    float(position.mark_price),
                    float(streams[k].orders[Slot.STOP].price),
                    value * float(position.quantity),
                )
            )

    def breaker(self, time: int, refusal: Refusal, action: str) -> None:
        """The account was stopped, or goes on."""
        self._rows.append(BreakerRow(self._session, time, refusal.name.lower(), action))

    def feed(self, time: int, stream: str, detail: str, *, is_up: bool) -> None:
        """A feed changed."""
        self._rows.append(FeedRow(self._session, time, stream, is_up, detail))

    def alert(self, time: int, alert: Alert) -> None:
        """What a person is told."""
        self._rows.append(
            AlertRow(self._session, time, alert.level.value, alert.code, alert.text, alert.stream)
        )
