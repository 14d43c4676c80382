"""Gates in a running sidecar: the tick lets them look; log, metric and operator see what came of it."""

import time
import urllib.request
from collections.abc import Callable
from pathlib import Path

import pytest
import structlog.testing

from bandit.config import parse
from bandit.engine import Engine, Looked
from server.clock import LearningClock
from server.gates import LOOKS_A_TURN, RETRY_US, Gates
from server.pb import bandit_pb2 as pb
from tests.core.world import DAY, HOUR, KEYS, NOW, START, simple
from tests.server.running import WAIT_S, Loop, Running, running

CONFIG = """
version: 1
placements:
  hero:
    arms: {a: {weight: 9}, b: {weight: 1}}
    reward: {window: 1h, values: {click: 1}, max: 1}
    policies: {even: {kind: uniform}}
    ramp: {policies: {even: 1}, from: 0.5, to: 0.9, over: 10d, gate: {min_exposures: 100}}
"""


def until(condition: Callable[[], bool]) -> None:
    """Return when the tick, which comes once a second, has made a condition true."""
    end_s = time.monotonic() + WAIT_S
    while not condition():
        assert time.monotonic() < end_s


def ramp(server: Running) -> pb.RampStatus:
    """What ListPlacements says of the ramp."""
    listed = server.operator.ListPlacements(pb.ListPlacementsRequest(), timeout=WAIT_S)
    status: pb.RampStatus = listed.placements[0].ramp
    return status


def scraped(server: Running) -> set[str]:
    """The lines of the metrics."""
    with urllib.request.urlopen(f"{server.http}/metrics", timeout=WAIT_S) as page:  # noqa: S310 - to ourselves
        return set(page.read().decode().splitlines())


def visits(server: Running, count: int) -> None:
    """Visitors who click on a alone."""
    for i in range(count):
        choice = server.choose(unit=f"u{i}")
        if choice.arm == "a":
            server.reward(choice.decision_id)


def test_a_gate_takes_its_ramp_back(loop: Loop, tmp_path: Path) -> None:
    """It waits, sees, and takes back; a restart finds it so, and a resumed ramp waits again."""
    now_ns = [NOW * 1000]
    clock = LearningClock(lambda: now_ns[0], lambda: now_ns[0])
    with structlog.testing.capture_logs() as lines, running(loop, tmp_path, CONFIG, clock=clock) as server:
        visits(server, 1)
        until(lambda: ramp(server).state == pb.RAMP_STATE_WAITING)
        now_ns[0] += 1_000_000
        visits(server, 900)
        for _ in range(2):
            seen = ramp(server).gate.time.ToMicroseconds()
            now_ns[0] += 2 * HOUR * 1000
            until(lambda seen=seen: ramp(server).gate.time.ToMicroseconds() > seen)  # type: ignore[misc]
        status = ramp(server)
        assert (status.state, status.share, status.to) == (pb.RAMP_STATE_STATIC, 0.0, 0.9)
        assert not status.HasField("end_time")
        gate = status.gate
        assert gate.exposures > gate.min_exposures == 100
        assert gate.max_loss == 0.05
        assert gate.static_value == pytest.approx(0.9, abs=0.1)
        assert gate.uplift.high < -0.05 * gate.static_value
        assert not gate.HasField("next_time")
        assert (status.moves[-1].actor, status.moves[-1].reason) == ("gate", gate.sentence)
        assert {
            'banditd_gate_looks_total{placement="hero",result="back_to_static"} 1.0',
            'banditd_gate_looks_total{placement="hero",result="failed"} 0.0',
            'banditd_ramp_state{placement="hero"} 3.0',
        } <= scraped(server)
    moved = [
        (line["log_level"], line["to"], line["actor"]) for line in lines if line["event"] == "ramp moved"
    ]
    assert moved == [("info", "WAITING", "gate"), ("error", "STATIC", "gate")]
    with running(loop, tmp_path, CONFIG, clock=clock) as server:
        assert ramp(server) == status
        resume = pb.ResumeRampRequest(placement="hero", reason="mended", actor="ada")
        assert server.operator.ResumeRamp(resume, timeout=WAIT_S).ramp.share == 0.5
        now_ns[0] += 1_000_000
        until(lambda: ramp(server).state == pb.RAMP_STATE_WAITING)
        assert ramp(server).gate.sentence.startswith("0 of the 100 learned decisions")
        assert 'banditd_ramp_state{placement="hero"} 4.0' in scraped(server)


class Failing(Engine):
    """An engine in which the gate of one placement cannot look."""

    asked = 0

    def look(self, placement: str, now_us: int) -> Looked | None:
        """Look, but for `bad`."""
        if placement == "bad":
            self.asked += 1
            raise ArithmeticError
        return super().look(placement, now_us)


@pytest.fixture
def engine() -> Failing:
    """Two gated placements that have begun."""
    document = simple(
        policies={"even": {"kind": "uniform"}}, ramp={"policies": {"even": 1}, "gate": {}, "over": "10d"}
    )
    config = parse({"version": 1, "placements": {"bad": document, "good": document}})
    made = Failing(config, KEYS, origin="test", start_id=START, now_us=NOW)
    for name in ("bad", "good"):
        made.choose(name, "", {}, {}, (), False, NOW)
    return made


def test_one_that_fails_keeps_nobody_else_from_looking(engine: Failing) -> None:
    """It is said once an hour, and counted; the others look."""
    gates = Gates(engine)
    with structlog.testing.capture_logs() as lines:
        for second in range(100):
            gates.look(NOW + second * 1_000_000)
        gates.look(NOW + RETRY_US + 99_000_000)
    failed = [line for line in lines if line["event"].startswith("a gate could not look")]
    assert [(line["placement"], line["error"]) for line in failed] == 2 * [("bad", "ArithmeticError")]
    assert failed[0]["places"][-1].endswith(" look")
    assert engine.asked == 2
    good, bad = engine.state.placements["good"].gate, engine.state.placements["bad"].gate
    assert good is not None
    assert bad is not None
    assert good.look is not None
    assert bad.look is None
    (family,) = gates.collect()
    counted = {(s.labels["placement"], s.labels["result"]): s.value for s in family.samples if s.value}
    assert counted == {("bad", "failed"): 2.0, ("good", "wait"): 1.0}
    gates.look(NOW + 2 * DAY)
    (family,) = gates.collect()
    assert sum(sample.value for sample in family.samples) == 5.0


def test_a_thousand_gates_do_not_stop_the_loop() -> None:
    """All due in one second, as after a start, they look a few a turn, and none is left out."""
    document = simple(
        policies={"even": {"kind": "uniform"}}, ramp={"policies": {"even": 1}, "gate": {}, "over": "10d"}
    )
    names = [f"p{number}" for number in range(2 * LOOKS_A_TURN + 1)]
    config = parse({"version": 1, "placements": dict.fromkeys(names, document)})
    engine = Engine(config, KEYS, origin="test", start_id=START, now_us=NOW)
    for name in names:
        engine.choose(name, "", {}, {}, (), False, NOW)
    gates, left = Gates(engine), []
    for second in range(3):
        gates.look(NOW + second)
        left.append(len(engine.gates_due(NOW + second)))
    assert left == [LOOKS_A_TURN + 1, 1, 0]
