"""A session's state as texts, one JSON value under each key: what every state store keeps.

`encode` gives the texts of those fields that differ from an earlier state, `decode` makes a state
of the texts again. People read them too: enumerations by their name, bytes as base64, a number that
is none as "nan". Types are checked both ways, so that nothing is written that a restart would
refuse.
"""

from __future__ import annotations

import base64
import binascii
import json
import math
import operator
import types
from collections.abc import Callable, Mapping
from dataclasses import MISSING, Field, fields, is_dataclass
from enum import Enum, StrEnum
from functools import cache
from typing import Any, Union, cast, get_args, get_origin, get_type_hints

from tercel.domain.errors import DataError
from tercel.domain.session_state import SessionState, StateRead

NAMESPACE = "tercel"
"""Every key begins with it and a colon: `tercel:automation_enabled`."""

NAMES: tuple[str, ...] = tuple(field.name for field in fields(SessionState))
"""The keys, without the namespace."""

UNSET_IS_MISSING = frozenset({"automation_enabled"})
"""Keys whose null says that nobody ever set them."""

_ODD_FLOATS = {"nan": math.nan, "inf": math.inf, "-inf": -math.inf}
"""Numbers that JSON does not have."""

_JSON = json.JSONEncoder(ensure_ascii=False, separators=(",", ":"), allow_nan=False)

SHOWN_CHARACTERS_MAX = 60
"""Of a wrong value in an error."""


def encode(state: SessionState, before: SessionState | None = None) -> dict[str, str]:
    """The JSON text of each field that is not as it was in `before` (None: of every field).

    Raises TypeError for a value that is not of its field's type: it would not be read back.
    """
    return {
        name: _JSON.encode(plain(value, name))
        for name, plain in _fields_to_plain(SessionState)
        for value in [getattr(state, name)]
        if before is None or _differs(value, getattr(before, name))
    }


def decode(texts: Mapping[str, str | bytes | None], place: str) -> StateRead:
    """The state of these texts by name. What is absent has its default and is named in `missing`.

    Raises DataError that begins with `place` and names the key.
    """
    found: dict[str, Any] = {}
    missing: list[str] = []
    for name, kind in _hints(SessionState).items():
        text = texts.get(name)
        if text is None:
            missing.append(name)
            continue
        try:
            value = _typed(json.loads(text, parse_constant=_no_constant), kind, "")
        except (ValueError, RecursionError) as error:
            raise DataError(
                f"{place}: {NAMESPACE}:{name}: {_problem(error)}; put the value right, or delete "
                "the key to begin with its default"
            ) from None
        found[name] = value
        if value is None and name in UNSET_IS_MISSING:
            missing.append(name)
    return StateRead(SessionState(**found), tuple(missing))


def _differs(value: object, before: object) -> bool:
    """Identity first: an unchanged tuple of thousands is not compared one by one."""
    return value is not before and value != before


def _no_constant(text: str) -> float:
    raise ValueError(f"expected JSON, got {text}")


def _problem(error: Exception) -> str:
    if isinstance(error, json.JSONDecodeError):
        return f"is damaged: not JSON at character {error.pos}"
    if isinstance(error, UnicodeDecodeError):
        return f"is damaged: not UTF-8 at byte {error.start}"
    if isinstance(error, RecursionError):
        return "is damaged: nested too deep"
    return f"is damaged: {error}"


@cache
def _hints(kind: type) -> dict[str, Any]:
    return get_type_hints(kind)


@cache
def _fields(kind: type) -> tuple[Field[Any], ...]:
    return fields(kind)


@cache
def _optional(kind: Any) -> Any:
    """X of `X | None`; None for any other type."""
    if get_origin(kind) not in (Union, types.UnionType):
        return None
    [inner] = [each for each in get_args(kind) if each is not type(None)]
    return inner


# --- to JSON --------------------------------------------------------------------------------------

_ToPlain = Callable[[Any, str], Any]
"""Makes a value what JSON has; the text says where it stands, for errors."""


@cache
def _fields_to_plain(kind: type) -> tuple[tuple[str, _ToPlain], ...]:
    return tuple((name, _to_plain(each)) for name, each in _hints(kind).items())


@cache
def _to_plain(kind: Any) -> _ToPlain:
    """How a value of type `kind` becomes what JSON has. Types are looked through once: a state is
    written between a bar's close and its order.
    """
    if (inner := _optional(kind)) is not None:
        plain = _to_plain(inner)
        return lambda value, at: None if value is None else plain(value, at)
    if get_origin(kind) is tuple:
        return _tuple_to_plain(get_args(kind)[0])
    if is_dataclass(kind):
        record = _fields_to_plain(cast("type", kind))
        return lambda value, at: {
            name: plain(getattr(value, name), f"{at}.{name}") for name, plain in record
        }
    if kind is int:
        return lambda value, at: operator.index(_checked(value, None, at))
    if kind is float:
        return _float_to_plain
    if kind is bytes:
        return lambda value, _at: base64.b64encode(value).decode("ascii")
    if issubclass(kind, StrEnum):
        return lambda value, _at: kind(value).value
    if issubclass(kind, Enum):
        return lambda value, _at: kind(value).name.lower()
    return lambda value, at: _checked(value, kind, at)


def _tuple_to_plain(inner: Any) -> _ToPlain:
    if inner is str:  # thousands of trade ids
        return lambda value, at: [_checked(each, str, at) for each in value]
    plain = _to_plain(inner)
    return lambda value, at: [plain(each, f"{at}[{number}]") for number, each in enumerate(value)]


def _float_to_plain(value: Any, at: str) -> float | str:
    number = float(_checked(value, None, at))
    return number if math.isfinite(number) else str(number)


def _checked(value: Any, kind: type | None, at: str) -> Any:
    """`value`, of type `kind`; None: any number but a truth value. Raises TypeError."""
    right = isinstance(value, kind) if kind else not isinstance(value, bool | str)
    if not right:
        raise TypeError(f"{at}: a {kind.__name__ if kind else 'number'} is kept, not {value!r}")
    return value


# --- from JSON ------------------------------------------------------------------------------------


def _typed(value: Any, kind: Any, at: str) -> Any:
    """What JSON gave as type `kind`. Raises ValueError that says where and what was expected."""
    if (inner := _optional(kind)) is not None:
        return None if value is None else _typed(value, inner, at)
    if get_origin(kind) is tuple:
        inner = get_args(kind)[0]
        items = _expected(value, list, "a list", at)
        return tuple(_typed(each, inner, f"{at}[{number}]") for number, each in enumerate(items))
    if is_dataclass(kind):
        return _record(_expected(value, dict, "an object", at), cast("type", kind), at)
    if kind is float:
        if isinstance(value, str) and value in _ODD_FLOATS:
            return _ODD_FLOATS[value]
        if isinstance(value, bool) or not isinstance(value, int | float):
            raise _wrong(value, "a number", at)
        return float(value)
    if kind is bytes:
        try:
            return base64.b64decode(_expected(value, str, "base64", at), validate=True)
        except binascii.Error:
            raise _wrong(value, "base64", at) from None
    if issubclass(kind, Enum):
        named = {str(e.value) if issubclass(kind, StrEnum) else e.name.lower(): e for e in kind}
        if not isinstance(value, str) or value not in named:
            raise _wrong(value, f"one of {' '.join(named)}", at)
        return named[value]
    words = {bool: "true or false", int: "a whole number", str: "a text"}
    if kind is int and isinstance(value, bool):
        raise _wrong(value, words[int], at)
    return _expected(value, kind, words[kind], at)


def _record(value: dict[str, Any], kind: type, at: str) -> Any:
    """An object as a dataclass: every field that has no default, and none that it does not have."""
    if strange := sorted(value.keys() - _hints(kind).keys()):
        raise ValueError(f"{_shown_at(at)}unknown field {strange[0]!r}")
    given = {name: _typed(value[name], _hints(kind)[name], f"{at}.{name}") for name in value}
    for field in _fields(kind):
        if field.name not in given and field.default is MISSING:
            raise ValueError(f"{_shown_at(at)}{field.name} is missing")
    return kind(**given)


def _expected(value: Any, kind: type, words: str, at: str) -> Any:
    if not isinstance(value, kind):
        raise _wrong(value, words, at)
    return value


def _wrong(value: Any, words: str, at: str) -> ValueError:
    shown = json.dumps(value, ensure_ascii=False)
    if len(shown) > SHOWN_CHARACTERS_MAX:
        shown = f"{shown[:SHOWN_CHARACTERS_MAX]}..."
    return ValueError(f"{_shown_at(at)}expected {words}, got {shown}")


def _shown_at(at: str) -> str:
    return f"{at.lstrip('.')}: " if at else ""
