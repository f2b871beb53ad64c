"""What pydantic found wrong, as lines that a user can act on.

`config/costs.yaml:12: costs.profiles.source1.taker_fee_rate: expected a number between 0 and 0.05,
got "cheap"`. What was expected is read from the JSON schema of the settings at the path of the
error, so that each range is stated once, in the model.
"""

from __future__ import annotations

import difflib
import json
from collections.abc import Mapping
from typing import Any

from pydantic import ValidationError
from pydantic_core import ErrorDetails

from tercel.adapters.config.yaml_reader import KeyPath
from tercel.domain.settings import Settings, redacted

GOT_CHARACTERS_MAX = 60
NAMES_MAX = 16

Schema = Mapping[str, Any]


def explain(
    error: ValidationError, origins: Mapping[KeyPath, str], *, missing: bool = True
) -> list[str]:
    """One line for each thing that is wrong, in the order of the settings.

    What is missing under an unknown name is not a second problem. `missing=False` leaves out all
    that is missing.
    """
    schema = Settings.model_json_schema()
    details = error.errors(include_url=False)
    strange = [detail["loc"][:-1] for detail in details if detail["loc"][-1:] == ("[key]",)]
    lines = []
    for detail in details:
        stray = any(detail["loc"][: len(path)] == path for path in strange)
        if detail["type"] == "missing" and (stray or not missing):
            continue
        lines.append(_line(detail, schema, origins))
    return lines


def _line(detail: ErrorDetails, schema: Schema, origins: Mapping[KeyPath, str]) -> str:
    location = list(detail["loc"])
    is_key = location[-1:] == ["[key]"]
    if is_key:
        location.pop()
    context = detail.get("ctx", {})
    if "path" in context:
        location = list(context["path"].split("."))
    decisive = [*location, context["because_of"]] if "because_of" in context else location
    place = _origin(tuple(str(part) for part in decisive), origins)
    problem = _problem(detail, location, schema, is_key=is_key)
    return f"{place}{_dotted(location)}: {problem}"


def _problem(detail: ErrorDetails, location: list[Any], schema: Schema, *, is_key: bool) -> str:
    kind = detail["type"]
    if kind == "extra_forbidden" or is_key:
        return _unknown(str(location[-1]), schema_at(schema, location[:-1]), schema)
    if kind == "missing":
        return f"missing; expected {describe(schema_at(schema, location), schema)}"
    if kind == "setting" and "path" in detail.get("ctx", {}):
        return detail["msg"]
    got = shown_value(detail["input"], str(location[-1]) if location else "")
    if kind == "setting":
        return f"{detail['msg']}, got {got}"
    return f"expected {describe(schema_at(schema, location), schema)}, got {got}"


def _unknown(name: str, parent: Schema, root: Schema) -> str:
    """The nearest valid name, or all of them where none is near."""
    names = sorted(_names(parent, root))
    near = difflib.get_close_matches(name, names, n=1, cutoff=0.6)
    if near:
        return f"unknown name; did you mean {near[0]}?"
    if not names:
        return "unknown name; expected a symbol such as BTCUSDT"
    listed = ", ".join(names[:NAMES_MAX]) + (", ..." if len(names) > NAMES_MAX else "")
    return f"unknown name; expected one of {listed}"


def _names(schema: Schema, root: Schema) -> list[str]:
    if "properties" in schema:
        return list(schema["properties"])
    keys = _resolve(schema.get("propertyNames", {}), root)
    return list(keys.get("enum", []))


def _resolve(schema: Schema, root: Schema) -> Schema:
    """Follow a reference, and the part of a choice that is not null."""
    while "$ref" in schema:
        schema = {**root["$defs"][schema["$ref"].rpartition("/")[2]], **_without(schema, "$ref")}
    if "anyOf" in schema:
        choices = [c for c in schema["anyOf"] if c.get("type") != "null"]
        nullable = len(choices) < len(schema["anyOf"])
        return {**_resolve(choices[0], root), "nullable": nullable}
    return schema


def _without(schema: Schema, key: str) -> dict[str, Any]:
    return {name: value for name, value in schema.items() if name != key}


def schema_at(root: Schema, location: list[Any]) -> Schema:
    """The schema of the setting at `location`; empty where there is none."""
    schema = _resolve(root, root)
    for part in location:
        if isinstance(part, int):
            inner = dict(enumerate(schema.get("prefixItems", []))).get(part, schema.get("items"))
        elif part in schema.get("properties", {}):
            inner = schema["properties"][part]
        else:
            by_pattern = list(schema.get("patternProperties", {}).values())
            inner = by_pattern[0] if by_pattern else schema.get("additionalProperties", {})
        schema = _resolve(inner, root) if isinstance(inner, dict) else {}
    return schema


def describe(schema: Schema, root: Schema) -> str:
    """What a schema accepts, in words: `a number between 0 and 0.05`."""
    return _plain(schema, root) + (" or null" if schema.get("nullable") else "")


def _plain(schema: Schema, root: Schema) -> str:
    if "enum" in schema:
        return f"one of {', '.join(schema['enum'])}"
    kind = schema.get("type")
    if kind == "boolean":
        return "true or false"
    if kind in ("integer", "number"):
        return f"a {'whole ' if kind == 'integer' else ''}number{_range(schema)}"
    if kind == "array":
        if "prefixItems" in schema:
            return f"a list of {len(schema['prefixItems'])} values"
        return f"a list, each {_plain(_resolve(schema.get('items', {}), root), root)}"
    if kind == "object":
        return "a section of `name: value` lines"
    if kind == "string" and schema.get("format") == "path":
        return "a path"
    if kind == "string":
        return "a symbol such as BTCUSDT" if "pattern" in schema else "a text"
    return "something else"


def _range(schema: Schema) -> str:
    low, high = schema.get("minimum"), schema.get("maximum")
    if low is not None and high is not None:
        return f" between {low:g} and {high:g}"
    bounds = {
        "minimum": "at least",
        "exclusiveMinimum": "above",
        "maximum": "at most",
        "exclusiveMaximum": "below",
    }
    parts = [f"{words} {schema[name]:g}" for name, words in bounds.items() if name in schema]
    text = " and ".join(parts)
    return f" of {text}" if text.startswith("at") else f" {text}" if text else ""


def shown_value(value: Any, name: str) -> str:
    """A value as it would be written, cut to a readable length, hidden if it is a secret."""
    text = json.dumps(redacted(value, name), default=str, ensure_ascii=False)
    return text if len(text) <= GOT_CHARACTERS_MAX else f"{text[:GOT_CHARACTERS_MAX]}..."


def _dotted(location: list[Any]) -> str:
    text = ""
    for part in location:
        text += f"[{part}]" if isinstance(part, int) else f".{part}" if text else str(part)
    return text


def _origin(path: KeyPath, origins: Mapping[KeyPath, str]) -> str:
    """Where the nearest written key is; nothing when the whole path is missing everywhere."""
    for depth in range(len(path), 0, -1):
        if place := origins.get(path[:depth]):
            return f"{place}: "
    return ""
