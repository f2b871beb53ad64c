"""Fault plans as YAML: written for people to read and edit, read without trust.

seed: 7
faults:
  - what: O1                        # the answer is lost, the order is live
    when: {nth: 2}                  # or {after_ms: 60000}, or {probability: 0.01, times: 3}
    where: {endpoint: POST /fapi/v1/order, symbol: BTCUSDT}
    figures: {delay_ms: 3000}         # of the venue's time, as all ms: 0.1 s with --speed 30
"""

from __future__ import annotations

import io
from dataclasses import fields
from pathlib import Path
from typing import Any

from tercel.adapters.simulator.faults import Fault, FaultCode, FaultPlan, When, Where
from tercel.domain.errors import UserError

FAULTS_MAX = 1_000
BYTES_MAX = 1_000_000


def plan_yaml(plan: FaultPlan) -> str:
    """`plan` as text; reading it gives the same plan."""
    from ruamel.yaml import YAML

    yaml = YAML(typ="safe", pure=True)
    yaml.default_flow_style = False
    yaml.sort_base_mapping_type_on_output = False  # type: ignore[assignment]
    out = io.StringIO()
    yaml.dump({"seed": plan.seed, "faults": [_entry(fault) for fault in plan.faults]}, out)
    return out.getvalue()


def read_plan(path: Path) -> FaultPlan:
    """The plan in a file. Raises UserError that names the file and what is wrong."""
    try:
        if path.stat().st_size > BYTES_MAX:
            raise UserError(f"{path}: a fault plan has at most {BYTES_MAX:,} bytes")
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise UserError(f"{path}: cannot be read as a fault plan: {error}") from None
    try:
        return parse_plan(text)
    except UserError as error:
        raise UserError(f"{path}: {error}") from None


def parse_plan(text: str) -> FaultPlan:
    """The plan in `text`. Raises UserError."""
    from ruamel.yaml import YAML
    from ruamel.yaml.error import YAMLError

    try:
        tree = YAML(typ="safe", pure=True).load(text)
    except YAMLError as error:
        raise UserError(f"not YAML: {str(error).splitlines()[0]}") from None
    tree = _mapping(tree if tree is not None else {}, "a fault plan", ("seed", "faults"))
    entries = tree.get("faults", [])
    if not isinstance(entries, list) or len(entries) > FAULTS_MAX:
        raise UserError(f"faults: a list of at most {FAULTS_MAX} entries")
    faults = tuple(_fault(entry, number) for number, entry in enumerate(entries, 1))
    return FaultPlan(faults, _whole(tree.get("seed", 0), "seed"))


def _entry(fault: Fault) -> dict[str, Any]:
    """One entry, without what is as by default."""
    when = {
        each.name: getattr(fault.when, each.name)
        for each in fields(When)
        if getattr(fault.when, each.name) != each.default
    }
    made: dict[str, Any] = {"what": str(fault.what), "when": when}
    where = {each.name: getattr(fault.where, each.name) for each in fields(Where)}
    where = {name: value for name, value in where.items() if value}
    if where:
        made["where"] = where
    if fault.figures:
        made["figures"] = dict(fault.figures)
    return made


def _fault(entry: Any, number: int) -> Fault:
    place = f"fault {number}"
    entry = _mapping(entry, place, ("what", "when", "where", "figures"))
    what = entry.get("what")
    if not isinstance(what, str) or what not in FaultCode.__members__:
        raise UserError(f"{place}: what is {what!r}; the codes are in docs/simulated-exchange.md")
    given = _mapping(entry.get("when", {}), f"{place}: when", _names(When))
    where = _mapping(entry.get("where", {}), f"{place}: where", _names(Where))
    figures = _mapping(entry.get("figures", {}), f"{place}: figures", None)
    chance = given.pop("probability", None)
    try:
        return Fault(
            FaultCode[what],
            When(
                probability=None if chance is None else _number(chance, "probability"),
                **{name: _whole(value, name) for name, value in given.items()},
            ),
            Where(**{name: str(value) for name, value in where.items()}),
            {name: _number(value, name) for name, value in figures.items()},
        )
    except UserError as error:
        raise UserError(f"{place}: {error}") from None


def _names(record: type[When] | type[Where]) -> tuple[str, ...]:
    return tuple(each.name for each in fields(record))


def _mapping(value: Any, place: str, known: tuple[str, ...] | None) -> dict[str, Any]:
    if not isinstance(value, dict) or not all(isinstance(name, str) for name in value):
        raise UserError(f"{place}: expected names and values, got {value!r}")
    for name in value:
        if known is not None and name not in known:
            raise UserError(f"{place}: {name!r} is unknown; there are {', '.join(known)}")
    return dict(value)


def _whole(value: Any, name: str) -> int:
    if isinstance(value, bool) or not isinstance(value, int):
        raise UserError(f"{name}: expected a whole number, got {value!r}")
    return value


def _number(value: Any, name: str) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise UserError(f"{name}: expected a number, got {value!r}")
    return float(value)
