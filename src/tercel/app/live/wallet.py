"""Our ledger against the wallet: what changed it that nobody told us of.

A funding settlement told while the stream was down, the fee of a liquidation, a transfer: the
wallet has it, the ledger does not. A difference that two readings show alike, some seconds apart
and with every fill booked, is taken over as capital that came or went: breakers measure losses by
marks that move along with it, so that a withdrawal trips none of them.
"""

from __future__ import annotations

import math
from typing import Any

from tercel.app.live.alerts import AlertCode
from tercel.app.live.parts import SessionParts
from tercel.core.records import HOURS_MARKED
from tercel.domain.commands import Level

SLACK_QUOTE = 1e-5
"""Venues round every amount to their own unit, and floats add up."""
SURE_MS = 10_000
"""How long a difference must last: news of it may be on their way."""
LOUD_FRACTION = 1e-4
"""Of the wallet: from here on a person should know."""


class WalletWatch:
    """Remembers a difference until it is certain."""

    def __init__(self, parts: SessionParts) -> None:
        self._parts = parts
        self._gap_quote = math.nan
        self.since_ms = 0
        """When the difference was first read; 0: there is none."""

    def is_due(self) -> bool:
        """Whether it is time to read the wallet again."""
        return self.since_ms > 0 and self._parts.now - self.since_ms >= SURE_MS

    def compare(self, wallet_quote: float) -> None:
        """The wallet was read, and every fill before it is booked."""
        parts = self._parts
        gap = wallet_quote - parts.desk.cash.item()
        if abs(gap) <= SLACK_QUOTE or any(parts.orders.unsettled()):
            self.since_ms = 0
            return
        if self.since_ms == 0 or abs(gap - self._gap_quote) > SLACK_QUOTE:
            self._gap_quote, self.since_ms = gap, parts.now
            return
        if not self.is_due():
            return
        self.since_ms = 0
        move_capital(parts.desk.account, gap)
        parts.changed = True
        is_loud = abs(gap) > LOUD_FRACTION * abs(wallet_quote)
        parts.alert(
            Level.WARNING if is_loud else Level.INFO,
            AlertCode.LEDGER_CORRECTED,
            f"the wallet holds {wallet_quote:,.8f}, {gap:+,.8f} beside what fills and funding told",
        )


def move_capital(account: Any, amount_quote: float) -> None:
    """Money came (+) or went without a trade: the ledger has it, and no mark takes it for profit or
    loss.
    """
    names = ("start_quote", "cash_quote", "equity_quote", "peak_equity", "day_start_equity")
    for name in (*names, "session_equity", "day_ago_equity"):
        account[name] += amount_quote
    account["hour_equity"][: min(int(account["hours"]), HOURS_MARKED)] += amount_quote
