"""Scenario files: YAML → Scenario. Every problem is reported with its path. docs/simulate.md shows one."""

import math
from importlib import resources
from pathlib import Path

from server.documents import Section, read
from server.simulation.scenario import Category, Effect, Event, Feature, Number, Scale, Scenario, Shape

ARMS_MAX = 256
"""As many as a placement may have."""

NUMBERS: dict[Shape, tuple[str, ...]] = {
    Shape.UNIFORM: ("low", "high"),
    Shape.NORMAL: ("mean", "sd"),
    Shape.LOGNORMAL: ("median", "sigma"),
    Shape.BOOLEAN: ("probability",),
}
"""The parameters of each distribution of a number, in the order that `Number` takes them."""


def demo_path() -> Path:
    """The scenario that ships with the program; it fits the demo configuration beside it."""
    return Path(str(resources.files("server") / "defaults" / "demo-scenario.yaml"))


def read_scenario(path: Path) -> Scenario:
    """The scenario in a file. Raises `DocumentError` naming file and path of every problem."""
    return read(path, build_scenario)


def build_scenario(root: Section) -> Scenario | None:
    """The scenario in a document; None, with its problems noted in the section, when it is not one."""
    if root.number("version") != 1:
        root.report("version", "is unknown; this program reads version 1")
    placement = root.text("placement")
    returning = root.number("returning", low=0, high=1, default=0)
    arms = _weights(root, "arms", "an arm")
    features = _features(root)
    events = _events(root, tuple(arms), {feature.name: feature for feature in features})
    root.finish()
    if root.problems:
        return None
    return Scenario(placement, tuple(arms), tuple(arms.values()), features, events, returning)


def _weights(parent: Section, key: str, what: str) -> dict[str, float]:
    """Name → weight, normalised to sum 1."""
    section = parent.section(key)
    if section is None:
        return {}
    weights = section.numbers(low=0)
    total = sum(weights.values())
    if not 0 < len(weights) <= ARMS_MAX:
        section.report("", f"expected 1 to {ARMS_MAX} entries, got {len(weights)}")
    elif total <= 0:
        section.report("", f"every weight is 0; give {what} a weight above 0")
    else:
        return {name: weight / total for name, weight in weights.items()}
    return {}


def _features(root: Section) -> tuple[Feature, ...]:
    parent = root.section("contexts", required=False)
    if parent is None:
        return ()
    features = [_feature(name, section) for name, section in parent.sections()]
    return tuple(feature for feature in features if feature is not None)


def _feature(name: str, section: Section) -> Feature | None:
    kinds = [kind for kind in section.names if kind == "values" or kind in set(Shape)]
    if len(kinds) != 1:
        section.report("", f"expected exactly one of values, {', '.join(Shape)}; got {kinds or 'none'}")
        return None
    kind = kinds[0]
    if kind == "values":
        weights = _weights(section, "values", "a value")
        section.finish()
        return Category(name, tuple(weights), tuple(weights.values())) if weights else None
    shape = Shape(kind)
    number = _number(name, shape, section)
    section.finish()
    return number


def _number(name: str, shape: Shape, section: Section) -> Number | None:
    if shape is Shape.BOOLEAN:
        return Number(name, shape, section.number(shape, low=0, high=1))
    parameters = section.section(shape)
    if parameters is None:
        return None
    positive = shape is Shape.LOGNORMAL
    first, second = NUMBERS[shape]
    a = parameters.number(first, low=1e-9 if positive else -math.inf)
    b = parameters.number(second, low=-math.inf if shape is Shape.UNIFORM else 0)
    parameters.finish()
    if shape is Shape.UNIFORM and b < a:
        parameters.report("high", f"{b:g} is below low, {a:g}; swap them")
    return Number(name, shape, a, b)


def _events(root: Section, arms: tuple[str, ...], features: dict[str, Feature]) -> tuple[Event, ...]:
    parent = root.section("events")
    if parent is None:
        return ()
    events = tuple(_event(name, section, arms, features) for name, section in parent.sections())
    if not events and not root.problems:
        parent.report("", "is empty; give at least one event")
    return events


def _event(name: str, section: Section, arms: tuple[str, ...], features: dict[str, Feature]) -> Event:
    scale = Scale(section.choice("scale", tuple(Scale), Scale.LOGIT))
    rates = _per_arm(section, "rates", arms)
    if rates is not None and scale is Scale.LOGIT and not all(0 < rate < 1 for rate in rates):
        section.report("rates", "a rate of 0 or 1 has no log-odds; keep rates inside, or use scale: identity")
    elif rates is not None and not all(0 <= rate <= 1 for rate in rates):
        section.report("rates", "a rate is a probability; keep it within 0 to 1")
    effects = [_effect(item, arms, features) for item in section.items("effects")]
    mean, spread = _value(section)
    event = Event(
        name=name,
        worth=section.number("worth", default=1),
        scale=scale,
        rates=rates or (),
        effects=tuple(effect for effect in effects if effect is not None),
        value_mean=mean,
        value_sd=spread,
        delay=section.number("delay", low=0, high=1e6, default=0),
    )
    section.finish()
    return event


def _value(section: Section) -> tuple[float, float]:
    value = section.section("value", required=False)
    if value is None:
        return 1.0, 0.0
    mean, spread = value.number("mean", low=1e-9, high=1e9), value.number("sd", low=0, default=0)
    value.finish()
    return mean, spread


def _per_arm(
    section: Section, key: str, arms: tuple[str, ...], *, default: float | None = None
) -> tuple[float, ...] | None:
    """A number for each arm; arms left out take `default`, or are a problem without one."""
    parent = section.section(key)
    if parent is None:
        return None
    numbers = parent.numbers()
    for arm in numbers:
        if arm not in arms:
            parent.report(arm, f"is not an arm; the arms are {', '.join(arms)}")
    for arm in arms:
        if arm not in numbers and default is None:
            parent.report(arm, "is missing; give every arm a rate")
    return tuple(numbers.get(arm, default or 0.0) for arm in arms)


def _effect(section: Section, arms: tuple[str, ...], features: dict[str, Feature]) -> Effect | None:
    add = _per_arm(section, "add", arms, default=0.0)
    when = _when(section, features)
    per = _per(section, features)
    section.finish()
    return None if add is None else Effect(add, when, per)


def _when(section: Section, features: dict[str, Feature]) -> tuple[tuple[str, float], ...]:
    parent = section.section("when", required=False)
    if parent is None:
        return ()
    wanted: list[tuple[str, float]] = []
    for name in parent.names:
        feature, value = features.get(name), parent.take(name)
        if isinstance(feature, Category) and str(value) in feature.values:
            wanted.append((name, feature.values.index(str(value))))
        elif isinstance(feature, Number) and feature.shape is Shape.BOOLEAN and value in (0, 1):
            wanted.append((name, float(value == 1)))
        elif isinstance(feature, Category):
            parent.report(name, f"{value!r} is not one of its values; use one of {', '.join(feature.values)}")
        elif isinstance(feature, Number):
            parent.report(name, "a number has no values; use per, or a boolean with 0 or 1")
        else:
            parent.report(name, f"is not a context; the contexts are {', '.join(features) or 'none'}")
    return tuple(wanted)


def _per(section: Section, features: dict[str, Feature]) -> tuple[str, float, float] | None:
    parent = section.section("per", required=False)
    if parent is None:
        return None
    name = parent.text("feature")
    if name and not isinstance(features.get(name), Number):
        parent.report("feature", f"{name!r} is not a number in contexts; name one")
    origin, unit = parent.number("from", default=0), parent.number("unit", default=1)
    if unit == 0:
        parent.report("unit", "0 divides by nothing; put the step that the effect is for")
    parent.finish()
    return name, origin, unit
