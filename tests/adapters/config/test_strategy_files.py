"""Packaged strategy files show their parameters as comments: these are the strategy's defaults."""

from __future__ import annotations

import re

import pytest

from tercel.adapters.config import packaged_config_dir, read_settings
from tercel.adapters.config.yaml_reader import Layer, parse_text
from tercel.app.strategies import load_strategy

NAMES = pytest.mark.parametrize("name", ["momentum", "trend_reversion", "vwap_rsi"])


@NAMES
def test_the_commented_parameters_are_the_defaults(name: str) -> None:
    text = (packaged_config_dir() / "strategies" / f"{name}.yaml").read_text(encoding="utf-8")
    shown = text[text.index("params:") :].split("# The plan")[0]
    active = re.sub(r"^  # ", "  ", shown, flags=re.MULTILINE)
    parameters = load_strategy(name).parameters
    assert parse_text(active, "x", Layer(), at=(), lines=True)["params"] == parameters.values()
    for parameter in parameters.items:
        [line] = [row for row in shown.splitlines() if f" {parameter.name}:" in row]
        assert parameter.span in line


def test_what_the_source_of_trend_reversion_risks() -> None:
    settings = read_settings([packaged_config_dir()], None, {}, ()).settings
    sizing = settings.sizing_of("trend_reversion")
    assert (sizing.risk_fraction, sizing.notional_max_quote, sizing.leverage_max) == (0.01, 400, 5)
    assert not sizing.includes_costs
