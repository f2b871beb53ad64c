"""What the venue itself remembers, held against what a session wrote down: fills, wallet, orders
left behind, and how long a position ever stood without a stop of its size.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

from tests.e2e.programs import SYMBOL, Venue

from tercel.bootstrap import open_journal, open_state
from tercel.domain.journal import FillRow, IntentRow, ScoreRow, TradeRow
from tercel.domain.session_state import SessionState

LOT = 0.001


@dataclass(frozen=True, slots=True)
class Span:
    """From one moment to another, venue time, ms."""

    begin_ms: int
    end_ms: int

    @property
    def length_ms(self) -> int:
        """How long it is."""
        return self.end_ms - self.begin_ms


async def _rows(folder: Path, table: str) -> list[Any]:
    journal = open_journal("", folder, create=False)
    try:
        return list(await journal.read(table))
    finally:
        await journal.close()


def fills_of(folder: Path) -> list[FillRow]:
    """Fills in the journal of every session of that folder."""
    return [row for row in asyncio.run(_rows(folder, "fill")) if row.desk == "main"]


def intents_of(folder: Path) -> list[IntentRow]:
    """What was about to be sent."""
    return asyncio.run(_rows(folder, "intent"))


def trades_of(folder: Path) -> list[TradeRow]:
    """Finished trades of the account itself."""
    return [row for row in asyncio.run(_rows(folder, "trade")) if row.desk == "main"]


def scores_of(folder: Path) -> list[ScoreRow]:
    """External scores that were fetched."""
    return asyncio.run(_rows(folder, "score"))


def state_of(folder: Path) -> SessionState:
    """What a session kept."""

    async def read() -> SessionState:
        store = open_state("", folder)
        try:
            return (await store.read_full_snapshot()).state
        finally:
            await store.close()

    return asyncio.run(read())


def positions(venue: Venue) -> list[tuple[int, float]]:
    """(moment, base held from then on), by the venue's trades."""
    held, made = 0.0, []
    for trade in venue.ask("/fapi/v1/userTrades", symbol=SYMBOL, limit=1000):
        held += float(trade["qty"]) * (1 if trade["side"] == "BUY" else -1)
        held = 0.0 if abs(held) < 0.5 * LOT else held
        made.append((int(trade["time"]), held))
    return made


def naked(venue: Venue) -> list[Span]:
    """Every span in which the position had no stop of its size at the venue."""
    held = positions(venue)
    stops = [
        (
            int(row["createTime"]),
            int(row["updateTime"]) if row["algoStatus"] != "NEW" else 1 << 62,
            float(row["quantity"]) * (1 if row["side"] == "BUY" else -1),
        )
        for row in venue.ask("/fapi/v1/allAlgoOrders", symbol=SYMBOL, limit=1000)
    ]
    now_ms = venue.now_ms()
    ends = [time for time, _ in held[1:]] + [now_ms]
    spans: list[Span] = []
    for (begin, quantity), end in zip(held, ends, strict=True):
        if quantity == 0.0:
            continue
        marks = sorted({begin, end, *(m for a, b, _ in stops for m in (a, b) if begin < m < end)})
        for a, b in pairwise(marks):
            cover = sum(size for made, over, size in stops if made <= a and over >= b)
            if abs(cover) >= abs(quantity) - 0.5 * LOT and cover * quantity < 0:
                continue
            if spans and spans[-1].end_ms == a:
                spans[-1] = Span(spans[-1].begin_ms, b)
            else:
                spans.append(Span(a, b))
    return spans


def check_fills(venue: Venue, folder: Path) -> int:
    """Our fills are the venue's, each once; how many. Raises AssertionError."""
    ours = {int(row.trade_id): row for row in fills_of(folder)}
    trades = {
        int(row["id"]): row for row in venue.ask("/fapi/v1/userTrades", symbol=SYMBOL, limit=1000)
    }
    missing, invented = sorted(trades.keys() - ours.keys()), sorted(ours.keys() - trades.keys())
    assert not missing, f"the venue's trades {missing} are not in the journal"
    assert not invented, f"fills {invented} of the journal are no trades of the venue"
    for number, trade in trades.items():
        row = ours[number]
        told = (row.price, row.quantity, row.fee_quote, row.side)
        side = 1 if trade["side"] == "BUY" else -1
        assert told == (
            float(trade["price"]), float(trade["qty"]), float(trade["commission"]), side
        ), f"trade {number}: {row} is not {trade}"  # fmt: skip
    return len(trades)


def check_wallet(venue: Venue, folder: Path) -> None:
    """The account's cash is the venue's wallet, to a millionth. Raises AssertionError."""
    wallet = float(venue.ask("/fapi/v3/account")["totalWalletBalance"])
    kept = state_of(folder).account_balance
    assert abs(wallet - kept) < 1e-6, f"wallet {wallet} at the venue, {kept} in the state"
