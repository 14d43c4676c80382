"""Days: what was shown and earned on each, by the decision's day; what survives, and what it takes."""

from collections import defaultdict
from dataclasses import dataclass, field

import msgpack
import numpy as np
import pytest

from bandit.fields import SectionError
from bandit.head import pack_head, unpack_head
from bandit.history import DAY_US
from bandit.limits import HISTORY_DAYS_MAX
from bandit.measurement import Estimate
from bandit.measuring import Measuring
from bandit.records import Decided, Exposed, Rewarded
from bandit.report import Report, report
from bandit.sections import pack_placement, unpack_placement
from tests.core.world import DAY, HOUR, Document, World, hero, simple

SCOPED: Document = hero(
    ramp={
        "policies": {"best-arm": 0.5, "personal": 0.5},
        "from": 0.25,
        "to": 0.25,
        "only_when": {"platform": ["web"]},
    }
)


def visited(world: World, hours: int, seed: int = 1) -> None:
    """A decision an hour, a third deferred; events come at once, hours or a day later."""
    rng = np.random.default_rng(seed)
    waiting = []
    for i in range(hours):
        world.now += HOUR
        platform = ["web", "app"][world.now // HOUR % 3 == 0]
        waiting.append(world.choose("p", f"u{i % 40}", {"platform": platform}, deferred=i % 3 == 1))
        choice = waiting[int(rng.integers(max(0, len(waiting) - 12), len(waiting)))]
        match int(rng.integers(4)):
            case 0:
                world.reward(choice, "visit", 1.0)
            case 1:
                world.reward(choice, "purchase", float(rng.integers(1, 400)), f"order-{i}")
            case 2:
                world.reward(choice, "exposure")


@dataclass
class Shown:
    """One decision as the records tell it."""

    day: int
    arm: int
    policy: int
    in_scope: bool
    events: dict[str, list[float]] = field(default_factory=lambda: defaultdict(list))

    @property
    def reward(self) -> float:
        """R by the hero's configuration."""
        return min(sum(self.events["visit"]) + 0.02 * sum(self.events["purchase"]), 5.0)


def by_hand(world: World) -> list[Shown]:
    """Every decision that was shown, from the journal's records alone."""
    shown: dict[int, Shown] = {}
    for record in world.journal:
        match record:
            case Decided(made, _, _) if made.deferred:
                continue
            case Decided(made, _, _) | Exposed(made, _) | Rewarded(made, _, _, _, _):
                new = Shown(made.time_us // DAY_US, made.arm, made.policy, made.in_scope)
                entry = shown.setdefault(made.counter, new)
                if isinstance(record, Rewarded):
                    entry.events[record.event].append(record.value)
    return list(shown.values())


def test_days_are_those_of_the_records() -> None:
    """By arm all that was shown, by policy what was in scope; an event belongs to its decision's day."""
    world = World(p=SCOPED)
    visited(world, 400)
    history, shown = world.state().history, by_hand(world)
    assert list(history.days) == sorted({one.day for one in shown})
    assert len(history.days) > 10
    for number, day in history.days.items():
        for k, column in enumerate(history.by_arm(day).T):
            own = [one for one in shown if (one.day, one.arm) == (number, k)]
            assert column == pytest.approx(summed(own, squares=True))
        for j, column in enumerate(history.by_policy(day).T):
            own = [one for one in shown if (one.day, one.policy, one.in_scope) == (number, j, True)]
            assert column == pytest.approx(summed(own, squares=False))
        assert day.share == (0.25 if any(one.in_scope for one in shown if one.day <= number) else 0.0)
    expected = [[sum((o.policy, o.arm) == (j, k) for o in shown) for k in range(3)] for j in range(5)]
    assert history.shown.tolist() == expected


def summed(own: list[Shown], *, squares: bool) -> list[float]:
    """A day's column: exposures, Σ R, Σ R² if wanted, and each event's count and sum by name."""
    sums = [float(len(own)), sum(one.reward for one in own)]
    if squares:
        sums.append(sum(one.reward**2 for one in own))
    for event in ("purchase", "visit"):
        values = [value for one in own for value in one.events[event]]
        sums += [float(len(values)), sum(values)]
    return sums


def test_uplift_is_kept_as_it_stood_when_the_day_was_over() -> None:
    """Of the days before by what was measured then; of the last day by what is measured now."""
    world = World(p=SCOPED)
    stood: dict[int, list[Estimate | None]] = {}
    for hours in range(150):
        before = world.now // DAY_US
        visited(world, 1, seed=hours)
        if world.now // DAY_US == before:
            measurement = world.state().measuring.epoch.measurement
            stood[before] = [measurement.uplift(policy) for policy in range(1, 5)]
    history = world.state().history
    for number, day in history.days.items():
        found = [history.uplift(day, policy) for policy in range(1, 5)]
        assert found == stood[number]
        assert history.uplift(day, 0) is None
    assert any(found)


def test_what_another_epoch_ends_is_kept_for_days_that_are_over() -> None:
    """A reload that changes what is measured: yesterday's uplift stays, today's begins anew."""
    world = World(p=SCOPED)
    visited(world, 100)
    history = world.state().history
    before = history.uplift(list(history.days.values())[-1], 1)
    assert before is not None
    world.now += DAY
    world.reload(p=SCOPED | {"reward": SCOPED["reward"] | {"max": 4.0}})
    yesterday = list(world.state().history.days.values())[-1]
    assert world.state().history.uplift(yesterday, 1) == before
    world.choose("p", "u", {"platform": "web"})
    assert world.state().history.uplift(yesterday, 1) == before
    assert world.state().history.uplift(list(world.state().history.days.values())[-1], 1) is None


def test_the_last_hundred_days_with_decisions_are_kept() -> None:
    """Days without any take no place; events of days that are gone are learned from, and no more."""
    world = World(p=simple(reward={"values": {"click": 1}, "window": "90d"}))
    first = world.choose()
    for _ in range(HISTORY_DAYS_MAX + 5):
        world.now += 2 * DAY
        last = world.choose()
    days = world.state().history.days
    assert len(days) == HISTORY_DAYS_MAX
    assert list(days)[-1] == world.now // DAY_US
    assert list(days)[-1] - next(iter(days)) == 2 * (HISTORY_DAYS_MAX - 1)
    world.reward(last)
    world.reward(first)
    found = report(world.state(), world.now)
    assert sum(arm.exposures for arm in found.arms) == HISTORY_DAYS_MAX
    assert sum(event.times for arm in found.arms for event in arm.events) == 1
    assert sum(sum(arm.shown) for arm in found.arms) == HISTORY_DAYS_MAX + 6


def test_a_deferred_decision_is_shown_on_its_own_day() -> None:
    """Confirmed a day later it belongs to the day it was made; of a day that is not there, to none."""
    world = World(p=SCOPED)
    late, later = (world.choose("p", "u", {"platform": "web"}, deferred=True) for _ in range(2))
    assert not world.state().history.days
    world.now += 20 * HOUR
    world.choose("p", "u", {"platform": "web"})
    assert len(world.state().history.days) == 1
    world.reward(late, "exposure")
    world.reward(later, "visit")
    days = world.state().history.days
    assert len(days) == 1
    assert world.state().history.shown.sum() == 3


def test_names_carry_days_over_a_reload() -> None:
    """Arms, policies and events are known by name: what remains keeps its days, what is new begins at 0."""
    document = simple(
        "a", "b", "c",
        reward={"values": {"click": 1.0, "order": 2.0}},
        policies={"t": {"kind": "thompson"}, "even": {"kind": "uniform"}},
        ramp={"policies": {"t": 0.5, "even": 0.5}, "from": 0.8, "to": 0.8},
    )  # fmt: skip
    world = World(p=document)
    for i in range(200):
        world.now += HOUR
        choice = world.choose(unit=f"u{i}")
        world.reward(choice, ("click", "order")[i % 2], 3.0)
    before = seen(report(world.state(), world.now))
    world.reload(p=document | {
        "arms": {"aa": {}, "b": {}, "c": {}, "a": {"state": "draining"}},
        "reward": {"values": {"buy": 1.0, "order": 2.0}},
        "policies": {"t": {"kind": "thompson"}, "best": {"kind": "thompson"}},
        "ramp": {"policies": {"t": 0.5, "best": 0.5}, "from": 0.8, "to": 0.8},
    })  # fmt: skip
    after = seen(report(world.state(), world.now))
    gone = {"click", "even"}
    new = {"aa", "best", "buy"}
    assert {key: value for key, value in after.items() if not new & set(key)} == {
        key: value for key, value in before.items() if not gone & set(key)
    }
    assert not any(value for key, value in after.items() if new & set(key))
    assert any(before.values())


def seen(found: Report) -> dict[tuple[str, ...], object]:
    """All that a report says of days and arms, by name."""
    facts: dict[tuple[str, ...], object] = {}
    for arm in found.arms:
        facts[arm.arm.id,] = arm.exposures, arm.reward.mean if arm.reward else None
        facts |= {
            (arm.arm.id, event.event): (event.times, event.value) for event in arm.events if event.times
        }
        names = [policy.name for policy in found.policies]
        facts |= {(arm.arm.id, name): shown for name, shown in zip(names, arm.shown, strict=True)}
    facts = {key: value for key, value in facts.items() if value != (0, None)}
    for day in found.days:
        for policy, one in zip(found.policies, day.policies, strict=True):
            facts[str(day.number), policy.name] = one.served
            facts |= {(str(day.number), policy.name, e.event): e.times for e in one.events}
    return {key: value for key, value in facts.items() if value}


def test_days_are_kept_and_checked() -> None:
    """In a placement's section, bit for bit; days that no history can have are refused."""
    world = World(p=SCOPED)
    visited(world, 100)
    head = unpack_head(pack_head(world.engine.state, sequence=9, origin="test"))
    payload = pack_placement(world.state(), 9)
    read, held = unpack_placement(payload, head)[0].history, world.state().history
    assert list(read.days) == list(held.days)
    for one, other in zip(read.days.values(), held.days.values(), strict=True):
        assert np.array_equal(one.sums, other.sums)
        assert (one.share, one.uplifts) == (other.share, other.uplifts)
    assert np.array_equal(read.shown, held.shown)
    first = next(iter(held.days)).to_bytes(2, "big")
    for wrong in (b"\xff\xff", (next(iter(held.days)) + 1).to_bytes(2, "big")):
        with pytest.raises(SectionError, match=r"history\.days: expected at most 100 days"):
            unpack_placement(payload.replace(b"\xcd" + first, b"\xcd" + wrong, 1), head)


def test_days_take_little_room() -> None:
    """Of a placement of ten arms, three learned policies, an event: below 300 bytes a day in a snapshot."""
    arms = [f"arm-{k}" for k in range(10)]
    policies = {"t": {"kind": "thompson"}, "u": {"kind": "uniform"}, "l": {"kind": "linear_thompson"}}
    world = World(p=simple(*arms, policies=policies))
    sizes = []
    for _ in range(HISTORY_DAYS_MAX + 1):
        world.now += DAY
        for i in range(20):
            world.reward(world.choose(unit=f"u{i}"))
        sizes.append(len(msgpack.packb(msgpack.unpackb(pack_placement(world.state(), 1))["history"])))
    assert sizes[-1] == pytest.approx(sizes[-2], abs=100)
    assert (sizes[-1] - sizes[0]) / HISTORY_DAYS_MAX < 300


def test_a_history_follows_the_measuring_it_was_given() -> None:
    """Nothing can be said of a day before anything was measured."""
    world = World(p=SCOPED)
    visited(world, 30)
    history = world.state().history
    history.measuring = Measuring(5, 2)
    assert history.uplift(list(history.days.values())[-1], 1) is None
