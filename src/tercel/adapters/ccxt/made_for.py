"""What is written for one venue alone, and the refusal of every other."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TypeVar

from tercel.domain.errors import UserError

_Made = TypeVar("_Made")


def made_for(venue: str, made: Mapping[str, Callable[[], _Made]], refusal: str) -> _Made:
    """A new one of `made` for `venue`. Raises UserError: `refusal` with the venue's name in its
    `{}` says what cannot be done there.
    """
    if venue not in made:
        raise UserError(f"{refusal.format(repr(venue))} yet; there is {', '.join(made)}")
    return made[venue]()
