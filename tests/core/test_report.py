"""The report: numbers only where there are some, and sentences that say what they mean."""

import numpy as np
import pytest

from bandit import report_days
from bandit.judge import Label
from bandit.ladder import _sentence
from bandit.report import Report, report, reporting
from bandit.sequences import Interval
from tests.core.world import DAY, SECOND, Document, World, simple

POLICIES: Document = {
    "t": {"kind": "thompson", "explore": 0.05},
    "deep": {"kind": "linear_thompson", "explore": 0.05},
    "even": {"kind": "uniform"},
}


def campaign(visits: int, rates: dict[str, tuple[float, float]], **changes: object) -> Report:
    """The report at the end of such a campaign."""
    world = campaigned(visits, rates, **changes)
    return report(world.state(), world.now)


def campaigned(visits: int, rates: dict[str, tuple[float, float]], **changes: object) -> World:
    """Visitors of two kinds, who click by arm and kind with these rates."""
    document = simple(
        arms={arm: {} for arm in rates},
        features={"kind": {"kind": "category", "values": ["x", "y"]}},
        reward={"values": {"click": 1}, "max": 1.0},
        policies=POLICIES,
        ramp={"policies": {"t": 0.5, "deep": 0.5}, "from": 0.5, "to": 0.5, "gate": {"min_exposures": 500}},
    )
    world = World(p={key: value for key, value in (document | changes).items() if value is not None})
    rng = np.random.default_rng(3)
    for i in range(visits):
        world.now += SECOND
        kind = int(rng.integers(2))
        choice = world.choose(unit=f"u{i}", categories={"kind": "xy"[kind]})
        if rng.random() < rates[choice.arm][kind]:
            world.reward(choice)
    return world


def test_deeper_pays_where_visitors_differ() -> None:
    """Each kind of visitor likes another arm: only the best arm for each earns more."""
    found = campaign(6_000, {"a": (0.5, 0.1), "b": (0.1, 0.5)})
    names = [policy.name for policy in found.policies]
    deep = found.policies[names.index("deep")]
    assert deep.uplift is not None
    assert deep.uplift.low > 0.0
    assert deep.uplift.low < 0.2 < deep.uplift.high + 0.05
    assert deep.label is Label.OK
    first, second = found.ladder
    assert (first.policy, first.before) == ("t", "static")
    assert second.policy == "deep"
    assert "it pays: +0." in second.sentence
    assert sum(policy.served for policy in found.policies) == found.decisions == 6_000
    assert deep.routed_uplift is not None
    assert deep.routed_uplift.low < deep.uplift.mean < deep.routed_uplift.high


def test_the_best_arm_for_all_may_earn_nearly_everything() -> None:
    """All visitors like the same arm: the next depth adds nothing, and the report says so."""
    found = campaign(20_000, {"a": (0.1, 0.1), "b": (0.6, 0.6)})
    first, second = found.ladder
    assert "it pays" in first.sentence
    assert second.before == "t"
    assert "adds nearly nothing" in second.sentence or "it costs" in second.sentence


@pytest.mark.parametrize(
    ("difference", "gained", "expected"),
    [
        (Interval(0.0014, -0.0078, 0.0107), Interval(0.0365, 0.0249, 0.0482), "96% of the gain over static"),
        (Interval(0.0014, -0.0078, 0.0107), Interval(0.0365, -0.001, 0.0782), "not to be told apart yet"),
        (Interval(0.0014, -0.0378, 0.0407), Interval(0.0365, 0.0249, 0.0482), "not to be told apart yet"),
        (Interval(0.0064, -0.0078, 0.0207), Interval(0.0365, 0.0249, 0.0482), "not to be told apart yet"),
        (Interval(0.0014, -0.0078, 0.0107), None, "not to be told apart yet"),
        (Interval(0.0014, -0.0078, 0.0057), None, "adds nearly nothing, at most 3.2%"),
        (Interval(0.0114, 0.0078, 0.0157), None, "it pays"),
        (Interval(-0.0114, -0.0178, -0.0057), None, "it costs"),
        (None, None, "before rewards differ"),
    ],
)
def test_every_difference_has_its_sentence(
    difference: Interval | None, gained: Interval | None, expected: str
) -> None:
    """At a value of 0.18 without the step."""
    assert expected in _sentence(Label.OK, difference, 0.18, gained, "the best arm for all (t)")


def test_too_few_decisions_give_no_numbers() -> None:
    """Before `min_exposures` there is no interval, and the ladder says why."""
    found = campaign(100, {"a": (0.5, 0.5), "b": (0.1, 0.1)})
    assert {policy.label for policy in found.policies} == {Label.TOO_FEW}
    assert all(policy.value is policy.uplift is None for policy in found.policies)
    assert all("too few decisions" in step.sentence for step in found.ladder)


def test_what_is_never_shown_has_no_overlap() -> None:
    """A campaign of one arm says nothing about policies that would choose the other."""
    found = campaign(
        800, {"a": (0.5, 0.5), "b": (0.1, 0.1)}, arms={"a": {"weight": 1}, "b": {"weight": 0}}, ramp=None
    )
    labels = {policy.name: policy.label for policy in found.policies}
    assert labels.pop("static") is Label.TOO_FEW  # without a gate of its own it takes 2,000 decisions
    found = campaign(
        2_500, {"a": (0.5, 0.5), "b": (0.1, 0.1)}, arms={"a": {"weight": 1}, "b": {"weight": 0}}, ramp=None
    )
    labels = {policy.name: policy.label for policy in found.policies}
    assert labels.pop("static") is Label.OK
    assert set(labels.values()) == {Label.NO_OVERLAP}
    assert all(policy.value is None for policy in found.policies if policy.name != "static")
    assert "NO_OVERLAP" in found.ladder[0].sentence


def test_what_chooses_alike_adds_nothing_for_certain() -> None:
    """With one arm every policy is the campaign: its uplift is 0, today and on days that are over."""
    world = campaigned(1_000, {"a": (0.5, 0.1)})
    world.now += DAY
    world.choose(categories={"kind": "x"})
    found, nothing = report(world.state(), world.now), Interval(0.0, 0.0, 0.0)
    assert {policy.uplift for policy in found.policies[1:]} == {nothing}
    assert [day.policies[1].uplift for day in found.days] == [nothing, nothing]
    assert [step.difference for step in found.ladder] == [nothing, nothing]
    assert all(step.sentence.endswith("it adds nothing, since both choose alike") for step in found.ladder)


def test_nothing_is_reported_of_nothing() -> None:
    """A placement that nobody visited."""
    found = report(World(p=simple(policies=POLICIES)).state(), 0)
    assert (found.decisions, [policy.served for policy in found.policies]) == (0, [0] * 4)
    assert all(policy.overlap == 1.0 for policy in found.policies)


def test_what_comes_between_steps_leaves_the_values_alone() -> None:
    """A report is made in steps, between which decisions go on: its values are those of its beginning."""
    world = campaigned(2_000, {"a": (0.5, 0.1), "b": (0.1, 0.5)})
    expected = report(world.state(), world.now)
    steps, taken = reporting(world.state(), world.now), 0
    while True:
        try:
            next(steps)
        except StopIteration as end:
            found: Report = end.value
            break
        taken += 1
        world.reward(world.choose(unit=f"more {taken}", categories={"kind": "x"}))
    assert taken > len(expected.policies) + len(expected.arms)
    assert (found.policies, found.ladder) == (expected.policies, expected.ladder)
    assert found.decisions == expected.decisions == 2_000


def test_a_message_has_room_for_every_report(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where arms, events and days are many, events by arm and day are left out; by policy they stay."""
    world = campaigned(50, {"a": (1.0, 1.0), "b": (1.0, 1.0)})
    (day,) = report(world.state(), world.now).days
    assert sum(event.times for arm in day.arms for event in arm.events) == 50
    monkeypatch.setattr(report_days, "REPORT_ARM_EVENTS_MAX", 1)
    (day,) = report(world.state(), world.now).days
    assert [arm.events for arm in day.arms] == [(), ()]
    assert sum(event.times for policy in day.policies for event in policy.events) == 50
    assert sum(arm.exposures for arm in day.arms) == 50


@pytest.mark.parametrize("share", [0.0, 0.3])
def test_shadow_estimates_agree_with_what_a_policy_then_earns(share: float) -> None:
    """Uniform in the shadow of a static campaign is worth what it earns when it serves all."""
    rates = {"a": (0.4, 0.4), "b": (0.1, 0.1)}
    weights = {"a": {"weight": 3}, "b": {"weight": 1}}
    ramp = {"policies": {"even": 1.0}, "from": share, "to": share} if share else None
    shadow = campaign(4_000, rates, arms=weights, ramp=ramp)
    served = campaign(4_000, rates, arms=weights, ramp={"policies": {"even": 1.0}, "from": 1.0, "to": 1.0})
    one = next(policy.value for policy in shadow.policies if policy.name == "even")
    other = next(policy.value for policy in served.policies if policy.name == "even")
    assert isinstance(one, Interval)
    assert isinstance(other, Interval)
    assert one.low < other.mean < one.high
    assert one.low < 0.25 < one.high
