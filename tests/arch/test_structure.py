"""The shape of the source: sizes, kernels, imports, docstrings. A limit is a reason to split."""

from __future__ import annotations

import ast
import re
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

import tercel

ROOT = Path(tercel.__file__).resolve().parent
CORE = ROOT / "core"
FILES = sorted(ROOT.rglob("*.py"))
FILE_LINES_MAX = 500
FUNCTION_LINES_MAX = 60
PARAMETERS_MAX = 6

LONG_PARAMETER_LISTS = {
    "entry/cli/": "the options of a command are its parameters",
}
"""Where more parameters are right, by the beginning of the path, and why."""

METHODS_OF_PORTS = {"Bar.start", "Bar.advance"}
"""Public methods whose docstring is the port's."""

Function = ast.FunctionDef | ast.AsyncFunctionDef


def name_of(path: Path) -> str:
    return str(path.relative_to(ROOT))


def tree_of(path: Path) -> ast.Module:
    return ast.parse(path.read_text(encoding="utf-8"))


def functions(path: Path) -> Iterator[Function]:
    return (n for n in ast.walk(tree_of(path)) if isinstance(n, Function))


each_file = pytest.mark.parametrize("path", FILES, ids=name_of)
each_core_file = pytest.mark.parametrize("path", sorted(CORE.rglob("*.py")), ids=name_of)


@each_file
def test_files_and_functions_can_be_read_in_one_sitting(path: Path) -> None:
    assert len(path.read_text(encoding="utf-8").splitlines()) <= FILE_LINES_MAX
    for function in functions(path):
        first = min([function.lineno, *(d.lineno for d in function.decorator_list)])
        length = (function.end_lineno or first) - first + 1
        assert length <= FUNCTION_LINES_MAX or is_command(function), function.name


def is_command(function: Function) -> bool:
    """Whether every parameter is a typer option: such a signature is a table."""
    given = [*function.args.args, *function.args.kwonlyargs]
    names = [ast.unparse(argument.annotation) for argument in given if argument.annotation]
    defaults = [ast.unparse(default) for default in function.args.defaults]
    return bool(given) and any("typer." in text for text in (*names, *defaults))


@each_file
def test_functions_take_few_parameters(path: Path) -> None:
    if any(name_of(path).startswith(start) for start in LONG_PARAMETER_LISTS):
        return
    for function in functions(path):
        given = [*function.args.posonlyargs, *function.args.args, *function.args.kwonlyargs]
        named = [argument.arg for argument in given if argument.arg not in ("self", "cls")]
        assert len(named) <= PARAMETERS_MAX, f"{function.name}({', '.join(named)})"


@each_file
def test_everything_public_says_what_it_is(path: Path) -> None:
    """Modules, classes, functions and methods, but for methods that a documented port explains."""
    tree = tree_of(path)
    assert ast.get_docstring(tree) or not tree.body, "a module begins with what it does"
    missing = [
        f"{inside}{node.name}"
        for inside, body in bodies(tree)
        for node in body
        if isinstance(node, Function | ast.ClassDef)
        and not node.name.startswith("_")
        and not ast.get_docstring(node)
        and f"{inside}{node.name}" not in METHODS_OF_PORTS
    ]
    assert not missing


def bodies(tree: ast.Module) -> Iterator[tuple[str, list[ast.stmt]]]:
    """The module's statements, and those of its public classes."""
    yield "", tree.body
    for node in tree.body:
        if isinstance(node, ast.ClassDef) and not node.name.startswith("_"):
            yield f"{node.name}.", [n for n in node.body if not is_overload(n)]


def is_overload(node: ast.stmt) -> bool:
    return isinstance(node, Function) and any(
        ast.unparse(decorator).endswith("overload") for decorator in node.decorator_list
    )


@each_core_file
def test_kernels_are_compiled_by_the_projects_decorator_alone(path: Path) -> None:
    """One set of options: no fastmath, a cache that notices edits."""
    if path.name == "jit.py":
        return
    text = path.read_text(encoding="utf-8")
    assert not re.search(r"\bn?jit\s*\(|@(numba\.)?n?jit\b|vectorize|import numba", text)


@each_core_file
def test_what_takes_a_state_is_a_kernel(path: Path) -> None:
    """A function called from compiled code has to be compiled; leaving one bare would show late."""
    for node in tree_of(path).body:
        if isinstance(node, Function) and node.name.endswith("_step"):
            assert "kernel" in [ast.unparse(decorator) for decorator in node.decorator_list]


@each_core_file
def test_the_core_imports_numba_numpy_and_the_standard_library(path: Path) -> None:
    allowed = {"numba", "numpy", "tercel", *sys.stdlib_module_names}
    for node in ast.walk(tree_of(path)):
        modules = (
            [alias.name for alias in node.names]
            if isinstance(node, ast.Import)
            else [node.module or ""]
            if isinstance(node, ast.ImportFrom)
            else []
        )
        for module in modules:
            top = module.partition(".")[0]
            assert top in allowed, module
            assert top != "tercel" or module.startswith("tercel.core"), module


@each_core_file
def test_the_core_has_neither_clock_nor_chance_nor_files(path: Path) -> None:
    """Same input, same bytes. `jit.py` alone looks at files, when it is imported."""
    if path.name == "jit.py":
        return
    banned = {"time", "datetime", "random", "secrets", "os", "pathlib", "socket", "threading"}
    for node in ast.walk(tree_of(path)):
        if isinstance(node, ast.Import):
            assert not {alias.name.partition(".")[0] for alias in node.names} & banned
        if isinstance(node, ast.ImportFrom):
            assert (node.module or "").partition(".")[0] not in banned
        if isinstance(node, ast.Attribute):
            assert not ast.unparse(node).startswith("np.random"), ast.unparse(node)


PRINTERS = {
    "entry/cli/terminal.py": "the terminal",
    "entry/cli/main.py": "--version, before anything heavy is imported",
    "core/jit.py": "one warning, before there is a logger",
}


@each_file
def test_nobody_prints(path: Path) -> None:
    """Output goes through the terminal module, but for the exceptions named here."""
    if name_of(path) in PRINTERS:
        return
    for node in ast.walk(tree_of(path)):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name):
            assert node.func.id != "print", f"line {node.lineno}"


UNITS = ("time", "price", "rate", "quote", "quantity", "bps", "equity", "distance", "ms", "size")
ALSO_CLEAR = re.compile(
    r"(open|high|low|close|volume|side|kind|status|reason|score|seed|number|stream|refusals)"
    r"|(quantity|notional|slippage_ticks)_(min|max)|exit_(long|short|notional|reason)|is_maker"
    r"|leg_count|legs_filled|wait_bars|reposts|trail_done|long_short_ratio|slippage_model"
    r"|plan|instrument|costs|rules|sizing|position|limits|exposure"
)
"""Names that need no unit, or that the head of `records.py` explains by their last word."""


def test_every_field_of_every_record_has_its_unit() -> None:
    """By a comment on its line, or by its name."""
    text = (CORE / "records.py").read_text(encoding="utf-8")
    silent = []
    for line in text.splitlines():
        code, _, comment = line.partition("#")
        fields = re.findall(r'\("(\w+)", ', code)
        silent += [
            name
            for name in fields
            if not (comment or name.endswith(UNITS) or ALSO_CLEAR.fullmatch(name))
        ]
    assert not silent
