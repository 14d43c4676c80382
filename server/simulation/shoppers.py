"""Draws visits and responses of a scenario from a seed: the random part of a simulation, nothing else.

Contexts and responses have random streams of their own, so two runs with one seed see the same visitors
and the same luck whatever the sidecar answers, and can be compared visit by visit.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import repeat
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from bandit.features import Categories, Numbers
from server.simulation.scenario import Category, Column, Floats, Scenario, Visits

T = TypeVar("T")

RETURNING_AMONG = 10_000
"""A returning shopper is one of the last so many: a bound on memory, and people do not return for ever."""


@dataclass(frozen=True, slots=True)
class Block:
    """n consecutive visits.

    `first` is the number of the first; `units` n keys; `truth` the contexts they respond by; `sent` the
    contexts that the sidecar is told; `expected` (n, K) the true expected reward of every arm;
    `chances` and `luck` map each event to (n, K) true rates and (n,) uniforms: the event happens when
    luck < rate.
    """

    first: int
    units: tuple[str, ...]
    truth: Visits
    sent: Visits
    expected: Floats
    chances: dict[str, Floats]
    luck: dict[str, Floats]

    def __len__(self) -> int:
        return len(self.units)


class Shoppers:
    """An endless supply of visits. With `shuffle` the context sent is that of another visit of the block."""

    def __init__(self, scenario: Scenario, seed: int, *, shuffle: bool = False) -> None:
        self._scenario = scenario
        self._seed = seed
        self._shuffle = shuffle
        contexts, responses = np.random.SeedSequence(seed).spawn(2)
        self._contexts = np.random.default_rng(contexts)
        self._responses = np.random.default_rng(responses)
        self._next_unit = 0
        self._known_units: NDArray[np.int64] = np.empty(0, dtype=np.int64)
        self._known: dict[str, Column] = {}

    def blocks(self, count: int, size: int) -> Iterator[Block]:
        """`count` visits in blocks of `size` (the last may be shorter)."""
        for first in range(0, count, size):
            yield self._block(first, min(size, count - first))

    def _block(self, first: int, count: int) -> Block:
        scenario = self._scenario
        units, truth = self._visits(count)
        sent = {name: np.roll(column, 1) for name, column in truth.items()} if self._shuffle else truth
        return Block(
            first=first,
            units=tuple(f"shopper-{self._seed}-{unit}" for unit in units),
            truth=truth,
            sent=sent,
            expected=scenario.expected_reward(truth, count),
            chances={event.name: event.probability(truth, count) for event in scenario.events},
            luck={event.name: self._responses.random(count) for event in scenario.events},
        )

    def _visits(self, count: int) -> tuple[NDArray[np.int64], dict[str, Column]]:
        """Units and contexts of `count` visits, some by shoppers of earlier blocks."""
        units = np.arange(self._next_unit, self._next_unit + count)
        self._next_unit += count
        truth: dict[str, Column] = {
            feature.name: feature.draw(self._contexts, count) for feature in self._scenario.features
        }
        if self._scenario.returning > 0:
            back = self._contexts.random(count) < self._scenario.returning
            if len(self._known_units):
                who = self._contexts.integers(len(self._known_units), size=count)
                units = np.where(back, self._known_units[who], units)
                truth = {name: np.where(back, self._known[name][who], now) for name, now in truth.items()}
            self._remember(units, truth)
        return units, truth

    def _remember(self, units: NDArray[np.int64], truth: dict[str, Column]) -> None:
        self._known_units = np.concatenate([self._known_units, units])[-RETURNING_AMONG:]
        self._known = {
            name: np.concatenate([self._known[name], now])[-RETURNING_AMONG:] if self._known else now
            for name, now in truth.items()
        }


def contexts(scenario: Scenario, visits: Visits, count: int) -> Iterator[tuple[Categories, Numbers]]:
    """The categories and numbers of each of `count` visits, as requests carry them."""
    categories: dict[str, list[str]] = {}
    numbers: dict[str, list[float]] = {}
    for feature in scenario.features:
        column = visits[feature.name]
        if isinstance(feature, Category):
            categories[feature.name] = [feature.values[code] for code in column.tolist()]
        else:
            numbers[feature.name] = column.tolist()
    return zip(_rows(categories, count), _rows(numbers, count), strict=True)


def _rows(columns: dict[str, list[T]], count: int) -> Iterator[dict[str, T]]:
    """Columns of `count` values by name → for each row its values by name."""
    rows = zip(*columns.values(), strict=True) if columns else repeat((), count)
    return (dict(zip(columns, row, strict=True)) for row in rows)
