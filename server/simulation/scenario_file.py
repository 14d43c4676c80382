"""Scenario files: YAML → Scenario. Every problem is reported with its path. docs/simulate.md shows one."""

from collections.abc import Mapping
from enum import StrEnum
from pathlib import Path

from bandit.config.reader import Reader
from bandit.config.wording import meant, show
from bandit.limits import ARMS_MAX, EVENT_VALUE_MAX, EVENTS_MAX, FEATURES_MAX
from server.documents import check_version, read_document
from server.simulation.scenario import Category, Effect, Event, Feature, Number, Scale, Scenario, Shape

DEMO = Path(__file__).parents[1] / "defaults" / "demo-scenario.yaml"
"""The embedded scenario; it fits the demo configuration beside it."""

EFFECTS_MAX = 64
"""Effects of one event. Each is computed for every visit."""

NUMBER_ABS_MAX = 1e12
"""Of a scenario's numbers, so that sums of their products stay far from a float64's range."""

DELAY_MAX = 1e6
"""Visits of a mean delay: half of the longest simulation."""

Features = Mapping[str, Feature | None]
"""Contexts by name; None for one that could not be read, about which nothing is said a second time."""


class Kind(StrEnum):
    """The kinds of context in a file: a category, or the shape of a number."""

    CATEGORY = "category"
    BOOLEAN = "boolean"
    UNIFORM = "uniform"
    NORMAL = "normal"
    LOGNORMAL = "lognormal"


_KEYS: dict[str, tuple[str, ...]] = {
    Kind.CATEGORY: ("kind", "values"),
    Kind.BOOLEAN: ("kind", "probability"),
    Kind.UNIFORM: ("kind", "low", "high"),
    Kind.NORMAL: ("kind", "mean", "sd"),
    Kind.LOGNORMAL: ("kind", "median", "sigma"),
}
_EVENT_KEYS = ("rates", "scale", "effects", "worth", "value", "delay")


def read_scenario(path: Path) -> Scenario:
    """The scenario in a file. Raises ConfigError with every problem."""
    return read_document(path, build_scenario)


def build_scenario(root: Reader) -> Scenario:
    """The scenario in a document. Use it only when the reader noted no problem."""
    fields = root.fields(("version", "placement", "returning", "arms", "contexts", "events"))
    check_version(fields["version"])
    arms = _weights(fields["arms"], "arm", ARMS_MAX)
    contexts = fields["contexts"]
    features: Features = {}
    if contexts.present:
        features = {name: _feature(name, entry) for name, entry in contexts.entries("context", FEATURES_MAX)}
    events = fields["events"].entries("event", EVENTS_MAX)
    return Scenario(
        placement=fields["placement"].text(),
        returning=fields["returning"].number(0.0, at_least=0, at_most=1),
        arms=tuple(arms),
        weights=tuple(arms.values()),
        features=tuple(feature for feature in features.values() if feature is not None),
        events=tuple(_event(name, entry, tuple(arms), features) for name, entry in events),
    )


def _weights(reader: Reader, what: str, limit: int) -> dict[str, float]:
    """Name → weight, normalised to sum 1."""
    weights = {name: entry.number(at_least=0) for name, entry in reader.entries(what, limit)}
    total = sum(weights.values())
    if reader.sound and total <= 0:
        reader.refuse(f"every weight is 0, expected one above it; give at least one {what} a weight")
    return {name: weight / total for name, weight in weights.items()} if total > 0 else weights


def _feature(name: str, reader: Reader) -> Feature | None:
    kind, fields = reader.variant(Kind, _KEYS)
    if kind is Kind.CATEGORY:
        values = _weights(fields["values"], "value", ARMS_MAX)
        return Category(name, tuple(values), tuple(values.values())) if reader.sound else None
    if kind is None:
        return None
    number = _number(name, kind, fields)
    return number if reader.sound else None


def _number(name: str, kind: Kind, fields: dict[str, Reader]) -> Number:
    if kind is Kind.BOOLEAN:
        return Number(name, Shape.BOOLEAN, fields["probability"].number(at_least=0, at_most=1))
    first, second = (fields[key] for key in _KEYS[kind][1:])
    if kind is Kind.LOGNORMAL:
        return Number(name, Shape.LOGNORMAL, first.number(above=0), second.number(at_least=0, at_most=10))
    low = -NUMBER_ABS_MAX if kind is Kind.UNIFORM else 0
    a = first.number(at_least=-NUMBER_ABS_MAX, at_most=NUMBER_ABS_MAX)
    b = second.number(at_least=low, at_most=NUMBER_ABS_MAX)
    if kind is Kind.UNIFORM and first.sound and second.sound and b < a:
        second.refuse(f"got {b:g} with low {a:g}, expected at least that; swap them")
    return Number(name, Shape(kind), a, b)


def _event(name: str, reader: Reader, arms: tuple[str, ...], features: Features) -> Event:
    fields = reader.fields(_EVENT_KEYS)
    scale = fields["scale"].choice(Scale, list(Scale), Scale.LOGIT) or Scale.LOGIT
    effects = fields["effects"]
    mean, spread = _value(fields["value"])
    delay = fields["delay"]
    timed = isinstance(delay.value, str)
    return Event(
        name=name,
        worth=fields["worth"].number(1.0, at_least=-EVENT_VALUE_MAX, at_most=EVENT_VALUE_MAX),
        scale=scale,
        rates=_rates(fields["rates"], arms, scale),
        effects=tuple(_effect(item, arms, features) for item in effects.items("effects", EFFECTS_MAX))
        if effects.present
        else (),
        value_mean=mean,
        value_sd=spread,
        delay=0.0 if timed else delay.number(0.0, at_least=0, at_most=DELAY_MAX),
        delay_us=delay.duration_us() if timed else 0,
    )


def _value(reader: Reader) -> tuple[float, float]:
    """Mean and spread of an event's value."""
    if not reader.present:
        return 1.0, 0.0
    fields = reader.fields(("mean", "sd"))
    return fields["mean"].number(above=0, at_most=EVENT_VALUE_MAX), fields["sd"].number(0.0, at_least=0)


def _rates(reader: Reader, arms: tuple[str, ...], scale: Scale) -> tuple[float, ...]:
    """A probability for every arm; on the logit scale neither 0 nor 1, which have no log-odds."""
    fields = reader.fields(arms)
    if scale is Scale.LOGIT:
        return tuple(fields[arm].number(above=0, below=1) for arm in arms)
    return tuple(fields[arm].number(at_least=0, at_most=1) for arm in arms)


def _effect(reader: Reader, arms: tuple[str, ...], features: Features) -> Effect:
    fields = reader.fields(("add", "when", "per"))
    add = fields["add"].fields(arms)
    when, per = fields["when"], fields["per"]
    return Effect(
        add=tuple(add[arm].number(0.0, at_least=-NUMBER_ABS_MAX, at_most=NUMBER_ABS_MAX) for arm in arms),
        when=_when(when, features) if when.present else (),
        per=_per(per, features) if per.present else None,
    )


def _when(reader: Reader, features: Features) -> tuple[tuple[str, float], ...]:
    wanted: list[tuple[str, float]] = []
    for name, entry in reader.entries("context", FEATURES_MAX):
        feature = features.get(name)
        if name not in features:
            entry.refuse(f"{name!r} is not among contexts{meant(name, features) or '; add it there'}")
        elif isinstance(feature, Category):
            wanted.append((name, _category(entry, feature)))
        elif isinstance(feature, Number) and feature.shape is Shape.BOOLEAN:
            wanted.append((name, entry.integer(at_least=0, at_most=1)))
        elif isinstance(feature, Number):
            entry.refuse(f"{name!r} is a number, expected a category or boolean; use per for numbers")
    return tuple(wanted)


def _category(reader: Reader, feature: Category) -> int:
    """The index of a category's value."""
    value = reader.text()
    if value in feature.values:
        return feature.values.index(value)
    if reader.sound:
        listed = ", ".join(feature.values)
        reader.refuse(f"got {show(value)}, expected one of {listed}{meant(value, feature.values)}")
    return 0


def _per(reader: Reader, features: Features) -> tuple[str, float, float]:
    fields = reader.fields(("feature", "from", "unit"))
    name = fields["feature"].text()
    numbers = [other for other, feature in features.items() if isinstance(feature, Number)]
    if fields["feature"].sound and name not in numbers and features.get(name, ...) is not None:
        listed = ", ".join(numbers) or "none yet"
        fields["feature"].refuse(f"got {show(name)}, expected a number among contexts: {listed}")
    origin = fields["from"].number(0.0, at_least=-NUMBER_ABS_MAX, at_most=NUMBER_ABS_MAX)
    return name, origin, fields["unit"].number(1.0, above=0, at_most=NUMBER_ABS_MAX)
