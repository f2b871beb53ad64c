"""YAML text into plain values, remembering the line of every key.

YAML 1.2, so `NO` is a text, `12:30` is a text and `1e-4` is a number. Only the parser of
ruamel.yaml is used, and the values are made here from its nodes: that gives the lines, costs half
the time of its round-trip loader, and leaves out what settings do not need (tags, merge keys, dates
that turn into objects).
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from ruamel.yaml import YAML
from ruamel.yaml.error import MarkedYAMLError, YAMLError
from ruamel.yaml.nodes import MappingNode, Node, ScalarNode, SequenceNode

KeyPath = tuple[str, ...]

NODES_MAX = 20_000
"""Values of one file, aliases counted each time."""
DEPTH_MAX = 32
"""Sections inside sections; settings need six. An alias that refers to itself ends here."""

_PLAIN_TAGS = frozenset(
    f"tag:yaml.org,2002:{name}" for name in ("str", "int", "float", "bool", "null")
)
_DATE_TAG = "tag:yaml.org,2002:timestamp"


@dataclass(slots=True)
class Layer:
    """One layer of settings: its values, where each key was written, and what was wrong with it."""

    tree: dict[str, Any] = field(default_factory=dict)
    origins: dict[KeyPath, str] = field(default_factory=dict)
    problems: list[str] = field(default_factory=list)


class _Builder:
    """Turns the nodes of one text into values. `place` names the text; `at` is where it belongs."""

    def __init__(self, yaml: YAML, place: str, layer: Layer, *, lines: bool) -> None:
        self._construct = yaml.constructor.construct_object
        self._place = place
        self._layer = layer
        self._lines = lines
        self._nodes_left = NODES_MAX
        self._refused = False

    def place(self, node: Node) -> str:
        """`config/costs.yaml:12`, or the name of the option or variable the text came from."""
        return f"{self._place}:{node.start_mark.line + 1}" if self._lines else self._place

    def value(self, node: Node, at: KeyPath) -> Any:
        """The value of `node`; a problem is noted and reads as None."""
        self._nodes_left -= 1
        if self._nodes_left < 0 or len(at) > DEPTH_MAX:
            self._refuse_size(node)
            return None
        if isinstance(node, MappingNode):
            return self._mapping(node, at)
        if isinstance(node, SequenceNode):
            return [self.value(item, (*at, "")) for item in node.value]
        return self._scalar(node) if isinstance(node, ScalarNode) else None

    def _mapping(self, node: MappingNode, at: KeyPath) -> dict[str, Any]:
        made: dict[str, Any] = {}
        first_lines: dict[str, int] = {}
        for key_node, value_node in node.value:
            key = key_node.value
            if not isinstance(key_node, ScalarNode) or key == "<<":
                self.problem(key_node, "expected a plain name as key; merge keys are not supported")
                continue
            if key in made:
                path = ".".join((*at, key))
                self.problem(
                    key_node, f"{path}: set twice, here and in line {first_lines[key] + 1}"
                )
                continue
            first_lines[key] = key_node.start_mark.line
            self._layer.origins[(*at, key)] = self.place(key_node)
            made[key] = self.value(value_node, (*at, key))
        return made

    def _scalar(self, node: ScalarNode) -> Any:
        if node.tag == _DATE_TAG:
            return node.value
        if node.tag not in _PLAIN_TAGS:
            self.problem(node, f"the tag {node.tag} is not supported")
            return None
        try:
            return self._construct(node)
        except ValueError:
            self.problem(node, f"cannot read {node.value[:40]!r} as a number")
            return None

    def _refuse_size(self, node: Node) -> None:
        """Say once that the file is too large or too deep, and read no more of it."""
        if not self._refused:
            self.problem(node, f"more than {NODES_MAX} values or {DEPTH_MAX} levels")
        self._refused, self._nodes_left = True, 0

    def problem(self, node: Node, text: str) -> None:
        self._layer.problems.append(f"{self.place(node)}: {text}")


def parse_text(text: str, place: str, layer: Layer, *, at: KeyPath, lines: bool) -> Any:
    """The value of a YAML text; its origins and problems are noted in `layer`.

    `place` is a file (then `lines` is true and lines are added to it) or the name of an option.
    `at` is the path of settings that the value belongs to. None for an empty or a damaged text.
    """
    yaml = YAML(typ="safe", pure=True)
    try:
        root = yaml.compose(text)
    except MarkedYAMLError as error:
        line = error.problem_mark.line + 1 if error.problem_mark else 1
        where = f"{place}:{line}" if lines else place
        layer.problems.append(f"{where}: not valid YAML: {error.problem or error.context}")
        return None
    except YAMLError as error:
        layer.problems.append(f"{place}: not valid YAML: {str(error).splitlines()[0]}")
        return None
    return None if root is None else _Builder(yaml, place, layer, lines=lines).value(root, at)
