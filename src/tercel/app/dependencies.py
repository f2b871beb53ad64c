"""What the project says it needs, and whether a version fits: as much of packaging as that takes.

Read from the installed package's metadata, or from pyproject.toml in a source checkout.
"""

from __future__ import annotations

import re
import shlex
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path

VERBS = {"redis": "live", "postgres": "live"}
"""The verb of the Makefile that installs an extra, where it is not called the same."""


@dataclass(frozen=True, slots=True)
class Requirement:
    """One line of the project's dependencies: `numba>=0.68,<0.70 ; extra == 'venues'`."""

    package: str
    bounds: tuple[tuple[str, str], ...]
    extra: str = ""

    @property
    def range(self) -> str:
        """`>=0.68,<0.70`."""
        return ",".join(operator + version for operator, version in self.bounds)

    def allows(self, version: str) -> bool:
        """Whether `version` lies in the range. Suffixes such as `rc1` and `.post1` do not count."""
        return all(_compare(version, operator, bound) for operator, bound in self.bounds)


def parse_requirement(line: str) -> Requirement:
    """Read one requirement line. Of the markers, only `extra` is looked at."""
    text, _, marker = line.partition(";")
    name = re.match(r"\s*([A-Za-z0-9._-]+)", text)
    bounds = re.findall(r"(>=|<=|==|!=|~=|<|>)\s*([0-9][^,\s]*)", text)
    extra = re.search(r"extra\s*==\s*['\"]([^'\"]+)", marker)
    return Requirement(name[1] if name else text, tuple(bounds), extra[1] if extra else "")


def install_hint(package: str, verb: str = "") -> str:
    """How to get the optional `package`, in a checkout and elsewhere; `verb` as in `extra_hint`."""
    [wanted] = [r for r in map(parse_requirement, declared_requirements()) if r.package == package]
    return extra_hint(wanted, verb)


def extra_hint(wanted: Requirement, verb: str = "") -> str:
    """The same for a requirement at hand. An extra has a verb in the Makefile, often its name;
    `verb` is another one that installs it together with what else is needed.
    """
    named = shlex.quote(wanted.package + wanted.range)
    verb = verb or VERBS.get(wanted.extra, wanted.extra)
    return f"install it: `make {verb}` in Tercel's folder, or pip install {named}"


def _compare(version: str, operator: str, bound: str) -> bool:
    here, there = _numbers(version), _numbers(bound)
    width = max(len(here), len(there))
    left, right = (part + (0,) * (width - len(part)) for part in (here, there))
    return {
        ">=": left >= right,
        "<=": left <= right,
        ">": left > right,
        "<": left < right,
        "==": left == right,
        "!=": left != right,
        "~=": left >= right and here[: len(there) - 1] == there[:-1],
    }[operator]


def _numbers(version: str) -> tuple[int, ...]:
    found = re.match(r"\d+(\.\d+)*", version)
    return tuple(int(part) for part in found[0].split(".")) if found else ()


def declared_requirements() -> list[str]:
    """What the project says it needs: from the installed package, else from the source checkout."""
    try:
        return metadata.requires("tercel") or []
    except metadata.PackageNotFoundError:
        import tomllib

        import tercel

        file = Path(tercel.__file__).resolve().parents[2] / "pyproject.toml"
        project = tomllib.loads(file.read_text(encoding="utf-8"))["project"]
        extras = project.get("optional-dependencies", {})
        optional = [f"{line}; extra == '{name}'" for name in extras for line in extras[name]]
        return [*project["dependencies"], *optional]
