"""A trader at the simulated exchange: orders and prices in a few words, answers in a few more.

Round figures: a tick is 0.1, a lot 0.001, the taker pays 0.05 % and the maker 0.02 %, the account
has 1,000 and 20x leverage.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from decimal import Decimal
from typing import Any

import pytest

from tercel.adapters.simulator.exchange.errors import ExchangeError
from tercel.adapters.simulator.exchange.events import (
    AccountChanged,
    AlgoChanged,
    ConfigChanged,
    Event,
    MarginCall,
    OrderChanged,
)
from tercel.adapters.simulator.exchange.exchange import Exchange
from tercel.adapters.simulator.exchange.records import (
    BUY,
    SELL,
    AlgoRow,
    Bracket,
    ExchangeRules,
    Instrument,
    NewOrder,
    OrderRow,
    OrderType,
    PositionRow,
)

BTC, ETH = "BTCUSDT", "ETHUSDT"
START = Decimal(1000)
D = Decimal

BRACKETS = (
    Bracket(1, 50, D(0), D(5_000), D("0.01"), D(0)),
    Bracket(2, 20, D(5_000), D(20_000), D("0.025"), D(75)),
    Bracket(3, 5, D(20_000), D(100_000), D("0.1"), D(1575)),
)

INSTRUMENT = Instrument(
    symbol=BTC,
    base="BTC",
    quote="USDT",
    tick_size=D("0.1"),
    lot_size=D("0.001"),
    quantity_min=D("0.002"),
    quantity_max=D(1000),
    market_quantity_max=D(500),
    notional_min_quote=D(5),
    brackets=BRACKETS,
    price_min=D("0.1"),
    price_max=D(10_000),
    percent_price_up=D("1.1"),
    percent_price_down=D("0.9"),
)

RULES = ExchangeRules(
    instruments=(INSTRUMENT, replace(INSTRUMENT, symbol=ETH, base="ETH")),
    maker_fee_rate=D("0.0002"),
    taker_fee_rate=D("0.0005"),
)


class Trader:
    """One account, and the market it is in."""

    def __init__(self, rules: ExchangeRules = RULES, start: Decimal = START, seed: int = 1) -> None:
        self.exchange = Exchange(rules, balance_quote=start, seed=seed)
        self.now_ms = 0
        self.events: list[Event] = []

    def tick(self) -> int:
        """A millisecond later."""
        self.now_ms += 1
        return self.now_ms

    # --- the market ---

    def price(self, *prices: str | int, symbol: str = BTC) -> Trader:
        """Price goes through `prices`; the book is a tick wide and has no bottom."""
        for price in prices:
            self.exchange.on_price(symbol, D(price), self.tick())
        return self

    def book(self, bids: str, asks: str) -> Trader:
        """A book such as `99.9x2 99.8x5`, best first."""
        self.exchange.on_book(BTC, levels(bids), levels(asks), self.tick())
        return self

    def trade(self, price: str | int, quantity: str | int = 1) -> Trader:
        """Others trade."""
        self.exchange.on_trade(BTC, D(price), D(quantity), self.tick())
        return self

    def mark(self, price: str | int, symbol: str = BTC) -> Trader:
        """The mark price alone."""
        self.exchange.on_mark(symbol, D(price), self.tick())
        return self

    # --- orders ---

    def buy(self, quantity: str | int, limit: str | int | None = None, **more: Any) -> OrderRow:
        """At market, or up to `limit`."""
        return self.order(BUY, quantity, limit, **more)

    def sell(self, quantity: str | int, limit: str | int | None = None, **more: Any) -> OrderRow:
        """At market, or down to `limit`."""
        return self.order(SELL, quantity, limit, **more)

    def order(
        self, side: int, quantity: str | int, limit: str | int | None, **more: Any
    ) -> OrderRow:
        """An order that the engine takes."""
        kind = OrderType.MARKET if limit is None else OrderType.LIMIT
        price = D(0) if limit is None else D(limit)
        asked = NewOrder(
            symbol=more.pop("symbol", BTC), side=side, kind=kind, quantity=D(quantity), price=price,
            **more,
        )  # fmt: skip
        return self.exchange.place(asked, self.tick())

    def wait(self, side: int, kind: OrderType, trigger: str | int = 0, **more: Any) -> AlgoRow:
        """A conditional order."""
        decimals: dict[str, Any] = {
            name: D(more.pop(name))
            for name in ("quantity", "price", "callback_rate", "activation_price")
            if name in more
        }
        asked = NewOrder(
            symbol=more.pop("symbol", BTC), side=side, kind=kind, trigger_price=D(trigger),
            **decimals, **more,
        )  # fmt: skip
        return self.exchange.place_conditional(asked, self.tick())

    def stop(self, side: int, quantity: str | int, trigger: str | int, **more: Any) -> AlgoRow:
        """A stop at market that only reduces."""
        more.setdefault("reduce_only", True)
        return self.wait(side, OrderType.STOP_MARKET, trigger, quantity=quantity, **more)

    def cancel(self, ref: int | str) -> OrderRow:
        """Cancel a resting order."""
        return self.exchange.cancel(BTC, ref, self.tick())

    # --- answers ---

    def state(self, ref: int | str) -> OrderRow:
        """An order now."""
        return self.exchange.order(BTC, ref)

    def algo(self, ref: int | str) -> AlgoRow:
        """A conditional order now."""
        return self.exchange.conditional(ref)

    def position(self, symbol: str = BTC) -> PositionRow:
        """The position now."""
        return self.exchange.positions(symbol)[0]

    @property
    def wallet(self) -> Decimal:
        """The wallet now."""
        return self.exchange.balances()[0].wallet_quote

    @property
    def available(self) -> Decimal:
        """What new orders may tie up."""
        return self.exchange.balances()[0].available_quote

    def news(self) -> list[str]:
        """What happened since the last call, a few words each."""
        taken = self.exchange.take_events()
        self.events += taken
        return [words(event) for event in taken]

    def fills(self, ref: int | str) -> list[tuple[str, str]]:
        """Price and quantity of each fill of an order."""
        number = self.state(ref).order_id
        rows = self.exchange.trades(BTC, order_id=number)
        return [(str(row.price), str(row.quantity)) for row in rows]


def levels(text: str) -> list[tuple[Decimal, Decimal]]:
    """`99.9x2 99.8x5` as levels."""
    pairs = [level.split("x") for level in text.split()]
    return [(D(price), D(size)) for price, size in pairs]


def words(event: Event) -> str:
    """An event in a few words."""
    match event:
        case OrderChanged():
            return f"order {event.execution.value} {event.order.status.value}"
        case AlgoChanged():
            return f"algo {event.algo.status.value}"
        case AccountChanged():
            return f"account {event.reason.value}"
        case MarginCall():
            return f"margin call {event.positions[0].symbol}"
        case ConfigChanged():
            return f"leverage {event.symbol} {event.leverage}"


@contextmanager
def refused(code: int) -> Iterator[None]:
    """What is inside is refused with `code`."""
    with pytest.raises(ExchangeError) as caught:
        yield
    assert caught.value.code == code, caught.value
    assert caught.value.message
