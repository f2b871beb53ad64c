"""Everything an exchange holds. The parts of the exchange share one of these."""

from __future__ import annotations

from dataclasses import dataclass, field
from decimal import Decimal

from tercel.adapters.simulator.exchange.account import Account, Position
from tercel.adapters.simulator.exchange.errors import refusal
from tercel.adapters.simulator.exchange.log import EventLog, Ids
from tercel.adapters.simulator.exchange.orders import OrderStore
from tercel.adapters.simulator.exchange.quotes import Quotes
from tercel.adapters.simulator.exchange.records import ExchangeRules, Instrument


@dataclass(slots=True)
class State:
    """The exchange at one moment."""

    rules: ExchangeRules
    instruments: dict[str, Instrument]
    quotes: dict[str, Quotes]
    account: Account
    orders: OrderStore
    ids: Ids
    log: EventLog = field(default_factory=EventLog)

    def instrument(self, symbol: str) -> Instrument:
        """Its rules. Raises ExchangeError -1121."""
        found = self.instruments.get(symbol)
        if found is None:
            raise refusal(-1121)
        return found

    def mark(self, symbol: str) -> Decimal:
        """The price positions are valued at: mark, else last, else entry, else 0."""
        reference = self.quotes[symbol].reference
        return self.account.positions[symbol].entry_price if reference is None else reference


def new_state(rules: ExchangeRules, balance_quote: Decimal, seed: int) -> State:
    """The state of a new exchange. Raises ValueError where instruments differ in their quote."""
    quotes = {instrument.quote for instrument in rules.instruments}
    if len(quotes) != 1:
        raise ValueError(f"one account has one asset, got {sorted(quotes)}")
    ids = Ids(seed)
    account = Account(balance_quote, quotes.pop(), ids, rules.history_max)
    for instrument in rules.instruments:
        leverage = min(rules.leverage_initial, instrument.brackets[0].leverage_max)
        account.positions[instrument.symbol] = Position(instrument.symbol, leverage)
    return State(
        rules=rules,
        instruments={instrument.symbol: instrument for instrument in rules.instruments},
        quotes={instrument.symbol: Quotes() for instrument in rules.instruments},
        account=account,
        orders=OrderStore(rules.history_max),
        ids=ids,
    )
