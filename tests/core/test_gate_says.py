"""What a gate says of a look: short whatever it saw, so that its record is always one that can be read."""

import itertools

import numpy as np

from bandit.config import Gate
from bandit.evidence import Evidence
from bandit.gate import GateState, Look, Stage, Verdict
from bandit.limits import SENTENCE_BYTES_MAX
from bandit.record_codec import decode, encode
from bandit.records import GateLooked, RampMoved
from tests.core.test_gate import GATED, gated
from tests.core.world import DAY, HOUR, World, config

EXPOSURES_MAX = 10**12
"""The largest `min_exposures` that is accepted."""


def rewarded_by_arm(world: World, values: dict[str, float]) -> list[Look]:
    """Four days of decisions whose click is worth this by arm, every other one's; the looks meanwhile."""
    rng = np.random.default_rng(7)
    looks: list[Look] = []
    for _ in range(4 * 24 * 20):
        world.now += HOUR // 20
        looks.extend(found.look for found in world.look())
        choice = world.choose(unit=f"u{rng.integers(2000)}")
        if rng.random() < 0.5:
            world.reward(choice, value=values[choice.arm])
    return looks


def test_what_static_hardly_earns_is_no_measure() -> None:
    """Against 1e-300 a decision the uplift has 300 digits as a percentage: it is said as it is."""
    world = World(p=gated(arms={"a": {"weight": 1}, "b": {"weight": 0}}))
    last = rewarded_by_arm(world, {"a": 1e-300, "b": 1.0})[-1]
    assert last.uplift is not None
    low, high = last.uplift[1:]
    assert low > 0.0
    assert last.sentence.startswith(f"learned earns {low:+.4g} to {high:+.4g} against static (")
    looked = [record for record in world.journal if isinstance(record, GateLooked | RampMoved)]
    assert any(isinstance(record, RampMoved) for record in looked)
    assert [decode(encode(record)) for record in looked] == looked


def evidence(exposures: float, mix: float, static: float, spread: float) -> Evidence:
    """So many decisions by which both earn this, more or less."""
    found = Evidence.zeros()
    for number in range(200):
        found.expose(number, 1.0, 1.0, (1.0, 1.0), learned=True)
        sign = 1 if number % 2 else -1
        found.credit(number, 1.0, 0.0, (0.0, mix * (1.0 + sign * spread)))
        found.credit(number, 0.0, 1.0, (0.0, static * (1.0 + sign * spread)))
    for array in found.arrays():
        np.multiply(array, exposures / 200, out=array)
    return found


def test_every_sentence_fits() -> None:
    """All verdicts, over counts and amounts of every size."""
    placement = config(p=gated(gate=GATED)).placements["p"]
    said: set[Verdict] = set()
    amounts = (1.2345678e-300, 1.2345678e-5, 1.2345678, 1.2345678e9)
    stages = [Stage(0.2, 0.98765, unproven=False, arrived=arrived) for arrived in (False, True)]
    for max_loss, mix, static, spread in itertools.product((0.0, 0.1234), amounts, amounts, (0.001, 0.9)):
        settings = Gate(min_exposures=EXPOSURES_MAX, max_loss=max_loss, confidence=0.95)
        for exposures, stage in itertools.product((EXPOSURES_MAX - 1, 2 * EXPOSURES_MAX, 2**53), stages):
            gate = GateState(placement, settings, 0)
            gate.week_number = 10**6
            gate.older, gate.week = (evidence(exposures, mix, static, spread) for _ in range(2))
            verdict, look = gate.judged(stage, 90 * DAY)
            assert 0 < len(look.sentence.encode()) <= SENTENCE_BYTES_MAX
            said.add(verdict)
    assert said == set(Verdict)
