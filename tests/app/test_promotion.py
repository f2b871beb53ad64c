"""Promotion: what changes the hash, what does not, and what is refused."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from tercel.adapters.config import packaged_config_dir, read_settings
from tercel.app.promotion import (
    Promotable,
    PromotedDay,
    PromotionError,
    PromotionHash,
    PromotionRecord,
    check_promotion,
    code_files,
    promotion_hash,
)
from tercel.app.strategies import load_strategy
from tercel.domain.settings import Settings

SETTINGS = read_settings([packaged_config_dir()], environ={}).settings
SWING = load_strategy("swing")
SUBJECT = Promotable(SWING, "BTCUSDT", SWING.values({}, 60_000), "binance_usdm")


class MemoryStore:
    """promotion.PromotionStore in a dict."""

    def __init__(self) -> None:
        self.kept: dict[tuple[str, str], PromotionRecord] = {}

    def read(self, strategy: str, symbol: str) -> PromotionRecord | None:
        return self.kept.get((strategy, symbol))

    def write(self, record: PromotionRecord) -> Path:
        self.kept[record.strategy, record.symbol] = record
        return Path("memory")


def record(hashes: PromotionHash) -> PromotionRecord:
    return PromotionRecord(
        strategy="swing", symbol="BTCUSDT", venue="synthetic", timeframe="1m", pressure="none",
        hashes=hashes, days=(PromotedDay("2026-02-09", 3, 12.5),), profit_factor=1.5,
        tercel="0.1.0", created_time=1_771_027_200_000,
    )  # fmt: skip


def changed(path: str, value: Any) -> Settings:
    """The packaged settings with one more `--set`."""
    return read_settings(
        [packaged_config_dir()], environ={}, overrides=[f"{path}={value}"]
    ).settings


def test_the_same_strategy_has_the_same_hash() -> None:
    one, two = promotion_hash(SETTINGS, SUBJECT), promotion_hash(SETTINGS, SUBJECT)
    assert one == two
    assert len({one.code, one.parameters, one.risk, one.whole}) == 4
    assert all(len(part) == 64 for part in (one.code, one.parameters, one.risk, one.whole))


def test_a_parameter_changes_the_parameters_alone() -> None:
    other = replace(SUBJECT, values=SWING.values({"fast_len": 21}, 60_000))
    before, after = promotion_hash(SETTINGS, SUBJECT), promotion_hash(SETTINGS, other)
    assert before.differing(after) == ("parameters",)
    assert before.whole != after.whole


@pytest.mark.parametrize(
    ("path", "value"),
    [
        ("sizing.risk_fraction", 0.02),
        ("limits.positions_max", 3),
        ("pace.daily_trades_max", 9),
        ("strategies.swing.plan.hold_minutes_max", 600.0),
        ("costs.profiles.binance_usdm.taker_fee_rate", 0.0004),
        ("fills.intrabar", "optimistic"),
        ("pace.flow_min", 0.2),
    ],
)
def test_risk_changes_the_hash(path: str, value: Any) -> None:
    before = promotion_hash(SETTINGS, SUBJECT)
    assert "risk" in before.differing(promotion_hash(changed(path, value), SUBJECT))


@pytest.mark.parametrize(
    ("path", "value"),
    [("runs.folder", "elsewhere"), ("costs.profiles.bybit.taker_fee_rate", 0.0004),
     ("strategies.three_r.sizing.risk_fraction", 0.02), ("report.plot_dpi", 99)],
)  # fmt: skip
def test_what_does_not_trade_does_not(path: str, value: Any) -> None:
    assert promotion_hash(changed(path, value), SUBJECT) == promotion_hash(SETTINGS, SUBJECT)


def test_the_code_is_the_core_without_other_strategies() -> None:
    names = set(code_files(SWING))
    assert {"kernel.py", "risk.py", "indicators/ema.py", "strategies/swing.py"} <= names
    assert "strategies/three_r.py" not in names
    with_flow = set(code_files(SWING, load_strategy("order_flow")))
    assert with_flow - names == {"strategies/order_flow.py"}


OWN = '''
"""Goes nowhere."""
from tercel.strategy import *
from tercel.core.strategies.swing import PLAN
import neighbour
PARAMS = parameters(Param("x", 1, 0, 9))
REASONS = ("none",)
def state_dtype(params):
    return rec(("bars", "i8"))
@kernel
def step(state, bar, context, params, signal):
    no_signal(signal, 0)
@kernel
def signals(state, bars, contexts, params, out):
    for i in range(len(bars)):
        no_signal(out[i], 0)
'''


def test_a_strategy_of_ones_own_counts_with_its_neighbours(tmp_path: Path) -> None:
    hashes, names = [], set[str]()
    for folder, note in (("one", "# a"), ("two", "# a"), ("three", "# b")):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "mine.py").write_text(OWN)
        (tmp_path / folder / "neighbour.py").write_text(note)
        strategy = load_strategy(str(tmp_path / folder / "mine.py"))
        names = set(code_files(strategy))
        subject = Promotable(strategy, "BTCUSDT", strategy.values({}, 60_000), "free")
        hashes.append(promotion_hash(SETTINGS, subject))
    assert {"own/mine.py", "own/neighbour.py", "strategies/swing.py", "kernel.py"} <= names
    assert "strategies/three_r.py" not in names
    assert hashes[0] == hashes[1], "it does not matter where the files lie"
    assert hashes[0].differing(hashes[2]) == ("code",)


def test_what_was_validated_may_trade() -> None:
    store = MemoryStore()
    kept = record(promotion_hash(SETTINGS, SUBJECT))
    store.write(kept)
    assert check_promotion(store, SETTINGS, SUBJECT) == kept


def test_what_changed_since_may_not_and_both_hashes_are_told() -> None:
    store = MemoryStore()
    kept = record(promotion_hash(SETTINGS, SUBJECT))
    store.write(kept)
    other = replace(SUBJECT, values=SWING.values({"fast_len": 21}, 60_000))
    with pytest.raises(PromotionError, match="STRATEGY_MODIFIED_SINCE_VALIDATION") as refused:
        check_promotion(store, changed("sizing.risk_fraction", 0.02), other)
    now = promotion_hash(changed("sizing.risk_fraction", 0.02), other)
    assert kept.hashes.whole in str(refused.value)
    assert now.whole in str(refused.value)
    assert "(parameters, risk changed)" in str(refused.value)
    assert "`tercel validate swing BTCUSDT`" in str(refused.value)


def test_what_was_never_validated_may_not() -> None:
    with pytest.raises(PromotionError, match="STRATEGY_NOT_VALIDATED: swing BTCUSDT"):
        check_promotion(MemoryStore(), SETTINGS, SUBJECT)
