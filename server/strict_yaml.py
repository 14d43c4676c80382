"""YAML, read strictly: what it says once, in plain values, and where it said it.

Only what JSON can say is read: text, numbers, true, false, nothing, lists, mappings. Anchors, aliases and
`<<` save writing, up to a size. Duplicate keys and tags are refused; times stay text, for the reader of the
document to judge. The C loader does the parsing; nothing of it is ever constructed by a tag's name.
"""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import NamedTuple

import yaml
from yaml.constructor import SafeConstructor

from bandit.config import ConfigError, Problem, path_step

DEPTH_MAX = 16
"""Levels of nesting. The contract's deepest value, one of a condition, lies on the ninth."""

VALUES_MAX = 1_000_000
"""Values of one file, counted again wherever an alias repeats them: a few lines can mean billions."""

_TAG = "tag:yaml.org,2002:"
_QUOTED_CHARS_MAX = 60
_NUMBER_CHARS_MAX = 64


class Document:
    """One YAML document. `value` is what it says, in plain Python.

    Raises ConfigError, with `source` (the file's name), line and column in every problem.
    """

    def __init__(self, text: bytes, source: str) -> None:
        self._source = source
        self._root = _compose(text, source)
        self.value = _Builder(source).build(self._root)

    def placed(self, problems: Iterable[Problem]) -> list[Problem]:
        """Return problems, in the file's order, with file:line:column of what is at or around their paths."""
        marked = [(_node_at(self._root, problem.path).mark, problem) for problem in problems]
        marked.sort(key=lambda pair: (pair[0].line, pair[0].column))
        return [
            Problem(problem.path, problem.message, _place(self._source, mark)) for mark, problem in marked
        ]


class _Loader(yaml.CSafeLoader):
    """The C loader, in which YAML 1.1's times stay text."""


_Loader.yaml_implicit_resolvers = {
    first: [(tag, pattern) for tag, pattern in resolvers if tag != f"{_TAG}timestamp"]
    for first, resolvers in yaml.CSafeLoader.yaml_implicit_resolvers.items()
}


class _Mark(NamedTuple):
    """A place in the text, from 0."""

    line: int
    column: int


@dataclass(slots=True, eq=False)
class _Node:
    """A value and where it begins: a text with what it looks like, or a list of nodes, for a mapping of
    keys and values in turn. The same node stands wherever an alias repeats it.
    """

    tag: str
    value: "str | list[_Node]"
    mark: _Mark


def _compose(text: bytes, source: str) -> _Node:
    """Return the tree of nodes. Raises ConfigError for what is not YAML."""
    try:
        root = _Composer(source).compose(_Loader(text))
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        place = _place(source, _Mark(mark.line, mark.column)) if mark else source
        words = ", ".join(word for word in (error.context, error.problem) if word)
        raise ConfigError(
            [Problem("$", f"is not YAML: {words}; mend it here or just before", place)]
        ) from error
    except yaml.reader.ReaderError as error:
        message = f"is not text in UTF-8: {error.reason}; save it as UTF-8, without control characters"
        raise ConfigError([Problem("$", message, source)]) from error
    if root is None:
        raise ConfigError([Problem("$", "is empty, expected a mapping", source)])
    return root


class _Composer:
    """Makes nodes of the C parser's events. Its own composer recurses: a long row of `[` ends the process."""

    def __init__(self, source: str) -> None:
        self._source = source
        self._open: list[_Node] = [_Node("", [], _Mark(0, 0))]
        self._anchors: dict[str, _Node] = {}

    def compose(self, loader: _Loader) -> _Node | None:
        """Return the root of the only document, None where there is none."""
        documents = 0
        while (event := loader.get_event()) is not None:
            if isinstance(event, yaml.DocumentStartEvent):
                documents += 1
                if documents > 1:
                    raise self._refused(event, "begins a second document; keep one in a file")
            elif isinstance(event, yaml.NodeEvent):
                self._begin(event)
            elif isinstance(event, yaml.CollectionEndEvent):
                self._open.pop()
        roots = self._open[0].value
        return roots[0] if isinstance(roots, list) and roots else None

    def _begin(self, event: yaml.NodeEvent) -> None:
        if isinstance(event, yaml.AliasEvent):
            if event.anchor not in self._anchors:
                raise self._refused(event, f"refers to the anchor {event.anchor!r}, which is not above it")
            node = self._anchors[event.anchor]
        else:
            assert isinstance(event, yaml.ScalarEvent | yaml.CollectionStartEvent)  # noqa: S101 - what else is a node
            node = self._node(event)
            if event.anchor is not None:
                self._anchors[event.anchor] = node
        around = self._open[-1].value
        assert isinstance(around, list)  # noqa: S101 - only lists are ever open
        around.append(node)
        if isinstance(event, yaml.CollectionStartEvent):
            self._open.append(node)
            if len(self._open) > DEPTH_MAX + 1:
                raise self._refused(
                    event, f"lies deeper than {DEPTH_MAX} levels, which no document of ours needs; flatten it"
                )

    def _node(self, event: yaml.ScalarEvent | yaml.CollectionStartEvent) -> _Node:
        if event.tag is not None:
            raise self._refused(event, f"has the tag {event.tag!r}, which is not read; quote text instead")
        if isinstance(event, yaml.ScalarEvent):
            plain = event.implicit[0]
            tag = _resolve(yaml.ScalarNode, event.value, (True, False)) if plain else f"{_TAG}str"
            return _Node(tag, event.value, _begin_of(event))
        kind = "map" if isinstance(event, yaml.MappingStartEvent) else "seq"
        return _Node(f"{_TAG}{kind}", [], _begin_of(event))

    def _refused(self, event: yaml.Event, message: str) -> ConfigError:
        return ConfigError([Problem("$", message, _place(self._source, _begin_of(event)))])


class _Builder:
    """Makes plain values of nodes, counting what aliases repeat."""

    def __init__(self, source: str) -> None:
        self._source = source
        self._problems: list[Problem] = []
        self._built: dict[_Node, tuple[object, int]] = {}
        self._open: set[_Node] = set()

    def build(self, root: _Node) -> object:
        """Return the value of a whole document. Raises ConfigError."""
        value, _ = self._build(root, "$")
        if self._problems:
            raise ConfigError(self._problems)
        return value

    def _build(self, node: _Node, path: str) -> tuple[object, int]:
        """Return a node's value, and how many values it is made of."""
        if node in self._built:
            return self._built[node]
        if node in self._open:
            raise self._stop(node, path, "is an alias within itself; write it out")
        self._open.add(node)
        built = self._value(node, path)
        self._open.remove(node)
        if built[1] > VALUES_MAX:
            raise self._stop(node, path, f"means more than {VALUES_MAX} values; use fewer aliases")
        self._built[node] = built
        return built

    def _value(self, node: _Node, path: str) -> tuple[object, int]:
        if isinstance(node.value, str):
            return self._scalar(node, path), 1
        if node.tag == f"{_TAG}map":
            return self._mapping(node, path)
        items = [self._build(item, f"{path}[{index}]") for index, item in enumerate(node.value)]
        return [value for value, _ in items], 1 + sum(size for _, size in items)

    def _mapping(self, node: _Node, path: str) -> tuple[object, int]:
        merged: dict[object, object] = {}
        own: dict[object, object] = {}
        line: dict[object, int] = {}
        total = 1
        for key_node, value_node in _pairs(node):
            if isinstance(key_node.value, list):
                self._refuse(key_node, path, "has a list or mapping as a key, expected text")
                continue
            merging = key_node.tag == f"{_TAG}merge"
            key = "<<" if merging else self._scalar(key_node, path)
            here = path if merging else path + path_step(key)
            value, size = self._build(value_node, here)
            total += size
            if key in line:
                message = f"{key_node.value!r} is given twice, first in line {line[key]}; keep one"
                self._refuse(key_node, here, message)
            elif merging:
                merged = self._merged(value, value_node, path)
            else:
                own[key] = value
            line.setdefault(key, key_node.mark.line + 1)
        return merged | own, total

    def _merged(self, value: object, node: _Node, path: str) -> dict[object, object]:
        """Return what `<<` brings: of several mappings the first that has a key wins."""
        merged: dict[object, object] = {}
        for source in value if isinstance(value, list) else [value]:
            if isinstance(source, dict):
                merged = source | merged
            else:
                self._refuse(node, path, "is merged by '<<', expected a mapping or a list of them")
        return merged

    def _scalar(self, node: _Node, path: str) -> object:
        try:
            return _plain(node)
        except ValueError:
            shown = str(node.value)[:_QUOTED_CHARS_MAX]
            self._refuse(
                node, path, f"{shown!r} cannot be read as the number it looks like; mend or quote it"
            )
            return None

    def _refuse(self, node: _Node, path: str, message: str) -> None:
        self._problems.append(Problem(path, message, _place(self._source, node.mark)))

    def _stop(self, node: _Node, path: str, message: str) -> ConfigError:
        self._refuse(node, path, message)
        return ConfigError(self._problems)


_resolve: Callable[[type, str, tuple[bool, bool]], str] = _Loader(b"").resolve
_CONSTRUCTOR = SafeConstructor()
_CONSTRUCT = {
    f"{_TAG}bool": _CONSTRUCTOR.construct_yaml_bool,
    f"{_TAG}int": _CONSTRUCTOR.construct_yaml_int,
    f"{_TAG}float": _CONSTRUCTOR.construct_yaml_float,
    f"{_TAG}null": _CONSTRUCTOR.construct_yaml_null,
}
"""How a plain text becomes what it looks like. `=` and `<<`, special to YAML 1.1, stay text."""


def _plain(node: _Node) -> object:
    """Return a scalar's value. Raises ValueError for what only looks like a number, as `0x_` does.

    A number of any length would do too, but YAML's 1:1:1:… takes the square of its length to compute.
    """
    construct = _CONSTRUCT.get(node.tag)
    if construct and len(node.value) > _NUMBER_CHARS_MAX:
        raise ValueError(node.tag)
    return construct(yaml.ScalarNode(node.tag, node.value)) if construct else node.value


def _pairs(node: _Node) -> Iterator[tuple[_Node, _Node]]:
    """Yield (key, value) of a mapping's node."""
    assert isinstance(node.value, list)  # noqa: S101 - a mapping
    return zip(node.value[::2], node.value[1::2], strict=True)


def _node_at(node: _Node, wanted: str, path: str = "$") -> _Node:
    """Return the node at a problem's path (of an entry its key), or the nearest around it."""
    for key, value, step in _children(node):
        here = path + step
        if wanted == here:
            return key
        if wanted.startswith((f"{here}.", f"{here}[")):
            return _node_at(value, wanted, here)
    return node


def _children(node: _Node) -> Iterator[tuple[_Node, _Node, str]]:
    """Yield (node to point at, node of the value, step of the path) of a mapping or list."""
    if node.tag == f"{_TAG}map":
        for key, value in _pairs(node):
            yield key, value, path_step(_plain(key))
    elif isinstance(node.value, list):
        for index, value in enumerate(node.value):
            yield value, value, f"[{index}]"


def _begin_of(event: yaml.Event) -> _Mark:
    mark = event.start_mark
    return _Mark(mark.line, mark.column) if mark else _Mark(0, 0)


def _place(source: str, mark: _Mark) -> str:
    return f"{source}:{mark.line + 1}:{mark.column + 1}"
