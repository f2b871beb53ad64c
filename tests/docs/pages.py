"""The pages of the documentation, and what tests look for in them."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
_BLOCK = re.compile(r"^```(\w*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
_SPAN = re.compile(r"(?<!`)`([^`\n]+)`(?!`)")
_LINK = re.compile(r"!?\[[^\]]*\]\(([^)\s]+)\)")
_HEADING = re.compile(r"^#{1,6} (.+)$", re.MULTILINE)


@dataclass(frozen=True, slots=True)
class Page:
    """One Markdown file."""

    path: Path
    text: str

    @property
    def name(self) -> str:
        """Its path below the root: `docs/data.md`."""
        return self.path.relative_to(ROOT).as_posix()

    def blocks(self, language: str) -> list[str]:
        """The code blocks marked as `language`."""
        return [body for marked, body in _BLOCK.findall(self.text) if marked == language]

    def commands(self) -> list[str]:
        """What the reader is shown to type: lines after `$ ` in console blocks."""
        lines = "".join(self.blocks("console")).splitlines()
        return [line.removeprefix("$ ") for line in lines if line.startswith("$ ")]

    def spans(self) -> list[str]:
        """Code within sentences and tables, code blocks left out."""
        return _SPAN.findall(_BLOCK.sub("", self.text))

    def links(self) -> list[str]:
        """Targets of links and images, code left out."""
        return _LINK.findall(_SPAN.sub("", _BLOCK.sub("", self.text)))

    def anchors(self) -> set[str]:
        """What `#...` may point to, as code hosts make it from headings."""
        return {slug(heading) for heading in _HEADING.findall(_BLOCK.sub("", self.text))}


def slug(heading: str) -> str:
    """`What numba allows in a kernel` as `what-numba-allows-in-a-kernel`."""
    return re.sub(r"[^\w\- ]", "", heading.lower()).strip().replace(" ", "-")


def page(name: str) -> Page:
    """One page by its path below the root."""
    return Page(ROOT / name, (ROOT / name).read_text(encoding="utf-8"))


def pages() -> list[Page]:
    """Every page, README first."""
    found = ["README.md", "CHANGELOG.md", "CONTRIBUTING.md"]
    found += [path.relative_to(ROOT).as_posix() for path in sorted((ROOT / "docs").rglob("*.md"))]
    return [page(name) for name in found]


def everything() -> str:
    """The text of all pages."""
    return "\n".join(each.text for each in pages())
