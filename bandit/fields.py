"""Maps of msgpack that come from outside: every field is checked when it is asked for, or named as wrong.

A snapshot's sections are such maps (docs/format.md). What is read allocates in proportion to its bytes: for
one at most sixteen.
"""

from collections.abc import Mapping

import msgpack
import numpy as np

from bandit.kernels.doubles import NOT_FINITE, trim, untrim
from bandit.limits import NAME_BYTES_MAX
from bandit.tally import Floats

INT64_MAX = 2**63 - 1
_ARRAY_MAX = 1024
"""Entries of a msgpack array, which is allocated before its entries are seen. What may be longer is a map."""
_SHOWN = 60
"""Characters of a wrong value in a message."""
_DOUBLE, _WORD = np.dtype("<f8"), np.dtype("<u8")


class SectionError(ValueError):
    """A section that no state can have written. `where` names it, `field` the place in it."""

    def __init__(self, where: str, field: str, expected: str, found: str) -> None:
        super().__init__(f"{where}: {field}: expected {expected}, found {found}")
        self.where = where
        self.field = field


def pack(fields: Mapping[str, object]) -> bytes:
    """Return a map as msgpack."""
    packed: bytes = msgpack.packb(fields)
    return packed


def pack_doubles(where: str, field: str, values: Floats) -> bytes:
    """Return doubles as binary data, whatever their shape: trimmed, unless that is no shorter.

    Raises SectionError for one that is not finite: no reader takes that.
    """
    count = values.size
    data = np.zeros(count + count // 16 + 2, _WORD)
    size = trim(values.ravel(), data)
    if size == NOT_FINITE:
        raise SectionError(where, field, "finite numbers", f"{values[~np.isfinite(values)][0]}")
    if size >= _DOUBLE.itemsize * count:
        return values.astype(_DOUBLE, copy=False).tobytes()
    return data[: size // 8 + 1].tobytes()[:size]


def _doubles(data: bytes, size: int) -> Floats | None:
    """Return `size` doubles as a new array; None: these bytes are not so many."""
    if len(data) == _DOUBLE.itemsize * size:
        return np.frombuffer(data, _DOUBLE).astype(np.float64)
    if not (size + 1) // 2 <= len(data) < _DOUBLE.itemsize * size:
        return None
    words = np.empty(size, np.uint64)
    return words.view(np.float64) if untrim(np.frombuffer(data, np.uint8), words) else None


class Fields:
    """A map's fields, by key. Everything here raises SectionError for what is not as it is asked for."""

    __slots__ = ("_data", "_path", "where")

    def __init__(self, where: str, data: Mapping[str, object], path: str = "") -> None:
        self.where = where
        self._data = data
        self._path = path

    @classmethod
    def unpack(cls, where: str, payload: bytes) -> "Fields":
        """Return the fields of a payload that is one map."""
        try:
            data = msgpack.unpackb(payload, max_array_len=min(len(payload), _ARRAY_MAX), max_ext_len=0)
        except (ValueError, RecursionError) as error:
            raise SectionError(where, "its bytes", "one map of msgpack", str(error)) from None
        if not isinstance(data, dict):
            raise SectionError(where, "its bytes", "one map of msgpack", shown(data))
        return cls(where, data)

    @classmethod
    def of_kind(cls, where: str, payload: bytes, kind: str) -> "Fields":
        """Return the fields of a payload that is one map, whose field `kind` says this."""
        fields = cls.unpack(where, payload)
        if (found := fields.text("kind", NAME_BYTES_MAX)) != kind:
            raise fields.refuse("kind", repr(kind), found)
        return fields

    def refuse(self, key: str, expected: str, found: object) -> SectionError:
        """Return the refusal of a field."""
        return SectionError(self.where, f"{self._path}{key}", expected, shown(found))

    def integer(self, key: str, low: int, high: int = INT64_MAX) -> int:
        """Return an integer between these, both included."""
        value = self._data.get(key)
        if type(value) is not int or not low <= value <= high:
            raise self.refuse(key, f"an integer from {low} to {high}", value)
        return value

    def time_us(self, key: str) -> int:
        """Return a time in microseconds."""
        return self.integer(key, -INT64_MAX)

    def optional_time_us(self, key: str) -> int | None:
        """Return a time in microseconds, or None for nil."""
        return None if self._data.get(key, key) is None else self.time_us(key)

    def has(self, key: str) -> bool:
        """Whether the map has this key: an earlier version may have written none."""
        return key in self._data

    def number(self, key: str) -> float:
        """Return a finite double."""
        value = self._data.get(key)
        if type(value) is not float or not np.isfinite(value):
            raise self.refuse(key, "a finite number", value)
        return value

    def flag(self, key: str) -> bool:
        """Return true or false."""
        value = self._data.get(key)
        if type(value) is not bool:
            raise self.refuse(key, "true or false", value)
        return value

    def text(self, key: str, bytes_max: int) -> str:
        """Return a string of at most so many bytes of UTF-8."""
        value = self._data.get(key)
        if type(value) is not str or len(value.encode()) > bytes_max:
            raise self.refuse(key, f"a string of at most {bytes_max} bytes", value)
        return value

    def binary(self, key: str) -> bytes:
        """Return binary data."""
        value = self._data.get(key)
        if type(value) is not bytes:
            raise self.refuse(key, "binary data", value)
        return value

    def identifier(self, key: str, size: int) -> bytes:
        """Return `size` bytes that are written as hexadecimal digits."""
        return self.unhex(key, self._data.get(key), size)

    def unhex(self, key: str, text: object, size: int) -> bytes:
        """Return the `size` bytes that `text`, at `key`, means in lower-case hexadecimal digits."""
        try:
            value = bytes.fromhex(text) if isinstance(text, str) else b""
        except ValueError:
            value = b""
        if len(value) != size or value.hex() != text:
            raise self.refuse(key, f"{2 * size} hexadecimal digits", text)
        return value

    def doubles(self, key: str, size: int, *, low: float = -np.inf) -> Floats:
        """Return `size` finite doubles, none below `low`, as a new array (size,) float64."""
        data = self.binary(key)
        values = _doubles(data, size)
        if values is None:
            raise self.refuse(key, f"{size} doubles", data)
        if not np.isfinite(values).all() or (low > -np.inf and (values < low).any()):
            wrong = float(values[~(np.isfinite(values) & (values >= low))][0])
            raise self.refuse(key, "finite numbers" if low < 0.0 else f"finite numbers from {low} on", wrong)
        return values

    def array(self, key: str) -> list[object]:
        """Return an array."""
        value = self._data.get(key)
        if type(value) is not list:
            raise self.refuse(key, "an array", value)
        return value

    def exactly(self, key: str, names: list[str]) -> None:
        """Make sure that an array holds these strings, in this order."""
        value = self.array(key)
        if value != names:
            wrong = next((pair for pair in zip(names, value, strict=False) if pair[0] != pair[1]), None)
            expected = f"{wrong[0]!r}" if wrong else f"{len(names)} names, as configured"
            raise self.refuse(key, expected, wrong[1] if wrong else f"{len(value)}")

    def counts(self, key: str, size: int) -> list[int]:
        """Return an array of `size` integers from 0 on."""
        value = self.array(key)
        counts = [count for count in value if type(count) is int and 0 <= count <= INT64_MAX]
        if not len(counts) == len(value) == size:
            raise self.refuse(key, f"{size} counts", value)
        return counts

    def members(self, key: str) -> dict[str, object]:
        """Return a map whose keys are strings, in its order."""
        value = self._data.get(key)
        if type(value) is not dict or not all(type(member) is str for member in value):
            raise self.refuse(key, "a map whose keys are strings", value)
        return value

    def inner(self, key: str) -> "Fields":
        """Return the fields of a map."""
        return Fields(self.where, self.members(key), f"{self._path}{key}.")

    def inners(self, key: str) -> "list[Fields]":
        """Return the fields of each map in an array."""
        found = []
        for number, data in enumerate(self.array(key)):
            if type(data) is not dict:
                raise self.refuse(f"{key}[{number}]", "a map", data)
            found.append(Fields(self.where, data, f"{self._path}{key}[{number}]."))
        return found


def shown(value: object) -> str:
    """Return a value for a message: what it is, and of long ones no more than that."""
    if isinstance(value, str | bytes | list | dict) and len(value) > _SHOWN:
        return f"{type(value).__name__} of {len(value)}"
    text = "nothing" if value is None else repr(value)
    return text if len(text) <= _SHOWN else f"{text[:_SHOWN]}…"
