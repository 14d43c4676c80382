"""Conditions on the context: an arm's `when` and a ramp's `only_when`."""

from collections.abc import Mapping
from types import MappingProxyType

from bandit.config.model import Condition, Feature, FeatureKind
from bandit.config.reader import Reader
from bandit.config.wording import meant, show
from bandit.limits import CATEGORY_BYTES_MAX, CONDITION_VALUES_MAX, FEATURES_MAX

ALWAYS: Condition = MappingProxyType({})
"""The condition that nothing has to meet."""

Declared = Mapping[str, Feature | None]
"""Features by name; None for one that could not be read, about which nothing is said a second time."""

_BOOLEAN = {"0": "0", "1": "1", "false": "0", "true": "1"}


def parse_condition(reader: Reader, features: Declared) -> Condition:
    """Return feature → accepted values. Only category, hashed and boolean features can be named."""
    if not reader.filled:
        return ALWAYS
    condition: dict[str, frozenset[str]] = {}
    for name, entry in reader.entries("feature", FEATURES_MAX):
        if name not in features:
            guess = meant(name, features) or "; declare it under `features`"
            entry.refuse(f"feature {name!r} is not declared{guess}")
            continue
        feature = features[name]
        if feature is not None:
            condition[name] = _values(entry, feature)
    return MappingProxyType(dict(sorted(condition.items())))


def _values(reader: Reader, feature: Feature) -> frozenset[str]:
    if feature.kind is FeatureKind.NUMBER:
        reader.refuse(f"feature {feature.name!r} is a number, expected a category, hashed or boolean feature")
        return frozenset()
    found = [(_value(item, feature), item) for item in reader.items("values", CONDITION_VALUES_MAX)]
    seen: set[str] = set()
    for value, item in found:
        if item.sound and value in seen:
            item.refuse(f"got {show(item.value)} twice; keep one")
        seen.add(value)
    return frozenset(seen)


def _value(reader: Reader, feature: Feature) -> str:
    if feature.kind is FeatureKind.BOOLEAN:
        value = _BOOLEAN.get(show(reader.value).strip("'"), "")
        if not value:
            reader.refuse(
                f"got {show(reader.value)}, expected true or false (or 1 or 0): it is a boolean feature"
            )
        return value
    value = reader.text(CATEGORY_BYTES_MAX)
    if reader.sound and feature.kind is FeatureKind.CATEGORY and value not in feature.values:
        listed = ", ".join(feature.values)
        reader.refuse(f"got {show(value)}, expected one of {listed}{meant(value, feature.values)}")
    return value
