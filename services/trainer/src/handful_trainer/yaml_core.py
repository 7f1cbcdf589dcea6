"""YAML 1.2's core schema, read such that a word stays the word that was written.

PyYAML reads YAML 1.1, in which `no` is false, `010` is 8 and `12:30` is 750. Here a plain scalar is null, true or
false, or a number that would be written just so. All else is a word. Settings that want a number or a truth value take
it from the word (`1e-3`, `010`, `yes`). Source: https://yaml.org/spec/1.2.2/#103-core-schema.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from typing import Any

import yaml
from yaml.nodes import MappingNode, Node, ScalarNode, SequenceNode

_MAX_DEPTH = 100
_MAX_REPEATED = 100_000
"""So many values may come of aliases (`*name`): more is a bomb."""
_STR, _NULL, _BOOL, _INT, _FLOAT = (f"tag:yaml.org,2002:{name}" for name in ("str", "null", "bool", "int", "float"))
_TAGS = {_STR, _NULL, _BOOL, _INT, _FLOAT, "tag:yaml.org,2002:seq", "tag:yaml.org,2002:map"}
_MERGE = "<<"
"""A key of YAML 1.1 that takes over another mapping: configurations use it with anchors."""


class YamlError(ValueError):
    """A text that is no YAML, or more than data: one line that says what and where."""


def load_core(text: str) -> Any:
    """Read YAML by the core schema.

    Args:
        text: one document.

    Returns:
        Dictionaries, lists, words, and null, truth values and numbers; None for an empty text. Numbers are those that
        Python writes just so: `010`, `1e3` and `1.50` are words.

    Raises:
        YamlError: no YAML, a key that is there twice, an unknown tag, or aliases or nesting without measure.
    """
    return _Document(text, _scalar).value()


def load_words(text: str) -> Any:
    """Read YAML in which every scalar, key or value, is a word as it was written: `yes`, `null`, `0`, `010`.

    Args:
        text: one document.

    Returns:
        Dictionaries, lists and words; an empty value is the empty word, an empty text is None.

    Raises:
        YamlError: as `load_core`.
    """
    return _Document(text, lambda node: str(node.value)).value()


class _Composer(yaml.SafeLoader):
    """PyYAML as far as nodes, with the core schema's tags and a bound on nesting."""

    _depth = 0

    def compose_node(self, parent: Node | None, index: Any) -> Node | None:
        self._depth += 1
        if self._depth > _MAX_DEPTH:
            raise _at(self.peek_event(), f"it is nested more than {_MAX_DEPTH} deep")  # type: ignore[no-untyped-call]
        node = super().compose_node(parent, index)
        self._depth -= 1
        return node


_Composer.yaml_implicit_resolvers = {}


def _resolve(tag: str, pattern: str, first: str) -> None:
    _Composer.add_implicit_resolver(tag, re.compile(f"^(?:{pattern})$"), [*first])


_resolve(_BOOL, "true|True|TRUE|false|False|FALSE", "tTfF")
_resolve(_INT, "0|-?[1-9][0-9]{0,17}", "-0123456789")
_resolve(_FLOAT, r"-?(?:0|[1-9][0-9]*)\.[0-9]+", "-0123456789")
_Composer.add_implicit_resolver(_NULL, re.compile("^(?:~|null|Null|NULL|)$"), ["~", "n", "N", ""])


def _scalar(node: ScalarNode) -> Any:
    text = str(node.value)
    if node.tag == _NULL:
        return None
    if node.tag == _BOOL:
        return text.lower() == "true"
    try:
        number = {_INT: int, _FLOAT: float}.get(node.tag, str)(text)
    except ValueError:  # A tag that does not fit: !!int many.
        return text
    return number if str(number) == text else text


class _Document:
    """A text, composed to nodes and constructed from them."""

    def __init__(self, text: str, scalar: Callable[[ScalarNode], Any]) -> None:
        self._scalar = scalar
        # Without aliases there are never more values than characters.
        self._left = len(text) + _MAX_REPEATED
        try:
            self._root = yaml.compose(text, _Composer)
        except yaml.MarkedYAMLError as error:
            raise YamlError(f"{_where(error.problem_mark)}{error.problem}") from None
        except yaml.reader.ReaderError as error:
            raise YamlError(f"character {error.position + 1}: {error.reason}") from None

    def value(self) -> Any:
        """What it says."""
        return None if self._root is None else self._value(self._root, 0)

    def _value(self, node: Node, depth: int) -> Any:
        self._left -= 1
        if self._left < 0:
            raise _at(node, f"its aliases (*name) repeat more than {_MAX_REPEATED} values")
        if depth > _MAX_DEPTH:
            raise _at(node, f"it is nested more than {_MAX_DEPTH} deep, or an alias (*name) holds itself")
        if node.tag not in _TAGS:
            raise _at(node, f"the tag {node.tag} is unknown")
        if isinstance(node, MappingNode):
            return self._mapping(node, depth)
        if isinstance(node, SequenceNode):
            return [self._value(item, depth + 1) for item in node.value]
        return self._scalar(node) if isinstance(node, ScalarNode) else None

    def _mapping(self, node: MappingNode, depth: int) -> dict[Any, Any]:
        merged: dict[Any, Any] = {}
        own: dict[Any, Any] = {}
        lines: dict[Any, int] = {}
        for key_node, value_node in node.value:
            if not isinstance(key_node, ScalarNode):
                raise _at(key_node, "a key must be a word or a number")
            if key_node.value == _MERGE and key_node.style is None:
                for mapping in _mappings(value_node):
                    merged = self._value(mapping, depth + 1) | merged
                continue
            key = self._value(key_node, depth)
            if key in own:
                raise _at(key_node, f"the key {key} is there twice, first in line {lines[key]}")
            own[key], lines[key] = self._value(value_node, depth + 1), key_node.start_mark.line + 1
        return merged | own


def _mappings(node: Node) -> Iterator[MappingNode]:
    """What a merge key takes over: the first that has a key wins."""
    for item in node.value if isinstance(node, SequenceNode) else [node]:
        if not isinstance(item, MappingNode):
            raise _at(item, f"{_MERGE} needs a mapping, such as *name")
        yield item


def _at(place: Node | yaml.Event, what: str) -> YamlError:
    return YamlError(f"{_where(place.start_mark)}{what}")


def _where(mark: Any) -> str:
    return f"line {mark.line + 1}, column {mark.column + 1}: " if mark else ""
