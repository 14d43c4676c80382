"""Which arms may be shown: the configuration's conditions and the arms that a request allows.

Sets of arms are integers with bit k for arm k, so that combining them is one operation.
"""

from collections.abc import Callable, Iterable

from bandit.config import ArmState, Condition, FeatureKind, Placement
from bandit.features import Categories, Numbers

Matches = Callable[[Categories, Numbers], bool]


class Eligibility:
    """Eligible arms and ramp scope of one placement; built once a configuration.

    `fixed` is what `of` returns for every context, where nothing depends on it; None: ask `of`.
    """

    __slots__ = ("_always", "_bits", "_conditional", "_scope", "fixed")

    def __init__(self, placement: Placement) -> None:
        booleans = frozenset(f.name for f in placement.features if f.kind is FeatureKind.BOOLEAN)
        self._bits = {arm.id: 1 << k for k, arm in enumerate(placement.arms) if arm.state is ArmState.ACTIVE}
        groups: dict[frozenset[tuple[str, frozenset[str]]], tuple[Condition, int]] = {}
        for arm in placement.arms:
            group = condition_key(arm.when)
            _, mask = groups.get(group, (arm.when, 0))
            groups[group] = (arm.when, mask | self._bits.get(arm.id, 0))
        self._always = groups.pop(condition_key({}), ({}, 0))[1]
        self._conditional = [(_matcher(when, booleans), mask) for when, mask in groups.values()]
        only_when = placement.ramp.only_when if placement.ramp else {}
        self._scope = _matcher(only_when, booleans) if only_when else None
        self.fixed = None if self._conditional or only_when else (self._always, True)

    def of(self, categories: Categories, numbers: Numbers) -> tuple[int, bool]:
        """Return the active arms whose conditions hold, and whether the ramp concerns this context.

        Outside its scope static alone serves.
        """
        mask = self._always
        for matches, arms in self._conditional:
            if matches(categories, numbers):
                mask |= arms
        return mask, self._scope is None or self._scope(categories, numbers)

    def requested(self, arms: Iterable[str]) -> tuple[int, int]:
        """Return the active arms among the named ones, and how many names are not of active arms."""
        mask, unknown = 0, 0
        for arm in arms:
            bit = self._bits.get(arm, 0)
            mask |= bit
            unknown += bit == 0
        return mask, unknown


def condition_key(when: Condition) -> frozenset[tuple[str, frozenset[str]]]:
    """Return a condition as a value that can be compared and hashed."""
    return frozenset(when.items())


def _matcher(when: Condition, booleans: frozenset[str]) -> Matches:
    categories_wanted = [(name, accepted) for name, accepted in when.items() if name not in booleans]
    numbers_wanted = [
        (name, frozenset(float(value) for value in accepted))
        for name, accepted in when.items()
        if name in booleans
    ]

    def matches(categories: Categories, numbers: Numbers) -> bool:
        for name, accepted in categories_wanted:
            if categories.get(name) not in accepted:
                return False
        return not numbers_wanted or all(numbers.get(name) in accepted for name, accepted in numbers_wanted)

    return matches
