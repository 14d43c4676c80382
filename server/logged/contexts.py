"""Contexts of an export, whose columns have names, in the terms of a placement.

An export keeps what a context was mapped to, not what it was. So a category becomes the placement's `(other)`
where the placement does not list it, a feature that the log has nothing of counts as missing, and what cannot
be told from mapped values is refused: a feature of another kind, other hash buckets, a condition on hashes.
"""

import re
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from bandit.config import Feature, FeatureKind, Placement, column_names
from bandit.config.columns import MISSING, OTHER
from bandit.eligibility import Eligibility
from bandit.features import packed
from server.replays.rows import LogError

_COLUMN = re.compile(r"([^=#]+)(?:([=#])(.*))?", re.DOTALL)


class _Said(NamedTuple):
    """What a column of the log says: of `feature`, that it has `value`; "" for numbers and booleans."""

    feature: str
    kind: str
    value: str


class Translation:
    """From the columns `names` of a log to those of a placement. Raises LogError for what cannot be told.

    `absent` are the placement's features that the log has nothing of.
    """

    def __init__(self, source: str, placement: Placement, names: Sequence[str]) -> None:
        self._source = source
        self._features = {feature.name: feature for feature in placement.features}
        self._said = [_said(name) for name in names]
        here = {name: column for column, name in enumerate(column_names(placement))}
        self._columns = np.array([self._column(said, here) for said in self._said], np.int64)
        seen = {said.feature for said in self._said}
        self.absent = [name for name in self._features if name not in seen]
        self._always = [0, *(here[f"{name}={MISSING}"] for name in self.absent)]
        self._eligibility = Eligibility(placement)
        self._asked = self._conditions(placement)
        self._known: dict[tuple[int, ...], tuple[int, bool]] = {}

    def x(self, columns: NDArray[np.int64], values: NDArray[np.float32]) -> bytes:
        """Return the x of a context: which of `names` are set, and to what."""
        here = self._columns[columns]
        index = np.concatenate((self._always, here[here >= 0]))
        value = np.concatenate((np.ones(len(self._always), np.float32), values[here >= 0]))
        return packed(index, value)

    def eligible(self, columns: NDArray[np.int64]) -> tuple[int, bool]:
        """Return the arms that the placement allows in a context, and whether its ramp concerns it."""
        if self._eligibility.fixed:
            return self._eligibility.fixed
        key = tuple(column for column in columns.tolist() if self._said[column].feature in self._asked)
        if key not in self._known:
            self._known[key] = self._eligible([self._said[column] for column in key])
        return self._known[key]

    def _eligible(self, said: Sequence[_Said]) -> tuple[int, bool]:
        present = [one for one in said if one.value != MISSING]
        gone = {one.feature for one in said if one.value == MISSING}
        categories = {one.feature: one.value for one in present if one.kind}
        booleans = {
            name: 0.0
            for name in self._asked
            if self._features[name].kind is FeatureKind.BOOLEAN and name not in gone
        }
        return self._eligibility.of(
            categories, booleans | {one.feature: 1.0 for one in present if not one.kind}
        )

    def _column(self, said: _Said, here: dict[str, int]) -> int:
        """Return the placement's column of one of the log's; -1: of a feature that it does not have."""
        feature = self._features.get(said.feature)
        if feature is None:
            return -1
        column = here.get("".join(said))
        if column is not None:
            return column
        if feature.kind is FeatureKind.CATEGORY and said.kind == "=":
            return here[f"{feature.name}={OTHER}"]
        raise LogError(
            f"{self._source}: has the column {''.join(said)!r}, and the placement's feature {feature.name!r} "
            f"is {_described(feature)}: an export holds mapped values, which cannot be mapped anew; keep the "
            "feature as it was, or leave it out of the placement"
        )

    def _conditions(self, placement: Placement) -> frozenset[str]:
        """Return the features that conditions ask for, all of which the log can tell."""
        conditions = [arm.when for arm in placement.arms]
        if placement.ramp:
            conditions.append(placement.ramp.only_when)
        asked = frozenset(name for condition in conditions for name in condition)
        for name in sorted(asked):
            if self._features[name].kind is FeatureKind.HASHED:
                problem = "an export holds only the buckets of a hashed feature"
            elif name in self.absent:
                problem = "the log has no column of it"
            else:
                continue
            raise LogError(
                f"{self._source}: whether the placement's condition on {name!r} holds cannot be told: "
                f"{problem}; leave the condition out of the placement"
            )
        return asked


def _said(name: str) -> _Said:
    found = _COLUMN.fullmatch(name)
    return _Said(found[1], found[2] or "", found[3] or "") if found else _Said(name, "", "")


def _described(feature: Feature) -> str:
    if feature.kind is FeatureKind.HASHED:
        return f"hashed to {feature.buckets} buckets"
    return f"a {feature.kind}"
