"""A decision in the words of its configuration: what tools that look back show."""

from collections.abc import Iterable, Iterator
from typing import NamedTuple

from bandit.config import Placement, Reward, column_names
from bandit.decision import Decision
from bandit.features import entries


class Event(NamedTuple):
    """An event that was counted for a decision. `time_us` None: when is not known any more."""

    event: str
    value: float
    time_us: int | None


def context(schema: Placement | None, x: bytes) -> Iterator[tuple[str, float]]:
    """Yield the columns that x sets, by name, and their values; without the bias, which is always 1.

    Of a configuration that is not known, they are named by number.
    """
    names = column_names(schema) if schema else None
    index, value = entries(x)
    for column, entry in zip(index.tolist(), value.tolist(), strict=True):
        if column:
            yield names[column] if names else numbered(column), entry


def probabilities(schema: Placement | None, decision: Decision) -> Iterator[tuple[str, float]]:
    """Yield every policy's name and its probability of the decision's arm."""
    for number, probability in enumerate(decision.probabilities):
        yield policy_name(schema, number), probability


def policy_name(schema: Placement | None, policy: int) -> str:
    """Return a policy's name."""
    return schema.policies[policy].name if schema else numbered(policy)


def arm_name(schema: Placement | None, arm: int) -> str:
    """Return an arm's id."""
    return schema.arms[arm].id if schema else numbered(arm)


def numbered(number: int) -> str:
    """Return what stands for the name of something whose configuration is not known."""
    return f"#{number}"


def earned(reward: Reward, events: Iterable[Event]) -> float:
    """Return R, summed in the order in which the engine sums: equal to the last bit."""
    counted: dict[str, float] = {}
    for name, value, _ in events:
        counted[name] = value + counted.get(name, 0.0)
    total = 0.0
    for name, worth in reward.values:
        if name in counted:
            total += worth * counted[name]
    return min(max(total, 0.0), reward.maximum)
