"""Events as bytes and back: JSON with records as base64, exact to the bit.

Numbers are written so that they read back as the same floats; NaN and infinity are allowed. Used by
the journal, whose inputs decide everything again.
"""

from __future__ import annotations

import base64
import dataclasses
import enum
import json
import types
import typing
from typing import Any

import numpy as np

from tercel.core.records import BAR, CONTEXT
from tercel.domain import events as domain_events
from tercel.domain.errors import DataError
from tercel.domain.events import Event

_KINDS: dict[str, type[Any]] = {kind.__name__: kind for kind in typing.get_args(Event)}
_RECORDS = {"bars": BAR, "contexts": CONTEXT}
"""Fields that hold records, by name."""


def encode_event(event: Event) -> bytes:
    """`event` as JSON; its kind is kept beside it."""
    return json.dumps(_plain(event), separators=(",", ":")).encode()


def decode_event(kind: str, payload: bytes) -> Event:
    """The event of `encode_event`. Raises DataError where it is of another version or damaged."""
    try:
        made: Event = _made(_KINDS[kind], json.loads(payload))
    except (KeyError, ValueError, TypeError) as error:
        raise DataError(f"journal: an input of kind {kind!r} cannot be read: {error}") from error
    return made


def _plain(value: Any) -> Any:
    if isinstance(value, np.ndarray):
        return base64.b64encode(value.tobytes()).decode()
    if isinstance(value, enum.Enum):
        return value.value
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {
            field.name: _plain(getattr(value, field.name)) for field in dataclasses.fields(value)
        }
    if isinstance(value, tuple):
        return [_plain(each) for each in value]
    return value


_hints: dict[type[Any], dict[str, Any]] = {}


def _made(kind: type[Any], plain: dict[str, Any]) -> Any:
    """A dataclass from its JSON, field by field."""
    if kind not in _hints:
        _hints[kind] = typing.get_type_hints(kind, vars(domain_events))
    hints = _hints[kind]
    return kind(
        **{
            name: _records(name, value) if name in _RECORDS else _typed(hints[name], value)
            for name, value in plain.items()
        }
    )


def _records(name: str, text: str) -> Any:
    return np.frombuffer(bytearray(base64.b64decode(text)), _RECORDS[name])


def _typed(hint: Any, value: Any) -> Any:
    """`value` as `hint` wants it."""
    if value is None:
        return None
    origin = typing.get_origin(hint)
    if origin in (typing.Union, types.UnionType):
        inner = [each for each in typing.get_args(hint) if each is not type(None)]
        return _typed(inner[0], value)
    if origin is tuple:
        of = typing.get_args(hint)
        return tuple(_typed(of[0], each) for each in value)
    if isinstance(hint, type):
        if issubclass(hint, enum.Enum):
            return hint(value)
        if dataclasses.is_dataclass(hint):
            return _made(hint, value)
    return value
