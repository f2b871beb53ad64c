"""Whether a session may send real orders: a confirmation, and the promotion of what it trades."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from tercel.bootstrap import open_promotions
from tercel.domain.errors import UserError

if TYPE_CHECKING:
    from tercel.bootstrap.live import LiveChoice
    from tercel.domain.settings import Settings

CONFIRMED = "LIVE_TRADING_CONFIRMED"
LOOPBACK = ("127.0.0.1", "localhost", "::1")
"""Hosts that are this machine."""


def check_may_trade(settings: Settings, choice: LiveChoice) -> tuple[str, ...]:
    """Raise UserError where live trading is not allowed; what a reader should know.

    Nobody outside has been contacted yet.
    """
    if choice.mode != "live":
        return ()
    request = choice.request
    venue = request.venue or ""
    if urlsplit(settings.venue.rest_urls.get(venue, "")).hostname in LOOPBACK:
        return ("a rehearsal: the venue is on this machine, so no promotion is asked for",)
    if os.environ.get(CONFIRMED, "").lower() != "true":
        raise UserError(
            f"live trading is not confirmed: set {CONFIRMED}=true in the environment once you "
            "mean it; --mode paper needs no confirmation"
        )
    from tercel.app.live.prepare_live import values_of
    from tercel.app.promotion import Promotable, check_promotion

    promotions = open_promotions(settings)
    for strategy in request.strategies:
        values = values_of(settings, strategy, request)
        costs = request.costs or settings.cost_profile_name(strategy.name, venue)
        for symbol in request.symbols:
            check_promotion(promotions, settings, Promotable(strategy, symbol, values, costs))
    return ()
