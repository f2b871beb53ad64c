"""The page of the live half: every alert has its meaning, every setting it names exists."""

from __future__ import annotations

import re

import pytest
from tests.docs.pages import page, pages

from tercel.adapters.config import packaged_config_dir, read_settings
from tercel.app.live.alerts import AlertCode
from tercel.domain.commands import Level

GROUPS = ("session", "ghost", "shadow", "execution", "governor", "health", "venue", "state")

FILES = {"session.log", "state.sqlite"}
"""They look like settings."""


def rows() -> dict[str, tuple[str, str]]:
    """(level, meaning) by code."""
    found = re.findall(r"^\| `([A-Z_]+)` \| ([a-z ]+) \| (.+) \|$", page("docs/live.md").text, re.M)
    return {code: (level, meaning) for code, level, meaning in found}


def test_every_alert_is_explained_and_no_other() -> None:
    assert sorted(rows()) == sorted(code.value for code in AlertCode)


@pytest.mark.parametrize("code", AlertCode)
def test_every_alert_has_a_level_and_a_meaning(code: AlertCode) -> None:
    level, meaning = rows()[code.value]
    assert set(level.split(" or ")) <= {each.value for each in Level}
    assert len(meaning.split()) >= 3


def test_the_settings_it_names_exist() -> None:
    settings = read_settings([packaged_config_dir()], environ={}).settings
    named = re.findall(rf"`({'|'.join(GROUPS)})\.(\w+)`", page("docs/live.md").text)
    assert len(named) > 12
    unknown = [
        f"{group}.{name}" for group, name in named if not hasattr(getattr(settings, group), name)
    ]
    assert [each for each in unknown if each not in FILES] == []


def test_it_is_linked_from_the_first_pages() -> None:
    links = {one.name: one.links() for one in pages()}
    assert "docs/live.md" in links["README.md"]
    assert "live.md" in links["docs/index.md"]
    assert "live.md" in links["docs/configuration.md"]
