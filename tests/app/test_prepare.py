"""From a request to streams: series, parameters, costs, instrument, and what is warned of."""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np
import pytest
from tests.fakes import MemoryBarStore, bars_without
from tests.market_data import FIRST_OPEN_TIME, MINUTE_MS, invented_bars

from tercel.adapters.config import packaged_config_dir, read_settings
from tercel.app.prepare import RunRequest, prepare, read_series, used_pressure
from tercel.app.strategies import load_strategy
from tercel.app.trading_records import limits_record
from tercel.core.codes import EntryTiming, IntrabarMode, OrderKind, SizeMode, SlippageModel
from tercel.core.records import Records
from tercel.domain.bars import SeriesKey
from tercel.domain.errors import ConfigError, DataError, UserError
from tercel.domain.settings import Settings

THREE_R, SWING = load_strategy("three_r"), load_strategy("swing")
BTC = SeriesKey("binance-usdm", "BTCUSDT")
SPOT = SeriesKey("binance-spot", "BTCUSDT")


def settings(*options: str) -> Settings:
    """The packaged settings with `--set` options."""
    return read_settings([packaged_config_dir()], None, {}, options).settings


def store(bars: Records | None = None, *keys: SeriesKey) -> MemoryBarStore:
    """A store that holds the bars under each key."""
    made = MemoryBarStore()
    for key in keys or (BTC,):
        made.merge(key, invented_bars(300) if bars is None else bars, source="test")
    return made


def request(**changed: Any) -> RunRequest:
    """three_r on BTCUSDT."""
    return dataclasses.replace(RunRequest((THREE_R,), ("BTCUSDT",)), **changed)


def test_settings_become_records() -> None:
    options = (
        "fills.intrabar=ohlc_path",
        "fills.entry_timing=next_open",
        "fills.limit_gap_at_open=true",
        "sizing.notional_max_quote=500.0",
        "limits.positions_max=3",
        "runs.seed=7",
        "runs.start_quote=1234.5",
    )
    made = prepare(store(), settings(*options), request(strategies=(SWING,)))
    (spec,) = made.specs
    record = spec.settings
    assert record.rules.intrabar == IntrabarMode.OHLC_PATH
    assert record.rules.entry_timing == EntryTiming.NEXT_OPEN
    assert record.rules.limit_gap_at_open
    assert record.rules.participation_max == 0.1
    assert (record.sizing.mode, record.sizing.risk_fraction) == (SizeMode.RISK, 0.01)
    assert (record.sizing.notional_max, record.sizing.leverage_max) == (500.0, 5.0)
    assert record.costs.slippage_model == SlippageModel.BPS
    assert (record.costs.taker_fee_rate, record.costs.maker_fee_rate) == (0.0005, 0.0002)
    assert (record.costs.funding_interval_ms, record.costs.seed) == (8 * 3_600_000, 7)
    assert (record.instrument.tick_size, record.instrument.notional_min) == (0.1, 100.0)
    assert record.plan.entry_kind == OrderKind.MARKET
    assert made.account.start_quote == 1234.5
    assert made.account.limits.positions_max == 3
    assert made.cost_profiles == {"swing binance-usdm BTCUSDT 1m": "binance_usdm"}
    assert made.warnings == ()


def test_a_strategys_own_settings_go_first() -> None:
    """three_r comes with source 1's costs, size and lot."""
    made = prepare(store(), settings(), request())
    record = made.specs[0].settings
    assert made.cost_profiles == {"three_r binance-usdm BTCUSDT 1m": "source1"}
    assert record.costs.slippage_model == SlippageModel.TICKS
    assert (record.costs.slippage_ticks_min, record.costs.slippage_ticks_max) == (1, 3)
    assert record.sizing.risk_fraction == 0.002
    assert not record.sizing.includes_costs
    assert record.instrument.lot_size == 0.001


def test_no_cap_is_zero() -> None:
    assert prepare(store(), settings(), request()).specs[0].settings.sizing.notional_max == 0.0


def test_the_users_costs_go_before_all() -> None:
    made = prepare(store(), settings(), request(costs="free"))
    assert made.specs[0].settings.costs.taker_fee_rate == 0.0
    with pytest.raises(ConfigError, match="no cost profile 'cheap'; there are: "):
        prepare(store(), settings(), request(costs="cheap"))


def test_parameters_from_settings_and_from_the_command_line() -> None:
    own = settings("strategies.three_r.params.ema_len=15", "strategies.three_r.params.vol_len=6")
    (spec,) = prepare(store(), own, request(overrides={"ema_len": 25})).specs
    assert (spec.values["ema_len"], spec.values["vol_len"]) == (25, 6)
    with pytest.raises(UserError, match="no parameter 'nothing'"):
        prepare(store(), own, request(overrides={"nothing": 1}))


def test_a_plan_of_ones_own() -> None:
    own = settings("strategies.swing.plan.breakeven_after_leg=1")
    (spec,) = prepare(store(), own, request(strategies=(SWING,))).specs
    assert spec.settings.plan.breakeven_after_leg == 1
    own = settings("strategies.swing.plan.trail_fraction=0.5")
    with pytest.raises(ConfigError, match=r"strategies\.swing\.plan: .*sum to 1"):
        prepare(store(), own, request(strategies=(SWING,)))


def test_every_pair_of_strategy_and_symbol_is_a_stream() -> None:
    keys = BTC, dataclasses.replace(BTC, symbol="ETHUSDT")
    asked = request(strategies=(THREE_R, SWING), symbols=("BTCUSDT", "ethusdt"))
    made = prepare(store(None, *keys), settings(), asked)
    assert [str(spec.label) for spec in made.specs] == [
        "three_r binance-usdm BTCUSDT 1m",
        "swing binance-usdm BTCUSDT 1m",
        "three_r binance-usdm ETHUSDT 1m",
        "swing binance-usdm ETHUSDT 1m",
    ]
    assert [spec.label.number for spec in made.specs] == [0, 1, 2, 3]


def test_limits_are_a_strategys_own_where_it_trades_alone() -> None:
    own = settings("strategies.three_r.limits.positions_max=1")
    assert prepare(store(), own, request()).account.limits.positions_max == 1
    both = prepare(store(), own, request(strategies=(THREE_R, SWING)))
    assert both.account.limits.positions_max == 5
    assert any("limits of three_r" in line and "do not apply" in line for line in both.warnings)
    assert limits_record(own.limits).daily_loss_fraction_max == 0.05


def test_a_venue_is_chosen_and_known() -> None:
    both = store(None, BTC, SPOT)
    with pytest.raises(UserError, match="say which with --venue"):
        prepare(both, settings(), request())
    (spec,) = prepare(both, settings(), request(venue="binance-spot")).specs
    assert spec.series.key == SPOT


def test_an_empty_range_and_gaps_that_are_refused() -> None:
    asked = request(start_ms=FIRST_OPEN_TIME, end_ms=FIRST_OPEN_TIME)
    with pytest.raises(UserError, match=r"2023-07-01.* 2023-07-01"):
        read_series(store(), BTC, asked, "warn")
    gap = (FIRST_OPEN_TIME + 10 * MINUTE_MS, FIRST_OPEN_TIME + 15 * MINUTE_MS)
    holed = store(bars_without(invented_bars(300), [gap]))
    assert len(read_series(holed, BTC, request(), "warn").gaps) == 1
    with pytest.raises(DataError, match=r"1 gaps?, 5 bars missing .* `tercel data repair BTCUSDT"):
        read_series(holed, BTC, request(), "refuse")


def test_an_unknown_symbol_is_traded_by_what_its_bars_show() -> None:
    key = dataclasses.replace(BTC, symbol="PEPEUSDT")
    bars = invented_bars(300)
    for name in ("open", "high", "low", "close", "volume"):
        bars[name] = np.round(bars[name], 2)
    own = settings("strategies.swing.instrument.lot_size=0.5")
    made = prepare(store(bars, key), own, request(strategies=(SWING,), symbols=("PEPEUSDT",)))
    record = made.specs[0].settings.instrument
    assert (record.tick_size, record.lot_size) == (0.01, 0.5)
    (warning,) = made.warnings
    assert "tick 0.01 and lot 0.5 were inferred from the bars" in warning


BOOKS = ("bid_size", "ask_size")


@pytest.mark.parametrize(
    ("asked", "without", "expected"),
    [
        (None, (), ("none", 0.0)),
        ("bar", (*BOOKS, "taker_buy_volume"), ("bar", 0.0)),
        ("auto", (), ("book", 0.0)),
        ("auto", BOOKS, ("taker", 0.0)),
        ("auto", (*BOOKS, "taker_buy_volume"), ("taker", 1.0)),
        ("book", BOOKS, ("book", 1.0)),
        ("book", (), ("book", 0.0)),
        ("taker", BOOKS, ("taker", 0.0)),
    ],
)
def test_which_pressure_is_read(
    asked: str | None, without: tuple[str, ...], expected: tuple[str, float]
) -> None:
    bars = invented_bars(100)
    for name in without:
        bars[name] = np.nan
    assert used_pressure({} if asked is None else {"pressure": asked}, bars) == expected


def test_what_is_said_of_pressure() -> None:
    bars = invented_bars(100)
    for name in (*BOOKS, "taker_buy_volume"):
        bars[name][:40] = np.nan
    (warning,) = prepare(store(bars), settings(), request()).warnings
    assert "book pressure is unknown in 40.0% of the bars" in warning
    estimated = request(overrides={"pressure": "bar"})
    (warning,) = prepare(store(bars), settings(), estimated).warnings
    assert "pressure is an estimate from the shape of each bar" in warning


DEEP = (
    "costs.profiles.free.slippage.model=depth",
    "costs.profiles.free.slippage.impact_bps=20.0",
)


def test_filling_by_the_book_needs_one() -> None:
    """A fill without a price would make every figure of the run unknown."""
    asked = request(costs="free")
    made = prepare(store(), settings(*DEEP), asked)
    assert made.specs[0].settings.costs.slippage_model == SlippageModel.DEPTH
    bars = invented_bars(300)
    bars["ask_size"][7:10] = np.nan
    with pytest.raises(DataError, match="fills by the book, which is unknown in 3 of 300 bars"):
        prepare(store(bars), settings(*DEEP), asked)
