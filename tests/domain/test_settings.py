"""The settings models: ranges, strictness, overrides, and that `config/` holds every tunable."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path
from typing import Any, get_args, get_type_hints

import pytest
from pydantic import BaseModel, ValidationError
from ruamel.yaml import YAML

from tercel.adapters.config import packaged_config_dir, read_settings
from tercel.core import codes
from tercel.core.plan import TradePlan
from tercel.domain import breaker_settings as breakers
from tercel.domain import trading_settings as trading
from tercel.domain.bars import VENUES
from tercel.domain.errors import ConfigError
from tercel.domain.settings import Settings, StrategySettings, Venue, redacted


@pytest.fixture(scope="module")
def settings() -> Settings:
    """The packaged defaults."""
    return read_settings([packaged_config_dir()], environ={}).settings


def yaml_paths() -> set[str]:
    """Every path set by the packaged tree, as the models would name it."""
    yaml = YAML(typ="safe", pure=True)
    tree: dict[str, Any] = {"strategies": {}}
    for file in packaged_config_dir().glob("*.yaml"):
        tree |= yaml.load(file)
    return set(_paths(tree))


def _paths(tree: dict[str, Any], at: str = "") -> Iterator[str]:
    for key, value in tree.items():
        path = f"{at}.{key}" if at else str(key)
        yield path
        if isinstance(value, dict):
            yield from _paths(value, path)


def model_paths(model: type[BaseModel], at: str = "") -> Iterator[str]:
    """Every field of a model and of the models inside it, sections of free names left out."""
    for name, info in model.model_fields.items():
        path = f"{at}.{name}" if at else name
        yield path
        if isinstance(info.annotation, type) and issubclass(info.annotation, BaseModel):
            yield from model_paths(info.annotation, path)


def test_every_field_of_every_model_is_in_the_packaged_tree() -> None:
    assert set(model_paths(Settings)) <= yaml_paths()


def test_no_field_has_a_default_outside_the_packaged_tree() -> None:
    may_be_left_out = (trading.SlippageSettings, StrategySettings)
    groups: set[type[BaseModel]] = {Settings, *_models_in(Settings)}
    defaults = [
        f"{group.__name__}.{name}"
        for group in groups.difference(may_be_left_out)
        for name, info in group.model_fields.items()
        if not info.is_required()
    ]
    assert defaults == []


def _models_in(kind: Any) -> Iterator[type[BaseModel]]:
    if isinstance(kind, type) and issubclass(kind, BaseModel):
        for info in kind.model_fields.values():
            if isinstance(info.annotation, type) and issubclass(info.annotation, BaseModel):
                yield info.annotation
            yield from _models_in(info.annotation)
    for argument in get_args(kind):
        yield from ([argument] if isinstance(argument, type(BaseModel)) else [])
        yield from _models_in(argument)


def test_every_field_says_what_it_means() -> None:
    schema = Settings.model_json_schema()
    groups = {**schema["$defs"], "Settings": {"properties": {}}}
    silent = [
        f"{group}.{name}"
        for group, content in groups.items()
        for name, field in content.get("properties", {}).items()
        if "description" not in field
    ]
    assert silent == []


@pytest.mark.parametrize(
    ("group", "overrides"),
    [
        (trading.SizingSettings, trading.SizingOverrides),
        (breakers.LimitSettings, breakers.LimitOverrides),
        (breakers.PaceSettings, breakers.PaceOverrides),
        (trading.FillSettings, trading.FillOverrides),
        (trading.InstrumentSettings, trading.InstrumentOverrides),
    ],
)
def test_overrides_are_their_group_with_nothing_required(
    group: type[BaseModel], overrides: type[Any]
) -> None:
    hints = get_type_hints(group, include_extras=True, localns={"ClassVar": Any})
    fields = {name: hints[name] for name in group.model_fields}
    assert get_type_hints(overrides, include_extras=True) == fields
    assert overrides.__required_keys__ == frozenset()


def test_names_match_the_core() -> None:
    assert get_args(Venue) == VENUES
    assert set(get_type_hints(trading.PlanOverrides)) == {
        field.name for field in dataclasses.fields(TradePlan)
    }
    for alias, enum in [
        (trading.Intrabar, codes.IntrabarMode),
        (trading.EntryTimingName, codes.EntryTiming),
        (trading.SizeModeName, codes.SizeMode),
    ]:
        literal = get_args(alias)[0]
        assert {name.upper() for name in get_args(literal)} == set(enum.__members__)
    model = get_args(trading.SlippageSettings.model_fields["model"].annotation)
    assert {name.upper() for name in model} == set(codes.SlippageModel.__members__)


def test_cost_profiles_are_the_published_ones(settings: Settings) -> None:
    rates = {
        name: (profile.maker_fee_rate, profile.taker_fee_rate)
        for name, profile in settings.costs.profiles.items()
    }
    assert rates == {
        "binance_usdm": (0.0002, 0.0005),
        "bitget": (0.0002, 0.0006),
        "bybit": (0.0002, 0.00055),
        "source1": (0.00017, 0.00017),
        "source2": (0.001, 0.001),
        "free": (0.0, 0.0),
    }
    ticks = settings.cost_profile("source1").slippage
    assert (ticks.model, ticks.ticks_min, ticks.ticks_max) == ("ticks", 1, 3)
    assert settings.cost_profile("source2").slippage.bps == 5.0
    assert settings.cost_profile("free").funding_interval_hours == 0


def test_three_r_uses_its_source(settings: Settings) -> None:
    sizing = settings.sizing_of("three_r")
    assert (sizing.risk_fraction, sizing.includes_costs) == (0.002, False)
    assert sizing.leverage_max == settings.sizing.leverage_max
    assert settings.cost_profile_name("three_r", "binance-usdm") == "source1"
    assert settings.strategy("three_r").instrument == {"lot_size": Decimal("0.001")}
    assert settings.strategy("three_r").params == {}


def test_a_strategy_nobody_mentions_uses_the_groups(settings: Settings) -> None:
    assert settings.sizing_of("my_idea") == settings.sizing
    assert settings.fills_of("my_idea") == settings.fills
    assert settings.limits_of("my_idea") == settings.limits
    assert settings.cost_profile_name("my_idea", "bybit-linear") == "bybit"


def test_instruments(settings: Settings) -> None:
    rules = settings.instrument("binance-usdm", "BTCUSDT")
    assert rules is not None
    assert (rules.tick_size, rules.notional_min_quote) == (Decimal("0.1"), Decimal(100))
    assert settings.instrument("synthetic", "BTCUSDT") == rules
    assert settings.instrument("binance-spot", "NOSUCH") is None
    assert settings.instrument("bitget-usdtm", "BTCUSDT") is None
    own = rules.with_overrides({"lot_size": Decimal("0.01")})
    assert (own.lot_size, own.tick_size) == (Decimal("0.01"), rules.tick_size)


def test_decimal_rules_are_exact(settings: Settings) -> None:
    rules = settings.instrument("binance-spot", "BTCUSDT")
    assert rules is not None
    assert rules.lot_size == Decimal("0.00001")


def test_unknown_profile_and_venue_are_named(settings: Settings) -> None:
    with pytest.raises(ConfigError, match="no cost profile 'cheap'; there are: binance_usdm"):
        settings.cost_profile("cheap")
    with pytest.raises(ConfigError, match=r"costs\.profile\.kraken"):
        settings.cost_profile_name("my_idea", "kraken")


def test_settings_are_frozen(settings: Settings) -> None:
    with pytest.raises(ValidationError, match="frozen"):
        settings.runs.seed = 7


@pytest.mark.parametrize(
    ("group", "change"),
    [
        ("runs", {"seed": "42"}),
        ("runs", {"seed": True}),
        ("runs", {"start_quote": float("inf")}),
        ("sizing", {"risk_fraction": True}),
        ("sizing", {"mode": "notional"}),
        ("sizing", {"mode": "quantity"}),
        ("fills", {"limit_gap_at_open": "yes"}),
        ("limits", {"positions_max": 2.5}),
        ("synthetic", {"start": "12:30"}),
        ("synthetic", {"symbols": ["btc/usdt"]}),
        ("log", {"level": "loud"}),
    ],
)
def test_what_is_not_meant_is_refused(
    settings: Settings, group: str, change: dict[str, Any]
) -> None:
    with pytest.raises(ValidationError):
        getattr(settings, group).with_overrides(change)


@pytest.mark.parametrize(
    "slippage",
    [
        {"model": "ticks"},
        {"model": "ticks", "ticks_min": 3, "ticks_max": 1},
        {"model": "bps"},
        {"model": "depth", "bps": 1.0},
    ],
)
def test_slippage_needs_the_figures_of_its_model(slippage: dict[str, Any]) -> None:
    with pytest.raises(ValidationError, match="expected"):
        trading.SlippageSettings.model_validate(slippage)


def test_folders_may_begin_at_home(settings: Settings) -> None:
    changed = settings.data.with_overrides({"lake": "~/lake"})
    assert changed.lake == Path("~/lake").expanduser()


def test_addresses(settings: Settings) -> None:
    local = {"binance-usdm": "http://127.0.0.1:9101/"}
    changed = settings.fetch.with_overrides({"archive_urls": local})
    assert changed.archive_urls == {"binance-usdm": "http://127.0.0.1:9101"}
    with pytest.raises(ValidationError, match="begins with https"):
        settings.fetch.with_overrides({"rest_urls": {"bybit-linear": "bybit.com"}})


def test_secrets_are_hidden_wherever_they_are() -> None:
    tree = {
        "api_key": "abc",
        "venues": [{"apiSecret": "abc", "passphrase_token": "abc", "db_password": "abc"}],
        "bot": {"token": None, "chat": 12, "keys_max": 3},
        "unset_key": "",
    }
    assert redacted(tree) == {
        "api_key": "(hidden)",
        "venues": [
            {"apiSecret": "(hidden)", "passphrase_token": "(hidden)", "db_password": "(hidden)"}
        ],
        "bot": {"token": None, "chat": 12, "keys_max": 3},
        "unset_key": "",
    }
    assert redacted({"signing_key": {"pem": "abc"}}) == {"signing_key": "(hidden)"}


def test_the_documentation_has_every_setting(settings: Settings) -> None:
    text = (packaged_config_dir().parent / "docs" / "configuration.md").read_text()
    rows = {
        line.split("|")[1].strip(): line for line in text.splitlines() if line.startswith("| `")
    }
    for path in model_paths(Settings):
        group, _, name = path.partition(".")
        if not name:
            assert f"### `{group}`" in text
            continue
        field = type(getattr(settings, group)).model_fields[name]
        assert str(field.description) in rows[f"`{path}`"]
        value = getattr(getattr(settings, group), name)
        if isinstance(value, int | float | None) and not isinstance(value, bool):
            assert f"`{json.dumps(value)}`" in rows[f"`{path}`"]
    inner = (trading.CostProfile, trading.SlippageSettings, trading.InstrumentSettings)
    for model in (*inner, StrategySettings):
        assert {f"`{name}`" for name in model.model_fields} <= set(rows)
    assert {f"`{name}`" for name in get_type_hints(trading.PlanOverrides)} <= set(rows)
    assert {f"`{name}`" for name in settings.costs.profiles} <= set(rows)
