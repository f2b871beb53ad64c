"""Every fault the simulated exchange knows: its code, its meaning in one line, and its figures.

Codes go by what they disturb: T transport, O orders, A conditional orders, U the user stream, C the
account, M market data, L limits, K clocks, R rules of the exchange, P the client's own process. A
figure has the value it takes when a plan says nothing, and the range that seeded plans draw from.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum


class FaultCode(StrEnum):
    """What can go wrong. `meaning` is one line for people."""

    meaning: str

    def __new__(cls, code: str, meaning: str) -> FaultCode:
        made = str.__new__(cls, code)
        made._value_ = code
        made.meaning = meaning
        return made

    T1 = "T1", "a new connection is refused"
    T2 = "T2", "the connection is reset before or after the request is processed"
    T3 = "T3", "the answer comes late"
    T4 = "T4", "a 5xx page in HTML instead of an answer"
    T5 = "T5", "the body is cut short or is not JSON"
    T6 = "T6", "the body trickles in"
    T7 = "T7", "a stream is closed by the venue"
    T8 = "T8", "a stream goes silent without a close"
    T9 = "T9", "the stream's handshake is refused"
    T10 = "T10", "every stream is cut at once, as after 24 hours"
    T11 = "T11", "frames stall, then come in one burst"
    T12 = "T12", "streams lag behind requests"
    T13 = "T13", "the venue sees no pong and drops the stream"
    O1 = "O1", "the answer is lost, the order is live"
    O2 = "O2", "the answer is lost, the order was not placed"
    O3 = "O3", "503 with an unknown outcome"
    O4 = "O4", "-1007: timeout with an unknown outcome"
    O5 = "O5", "-1008: throttled; reduce-only orders and cancels are exempt"
    O6 = "O6", "the stream tells of the order before the answer does"
    O7 = "O7", "the answer is at once, the stream tells much later"
    O8 = "O8", "a new order is unknown to queries for a while"
    O9 = "O9", "a cancel loses against a fill: -2011, then filled"
    O10 = "O10", "a fill arrives between the cancel and its event"
    O11 = "O11", "a resting order is filled in part, then expires"
    O12 = "O12", "a market order is filled in part, the rest expires"
    O13 = "O13", "an order is filled in many pieces at several prices"
    O14 = "O14", "-4116: the client id is in use, for an order that was placed"
    O15 = "O15", "-5022: a post-only order is refused"
    O16 = "O16", "-2022 or -4118: a reduce-only order is refused"
    O17 = "O17", "self-trade prevention expires the order in the match"
    O18 = "O18", "a filter refuses the order"
    O19 = "O19", "the venue amends the order's price"
    O20 = "O20", "a batch succeeds in part"
    O21 = "O21", "the answer lacks the fill price"
    A1 = "A1", "-2021: the conditional order would trigger at once"
    A2 = "A2", "-4120: conditional orders are refused on the path of plain ones"
    A3 = "A3", "a conditional order is stuck while triggering"
    A4 = "A4", "a conditional order is rejected when it triggers"
    A5 = "A5", "a conditional order expires"
    A6 = "A6", "the mark price triggers while the last price is far away"
    A7 = "A7", "an order triggers while the streams are down"
    A8 = "A8", "-4117: a cancel meets an order that is triggering"
    A9 = "A9", "two conditional orders trigger, the second is refused: -2022"
    A10 = "A10", "a conditional order outlives its position"
    A11 = "A11", "-4045: too many conditional orders"
    A12 = "A12", "a trailing order's activation is told twice"
    A13 = "A13", "a conditional order ends without a fill"
    U1 = "U1", "a user event comes twice"
    U2 = "U2", "a user event is lost"
    U3 = "U3", "two user events come in the wrong order"
    U4 = "U4", "an old event comes again after a reconnect"
    U5 = "U5", "the listen key expires with a word, the socket stays open"
    U6 = "U6", "the listen key expires without a word"
    U7 = "U7", "-1125: the listen key is unknown when it is renewed"
    U8 = "U8", "another client deletes the listen key"
    U9 = "U9", "an unknown event, field or value"
    U10 = "U10", "a fill of an order that is not ours"
    U11 = "U11", "the account changes, the order's event is lost"
    U12 = "U12", "the user stream is silent while market data flows"
    C1 = "C1", "liquidation, in part or whole"
    C2 = "C2", "auto-deleveraging"
    C3 = "C3", "funding at an odd time"
    C4 = "C4", "the leverage bracket is lowered"
    C5 = "C5", "a margin call"
    C6 = "C6", "leverage is changed from outside"
    C7 = "C7", "a deposit, withdrawal or transfer"
    C8 = "C8", "the fee rates change"
    C9 = "C9", "multi-assets mode is on"
    C10 = "C10", "-2015: the key is revoked"
    C11 = "C11", "-2019: margin is insufficient"
    C12 = "C12", "balances are stale"
    M1 = "M1", "a gap in the depth stream"
    M2 = "M2", "an old depth snapshot"
    M3 = "M3", "a crossed or locked book"
    M4 = "M4", "the final kline comes late"
    M5 = "M5", "the final kline never comes"
    M6 = "M6", "a minute without volume"
    M7 = "M7", "the final kline differs from what REST says"
    M8 = "M8", "the price stands still"
    M9 = "M9", "a wick and its recovery"
    M10 = "M10", "trade ids skip"
    M11 = "M11", "event times jump"
    M12 = "M12", "an event of another symbol"
    M13 = "M13", "the mark price is far from the last price"
    M14 = "M14", "REST klines hold the running bar"
    M15 = "M15", "the symbol is halted"
    L1 = "L1", "429, with or without Retry-After"
    L2 = "L2", "418: banned for a while"
    L3 = "L3", "the used-weight header rises"
    L4 = "L4", "-1015: too many orders"
    L5 = "L5", "a stream is dropped for too many messages"
    K1 = "K1", "the venue's clock is off"
    K2 = "K2", "the venue's clock steps"
    K3 = "K3", "the venue's time is told late"
    K4 = "K4", "the venue's clock jumps and comes back"
    R1 = "R1", "tick or lot size changes"
    R2 = "R2", "a symbol is missing from the rules"
    R3 = "R3", "maintenance: 503, or cancels only"
    R4 = "R4", "the answers' dialect changes"
    P1 = "P1", "the client is killed"
    P2 = "P2", "the client starts again with an open position"
    P3 = "P3", "two clients trade at once"


@dataclass(frozen=True, slots=True)
class Figure:
    """One number of a fault: its value where the plan says none, and what seeds draw from."""

    default: float
    low: float
    high: float


MARKED = Figure(1.0, 0.0, 1.0)
"""Yes or no: drawn as 0 or 1."""
SECONDS = Figure(5_000.0, 500.0, 30_000.0)
"""A length of time in milliseconds."""

FIGURES: Mapping[FaultCode, Mapping[str, Figure]] = {
    FaultCode.T2: {"processed": MARKED},
    FaultCode.T3: {"delay_ms": Figure(3_000, 50, 20_000)},
    FaultCode.T4: {"status": Figure(502, 502, 504), "processed": MARKED},
    FaultCode.T5: {"bytes": Figure(10, 0, 40)},
    FaultCode.T6: {"delay_ms": Figure(2_000, 500, 20_000)},
    FaultCode.T7: {"close_code": Figure(1006, 1006, 1006)},
    FaultCode.T8: {"duration_ms": Figure(60_000, 5_000, 300_000), "pongs": MARKED},
    FaultCode.T9: {"status": Figure(429, 429, 429), "retry_after_seconds": Figure(5, 1, 30)},
    FaultCode.T11: {"duration_ms": SECONDS},
    FaultCode.T12: {"delay_ms": Figure(300, 50, 3_000)},
    FaultCode.O1: {"delay_ms": Figure(0, 0, 20_000)},
    FaultCode.O2: {"delay_ms": Figure(0, 0, 20_000)},
    FaultCode.O3: {"processed": MARKED},
    FaultCode.O4: {"processed": MARKED},
    FaultCode.O6: {"delay_ms": Figure(200, 20, 3_000)},
    FaultCode.O7: {"delay_ms": Figure(30_000, 2_000, 30_000)},
    FaultCode.O8: {"duration_ms": Figure(2_000, 200, 5_000)},
    FaultCode.O10: {"fraction": Figure(0.5, 0.1, 0.9)},
    FaultCode.O11: {"fraction": Figure(0.5, 0.1, 0.9)},
    FaultCode.O12: {"fraction": Figure(0.5, 0.1, 0.9)},
    FaultCode.O13: {"pieces": Figure(20, 5, 40)},
    FaultCode.O16: {"code": Figure(-2022, -2022, -2022)},
    FaultCode.O18: {"code": Figure(-4131, -4131, -4131)},
    FaultCode.O19: {"ticks": Figure(1, 1, 5)},
    FaultCode.O20: {"position": Figure(2, 1, 5)},
    FaultCode.A3: {"duration_ms": Figure(60_000, 5_000, 300_000)},
    FaultCode.A6: {"fraction": Figure(0.02, 0.005, 0.05)},
    FaultCode.U5: {},
    FaultCode.U10: {"side": Figure(1, -1, 1)},
    FaultCode.U12: {"duration_ms": Figure(60_000, 5_000, 300_000)},
    FaultCode.C1: {"fraction": Figure(1.0, 0.25, 1.0)},
    FaultCode.C2: {"fraction": Figure(0.5, 0.25, 1.0)},
    FaultCode.C3: {"rate": Figure(0.001, -0.003, 0.003)},
    FaultCode.C4: {"leverage": Figure(5, 2, 10)},
    FaultCode.C6: {"leverage": Figure(3, 1, 20)},
    FaultCode.C7: {"amount_quote": Figure(100, -500, 500)},
    FaultCode.C8: {"fee_rate": Figure(0.0004, 0.0002, 0.0006)},
    FaultCode.C12: {"duration_ms": SECONDS},
    FaultCode.M3: {"ticks": Figure(1, 0, 5)},
    FaultCode.M4: {"delay_ms": Figure(2_000, 200, 10_000)},
    FaultCode.M6: {"duration_ms": Figure(60_000, 60_000, 180_000)},
    FaultCode.M7: {"ticks": Figure(1, 1, 10)},
    FaultCode.M8: {"duration_ms": Figure(30_000, 5_000, 120_000)},
    FaultCode.M9: {"fraction": Figure(0.02, -0.05, 0.05)},
    FaultCode.M10: {"ids": Figure(100, 1, 10_000)},
    FaultCode.M11: {"jump_ms": Figure(-5_000, -60_000, 60_000)},
    FaultCode.M13: {"fraction": Figure(0.05, -0.05, 0.05), "duration_ms": SECONDS},
    FaultCode.M15: {"duration_ms": Figure(60_000, 5_000, 300_000)},
    FaultCode.L1: {"retry_after_seconds": Figure(2, 0, 10)},
    FaultCode.L2: {"retry_after_seconds": Figure(120, 120, 120)},
    FaultCode.L3: {"weight": Figure(2_300, 1_000, 2_390)},
    FaultCode.K1: {"skew_ms": Figure(-2_000, -10_000, 10_000)},
    FaultCode.K2: {"skew_ms": Figure(-2_000, -10_000, 10_000)},
    FaultCode.K3: {"delay_ms": Figure(3_000, 100, 5_000)},
    FaultCode.K4: {"skew_ms": Figure(1_000, -1_000, 1_000), "duration_ms": SECONDS},
    FaultCode.R1: {"factor": Figure(10, 10, 10)},
    FaultCode.R2: {"duration_ms": Figure(60_000, 5_000, 300_000)},
    FaultCode.R3: {"duration_ms": Figure(60_000, 5_000, 300_000), "cancels": MARKED},
}
"""The figures of each code; a code that is not here has none."""


def figures_of(code: FaultCode) -> Mapping[str, Figure]:
    """The figures that `code` takes, by name."""
    return FIGURES.get(code, {})
