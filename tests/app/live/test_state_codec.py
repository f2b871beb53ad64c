"""The state as JSON texts: exact both ways, readable, and particular about what it reads."""

from __future__ import annotations

import dataclasses
import json
import math
from typing import Any

import numpy as np
import pytest
from tests.session_states import full_state

from tercel.app.live.state_codec import NAMES, decode, encode
from tercel.core.codes import OrderKind
from tercel.domain.errors import DataError
from tercel.domain.session_state import CachedScore, SessionState

SOURCE_5 = {
    "automation_enabled",
    "active_position",
    "account_balance",
    "rolling_24h_pnl",
    "mode",
    "daily_trade_count",
    "daily_trade_date",
    "consecutive_losses",
    "cooldown_until",
    "funding_rate_cache",
    "oi_cache",
    "ls_ratio_cache",
    "fear_greed_cache",
    "onchain_flow_cache",
    "backtest_validated",
    "backtest_validated_config_hash",
    "ghost_pnl",
    "ghost_trade_count",
    "ghost_win_rate",
}


def again(state: SessionState) -> SessionState:
    return decode(encode(state), "here").state


def test_the_example_has_no_default_anywhere() -> None:
    """Else the tests below would not notice a field that is forgotten."""
    made, plain = full_state(), SessionState()
    assert [name for name in NAMES if getattr(made, name) == getattr(plain, name)] == []


@pytest.mark.parametrize("state", [SessionState(), full_state(0), full_state(7)])
def test_every_state_comes_back_as_it_was(state: SessionState) -> None:
    assert again(state) == state
    assert set(encode(state)) >= SOURCE_5


def test_only_what_changed_is_encoded() -> None:
    state = full_state()
    assert encode(state, state) == {}
    assert encode(full_state(), state) == {}
    changed = dataclasses.replace(state, order_number=8, seen_fills=())
    assert encode(changed, state) == {"order_number": "8", "seen_fills": "[]"}


def test_numbers_that_json_does_not_have() -> None:
    position = dataclasses.replace(
        full_state().active_position[0],
        target_price=math.nan,
        stop_price=-math.inf,
        entry_price=math.inf,
        position_size=-0.0,
    )
    texts = encode(dataclasses.replace(full_state(), active_position=(position,)))
    json.loads(texts["active_position"], parse_constant=pytest.fail)
    [read] = decode(texts, "here").state.active_position
    assert math.isnan(read.target_price)
    assert (read.stop_price, read.entry_price) == (-math.inf, math.inf)
    assert math.copysign(1.0, read.position_size) == -1.0


def test_people_can_read_it() -> None:
    texts = encode(full_state())
    assert texts["automation_enabled"] == "true"
    assert texts["mode"] == '"paper7"'
    assert texts["funding_rate_cache"] == '{"value":7.0,"timestamp":1700000000000}'
    stop, entry = json.loads(texts["orders"])
    assert (stop["phase"], stop["request"]["kind"]) == ("acked", "stop")
    assert (entry["phase"], entry["request"]["slot"]) == ("partly_filled", "stop")
    assert "\N{EM DASH}" in texts["kill_latched"]


def test_scalars_of_numpy_are_kept_as_numbers() -> None:
    score = CachedScore(np.float64(2.0), np.int64(4))  # type: ignore[arg-type]
    odd: dict[str, Any] = {
        "order_number": np.int64(3), "account_balance": np.float32(0.5), "oi_cache": score
    }  # fmt: skip
    read = again(dataclasses.replace(SessionState(), **odd))
    assert (read.order_number, read.account_balance) == (3, 0.5)
    assert read.oi_cache == CachedScore(2.0, 4)


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("order_number", 1.5),
        ("order_number", True),
        ("account_balance", "1"),
        ("mode", None),
        ("is_paused", 1),
        ("seen_fills", (1,)),
    ],
)
def test_what_would_not_be_read_back_is_not_written(field: str, value: object) -> None:
    with pytest.raises(TypeError):
        encode(dataclasses.replace(SessionState(), **{field: value}))  # type: ignore[arg-type]


def test_a_flag_that_was_never_set_is_missing_whether_its_key_is_there_or_not() -> None:
    texts = encode(dataclasses.replace(full_state(), automation_enabled=None))
    assert decode(texts, "here").missing == ("automation_enabled",)
    del texts["automation_enabled"]
    read = decode(texts, "here")
    assert (read.missing, read.state.automation_enabled) == (("automation_enabled",), None)


def test_what_is_absent_has_its_default_and_is_named() -> None:
    texts: dict[str, str | bytes | None] = {**encode(full_state())}
    texts["orders"] = None
    del texts["mode"]
    read = decode(texts, "here")
    assert read.missing == ("mode", "orders")
    assert read.state == dataclasses.replace(full_state(), mode="", orders=())


ORDER = json.loads(encode(full_state())["orders"])[0]


@pytest.mark.parametrize(
    ("name", "text", "words"),
    [
        ("mode", "", "not JSON at character 0"),
        ("mode", b"\xff\xfe\xfa", "not UTF-8"),
        ("mode", "3", 'expected a text, got 3'),
        ("mode", "[" + "1," * 1000 + "1]", r"expected a text, got \[1, 1.*\.\.\.;"),
        ("mode", "NaN", "expected JSON, got NaN"),
        ("order_number", "true", "expected a whole number, got true"),
        ("order_number", "1.0", "expected a whole number"),
        ("automation_enabled", "1", "expected true or false"),
        ("account_balance", '"many"', 'expected a number, got "many"'),
        ("account_balance", "null", "expected a number, got null"),
        ("oi_cache", '{"value": 1.0}', "timestamp is missing"),
        ("oi_cache", '{"value": 1.0, "timestamp": 2, "more": 1}', "unknown field 'more'"),
        ("orders", "{}", "expected a list"),
        ("orders", json.dumps([ORDER, {**ORDER, "phase": "lost"}]), r"\[1\].phase: expected"),
        ("orders", json.dumps([{**ORDER, "request": []}]), r"\[0\].request: expected an object"),
        ("kernel", '{"fingerprint": "f", "labels": [], "account": "%"}', "expected base64"),
        ("seen_fills", "[" * 100_000, "nested too deep"),
    ],
)  # fmt: skip
def test_nonsense_is_named(name: str, text: str | bytes, words: str) -> None:
    with pytest.raises(DataError, match=words) as caught:
        decode({**encode(full_state()), name: text}, "redis://host")
    assert str(caught.value).startswith(f"redis://host: tercel:{name}: ")
    assert len(str(caught.value)) < 300


def test_enumerations_have_names_that_differ() -> None:
    assert len({kind.name.lower() for kind in OrderKind}) == len(OrderKind)
