"""What every group of settings shares."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Self

from pydantic import BaseModel, ConfigDict, Field

Symbol = Annotated[str, Field(pattern=r"^[A-Z0-9]{2,20}$")]


class Group(BaseModel):
    """A group of settings: frozen, strict, and closed to names it does not know."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, allow_inf_nan=False)

    def with_overrides(self, overrides: Mapping[str, Any]) -> Self:
        """The same group with some fields replaced, checked again as a whole."""
        return type(self).model_validate({**self.model_dump(), **overrides})
