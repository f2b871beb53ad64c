"""What gates.yaml may not say."""

from __future__ import annotations

from typing import Any

import pytest
from pydantic import ValidationError

from tercel.domain.gate_settings import GateSettings, ValidationSettings

GOOD = {"days": ["2026-02-09"], "trades_max": 8, "profit_factor_min": 1.3, "warm_up_days": 30}


@pytest.mark.parametrize(
    ("presets", "said"),
    [
        ({"mine": {"trades": {"above": 1, "below": 3}}}, "exactly one of"),
        ({"mine": {"trades": {}}}, "exactly one of"),
        ({"mine": {"trades": {"over": 1}}}, "over"),
        ({"mine": {"tradez": {"above": 1}}}, "tradez"),
        ({"mine": {}}, "at least one threshold in preset mine"),
        ({"other": {"trades": {"above": 1}}}, "to be one of other, got mine"),
        ({"mine": {"trades": {"above": "many"}}}, "valid number"),
    ],
)
def test_thresholds(presets: Any, said: str) -> None:
    with pytest.raises(ValidationError, match=said):
        GateSettings(preset="mine", presets=presets)


@pytest.mark.parametrize("days", [[], ["2026-02-09T01:00"], ["2026-02-09", "2026-02-09"], ["mon"]])
def test_days(days: list[str]) -> None:
    assert ValidationSettings.model_validate({**GOOD, "folder": "validated"}).trades_max == 8
    with pytest.raises(ValidationError, match="expected different UTC dates"):
        ValidationSettings.model_validate({**GOOD, "days": days, "folder": "validated"})
