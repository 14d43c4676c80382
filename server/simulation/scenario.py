"""A scenario: who visits, what is shown to them, and how likely each visitor is to respond to each arm."""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Column = NDArray[np.float64] | NDArray[np.int64]
"""One feature of n visits: numbers as float64, categories as int64 indices of their values."""

Visits = Mapping[str, Column]
"""The contexts of n visits: feature name → column of n."""


class Scale(StrEnum):
    """Where effects add: on the log-odds of the rate, or on the rate itself (clipped to [0, 1])."""

    LOGIT = "logit"
    IDENTITY = "identity"


@dataclass(frozen=True, slots=True)
class Category:
    """A category feature: `values` drawn with `weights`, which sum to 1."""

    name: str
    values: tuple[str, ...]
    weights: tuple[float, ...]

    def draw(self, rng: np.random.Generator, count: int) -> NDArray[np.int64]:
        """Indices of `values`."""
        return rng.choice(len(self.values), size=count, p=self.weights).astype(np.int64)


class Shape(StrEnum):
    """Distributions of a number. `Number` says what their parameters are."""

    UNIFORM = "uniform"
    NORMAL = "normal"
    LOGNORMAL = "lognormal"
    BOOLEAN = "boolean"


@dataclass(frozen=True, slots=True)
class Number:
    """A number or boolean feature. `a`, `b`: low, high; mean, sd; median, sigma of the log; P(1), unused."""

    name: str
    shape: Shape
    a: float
    b: float = 0.0

    def draw(self, rng: np.random.Generator, count: int) -> Floats:
        """Float64 numbers."""
        if self.shape is Shape.UNIFORM:
            return rng.uniform(self.a, self.b, count)
        if self.shape is Shape.NORMAL:
            return rng.normal(self.a, self.b, count)
        if self.shape is Shape.LOGNORMAL:
            return rng.lognormal(np.log(self.a), self.b, count)
        return (rng.random(count) < self.a).astype(np.float64)


Feature = Category | Number


@dataclass(frozen=True, slots=True)
class Effect:
    """What a context adds to an event's rate: `add` (K,) per arm, where `when` holds, times `per` if given.

    `when` are (feature, wanted): a category's index or a boolean's 0 or 1; empty holds always. `per` is
    (feature, from, unit): the number counts as (number − from) / unit.
    """

    add: tuple[float, ...]
    when: tuple[tuple[str, float], ...] = ()
    per: tuple[str, float, float] | None = None

    def amount(self, visits: Visits, count: int) -> Floats:
        """How much of the effect each visit has, (n,): 0 where `when` does not hold."""
        amount = np.ones(count)
        for feature, wanted in self.when:
            amount *= visits[feature] == wanted
        if self.per is not None:
            feature, origin, unit = self.per
            amount *= (visits[feature] - origin) / unit
        return amount


@dataclass(frozen=True, slots=True)
class Event:
    """Something a shopper may do after a visit, once at most.

    `rates` (K,) is the probability for each arm before effects. `worth` is the configured value of the
    event in the placement. `value_mean`, `value_sd` describe the event's own value (log-normal; without
    spread exactly the mean). It is reported after an exponential delay, whose mean is `delay` visits, or
    `delay_us` microseconds where that is not 0.
    """

    name: str
    worth: float
    scale: Scale
    rates: tuple[float, ...]
    effects: tuple[Effect, ...]
    value_mean: float = 1.0
    value_sd: float = 0.0
    delay: float = 0.0
    delay_us: int = 0

    def probability(self, visits: Visits, count: int) -> Floats:
        """True response rates (n, K) of these visits for every arm."""
        rates = np.asarray(self.rates)
        base = np.log(rates / (1 - rates)) if self.scale is Scale.LOGIT else rates
        level = np.tile(base, (count, 1))
        for effect in self.effects:
            level += np.outer(effect.amount(visits, count), effect.add)
        if self.scale is Scale.LOGIT:
            level = 1 / (1 + np.exp(-np.clip(level, -700, 700)))
        chances: Floats = np.clip(level, 0, 1)
        return chances

    def draw_values(self, rng: np.random.Generator, count: int) -> Floats:
        """Values of `count` events."""
        if self.value_sd == 0:
            return np.full(count, self.value_mean)
        variance_log = np.log1p((self.value_sd / self.value_mean) ** 2)
        return rng.lognormal(np.log(self.value_mean) - variance_log / 2, np.sqrt(variance_log), count)


@dataclass(frozen=True, slots=True)
class Scenario:
    """The whole world of a simulation.

    `weights` (K,) are the static campaign's, normalised, in the order of `arms`. `returning` is the
    fraction of visits by a shopper who was here before, with the same context.
    """

    placement: str
    arms: tuple[str, ...]
    weights: tuple[float, ...]
    features: tuple[Feature, ...]
    events: tuple[Event, ...]
    returning: float = 0.0

    def expected_reward(self, visits: Visits, count: int) -> Floats:
        """E[Σ worth x value] of showing each arm to each visit, (n, K). Not clipped to a `max`."""
        total = np.zeros((count, len(self.arms)))
        for event in self.events:
            total += event.worth * event.value_mean * event.probability(visits, count)
        return total
