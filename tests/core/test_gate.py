"""The gate: it holds, lets go on and takes back, by decisions whose rewards have all come alone."""

import numpy as np
import pytest

from bandit.engine import Choice
from bandit.errors import BanditError, Reason
from bandit.gate import GATE, Look, Verdict
from bandit.ramp import RampStatus
from bandit.records import Decided, GateLooked, RampMoved, Rewarded
from tests.core.world import DAY, HOUR, Document, Kept, World, gate_bytes, simple

RUNNING, HELD, STATIC, WAITING = RampStatus
GATED = {"min_exposures": 50, "max_loss": 0.05}


def gated(
    share_from: float = 0.2, to: float = 0.8, gate: Document | None = None, **changes: object
) -> Document:
    """Static shows a nine times in ten, the learned policy a and b alike: worth less where b earns less."""
    ramp = {"policies": {"even": 1.0}, "from": share_from, "to": to, "over": "10d", "gate": gate or GATED}
    document = simple(
        arms={"a": {"weight": 9}, "b": {"weight": 1}},
        policies={"even": {"kind": "uniform"}},
        reward={"values": {"click": 1}, "max": 1, "window": "24h"},
        ramp=ramp,
    )
    return document | changes


def campaign(world: World, days: float, b: float, *, a: float = 0.5, an_hour: int = 20) -> list[Look]:
    """Decisions evenly over time, rewarded at these rates after a while; the looks meanwhile."""
    rng = np.random.default_rng(round(1000 * b))
    looks: list[Look] = []
    rewarded: list[tuple[int, Choice]] = []
    for hour in range(round(24 * days)):
        for _ in range(an_hour):
            world.now += HOUR // an_hour
            looks.extend(found.look for found in world.look())
            choice = world.choose(unit=f"u{rng.integers(2000)}")
            if rng.random() < (a if choice.arm == "a" else b):
                rewarded.append((hour + int(rng.integers(0, 20)), choice))
        for due, choice in rewarded:
            if due == hour:
                world.reward(choice)
    return looks


def status(world: World) -> RampStatus:
    """What the ramp does."""
    return world.state().ramp_clock.status


def moves(world: World) -> list[tuple[RampStatus, str]]:
    """What was done to the ramp, and by whom."""
    return [(move.status, move.actor) for move in world.state().ramp_clock.moves]


def test_it_waits_for_evidence_and_then_lets_the_ramp_go() -> None:
    """Policies alike: it waits at `from` until it has seen enough, goes on, and ends at `to`."""
    world = World(p=gated())
    first = campaign(world, 2.5, 0.5)
    assert status(world) is WAITING
    assert world.state().share(world.now) == pytest.approx(0.2, abs=2e-4)
    assert first[0].sentence == "0 of the 50 learned decisions that are wanted have had their reward window"
    assert (first[0].uplift, first[0].static_value) == (None, None)
    campaign(world, 22, 0.5)
    assert world.state().share(world.now) == 0.8
    assert {actor for _, actor in moves(world)} == {GATE}
    assert moves(world)[:2] == [(WAITING, GATE), (RUNNING, GATE)]
    look = campaign(world, 1, 0.5)[-1]
    assert look.sentence.endswith("learned decisions: the ramp has arrived")
    assert look.uplift is not None
    assert look.uplift.low < 0.0 < look.uplift.high
    assert look.static_value == pytest.approx(0.5, abs=0.03)


def test_harm_takes_it_back_until_somebody_resumes_it() -> None:
    """Half of what learned shows earns nothing: back to static, with the numbers, and it stays."""
    world = World(p=gated())
    looks = campaign(world, 6, 0.0)
    assert (status(world), world.state().share(world.now)) == (STATIC, 0.0)
    move = world.state().ramp_clock.moves[-1]
    assert (move.actor, move.reason) == (GATE, looks[-1].sentence)
    assert "less than static (0.4" in move.reason
    assert move.reason.endswith("; at most 5.0% is allowed")
    assert campaign(world, 5, 0.5) == []
    assert status(world) is STATIC
    gate = world.state().gate
    assert gate is not None
    assert gate.look == looks[-1]


def test_what_was_seen_before_does_not_take_a_resumed_ramp_back() -> None:
    """It starts over: at `from`, waiting for evidence, also if nobody came while it was static."""
    for pause in (0.0, 2.0):
        world = World(p=gated())
        campaign(world, 6, 0.0)
        campaign(world, pause, 0.5)
        assert world.engine.move_ramp("p", RUNNING, "mended", "ada", world.now)
        looks = campaign(world, 1.5, 0.5)
        assert status(world) is WAITING
        assert world.state().share(world.now) == pytest.approx(0.2, abs=1e-3)
        assert looks[-1].exposures <= 1
        campaign(world, 6, 0.5)
        assert world.state().share(world.now) > 0.25


def by_hand(world: World, until_us: int) -> list[float]:
    """n, learned, Σ R of the decisions up to a time, from the journal."""
    rewarded = [record.decision.counter for record in world.journal if isinstance(record, Rewarded)]
    made = [record.decision for record in world.journal if isinstance(record, Decided)]
    counted = [decision for decision in made if decision.time_us <= until_us]
    earned = sum(decision.counter in rewarded for decision in counted)
    return [len(counted), sum(decision.policy for decision in counted), earned]


def test_only_decisions_whose_rewards_have_all_come_are_judged() -> None:
    """At every look those up to the last one, a window ago: the same, to the last one, as by the journal."""
    world = World(p=gated())
    gate = world.state().gate
    assert gate is not None
    checkpoints = [gate.checkpoint_us]
    for _ in range(40):
        looks = campaign(world, 0.25, 0.45)
        for look in looks:
            before = checkpoints[-1]
            if len(checkpoints) > 2:
                assert before + DAY < look.time_us <= before + DAY + HOUR
            checkpoints.append(look.time_us)
            learned = by_hand(world, before)[1]
            assert look.exposures == learned
            # what was older at the look, before young joined it
            n, _, earned = by_hand(world, look.time_us)
            assert [gate.older.decisions, gate.older.totals[0]] == pytest.approx([n, earned])
    assert len(checkpoints) > 9


def test_rewards_of_what_has_grown_old_still_count() -> None:
    """Until the next look: a decision belongs where its time says, whenever its reward or exposure comes."""
    world = World(p=gated())
    gate = world.state().gate
    assert gate is not None
    world.now += HOUR
    early, deferred = world.choose(unit="u1"), world.choose(unit="u2", deferred=True)
    world.now += 1
    world.look()
    assert (gate.older.decisions, gate.young.decisions) == (1, 0)
    world.now += HOUR
    late = world.choose(unit="u3")
    for choice in (early, late):
        world.reward(choice)
    world.reward(deferred, "exposure")
    assert (gate.older.decisions, gate.older.totals[0]) == (2, 1.0)
    assert (gate.week.decisions, gate.week.totals[0]) == (2, 1.0)
    assert (gate.young.decisions, gate.young.totals[0]) == (1, 1.0)
    assert world.look() == []
    world.now += DAY
    (found,) = world.look()
    assert found.look.exposures == sum(choice.policy == "even" for choice in (early, deferred))
    assert (gate.older.decisions, gate.young.decisions) == (3, 0)


def test_weeks_begin_anew() -> None:
    """Each of seven days at least, all of it judged once before the next begins; all time loses nothing."""
    world = World(p=gated())
    gate = world.state().gate
    assert gate is not None
    weeks = {}
    for _ in range(20):
        campaign(world, 1, 0.5, an_hour=2)
        weeks[gate.week_number] = (gate.week.decisions, gate.checkpoint_us - gate.week_us)
    assert gate.older.decisions == pytest.approx(20 * 48, abs=48)
    assert list(weeks) == [1, 2, 3]
    for decisions, span_us in list(weeks.values())[:-1]:
        assert 7 * DAY <= span_us <= 8 * DAY + 2 * HOUR
        assert decisions == pytest.approx(48 * span_us / DAY, abs=4)


def test_late_harm_is_not_diluted_by_early_good() -> None:
    """Three good weeks, then b stops earning: the week says so long before all time does."""
    world = World(p=gated(0.5, 0.5))
    campaign(world, 21, 0.7)
    assert status(world) is RUNNING
    looks = campaign(world, 9, 0.2)
    assert status(world) is STATIC
    assert " in week " in looks[-1].sentence
    assert looks[-1].uplift is not None
    assert looks[-1].uplift.high > 0.0
    assert looks[-1].week_uplift is not None
    assert looks[-1].week_uplift.high < 0.0


def test_a_step_that_may_cost_too_much_waits() -> None:
    """With a wide interval a small share is allowed and a large one is not."""
    world = World(p=gated(0.05, 0.9, {"min_exposures": 20}))
    looks = campaign(world, 9, 0.5)
    waited = [look.sentence for look in looks if look.sentence.startswith("at a share of ")]
    assert waited
    assert "of static's 0.5" in waited[0] or "of static's 0.4" in waited[0]
    assert waited[0].endswith("learned decisions; 5.0% is allowed")
    assert 0.05 < world.state().share(world.now) < 0.4


def test_a_ramp_from_nobody_runs_until_somebody_can_be_seen() -> None:
    """From 0 it would wait for ever; it waits at 5 %, also where a day of the calendar is far more."""
    world = World(p=gated(0.0))
    campaign(world, 0.5, 0.5)
    assert status(world) is RUNNING
    campaign(world, 1.5, 0.5, an_hour=2)
    assert status(world) is WAITING
    assert world.state().share(world.now) == 0.05
    short = gated(0.0)
    world = World(p=short | {"ramp": short["ramp"] | {"over": "12h"}})
    campaign(world, 2, 0.5, an_hour=2)
    assert world.state().share(world.now) == 0.05


def test_without_overlap_there_is_no_verdict() -> None:
    """Everyone has a policy that never shows a: nothing is said of static, so nothing is taken back."""
    document = gated(1.0, 1.0) | {"policies": {"even": {"kind": "linucb", "explore": 0.0}}}
    world = World(p=document)
    looks = campaign(world, 5, 0.9, a=0.0)
    assert looks[-1].exposures > 50
    assert (looks[-1].uplift, looks[-1].static_value) == (None, None)
    assert "NO_OVERLAP" in looks[-1].sentence
    assert status(world) is RUNNING


def test_at_its_end_nothing_is_held_but_harm_is_stopped() -> None:
    """A constant share neither waits nor stays if it does harm; before rewards differ nothing is said."""
    world = World(p=gated(0.3, 0.3))
    looks = campaign(world, 3, 0.0, a=0.0)
    assert looks[-1].sentence == "rewards do not differ, so nothing can be said yet"
    assert moves(world) == []
    campaign(world, 8, 0.0)
    assert moves(world) == [(STATIC, GATE)]


def test_what_an_operator_holds_the_gate_lets_be() -> None:
    """It neither resumes it nor waits for it; but certain harm takes it back from there too."""
    world = World(p=gated())
    campaign(world, 5, 0.5)
    assert world.engine.move_ramp("p", HELD, "sale", "ada", world.now)
    looks = campaign(world, 3, 0.5)
    assert len(looks) >= 2
    assert (status(world), moves(world)[-1]) == (HELD, (HELD, "ada"))
    campaign(world, 14, 0.0)
    assert moves(world)[-2:] == [(HELD, "ada"), (STATIC, GATE)]


def test_an_operator_may_hold_or_resume_a_ramp_that_waits() -> None:
    """Held, it is the operator's; resumed, it runs until the next look."""
    world = World(p=gated())
    campaign(world, 0.5, 0.5)
    assert status(world) is WAITING
    assert world.engine.move_ramp("p", HELD, "mine", "ada", world.now)
    assert not world.engine.move_ramp("p", WAITING, "yours", "ada", world.now)
    assert world.engine.move_ramp("p", RUNNING, "on", "ada", world.now)
    world.now += HOUR
    assert world.look() == []
    assert world.state().share(world.now) == pytest.approx(0.2 + 0.6 / 240, abs=2e-4)
    campaign(world, 1, 0.5)
    assert status(world) is WAITING


def test_a_standing_clock_goes_on_where_it_stood() -> None:
    """Waiting, held while waiting, waiting no more: one pause of the clock."""
    world = World(p=gated(gate={"min_exposures": 10**6}))
    campaign(world, 0.5, 0.5)
    clock = world.state().ramp_clock
    ran_us = clock.ran_us
    world.now += DAY
    world.engine.move_ramp("p", HELD, "mine", "ada", world.now)
    assert clock.ran_us == ran_us
    world.now += DAY
    share = world.state().share(world.now)
    world.engine.move_ramp("p", RUNNING, "on", "ada", world.now)
    assert world.state().share(world.now) == share
    assert (clock.ran_us, clock.marked_us) == (ran_us, world.now)


def test_looking_twice_is_looking_once() -> None:
    """Nothing is due a moment later; before the ramp begins, and while the journal is full, nothing is."""
    world = World(p=gated(ramp=gated()["ramp"] | {"start": "2027-01-16T00:00:00Z"}))
    world.choose()
    assert world.engine.gates_due(world.now) == []
    world.now += 2 * DAY
    assert world.engine.gates_due(world.now) == ["p"]
    world.journal.full = True
    assert world.engine.look("p", world.now) is None
    world.journal.full = False
    before = gate_bytes(world.state().gate)
    (found,) = world.look()
    assert (found.verdict, found.moved) == (Verdict.WAIT, WAITING)
    assert gate_bytes(world.state().gate) != before
    assert world.look() == []
    assert world.engine.look("p", world.now) is None
    records = [type(record) for record in world.journal[-2:]]
    assert records == [RampMoved, GateLooked]


def test_other_measurements_other_gates() -> None:
    """Other weights begin anew; a gate's other settings change no sums; without one nothing waits."""
    world = World(p=gated())
    campaign(world, 6, 0.5)
    gate = world.state().gate
    assert gate is not None
    world.reload(p=gated(gate=GATED | {"max_loss": 0.5}))
    again = world.state().gate
    assert again is not None
    assert (again.settings.max_loss, again.older, again.look) == (0.5, gate.older, gate.look)
    arms = {"a": {"weight": 8}, "b": {"weight": 1}}
    world.reload(p=gated(arms=arms))
    anew = world.state().gate
    assert anew is not None
    assert (anew.older.decisions, anew.look, anew.since_us) == (0, None, world.now)
    campaign(world, 0.5, 0.5)
    assert status(world) is WAITING
    ramp = gated()["ramp"]
    world.reload(p=gated(arms=arms, ramp={key: value for key, value in ramp.items() if key != "gate"}))
    assert (status(world), world.state().gate) == (RUNNING, None)
    assert world.state().ramp_clock.moves[-1].reason == "the ramp has no gate any more"
    world.reload(p=gated(arms=arms))
    added = world.state().gate
    assert added is not None
    assert added.since_us == world.now


def test_a_decision_before_the_gate_came_is_none_of_its() -> None:
    """Its reward is measured, and not the gate's: it has not counted its exposure."""
    ramp = gated()["ramp"]
    world = World(p=gated(ramp={key: value for key, value in ramp.items() if key != "gate"}))
    choice = world.choose()
    world.reload(p=gated())
    world.reward(choice)
    gate = world.state().gate
    assert gate is not None
    assert gate.young.totals[0] == gate.older.totals[0] == 0.0
    assert world.state().measuring.epoch.measurement.totals[0] == 1.0


def test_the_gates_name_is_its_own() -> None:
    """Nobody else moves a ramp under it."""
    world = World(p=gated())
    assert isinstance(world.journal, Kept)
    with pytest.raises(BanditError) as refused:
        world.engine.move_ramp("p", HELD, "because", GATE, world.now)
    assert refused.value.reason is Reason.MOVE_UNEXPLAINED
    assert "the actor 'gate' is the ramp's gate itself" in str(refused.value)
