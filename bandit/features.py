"""Context → sparse x: which columns are set, and to what.

Every feature sets exactly one of its columns, but for numbers that map to 0, which set none. A value that was
never configured goes to the `other` column, an absent one to `missing`: a model learns both. Column order is
`config.column_names`; column 0 is the bias, always 1.
"""

import math
from collections.abc import Callable, Mapping

import numpy as np

from bandit.config import Feature, FeatureKind, Placement, Scale, column_names, columns_of
from bandit.errors import BanditError, Reason
from bandit.hashing import feature_bucket
from bandit.tally import Indices, Values

Categories = Mapping[str, str]
Numbers = Mapping[str, float]

_EntryOf = Callable[[float | None], tuple[int, float]]


class Encoder:
    """Encodes contexts for one placement; built once a configuration, since it only reads it."""

    __slots__ = ("_categories", "_hashed", "_numbers", "columns")

    def __init__(self, placement: Placement) -> None:
        self.columns = 1
        self._categories: list[tuple[str, dict[str | None, int], int]] = []
        self._hashed: list[tuple[Feature, int]] = []
        self._numbers: list[tuple[str, _EntryOf]] = []
        for feature in placement.features:
            if feature.kind is FeatureKind.CATEGORY:
                self._categories.append((feature.name, *_category(feature, self.columns)))
            elif feature.kind is FeatureKind.HASHED:
                self._hashed.append((feature, self.columns))
            else:
                self._numbers.append((feature.name, _number(feature, self.columns, placement.name)))
            self.columns += columns_of(feature)

    def encode(self, categories: Categories, numbers: Numbers) -> tuple[Indices, Values, int]:
        """Return (index uint16 (m,), value float32 (m,), how many given features are unknown).

        Raises BanditError FEATURE_NOT_FINITE or FEATURE_NOT_BOOLEAN, naming the feature.
        """
        index = [0]
        known = 0
        for name, columns, other in self._categories:
            category = categories.get(name)
            known += category is not None
            index.append(columns.get(category, other))
        for feature, first in self._hashed:
            category = categories.get(feature.name)
            known += category is not None
            index.append(first + _hashed(feature, category))
        value = [1.0] * len(index)
        for name, entry_of in self._numbers:
            number = numbers.get(name)
            known += number is not None
            column, mapped = entry_of(number)
            if mapped != 0.0:
                index.append(column)
                value.append(mapped)
        unknown = len(categories) + len(numbers) - known
        return np.array(index, np.uint16), np.array(value, np.float32), unknown


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


def _category(feature: Feature, first: int) -> tuple[dict[str | None, int], int]:
    """Return the column of each value, of an absent and an empty one, and that of every other."""
    columns: dict[str | None, int] = {value: first + i for i, value in enumerate(feature.values)}
    other = first + len(feature.values)
    columns[None] = columns[""] = other + 1
    return columns, other


def _hashed(feature: Feature, value: str | None) -> int:
    """Return the bucket of a value; the column after the buckets if it is absent or empty."""
    return feature_bucket(feature.name, value, feature.buckets) if value else feature.buckets


def _number(feature: Feature, first: int, placement: str) -> _EntryOf:
    """Columns: the value mapped to [0, 1], then `missing`."""
    mapped = _boolean if feature.kind is FeatureKind.BOOLEAN else _mapping(feature)

    def entry_of(number: float | None) -> tuple[int, float]:
        if number is None:
            return first + 1, 1.0
        if not math.isfinite(number):
            message = (
                f"feature '{feature.name}' of placement '{placement}' is {number}: expected a finite number; "
                "leave the feature out when its value is not known"
            )
            raise BanditError(Reason.FEATURE_NOT_FINITE, message, placement=placement, feature=feature.name)
        if feature.kind is FeatureKind.BOOLEAN and number not in (0.0, 1.0):
            message = (
                f"feature '{feature.name}' of placement '{placement}' is {number}: expected 0 or 1, since "
                "it is configured as a boolean; configure it as a number to send others"
            )
            raise BanditError(Reason.FEATURE_NOT_BOOLEAN, message, placement=placement, feature=feature.name)
        return first, mapped(number)

    return entry_of


def _boolean(number: float) -> float:
    return number


def _mapping(feature: Feature) -> Callable[[float], float]:
    low, high = feature.minimum, feature.maximum
    if feature.scale is Scale.LOG:
        span = math.log1p(high - low)
        return lambda number: math.log1p(min(max(number, low), high) - low) / span
    span = high - low
    return lambda number: (min(max(number, low), high) - low) / span
