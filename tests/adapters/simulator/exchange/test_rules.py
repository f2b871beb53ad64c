"""The rules of an exchange from the settings that ship."""

from __future__ import annotations

from decimal import Decimal

import pytest

from tercel.adapters.simulator.exchange.exchange import Exchange
from tercel.adapters.simulator.exchange.margin import maintenance_of
from tercel.adapters.simulator.exchange.rules import brackets_of, exchange_rules, parts_of
from tercel.bootstrap import load_settings
from tercel.domain.errors import ConfigError, UserError
from tercel.domain.settings import InstrumentSettings, Settings

D = Decimal
VENUE = "binance-usdm"


@pytest.fixture(scope="module")
def settings() -> Settings:
    """What ships."""
    return load_settings()


def test_an_instrument_is_exact(settings: Settings) -> None:
    rules = exchange_rules(settings, VENUE, ["BTCUSDT"])
    btc = rules.instruments[0]
    assert (btc.base, btc.quote) == ("BTC", "USDT")
    assert (btc.tick_size, btc.lot_size) == (D("0.1"), D("0.001"))
    assert (btc.quantity_max, btc.market_quantity_max) == (D(1000), D(120))
    assert (btc.percent_price_up, btc.percent_price_down) == (D("1.05"), D("0.95"))
    assert (rules.maker_fee_rate, rules.taker_fee_rate) == (D("0.0002"), D("0.0005"))
    assert rules.funding_interval_ms == 8 * 3_600_000
    exchange = Exchange(rules, balance_quote=D(10_000), seed=1)
    assert exchange.positions("BTCUSDT")[0].leverage == 20


def test_brackets_follow_from_tiers(settings: Settings) -> None:
    """0.4 % allows 125x, 0.5 % 100x; margin is continuous where they meet."""
    btc = exchange_rules(settings, VENUE, ["BTCUSDT"]).instruments[0]
    assert [bracket.leverage_max for bracket in btc.brackets[:3]] == [125, 100, 77]
    for bracket in btc.brackets[1:]:
        edge = bracket.notional_floor_quote
        above = edge * bracket.maintenance_rate - bracket.maintenance_amount_quote
        assert above == maintenance_of(btc, edge)


def test_initial_leverage_is_no_more_than_a_symbol_allows() -> None:
    settings = load_settings(overrides=["simulator.leverage_initial=75"])
    exchange = Exchange(exchange_rules(settings, VENUE, ["XRPUSDT"]), balance_quote=D(1), seed=1)
    assert exchange.positions("XRPUSDT")[0].leverage == 50


def test_brackets_never_forbid_every_leverage() -> None:
    assert brackets_of([(1000.0, 0.9)], 0.5)[0].leverage_max == 1


def test_a_symbol_that_settings_do_not_list(settings: Settings) -> None:
    with pytest.raises(UserError, match=r"instruments\.binance-usdm\.NEWUSDT"):
        exchange_rules(settings, VENUE, ["NEWUSDT"])
    listed = InstrumentSettings(
        tick_size=D("0.01"), lot_size=D(1), quantity_min=D(0), notional_min_quote=D(5)
    )
    rules = exchange_rules(settings, VENUE, ["NEWUSDT"], {"NEWUSDT": listed})
    assert rules.instruments[0].quantity_min == 1


def test_the_cost_profile_has_to_be_there() -> None:
    with pytest.raises(ConfigError, match="no cost profile"):
        exchange_rules(load_settings(overrides=["simulator.costs=nobodys"]), VENUE, ["BTCUSDT"])


def test_a_symbol_is_base_and_quote() -> None:
    assert parts_of("1000PEPEUSDC") == ("1000PEPE", "USDC")
    for wrong in ("USDT", "BTCEUR"):
        with pytest.raises(UserError, match="ends in one of"):
            parts_of(wrong)
