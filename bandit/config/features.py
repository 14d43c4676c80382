"""Features: what of the context is learned from, and how it becomes columns."""

from bandit.config.columns import MISSING, OTHER, columns_of
from bandit.config.conditions import Declared
from bandit.config.keys import FEATURE_KEYS
from bandit.config.model import Feature, FeatureKind, Scale
from bandit.config.names import identity_in
from bandit.config.reader import Reader
from bandit.config.wording import show
from bandit.limits import CATEGORY_BYTES_MAX, COLUMNS_MAX, FEATURES_MAX, NUMBER_ABS_MAX


def parse_features(reader: Reader) -> Declared:
    """Return the features by name, sorted; None for one that could not be read."""
    if not reader.filled:
        return {}
    features = {name: _feature(name, entry) for name, entry in reader.entries("feature", FEATURES_MAX)}
    columns = 1 + sum(columns_of(feature) for feature in features.values() if feature)
    if reader.sound and columns > COLUMNS_MAX:
        reader.refuse(
            f"got {columns} columns, expected at most {COLUMNS_MAX}; "
            "use fewer values or buckets, or hash a feature with many values"
        )
    return dict(sorted(features.items()))


def _feature(name: str, reader: Reader) -> Feature | None:
    person = identity_in(name)
    if person is not None:
        reader.refuse(
            f"got {name!r} as the name of a feature, but {person!r} is a person's identity, which must not "
            "reach tokens and journals; send it as the unit, or rename the feature if it means something else"
        )
    kind, fields = reader.variant(FeatureKind, FEATURE_KEYS)
    if kind is None:
        return None
    feature = Feature(name, kind)
    if kind is FeatureKind.CATEGORY:
        feature = Feature(name, kind, values=_values(fields["values"]))
    elif kind is FeatureKind.HASHED:
        feature = Feature(name, kind, buckets=fields["buckets"].integer(at_least=1, at_most=COLUMNS_MAX - 2))
    elif kind is FeatureKind.NUMBER:
        feature = _number(name, fields)
    return feature if reader.sound else None


def _number(name: str, fields: dict[str, Reader]) -> Feature:
    minimum = fields["min"].number(at_least=-NUMBER_ABS_MAX, at_most=NUMBER_ABS_MAX)
    maximum = fields["max"].number(at_least=-NUMBER_ABS_MAX, at_most=NUMBER_ABS_MAX)
    scale = fields["scale"].choice(Scale, list(Scale), Scale.LINEAR) or Scale.LINEAR
    if fields["min"].sound and fields["max"].sound and not minimum < maximum:
        fields["max"].refuse(
            f"got {maximum:g} with min {minimum:g}, expected more than min; swap or widen them"
        )
    return Feature(name, FeatureKind.NUMBER, minimum=minimum, maximum=maximum, scale=scale)


def _values(reader: Reader) -> tuple[str, ...]:
    values: list[str] = []
    for item in reader.items("values", COLUMNS_MAX - 3):
        value = item.text(CATEGORY_BYTES_MAX)
        if value in (OTHER, MISSING):
            item.refuse(f"got {show(value)}, which names a column that every category has; rename it")
        elif item.sound and value in values:
            item.refuse(f"got {show(value)} twice; keep one")
        values.append(value)
    return tuple(values)
