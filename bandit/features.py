"""Context → sparse x: which columns are set, and to what.

Every feature sets exactly one of its columns, but for numbers that map to 0, which set none. A value that was
never configured goes to the `other` column, an absent one to `missing`: a model learns both. Column order is
`config.column_names`; column 0 is the bias, always 1.

x is bytes, the same in a decision, in its token and for the kernels: the m columns that are set as uint16,
then their m values as float32, little-endian.
"""

import math
from collections.abc import Callable, Mapping
from struct import Struct
from typing import NoReturn

import numpy as np
from numpy.typing import NDArray

from bandit.config import Feature, FeatureKind, Placement, Scale, column_names, columns_of
from bandit.errors import BanditError, Reason
from bandit.hashing import feature_bucket

Categories = Mapping[str, str]
Numbers = Mapping[str, float]

ENTRY_BYTES = 6
"""Of a column that is set, and its value."""

_Mapping = Callable[[float], float]


class Encoder:
    """Encodes contexts for one placement; built once a configuration, since it only reads it."""

    __slots__ = ("_categories", "_hashed", "_numbers", "_packings", "columns")

    def __init__(self, placement: Placement) -> None:
        self.columns = 1
        self._categories: list[tuple[str, dict[str, int], int, int]] = []
        self._hashed: list[tuple[Feature, int]] = []
        self._numbers: list[tuple[str, int, _Mapping]] = []
        for feature in placement.features:
            if feature.kind is FeatureKind.CATEGORY:
                self._categories.append((feature.name, *_category(feature, self.columns)))
            elif feature.kind is FeatureKind.HASHED:
                self._hashed.append((feature, self.columns))
            else:
                self._numbers.append((feature.name, self.columns, _mapping(feature, placement.name)))
            self.columns += columns_of(feature)
        self._packings = [Struct(f"<{m}H{m}f") for m in range(len(placement.features) + 2)]

    def encode(self, categories: Categories, numbers: Numbers) -> tuple[bytes, int]:
        """Return x, and how many of the placement's features were given.

        Raises BanditError FEATURE_NOT_FINITE or FEATURE_NOT_BOOLEAN, naming the feature.
        """
        index, known = [0], 0
        for name, columns, missing, other in self._categories:
            if name in categories:  # and [name] takes less than get, where these are protobuf's maps
                known += 1
                index.append(columns.get(categories[name], other))
            else:
                index.append(missing)
        for feature, first in self._hashed:
            if feature.name in categories:
                known += 1
                index.append(first + _hashed(feature, categories[feature.name]))
            else:
                index.append(first + feature.buckets)
        value = [1.0] * len(index)
        for name, column, mapped in self._numbers:
            if name in numbers:
                known += 1
                if entry := mapped(numbers[name]):
                    index.append(column)
                    value.append(entry)
            else:
                index.append(column + 1)
                value.append(1.0)
        return self._packings[len(index)].pack(*index, *value), known


def entries(x: bytes) -> tuple[NDArray[np.uint16], NDArray[np.float32]]:
    """Return the columns that x sets, and their values."""
    size = len(x) // ENTRY_BYTES
    return np.frombuffer(x, "<u2", size), np.frombuffer(x, "<f4", size, 2 * size)


def packed(index: NDArray[np.integer], value: NDArray[np.floating]) -> bytes:
    """Return the x that sets the columns `index` to `value`."""
    return index.astype("<u2").tobytes() + value.astype("<f4").tobytes()


def column_meanings(placement: Placement) -> list[object]:
    """Return a value for each column that is equal for columns, of any configuration, that mean the same.

    With its name goes what is mapped to it: a hashed feature of other buckets, or a number of another range,
    has columns of the same names that have learned about something else.
    """
    mappings: list[object] = [None]
    for feature in placement.features:
        mapping = (feature.kind, feature.buckets, feature.minimum, feature.maximum, feature.scale)
        mappings += [mapping] * columns_of(feature)
    return list(zip(column_names(placement), mappings, strict=True))


def _category(feature: Feature, first: int) -> tuple[dict[str, int], int, int]:
    """Return the column of each value (an empty one is absent), of an absent one, and of every other one."""
    columns = {value: first + i for i, value in enumerate(feature.values)}
    other = first + len(feature.values)
    missing = columns[""] = other + 1
    return columns, missing, other


def _hashed(feature: Feature, value: str) -> int:
    """Return the bucket of a value; the column after the buckets if it is empty."""
    return feature_bucket(feature.name, value, feature.buckets) if value else feature.buckets


def _mapping(feature: Feature, placement: str) -> _Mapping:
    """Return what maps a number to [0, 1], or refuses it. The column after it is `missing`."""
    low, high = feature.minimum, feature.maximum
    span = high - low

    def boolean(number: float) -> float:
        return number if number in (0.0, 1.0) else _refused(feature, placement, number)

    def linear(number: float) -> float:
        inside = number if low <= number <= high else clipped(number)
        return (inside - low) / span

    def log(number: float) -> float:
        inside = number if low <= number <= high else clipped(number)
        return math.log1p(inside - low) / math.log1p(span)

    def clipped(number: float) -> float:
        return min(max(number, low), high) if math.isfinite(number) else _refused(feature, placement, number)

    if feature.kind is FeatureKind.BOOLEAN:
        return boolean
    return log if feature.scale is Scale.LOG else linear


def _refused(feature: Feature, placement: str, number: float) -> NoReturn:
    if math.isfinite(number):
        reason = Reason.FEATURE_NOT_BOOLEAN
        remedy = "0 or 1, since it is configured as a boolean; configure it as a number to send others"
    else:
        reason = Reason.FEATURE_NOT_FINITE
        remedy = "a finite number; leave the feature out when its value is not known"
    message = f"feature '{feature.name}' of placement '{placement}' is {number}: expected {remedy}"
    raise BanditError(reason, message, placement=placement, feature=feature.name)
