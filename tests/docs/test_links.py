"""Every relative link leads somewhere, and no page knows the machine it was written on."""

from __future__ import annotations

import re

import pytest
from tests.docs.pages import Page, page, pages

ROOTED_PATH = re.compile(r"(?<![\w.:/~])/(work|root|home|tmp|opt|Users)/")


def leads_somewhere(one: Page, target: str) -> bool:
    """Whether a link of `one` points to a file, and to a heading of it where it names one."""
    if re.match(r"[a-z]+:", target):
        return True
    name, _, anchor = target.partition("#")
    file = (one.path.parent / name).resolve() if name else one.path
    if not file.exists():
        return False
    return not anchor or anchor in Page(file, file.read_text(encoding="utf-8")).anchors()


@pytest.mark.parametrize("one", pages(), ids=lambda one: one.name)
def test_relative_links_resolve(one: Page) -> None:
    broken = [target for target in one.links() if not leads_somewhere(one, target)]
    assert not broken


@pytest.mark.parametrize("one", pages(), ids=lambda one: one.name)
def test_no_path_of_a_machine(one: Page) -> None:
    assert not ROOTED_PATH.findall(one.text)


def test_every_page_can_be_reached_from_the_first() -> None:
    seen = set()
    waiting = ["README.md"]
    while waiting:
        name = waiting.pop()
        seen.add(name)
        at = page(name)
        for target in at.links():
            file = (at.path.parent / target.partition("#")[0]).resolve()
            if file.suffix == ".md" and file.is_file():
                found = Page(file, "").name
                waiting += [found] if found not in seen else []
    assert {one.name for one in pages()} - seen == set()


def test_decisions_are_numbered_without_a_hole() -> None:
    names = [one.path.name for one in pages() if "decisions" in one.name]
    assert [int(name[:4]) for name in names] == list(range(1, len(names) + 1))
    for one in pages():
        if "decisions" in one.name:
            title = one.text.splitlines()[0]
            assert title.startswith(f"# {int(one.path.name[:4])}. ")
            for part in ("**Question.**", "**Decision.**", "**Why.**", "**Costs.**"):
                assert part in one.text
