"""What the program has is documented: commands, options, indicators, figures, refusals."""

from __future__ import annotations

import dataclasses
import importlib
import inspect
import json
import pkgutil
import re
from typing import Any

import pytest
from tests.docs.commands import leaves, options_of
from tests.docs.pages import ROOT, everything, page

import tercel.core.indicators
from tercel.app.key_figures import DEFINITIONS
from tercel.app.live.state_codec import NAMES
from tercel.app.statistics import Statistics
from tercel.app.strategies import REQUIRED, built_in_names, load_strategy
from tercel.app.verdict import HEADLINES
from tercel.core import codes
from tercel.core.breakers import TABLE
from tercel.core.plan import TradePlan
from tercel.core.records import BAR, CONTEXT, TRADE
from tercel.domain.bars import BAR_COLUMNS, TIMEFRAME_MS, VENUES
from tercel.domain.journal import TABLES
from tercel.entry.cli.journal import Kind

STEP_NAME = re.compile(r"\w+_(step|push)|bar_vwap")


def missing(names: object, text: str) -> list[str]:
    """Those of `names` that `text` does not have as code."""
    written = set(re.findall(r"\w+", " ".join(re.findall(r"`([^`\n]+)`", text))))
    return [str(name) for name in names if str(name) not in written]  # type: ignore[attr-defined]


@pytest.mark.parametrize("name", [name for name, _ in leaves()])
def test_every_command_and_option_is_mentioned(name: str) -> None:
    command = dict(leaves())[name]
    text = everything()
    assert f"`tercel {name}`" in page("docs/index.md").text
    unknown = [
        names
        for names in options_of(command)
        if not any(re.search(rf"(?<![\w-]){option}(?![\w-])", text) for option in names)
    ]
    assert not unknown


def indicator_modules() -> list[str]:
    return [module.name for module in pkgutil.iter_modules(tercel.core.indicators.__path__)]


@pytest.mark.parametrize("name", indicator_modules())
def test_every_indicator_is_listed_with_its_steps(name: str) -> None:
    text = re.sub(r"\s+", " ", page("docs/indicators.md").text)
    assert f"**`{name}`**" in text
    module = importlib.import_module(f"{tercel.core.indicators.__name__}.{name}")
    for function_name, value in vars(module).items():
        kernel = getattr(value, "py_func", value)
        if getattr(kernel, "__module__", None) != module.__name__:
            continue
        if STEP_NAME.fullmatch(function_name):
            arguments = ", ".join(inspect.signature(kernel).parameters)
            call = re.escape(f"{function_name}({arguments})")
            assert re.search(rf"`({call}|{function_name})`", text), function_name


def test_every_figure_has_its_formula() -> None:
    text = page("docs/numbers.md").text
    rows = [line.split("|")[1] for line in text.splitlines() if line.startswith("| ")]
    shown = " ".join(rows)
    assert [name for name in DEFINITIONS if name not in shown] == []
    assert missing((field.name for field in dataclasses.fields(Statistics)), text) == []
    assert [line for line in HEADLINES.values() if line not in text] == []


def test_every_trade_field_is_named() -> None:
    text = page("docs/numbers.md").text
    trivial = {"stream", "side", "entry_time", "exit_time"}
    assert missing([name for name in TRADE.names or () if name not in trivial], text) == []


@pytest.mark.parametrize("name", built_in_names())
def test_every_parameter_and_reason_of_a_strategy_is_described(name: str) -> None:
    strategy = load_strategy(name)
    text = page("docs/strategies.md").text
    assert f"## `{name}`" in text
    parameters = strategy.parameters.items
    assert missing([param.name for param in parameters], text) == []
    assert all(param.meaning and (param.unit or param.choices) for param in parameters)


def test_reasons_of_three_r_are_named() -> None:
    assert missing(load_strategy("three_r").reasons, page("docs/strategies.md").text) == []


def test_what_a_strategy_file_needs_is_described() -> None:
    text = page("docs/strategies.md").text
    assert missing(REQUIRED, text) == []
    assert missing(BAR.names or (), text) == []
    assert missing(CONTEXT.names or (), text) == []


@pytest.mark.parametrize(
    "which",
    [codes.Refusal, codes.ExitReason, codes.IntrabarMode, codes.SlippageModel, codes.SizeMode,
     codes.EntryTiming],
    ids=lambda which: which.__name__,
)  # fmt: skip
def test_every_code_of_fills_is_explained(which: Any) -> None:
    text = page("docs/fills.md").text
    assert missing([code.name.lower() for code in which], text) == []
    if which in (codes.Refusal, codes.ExitReason):
        assert missing([code.name for code in which], text) == []


def test_the_breakers_of_the_page_are_those_of_the_code() -> None:
    text = page("docs/breakers.md").text
    rows = [line.split(" | ") for line in text.splitlines() if line.startswith("| ")][1:]
    for breaker, row in zip(TABLE, rows, strict=True):
        assert row[0] == f"| {breaker.name}"
        assert row[3] == f"{breaker.effect} |"
        assert re.findall(r"`(\w+)`", row[2]) == [each.name.lower() for each in breaker.refusals]
        for path, default in breaker.settings.items():
            value = list(default) if isinstance(default, tuple) else default
            assert f"`{path}` {json.dumps(value)}" in row[1]


def test_refusals_stand_in_the_order_of_the_checks() -> None:
    section = page("docs/fills.md").text.split("## Refusals")[1].split("\n## ")[0]
    told = [code for code in re.findall(r"\| `(\w+)` \| `[A-Z0-9_]+`", section) if code != "none"]
    core = ROOT / "src/tercel/core"
    risk = (core / "risk.py").read_text(encoding="utf-8")
    breakers = (core / "breakers.py").read_text(encoding="utf-8")

    def named(text: str, function: str) -> list[str]:
        body = text.split(f"def {function}(")[1].split("\n@kernel", maxsplit=1)[0]
        return [name.lower() for name in re.findall(r"Refusal\.([A-Z0-9_]+)", body)]

    halted = named(breakers, "judge_account")
    stopped = named(breakers, "stopped")
    market = named(breakers, "market_forbids")
    asked = [
        *named(risk, "approve")[:3],
        "flow_against",
        *halted,
        *stopped[1:],
        *market,
        *named(breakers, "forbids"),
        *named(breakers, "pace_forbids"),
        "low_score",
        *named(risk, "room"),
        *named(risk, "capped"),
        *named(risk, "size"),
        "no_liquidity",
    ]
    assert set(told) == {name for name in asked if name != "none"}
    firm = ["equity_exhausted", "position_open", "invalid_stop", "flow_against", *halted]
    assert told[: len(firm)] == firm
    assert told[-1] == "no_liquidity"
    in_table = [each.name.lower() for row in TABLE for each in row.refusals]
    assert list(dict.fromkeys(in_table)) == [name for name in told if name in in_table]


def test_every_field_of_a_plan_is_described() -> None:
    fields = [field.name for field in dataclasses.fields(TradePlan)]
    assert missing(fields, page("docs/fills.md").text) == []


def test_state_keys_journal_tables_and_what_can_be_shown_are_listed() -> None:
    text = page("docs/journal.md").text
    assert missing(NAMES, text) == []
    assert missing([f"journal_{name}" for name in TABLES], text) == []
    assert missing(Kind, text) == []


def test_venues_timeframes_and_columns_are_listed() -> None:
    text = page("docs/data.md").text
    for name in (*VENUES, *TIMEFRAME_MS):
        assert re.search(rf"`[^`]*(?<![\w-]){name}(?![\w-])[^`]*`", text), name
    assert missing(BAR_COLUMNS, text) == []


def test_environment_variables_and_make_verbs_are_in_the_readme() -> None:
    text = page("README.md").text
    variables = (
        "TERCEL_CACHE_DIR",
        "TERCEL_CONFIG_DIR",
        "TERCEL_TEST_DATA",
        "TERCEL_TEST_DATA_REQUIRED",
        "TERCEL_TEST_SERVERS_REQUIRED",
        "TERCEL_STATE_URL",
        "TERCEL_JOURNAL_URL",
        "NO_COLOR",
    )
    assert missing((*variables, "TERCEL__GROUP__FIELD"), text) == []
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    for verb in ("demo", "test", "check", "fmt", "bench", "backtest"):
        assert f"make {verb}" in text
        assert re.search(rf"^{verb}:", makefile, re.MULTILINE)
