"""Events as bytes and back: every kind, exact to the bit."""

from __future__ import annotations

import dataclasses
import enum
import json
import math
import types
import typing
from typing import Any

import numpy as np
import pytest
from tests.market_data import invented_bars
from tests.parity.plain_python import known_contexts

from tercel.app.live import wire
from tercel.app.live.wire import decode_event, encode_event
from tercel.domain.errors import DataError
from tercel.domain.events import BarsClosed, Decide, Event, MarketView, MinuteEnded

KINDS = typing.get_args(Event)


def bars_closed(**given: Any) -> BarsClosed:
    bars = invented_bars(2, seed=5)
    bars["bid_size"] = np.nan
    return BarsClosed(7, (0, 3), bars, known_contexts(bars), **given)


def made(hint: Any, number: int) -> Any:
    """A value of a type, different for different numbers."""
    origin = typing.get_origin(hint)
    if origin in (typing.Union, types.UnionType):
        return made(typing.get_args(hint)[0], number)
    if origin is tuple:
        return tuple(made(typing.get_args(hint)[0], number + each) for each in range(2))
    if issubclass(hint, enum.Enum):
        return list(hint)[number % len(hint)]
    if dataclasses.is_dataclass(hint):
        return filled(hint, number)
    values: dict[Any, Any] = {
        int: 1_700_000_000_000 + number,
        float: 0.1 + 0.2 + number,
        str: f"text {number} \N{EM DASH} \"'",
        bool: bool(number % 2),
    }
    return values[hint]


def filled(kind: Any, number: int = 1) -> Any:
    """An event, or a part of one, in which every field has a value."""
    hints = typing.get_type_hints(kind)
    names = [field.name for field in dataclasses.fields(kind)]
    return kind(**{name: made(hints[name], number + at) for at, name in enumerate(names)})


@pytest.mark.parametrize("kind", [kind for kind in KINDS if kind is not BarsClosed])
@pytest.mark.parametrize("number", [1, 2])
def test_every_event_reads_back(kind: Any, number: int) -> None:
    event = filled(kind, number)
    assert decode_event(kind.__name__, encode_event(event)) == event


@pytest.mark.parametrize("late", [False, True])
@pytest.mark.parametrize("views", [(), (MarketView(), MarketView(1.5, 1.6, 20, "gap"))])
def test_bars_read_back_to_the_bit(views: tuple[MarketView, ...], late: bool) -> None:
    event = bars_closed(views=views, is_late=late)
    again = decode_event("BarsClosed", encode_event(event))
    assert isinstance(again, BarsClosed)
    assert again.bars.tobytes() == event.bars.tobytes()
    assert again.contexts.tobytes() == event.contexts.tobytes()
    assert again.bars.dtype == event.bars.dtype
    assert (again.time_ms, again.series, again.is_late) == (7, (0, 3), late)
    assert len(again.views) == len(views)
    if views:
        assert math.isnan(again.views[0].bid)
        assert again.views[1] == views[1]


@pytest.mark.parametrize("event", [Decide(5, 2), MinuteEnded(9), bars_closed()])
def test_the_quick_way_writes_the_same_text(event: Event) -> None:
    assert encode_event(event) == json.dumps(wire._plain(event), separators=(",", ":")).encode()


@pytest.mark.parametrize(
    ("kind", "payload"),
    [
        ("Decide", b"{"),
        ("Decide", b"{}"),
        ("Decide", b'{"time_ms": 1, "stream": 0, "more": 2}'),
        ("NoSuchEvent", b"{}"),
        ("BarsClosed", b'{"time_ms": 1, "series": [0], "bars": "AAAA", "contexts": ""}'),
        ("OperatorAsked", b'{"time_ms": 1, "operation": "dance", "origin": ""}'),
    ],
)
def test_what_cannot_be_read_is_one_clear_line(kind: str, payload: bytes) -> None:
    with pytest.raises(DataError, match=f"journal: an input of kind '{kind}' cannot be read"):
        decode_event(kind, payload)
