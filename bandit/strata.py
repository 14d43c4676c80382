"""Strata: decisions with the same eligible arms, on the same side of the ramp's scope.

Context-free learning compares arms only within a stratum: an arm that is eligible only on web, or a ramp that
runs only there, would otherwise be compared with a different audience.
"""

from collections.abc import Iterable, Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bandit.config import ArmState, Placement, PolicyKind
from bandit.eligibility import condition_key
from bandit.limits import STRATA_MAX
from bandit.recent import Recent
from bandit.tally import Floats, Tally

OVERFLOW = 0xFFFF
"""The stratum index of decisions beyond STRATA_MAX: nothing context-free is learned from them."""


class Stratum:
    """One set of eligible arms and what context-free policies have learned in it.

    `mask` has bit k for eligible arm k, `eligible` (E,) int64 the same as sorted indices; `static` and
    `uniform` (arms,) are the pmfs that never change. `pmfs` (policies, arms) holds every policy's: rows of
    `thompson` are those of its last refresh, of linear policies those of the last decision; `unusable` has
    the bits of thompson policies that could not be refreshed. `tally`, empty in a new one, has no columns;
    `recent` are its recent exposures, None where rewards are not waited for.
    """

    __slots__ = (
        "_exposed",
        "_missing",
        "_news",
        "_refreshed",
        "_sums",
        "eligible",
        "in_scope",
        "index",
        "mask",
        "pmfs",
        "recent",
        "static",
        "tally",
        "uniform",
        "unusable",
    )

    def __init__(
        self, placement: Placement, index: int, mask: int, *, in_scope: bool, tally: Tally | None = None
    ) -> None:
        arms = len(placement.arms)
        self.index = index
        self.mask = mask
        self.in_scope = in_scope
        self.eligible: NDArray[np.int64] = np.array([k for k in range(arms) if mask >> k & 1], np.int64)
        self.uniform: Floats = np.zeros(arms)
        self.uniform[self.eligible] = 1.0 / max(1, self.eligible.size)
        weights = np.array([arm.weight for arm in placement.arms]) * (self.uniform > 0.0)
        total = weights.sum()
        self.static: Floats = weights / total if total > 0.0 else self.uniform
        # beyond the limit nothing is learned: thompson is served as static
        same = {PolicyKind.STATIC} if index != OVERFLOW else {PolicyKind.STATIC, PolicyKind.THOMPSON}
        self.pmfs: Floats = np.array(
            [self.static if policy.kind in same else self.uniform for policy in placement.policies]
        )
        self.unusable = 0
        self.tally = tally or Tally.zeros(arms)
        # for single numbers faster than NumPy
        self._sums: list[Any] = [memoryview(row) for row in self.tally.sums]
        reward = placement.reward
        self.recent = Recent(arms, reward.window_us) if reward.delayed else None
        self._missing: tuple[Floats, float] = (self.uniform * 0.0, 0.0)
        self._exposed = float(self.tally.n.sum())
        self._news = 0
        self._refreshed = (-1, 0.0, 0)

    def expose(self, arm: int, weight: float, time_us: int = 0) -> None:
        """Count an exposure of a decision of `time_us`."""
        self._sums[0][arm] += weight
        self._exposed += weight
        self._news += 1
        if self.recent is not None:
            self.recent.expose(arm, weight, time_us)

    def credit(self, arm: int, weight: float, reward: tuple[float, float], time_us: int = 0) -> None:
        """Move the R of a decision of `time_us` from `reward[0]` to `reward[1]`."""
        before, after = reward
        r1, r2 = weight * (after - before), weight * (after * after - before * before)
        sums = self._sums
        sums[1][arm] += r1
        sums[2][arm] += r2
        self._news += 1
        if self.recent is not None:
            self.recent.credit(arm, time_us, r1, r2)

    @property
    def missing(self) -> Floats:
        """The part of n whose reward is still expected (arms,)."""
        known, late = self._missing
        return np.asarray(known + late * self.tally.n)

    def look(self, missing: Floats, late: float) -> None:
        """Take `missing` (arms,) as what is now; of each exposure from now on `late` is."""
        self._missing = missing - late * self.tally.n, late

    @property
    def mature(self) -> Floats:
        """n, r1 and r2 (3, arms) of the exposures past their window."""
        recent = self.recent.rows[[0, 2, 3]].sum(axis=1) if self.recent is not None else 0.0
        return np.asarray(self.tally.sums - recent)

    def add(self, tally: Tally, recent: Recent | None = None) -> None:
        """Take over what another stratum learned about these arms."""
        if self.recent is not None and recent is not None:
            self.recent.add(recent)
        self.tally.add(tally)
        self._exposed = float(self.tally.n.sum())
        self._news += 1

    def scale(self, factor: float) -> None:
        """Multiply all that was learned."""
        self.tally.scale(factor)
        self._exposed *= factor
        self._missing = self._missing[0] * factor, self._missing[1]
        if self.recent is not None:
            self.recent.scale(factor)

    def due(self, now_us: int) -> bool:
        """Whether thompson's pmf has to be computed again; says so once, and never beyond the limit.

        Every decision is news, so the cache follows the posterior instead: once n has grown by 1 %, or
        50 ms have passed with any news.
        """
        news, exposed, time_us = self._refreshed
        if news == self._news or self.index == OVERFLOW:
            return False
        if self._exposed < _GROWTH * exposed and now_us - time_us < _REFRESH_US:
            return False
        self._refreshed = (self._news, self._exposed, now_us)
        return True


_GROWTH = 1.01
_REFRESH_US = 50_000


class Strata:
    """The strata of one placement, by what defines them and by index. An index keeps its meaning for good."""

    __slots__ = ("_by_index", "_by_key")

    def __init__(self) -> None:
        self._by_key: dict[tuple[int, bool], Stratum] = {}
        self._by_index: list[Stratum | None] = []

    @classmethod
    def restored(cls, strata: Iterable[Stratum], indices: Iterable[int]) -> "Strata":
        """Return strata, given in the order of their indices, whose `indices` are these."""
        result = cls()
        result._by_key = {(stratum.mask, stratum.in_scope): stratum for stratum in strata}
        by_index = {stratum.index: stratum for stratum in result}
        result._by_index = [by_index.get(index) for index in indices]
        return result

    def __iter__(self) -> Iterator[Stratum]:
        return iter(self._by_key.values())

    def __len__(self) -> int:
        return len(self._by_key)

    def get(self, mask: int, *, in_scope: bool) -> Stratum | None:
        """Return the stratum of these eligible arms, if it is open."""
        return self._by_key.get((mask, in_scope))

    def at(self, index: int) -> Stratum | None:
        """Return the stratum that a decision's index means today; None if it is gone or never was."""
        return self._by_index[index] if index < len(self._by_index) else None

    def indices(self) -> list[int]:
        """Return, for each index that was ever given, that of the stratum it means today; OVERFLOW: gone."""
        return [stratum.index if stratum else OVERFLOW for stratum in self._by_index]

    def full(self, *, restricted: bool) -> bool:
        """Whether no more may be opened; for requests that name arms, when half of the places are taken.

        So callers that name ever other arms cannot take the places of those that name none.
        """
        places = STRATA_MAX // 2 if restricted else STRATA_MAX
        return self.next_index == OVERFLOW or len(self._by_key) >= places

    @property
    def next_index(self) -> int:
        """The index that the next stratum gets; OVERFLOW when no more may be opened."""
        full = len(self._by_key) >= STRATA_MAX or len(self._by_index) >= OVERFLOW
        return OVERFLOW if full else len(self._by_index)

    def open(self, stratum: Stratum) -> None:
        """Add a stratum made with `next_index`."""
        self._by_key[stratum.mask, stratum.in_scope] = stratum
        self._by_index.append(stratum)

    def rearranged(self, old: Placement, new: Placement, arms: list[int]) -> "Strata":
        """Return these strata under another configuration; `arms` maps its arms to the old ones (-1: new).

        A stratum is an audience: it loses arms that are not served any more, and gains a newly served arm if
        it had every arm with the same condition. Strata that become alike merge, by adding. Where a condition
        changes, the same arms stand for other people from then on: all strata start over.
        """
        result = Strata()
        differ = audiences_differ(old, new)
        for stratum in self._by_index:
            mask = _mask_after(stratum.mask, old, new, arms) if stratum and not differ else 0
            if stratum is None or mask == 0:
                result._by_index.append(None)
                continue
            alike = result.get(mask, in_scope=stratum.in_scope)
            if alike is None:
                alike = Stratum(new, len(result._by_index), mask, in_scope=stratum.in_scope)
                result.open(alike)
            else:
                result._by_index.append(alike)
            recent = stratum.recent.rearranged(arms) if stratum.recent and same_ring(old, new) else None
            alike.add(stratum.tally.rearranged(arms, []), recent)
        return result


def same_ring(old: Placement, new: Placement) -> bool:
    """Whether what is recent under one configuration is so under the other."""
    return old.reward.window_us == new.reward.window_us and new.reward.delayed


def audiences_differ(old: Placement, new: Placement) -> bool:
    """Whether the ramp's scope or the condition of an arm of both configurations differs."""
    before, after = _conditions(old), _conditions(new)
    return any(before[name] != after[name] for name in before.keys() & after.keys())


def _conditions(placement: Placement) -> dict[str, object]:
    conditions: dict[str, object] = {arm.id: condition_key(arm.when) for arm in placement.arms}
    conditions[""] = condition_key(placement.ramp.only_when if placement.ramp else {})
    return conditions


def _mask_after(mask: int, old: Placement, new: Placement, arms: list[int]) -> int:
    had: dict[object, bool] = {}
    for k, arm in enumerate(old.arms):
        if arm.state is ArmState.ACTIVE:
            group = condition_key(arm.when)
            had[group] = had.get(group, True) and bool(mask >> k & 1)
    result = 0
    for k, arm in enumerate(new.arms):
        before = arms[k]
        if arm.state is not ArmState.ACTIVE:
            continue
        served_before = before >= 0 and old.arms[before].state is ArmState.ACTIVE
        inside = bool(mask >> before & 1) if served_before else had.get(condition_key(arm.when), False)
        result |= inside << k
    return result
