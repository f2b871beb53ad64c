"""Fees in another coin than the quote, at the last price known of it."""

from __future__ import annotations

import structlog

log = structlog.get_logger(__name__)


class FeePrices:
    """The last known price of each coin that fees are paid in, in quote."""

    def __init__(self, quote: str) -> None:
        self.quote = quote
        self._prices: dict[str, float] = {}
        self._times: dict[str, int] = {}
        self.unpriced = 0
        """Fees that were booked as 0 because no price was known."""

    def learn(self, coin: str, price: float, now_ms: int) -> None:
        """`coin` costs `price`."""
        self._prices[coin] = price
        self._times[coin] = now_ms

    def age_ms(self, coin: str, now_ms: int) -> int | None:
        """How old the price of `coin` is; None: there is none."""
        return now_ms - self._times[coin] if coin in self._times else None

    def in_quote(self, amount: float, coin: str) -> float:
        """`amount` of `coin` in quote. Without any price it is booked as 0, with a warning: what
        the wallet really lost shows in the venue's balance.
        """
        if amount == 0.0 or coin in ("", self.quote):
            return amount
        price = self._prices.get(coin)
        if price is None:
            self.unpriced += 1
            log.warning("fee_not_converted", coin=coin, amount=amount)
            return 0.0
        return amount * price
