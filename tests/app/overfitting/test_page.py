"""The worked numbers of `docs/overfitting.md` are what the functions give."""

from __future__ import annotations

import ast
import re
from typing import Any

from tests.docs.pages import page

WORKED_MIN = 25


def test_every_worked_number_is_computed() -> None:
    """Runs the page from top to bottom; `expression  # number` must print that number."""
    names: dict[str, Any] = {}
    checked = 0
    for block in page("docs/overfitting.md").blocks("python"):
        lines = block.splitlines()
        for node in ast.parse(block).body:
            source = "\n".join(lines[node.lineno - 1 : node.end_lineno])
            if not isinstance(node, ast.Expr):
                exec(source, names)  # noqa: S102
                continue
            shown = re.search(r"# (-?\d+(?:\.(\d+))?)$", source)
            assert shown, source
            value = eval(compile(ast.Expression(node.value), "page", "eval"), names)  # noqa: S307
            assert f"{value:.{len(shown[2] or '')}f}" == shown[1], source
            checked += 1
    assert checked >= WORKED_MIN
