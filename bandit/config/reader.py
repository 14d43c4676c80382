"""One value of a document with its path: the only place that knows what a document is made of.

A reader never stops at a problem: it notes it, gives a placeholder of the right type and goes on, so that
one run shows everything there is to mend. The caller refuses the document when anything was noted, so no
placeholder is ever used. `sound` says whether a value can be compared with others: a rule about two keys
is only checked where both could be read.
"""

import math
from collections.abc import Collection, Iterator, Mapping
from datetime import datetime
from enum import StrEnum
from typing import Final, TypeVar

from bandit.config.names import NAME_FORM, is_name
from bandit.config.problems import ConfigError, Problem
from bandit.config.units import DURATION_FORM, TIME_FORM, format_duration, parse_duration, parse_time
from bandit.config.wording import bounds, meant, remedy, show
from bandit.limits import CONFIG_PROBLEMS_MAX, DURATION_US_MAX, NAME_BYTES_MAX

T = TypeVar("T")
Choice = TypeVar("Choice", bound=StrEnum)

_ABSENT: Final = object()
"""The value of a key that is not there."""

_UNREADABLE: Final = object()
"""The value of a key whose mapping could not be read: that problem is noted already."""


class Reader:
    """A value, where it stands, and the list that problems go to; children share the list.

    Every reading method takes the default of an absent key; without one an absent key is a problem.
    """

    __slots__ = ("noted", "parent", "path", "sound", "value")

    def __init__(self, value: object, path: str = "$", parent: "Reader | None" = None) -> None:
        self.value = value
        self.path = path
        self.sound = value is not _UNREADABLE
        self.parent = parent
        self.noted: list[Problem] = parent.noted if parent else []

    @property
    def present(self) -> bool:
        """Whether the key is in the document."""
        return self.value is not _ABSENT and self.value is not _UNREADABLE

    @property
    def filled(self) -> bool:
        """Whether the key is in the document, and not as the empty mapping or list that it defaults to."""
        return self.present and self.value not in ({}, [])

    def refuse(self, message: str) -> None:
        """Note a problem here. Raises ConfigError once there are more than anybody reads."""
        self.noted.append(Problem(self.path, message))
        node: Reader | None = self
        while node is not None and node.sound:
            node.sound = False
            node = node.parent
        if len(self.noted) >= CONFIG_PROBLEMS_MAX:
            more = (
                f"{CONFIG_PROBLEMS_MAX} problems and more: the rest is not shown; mend these and check again"
            )
            raise ConfigError([*self.noted, Problem("$", more)])

    def fields(self, known: Collection[str]) -> "dict[str, Reader]":
        """Return a reader for every known key, present or not; every other key is refused."""
        mapping = self._as(dict, "a mapping")
        if mapping is None:
            return {key: self._child(key, _UNREADABLE) for key in known}
        for key in mapping:
            if not (isinstance(key, str) and key in known):
                guess = meant(key, known) or f"; the keys here are {', '.join(sorted(known))}"
                self._child(key, None).refuse(f"unknown key {show(key)}{guess}")
        return {key: self._child(key, mapping.get(key, _ABSENT)) for key in known}

    def variant(
        self, options: type[Choice], table: Mapping[str, Collection[str]]
    ) -> "tuple[Choice | None, dict[str, Reader]]":
        """Return the `kind` of a mapping and a reader for every key of that kind (`table`: kind → keys)."""
        given = self.value.get("kind", _ABSENT) if isinstance(self.value, dict) else _UNREADABLE
        kind = self._child("kind", given).choice(options, table)
        every = dict.fromkeys(key for keys in table.values() for key in keys)
        return kind, self.fields(table[kind] if kind is not None else every)

    def entries(self, what: str, limit: int) -> "Iterator[tuple[str, Reader]]":
        """Yield (name, reader) of a mapping from 1 to `limit` names of `what`; other keys are refused."""
        mapping = self._as(dict, f"a mapping from {what} names")
        if mapping is None:
            return
        if not 1 <= len(mapping) <= limit:
            self.refuse(f"got {len(mapping)} entries, expected 1 to {limit}, one per {what}")
            return
        for key, value in mapping.items():
            child = self._child(key, value)
            if not isinstance(key, str):
                mend = remedy(key, str) if key is not None else "; quote what you wrote"
                child.refuse(f"got {show(key)} as the name of the {what}, expected text{mend}")
            elif not is_name(key):
                child.refuse(f"got {show(key)} as the name of the {what}, expected {NAME_FORM}; rename it")
            else:
                yield key, child

    def items(self, what: str, limit: int) -> "list[Reader]":
        """Return the readers of a list of 1 to `limit` entries; [] when it is not one."""
        found = self._as(list, f"a list of {what}")
        if found is None:
            return []
        if not 1 <= len(found) <= limit:
            self.refuse(f"got a list of {len(found)}, expected 1 to {limit} {what}")
            return []
        return [Reader(item, f"{self.path}[{index}]", self) for index, item in enumerate(found)]

    def text(self, bytes_max: int = NAME_BYTES_MAX, default: str | None = None, *, label: bool = True) -> str:
        """Return text of at most `bytes_max` bytes; a `label` is not empty and has no control characters."""
        if default is not None and self.value is _ABSENT:
            return default
        text = self._as(str, f"text of at most {bytes_max} bytes")
        if text is None:
            return ""
        size = len(text.encode("utf-8", "replace"))
        if text.encode("utf-8", "replace").decode() != text:
            self.refuse(f"got {show(text)}, which is not valid Unicode; remove the lone surrogate")
        elif size > bytes_max:
            self.refuse(f"got {size} bytes ({show(text)}), expected at most {bytes_max}; shorten it")
        elif label and not (text and text.isprintable()):
            self.refuse(f"got {show(text)}, expected text that is not empty and has no control characters")
        return text

    def choice(
        self, options: type[Choice], allowed: Collection[str], default: Choice | None = None
    ) -> Choice | None:
        """Return the member of `options` with an `allowed` value; None when it could not be read."""
        if default is not None and self.value is _ABSENT:
            return default
        listed = ", ".join(allowed)
        word = self._as(str, f"one of {listed}")
        if word is None:
            return None
        if word not in allowed:
            self.refuse(f"got {show(word)}, expected one of {listed}{meant(word, allowed)}")
            return None
        return options(word)

    def number(
        self,
        default: float | None = None,
        *,
        at_least: float = -math.inf,
        above: float = -math.inf,
        at_most: float = math.inf,
        below: float = math.inf,
    ) -> float:
        """Return a finite float within the bounds."""
        if default is not None and self.value is _ABSENT:
            return default
        expected = f"a finite number{bounds(at_least, above, at_most, below)}"
        found = self._as(float, expected)
        if found is None:
            return 0.0
        if not (math.isfinite(found) and at_least <= found <= at_most and above < found < below):
            self.refuse(f"got {show(self.value)}, expected {expected}")
        return found + 0.0  # -0.0 becomes 0.0: one document, one schema id

    def flag(self, *, default: bool) -> bool:
        """Return true or false."""
        if self.value is _ABSENT:
            return default
        return bool(self._as(bool, "true or false"))

    def integer(self, default: int | None = None, *, at_least: int, at_most: int) -> int:
        """Return a whole number within the bounds."""
        if default is not None and self.value is _ABSENT:
            return default
        expected = f"a whole number from {at_least} to {at_most}"
        found = self._as(int, expected)
        if found is None:
            return at_least
        if not at_least <= found <= at_most:
            self.refuse(f"got {show(found)}, expected {expected}")
        return found

    def duration_us(self, default: str | None = None, *, at_most_us: int = DURATION_US_MAX) -> int:
        """Return a duration above zero, in microseconds."""
        if isinstance(self.value, int | float) and not isinstance(self.value, bool):
            self.refuse(f"got {show(self.value)} without a unit, expected {DURATION_FORM}")
            return 0
        text = default if default is not None and self.value is _ABSENT else self._as(str, DURATION_FORM)
        if text is None:
            return 0
        duration = parse_duration(text)
        if duration is None:
            self.refuse(f"got {show(text)}, expected {DURATION_FORM}")
            return 0
        if not 0 < duration <= at_most_us:
            self.refuse(
                f"got {show(text)}, expected a duration above zero and at most {format_duration(at_most_us)}"
            )
        return duration

    def time_us(self) -> int:
        """Return a time with its zone (text, or a datetime as some YAML loaders give), in µs since 1970."""
        found = self.value if isinstance(self.value, datetime) else self._as(str, TIME_FORM)
        if found is None:
            return 0
        time = parse_time(found)
        if time is None:
            self.refuse(f"got {show(str(found))}, expected {TIME_FORM}, between 1970 and 2100")
        return time or 0

    def _as(self, kind: type[T], expected: str) -> T | None:
        """Return the value if it is of this type; otherwise it is refused, or its mapping was: None."""
        if self.value is _UNREADABLE:
            return None
        if self.value is _ABSENT:
            self.refuse(f"missing, expected {expected}; add it")
            return None
        value = self.value
        if kind is float and isinstance(value, int) and not isinstance(value, bool):
            value = _float(value)
        if isinstance(value, kind) and not (kind is int and isinstance(value, bool)):
            return value
        self.refuse(f"got {show(value)}, expected {expected}{remedy(value, kind)}")
        return None

    def _child(self, key: object, value: object) -> "Reader":
        return Reader(value, f"{self.path}{path_step(key)}", self)


def path_step(key: object) -> str:
    """Return the step of a path: `.arms`, or `['a b']` for what is not a plain name."""
    return f".{key}" if isinstance(key, str) and is_name(key) and "." not in key else f"[{show(key)}]"


def _float(value: int) -> float:
    try:
        return float(value)
    except OverflowError:
        return math.inf
