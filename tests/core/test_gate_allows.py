"""How far a gate lets a ramp go: never further than it has seen, whatever the calendar says."""

import re

import pytest

from bandit.gate import Verdict
from bandit.head import pack_head, unpack_head
from bandit.ramp import RampStatus
from bandit.sections import pack_placement, unpack_placement
from tests.core.test_gate import GATED, campaign, gated, status
from tests.core.world import DAY, HOUR, World


def running(share_from: float = 0.05, to: float = 0.9) -> World:
    """A ramp that a gate which bears nearly all has let go on."""
    world = World(p=gated(share_from, to, GATED | {"max_loss": 0.9}))
    campaign(world, 6, 0.5, an_hour=40)
    assert status(world) is RampStatus.RUNNING
    assert 0.1 < world.state().share(world.now) < 0.5
    return world


def test_a_ramp_whose_gate_does_not_look_goes_no_further() -> None:
    """Nobody served for days, or the journal was full: what was allowed stands; it goes on from there."""
    for days in (20, 6):
        world = running()
        gate = world.state().gate
        assert gate is not None
        world.now += days * DAY
        share = world.state().share(world.now)
        assert share == gate.allowed
        (found,) = world.look()
        assert found.verdict is Verdict.GO_ON
        assert world.state().share(world.now) == pytest.approx(share, abs=1e-9)
        assert found.look.share == pytest.approx(share + 0.85 * 25 / 240)
        world.now += DAY
        assert world.state().share(world.now) == pytest.approx(share + 0.085)


def test_a_ramp_that_was_set_back_and_never_moved_comes_back_the_same() -> None:
    """From nobody, by a gate that has let it run and then did not look for days: also from a snapshot."""
    document = gated(0.0, 0.9)
    world = World(p=document | {"ramp": document["ramp"] | {"over": "100d"}})
    world.choose()
    world.now += 2 * HOUR
    assert len(world.look()) == 1
    world.now += 3 * DAY
    (found,) = world.look()
    state = world.state()
    assert found.verdict is Verdict.GO_ON
    assert state.ramp_clock.moves == ()
    head = unpack_head(pack_head(world.engine.state, sequence=1, origin="test"))
    (read, _) = unpack_placement(pack_placement(state, 1), head)
    for hours in (0, 6, 12, 24):
        assert read.share(world.now + hours * HOUR) == state.share(world.now + hours * HOUR)


def test_another_calendar_needs_the_evidence_too() -> None:
    """A ramp of hours instead of days, or another gate over it, does not leap at the reload."""
    world = running()
    share = world.state().share(world.now)
    gate = world.state().gate
    assert gate is not None
    document = gated(0.05, 0.9, GATED | {"max_loss": 0.9})
    world.reload(p=document | {"ramp": document["ramp"] | {"over": "20h"}})
    world.now += DAY
    assert world.state().share(world.now) <= gate.allowed < share + 0.1
    world.reload(p=document | {"arms": {"a": {"weight": 8}, "b": {"weight": 1}}})
    kept = world.state().share(world.now)
    assert share < kept <= gate.allowed
    world.now += 3 * DAY
    assert world.state().share(world.now) == kept


def test_a_policy_that_is_the_campaign_itself_gets_its_share() -> None:
    """An A/A test: the uplift is 0 for certain, which costs nothing."""
    world = World(p=gated(arms={"a": {}, "b": {}}))
    looks = campaign(world, 14, 0.3)
    assert looks[-1].uplift == (0.0, 0.0, 0.0)
    assert world.state().share(world.now) == 0.8


def test_no_more_can_be_lost_than_the_share_earns() -> None:
    """Rewards are 0 at least: a share of 4 % cannot lose 5 %, and no sentence says that more is at stake."""
    world = World(p=gated(0.01, 0.9, {"min_exposures": 5}))
    looks = campaign(world, 9, 0.5)
    waited = [look.sentence for look in looks if look.sentence.startswith("at a share of ")]
    assert waited
    for sentence in waited:
        share, loss = re.findall(r"([0-9.]+)% (?:the|of)", sentence)
        assert 5.0 < float(loss) <= float(share)
    assert world.state().share(world.now) > 0.03
