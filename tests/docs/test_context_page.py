"""docs/data.md tells every kind of context, its field, its age and whose values count."""

from __future__ import annotations

import re

import pytest
from tests.docs.pages import page

from tercel import bootstrap
from tercel.app.context import FALLBACK_VENUES, FIELDS
from tercel.core.records import CONTEXT
from tercel.domain.context import CONTEXT_KINDS
from tercel.domain.times import HOUR_MS

SECTION = page("docs/data.md").text.split("## Context:")[1].split("\n## ")[0]
RULES = bootstrap.load_settings().context


@pytest.mark.parametrize("kind", CONTEXT_KINDS)
def test_every_kind_has_a_row_with_its_field_and_age(kind: str) -> None:
    (row,) = [line for line in SECTION.splitlines() if line.startswith(f"| `{kind}` |")]
    hours = RULES.age_ms_max(kind) / HOUR_MS
    assert f"| {hours:g} h |" in row
    assert f"`{FIELDS[kind]}`" in row


def test_every_field_of_context_is_told() -> None:
    told = set(re.findall(r"`(\w+)`", SECTION))
    assert set(CONTEXT.names or ()) <= told


def test_the_order_of_venues_is_the_one_of_the_code() -> None:
    places = [SECTION.index(f"`{venue}`") for venue in FALLBACK_VENUES]
    assert places == sorted(places)
