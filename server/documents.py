"""Small YAML documents of the tools (scenarios, replay mappings), read strictly.

A reader walks a document, keeps the path of where it is, and collects every problem instead of stopping
at the first: a file is mended in one go. Unknown keys are problems too; a misspelt key is not a default.
"""

import math
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TypeVar

import yaml

T = TypeVar("T")

MISSING = object()
"""What `Section.take` gives for a key that is not there."""

DOCUMENT_BYTES_MAX = 1_048_576
"""Bytes of one such file. The longest of ours has 3,000; far more is a mistaken path, not a scenario."""


class DocumentError(Exception):
    """A document that cannot be used. `problems` holds one line each: path, what was found, the remedy."""

    def __init__(self, source: str, problems: list[str]) -> None:
        super().__init__("\n".join(f"{source}: {problem}" for problem in problems))
        self.problems = problems


class _Loader(yaml.SafeLoader):
    """YAML without duplicate keys: of two equal keys the plain loader silently keeps the last."""


def _mapping(loader: _Loader, node: yaml.MappingNode) -> dict[object, object]:
    seen: set[object] = set()
    for key_node, _ in node.value:
        if not isinstance(key_node, yaml.ScalarNode):
            continue
        key = key_node.value
        if key in seen:
            problem = f"the key {key!r} is given twice; keep one"
            raise yaml.constructor.ConstructorError(None, None, problem, key_node.start_mark)
        seen.add(key)
    pairs: dict[object, object] = loader.construct_mapping(node, deep=True)
    return pairs


_Loader.add_constructor(yaml.resolver.BaseResolver.DEFAULT_MAPPING_TAG, _mapping)


def load(path: Path) -> object:
    """The plain value in a YAML file. Raises `DocumentError` when it cannot be read or is not YAML."""
    try:
        with path.open("rb") as file:
            raw = file.read(DOCUMENT_BYTES_MAX + 1)
    except OSError as error:
        raise DocumentError(str(path), [f"cannot be read ({error.strerror}); check the path"]) from error
    if len(raw) > DOCUMENT_BYTES_MAX:
        raise DocumentError(str(path), [f"is larger than {DOCUMENT_BYTES_MAX} bytes; check the path"])
    try:
        return yaml.load(raw, Loader=_Loader)  # noqa: S506 - a subclass of SafeLoader
    except (yaml.YAMLError, UnicodeDecodeError, RecursionError) as error:
        detail = " ".join(str(error).split())
        raise DocumentError(str(path), [f"is not YAML: {detail}"]) from error


class Section:
    """One mapping of a document, with its path and the list that problems go to.

    Every `take…` marks its key as known; `finish` reports the keys that nothing took.
    """

    def __init__(self, value: object, path: str, problems: list[str]) -> None:
        self.path = path
        self.problems = problems
        self._known: set[str] = set()
        self._values: dict[str, object] = {}
        if not isinstance(value, dict):
            self.report("", f"expected a mapping, got {describe(value)}")
            return
        for key, item in value.items():
            if isinstance(key, str):
                self._values[key] = item
            else:
                self.report("", f"the key {key!r} is not text; put it in quotes")

    def report(self, key: str, message: str) -> None:
        """Note a problem at `key` of this section (empty: the section itself)."""
        self.problems.append(f"{join(self.path, key)}: {message}")

    @property
    def names(self) -> list[str]:
        """The keys given, in the document's order."""
        return list(self._values)

    def take(self, key: str) -> object:
        """The raw value of `key`, or MISSING. Null counts as missing."""
        self._known.add(key)
        value = self._values.get(key)
        return MISSING if value is None else value

    def text(self, key: str, default: str | None = None) -> str:
        """Text; a problem, and "", when it is something else or missing without a default."""
        value = self.take(key)
        if value is MISSING and default is not None:
            return default
        if isinstance(value, str) and value:
            return value
        self.report(key, f"expected text, got {describe(value)}")
        return ""

    def choice(self, key: str, options: tuple[str, ...], default: str) -> str:
        """One of `options`."""
        value = self.text(key, default)
        if value and value not in options:
            self.report(key, f"{value!r} is unknown; use one of {', '.join(options)}")
            return default
        return value

    def number(
        self, key: str, *, low: float = -math.inf, high: float = math.inf, default: float | None = None
    ) -> float:
        """A finite number within [low, high]; a problem, and 0, otherwise."""
        value = self.take(key)
        if value is MISSING and default is not None:
            return default
        if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
            self.report(key, f"expected a finite number, got {describe(value)}")
            return 0.0
        if not low <= value <= high:
            self.report(key, f"{value} is outside {low:g} to {high:g}; put a number within it")
            return 0.0
        return float(value)

    def boolean(self, key: str, *, default: bool) -> bool:
        """A YAML boolean: true or false."""
        value = self.take(key)
        if value is MISSING:
            return default
        if isinstance(value, bool):
            return value
        self.report(key, f"expected true or false, got {describe(value)}")
        return default

    def section(self, key: str, *, required: bool = True) -> "Section | None":
        """The mapping at `key`; None, with a problem if it is required, when there is none."""
        value = self.take(key)
        if value is MISSING:
            if required:
                self.report(key, "is missing; add it")
            return None
        return Section(value, join(self.path, key), self.problems)

    def sections(self) -> Iterator[tuple[str, "Section"]]:
        """Every key with its value as a section: for mappings whose keys are names."""
        for key in self.names:
            yield key, Section(self.take(key), join(self.path, key), self.problems)

    def items(self, key: str) -> Iterator["Section"]:
        """The mappings of the list at `key`; nothing when it is missing."""
        value = self.take(key)
        if value is MISSING:
            return
        if not isinstance(value, list):
            self.report(key, f"expected a list, got {describe(value)}")
            return
        for index, item in enumerate(value):
            yield Section(item, f"{join(self.path, key)}[{index}]", self.problems)

    def texts(self) -> dict[str, str]:
        """The whole section as text to text; numbers are taken as they are written."""
        found: dict[str, str] = {}
        for key in self.names:
            value = self.take(key)
            if isinstance(value, str) or (isinstance(value, int | float) and not isinstance(value, bool)):
                found[key] = str(value)
            else:
                self.report(key, f"expected text, got {describe(value)}")
        return found

    def numbers(self, *, low: float = -math.inf, high: float = math.inf) -> dict[str, float]:
        """The whole section as text to finite numbers within [low, high]."""
        return {key: self.number(key, low=low, high=high) for key in self.names}

    def finish(self) -> None:
        """Report what nothing took. Call it last."""
        for key in self.names:
            if key not in self._known:
                known = ", ".join(sorted(self._known)) or "none"
                self.report(key, f"unknown key; remove it or use one of {known}")


def read(path: Path, build: Callable[[Section], T | None]) -> T:
    """Load a file and build its object. Raises `DocumentError` with every problem found."""
    problems: list[str] = []
    root = Section(load(path), "$", problems)
    built = build(root) if not problems else None
    if problems or built is None:
        raise DocumentError(str(path), problems)
    return built


def join(path: str, key: str) -> str:
    """The path of `key` under `path`."""
    return f"{path}.{key}" if key else path


def describe(value: object) -> str:
    """A datum as it is quoted in a problem, cut to a line."""
    if value is MISSING or value is None:
        return "nothing"
    quoted = repr(value)
    return quoted if len(quoted) <= 60 else f"{quoted[:57]}..."  # noqa: PLR2004 - width of a quotation
