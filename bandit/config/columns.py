"""The columns of x: which there are, in which order, and what they are called.

bias, then for each feature in order:
category  platform=web … platform=(other) platform=(missing)
hashed    country#0 … country#15 country=(missing)
number    history history=(missing)
boolean   returning returning=(missing)
"""

from itertools import chain

from bandit.config.model import Feature, FeatureKind, Placement

OTHER = "(other)"
"""The column of a category value that is not configured."""

MISSING = "(missing)"
"""The column of a feature that a request does not carry."""


def columns(placement: Placement) -> int:
    """Return the length of x: 1 for the bias, and the width of every feature."""
    return 1 + sum(columns_of(feature) for feature in placement.features)


def column_names(placement: Placement) -> tuple[str, ...]:
    """Return the name of every column, unique, in the order of x."""
    return ("bias", *chain.from_iterable(map(_names, placement.features)))


def columns_of(feature: Feature) -> int:
    """Return how many columns a feature has."""
    match feature.kind:
        case FeatureKind.CATEGORY:
            return len(feature.values) + 2
        case FeatureKind.HASHED:
            return feature.buckets + 1
        case _:
            return 2


def _names(feature: Feature) -> list[str]:
    match feature.kind:
        case FeatureKind.CATEGORY:
            names = [f"{feature.name}={value}" for value in (*feature.values, OTHER)]
        case FeatureKind.HASHED:
            names = [f"{feature.name}#{bucket}" for bucket in range(feature.buckets)]
        case _:
            names = [feature.name]
    return [*names, f"{feature.name}={MISSING}"]
