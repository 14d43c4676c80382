"""Which events belong to which decision: the table that the second pass over the journal looks into."""

from array import array
from bisect import bisect_left

import numpy as np
from numpy.typing import NDArray

from bandit.ledger import decision_key
from server.readable import Event


class EventTable:
    """Events by decision: 26 bytes each, and as much again while they are sorted.

    `add` all of them, `sort` once, then ask with `of`. An exposure is an event, too.
    """

    def __init__(self) -> None:
        self._starts: dict[bytes, int] = {}
        self._numbers: dict[str, int] = {}
        self._names: list[str] = []
        self._keys = array("Q")
        self._events = array("H")
        self._values = array("d")
        self._times = array("q")

    def add(self, start: bytes, counter: int, name: str, value: float, time_us: int) -> None:
        """Take in an event of a decision, after all that came earlier."""
        number = self._numbers.setdefault(name, len(self._numbers))
        if number == len(self._names):
            self._names.append(name)
        self._keys.append(decision_key(self._starts.setdefault(start, len(self._starts)), counter))
        self._events.append(number)
        self._values.append(value)
        self._times.append(time_us)

    def sort(self) -> None:
        """Bring the events of each decision together, in their order."""
        order = np.argsort(_copied(self._keys), kind="stable")
        for column in (self._keys, self._events, self._values, self._times):
            ordered = _copied(column)[order].tobytes()
            del column[:]
            column.frombytes(ordered)

    def of(self, start: bytes, counter: int) -> list[Event]:
        """Return the events of a decision, in the order in which they were counted."""
        if start not in self._starts:
            return []
        key = decision_key(self._starts[start], counter)
        at = bisect_left(self._keys, key)
        found = []
        while at < len(self._keys) and self._keys[at] == key:
            found.append(Event(self._names[self._events[at]], self._values[at], self._times[at]))
            at += 1
        return found


def _copied(column: "array[int] | array[float]") -> NDArray[np.generic]:
    """A copy that numpy can sort: an array that is viewed cannot change its size."""
    return np.array(column, column.typecode)
