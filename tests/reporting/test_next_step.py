"""What comes next of a ramp, in a sentence: running, done, waiting, held, back to static, or not begun."""

import pytest

from bandit.ramp import RampStatus
from server.pb import bandit_pb2 as pb
from server.reporting.message import report_message
from server.reporting.next_step import next_step
from tests.core.world import DAY, HOUR, Document, World, simple

RAMP: Document = {"policies": {"even": 1.0}, "from": 0.1, "to": 0.9, "over": "80d"}


def world(**ramp: object) -> World:
    """A placement with this ramp."""
    return World(p=simple(policies={"even": {"kind": "uniform"}}, ramp=RAMP | ramp))


def said(world: World) -> str:
    """The report's sentence now."""
    return report_message(world.state(), world.now).next_step


def test_a_ramp_that_runs_says_where_it_will_be() -> None:
    """A point a day, from the first exposure on; at the end it stays."""
    ramp = world()
    assert said(ramp) == "it begins with the first exposure, from 10.0% to 90.0%"
    ramp.choose()
    ramp.now += 20 * DAY
    assert said(ramp) == "running: 30.0% now, 31.0% tomorrow, 90.0% on 2027-04-05"
    ramp.now += 70 * DAY
    assert said(ramp) == "at its end: learned policies serve 90.0%, static the rest"
    assert said(world(to=0.1)) == "it begins with the first exposure, from 10.0% to 10.0%"


def test_a_ramp_that_runs_under_a_gate_promises_nothing() -> None:
    """The calendar says where it would be; the gate may have it wait."""
    ramp = world(gate={"min_exposures": 1}, **{"from": 0.0, "only_when": {}})
    ramp.choose()
    ramp.now += 2 * HOUR
    ramp.look()
    assert said(ramp).startswith("running: ")
    assert said(ramp).endswith(" on 2027-04-05, as far as the gate allows")


def test_a_ramp_that_is_to_begin_says_when() -> None:
    """As configured; nobody is served by learned policies before."""
    assert said(world(start="2027-02-01T00:00:00Z")) == "it begins on 2027-02-01, from 10.0% to 90.0%"


def test_what_was_done_to_a_ramp_is_said_with_who_and_why() -> None:
    """Held, it stays where it is; back to static, until somebody resumes it; then it goes on."""
    ramp = world()
    ramp.choose()
    ramp.now += 20 * DAY
    ramp.engine.move_ramp("p", RampStatus.HELD, "the sale is on.", "anna", ramp.now)
    ramp.now += 5 * DAY
    held = "held at 30.0% since 2027-02-04 08:00 UTC by anna: the sale is on; resume with ResumeRamp"
    assert said(ramp) == held
    ramp.engine.move_ramp("p", RampStatus.STATIC, "wrong prices", "ben", ramp.now)
    assert (
        said(ramp) == "back to static since 2027-02-09 08:00 UTC by ben: wrong prices; resume with ResumeRamp"
    )
    ramp.engine.move_ramp("p", RampStatus.RUNNING, "done", "ben", ramp.now)
    assert said(ramp) == "running: 10.0% now, 11.0% tomorrow, 90.0% on 2027-04-30"


def test_a_ramp_that_waits_says_for_what() -> None:
    """Decisions first; then what the gate concluded."""
    ramp = world(gate={"min_exposures": 2_000}, over="1d")
    ramp.choose()
    ramp.now += 12 * HOUR
    ramp.engine.look("p", ramp.now)
    message = report_message(ramp.state(), ramp.now)
    assert message.ramp.state == pb.RAMP_STATE_WAITING
    wanted = "0 of 2,000 learned decisions whose window has passed"
    assert message.next_step == f"waiting for the gate at 10.0%: {wanted}"
    message.ramp.gate.exposures, message.ramp.gate.sentence = 2_000, "it might cost too much"
    sentence = next_step(ramp.state(), message.ramp, ramp.now)
    assert sentence == "waiting for the gate at 10.0%: it might cost too much"


@pytest.mark.parametrize("policies", [None, {"even": {"kind": "uniform"}}])
def test_without_a_ramp_there_is_no_next_step(policies: Document | None) -> None:
    """Static serves everyone."""
    found = World(p=simple(policies=policies))
    expected = "none: static serves everyone, and the other policies are measured in shadow"
    assert said(found) == expected
