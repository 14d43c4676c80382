"""One `apply` for live traffic and replay: the records alone rebuild the state, bit for bit."""

from contextlib import suppress

import numpy as np
import pytest

from bandit.apply import apply
from bandit.counters import Outcome
from bandit.engine import Engine
from bandit.errors import BanditError
from bandit.limits import LEDGER_BYTES_MAX
from bandit.model import LinearModels
from bandit.ramp import RampStatus
from bandit.records import (
    Configured,
    Decided,
    Exposed,
    GateLooked,
    RampMoved,
    Record,
    Rewarded,
    Started,
    StratumOpened,
)
from bandit.state import State
from tests.core.world import DAY, HOUR, KEYS, SECOND, START, Document, World, hero, simple, snapshot


def versions(half_life: str | None) -> list[dict[str, Document]]:
    """Configurations that follow each other: arms, features, windows, events come, move and go."""
    first = {"p": hero(half_life=half_life), "q": simple("x", "y", policies={"t": {"kind": "thompson"}})}
    second = {"p": hero(half_life=half_life), "q": first["q"]}
    second["p"]["arms"]["aaa"] = {"when": {"platform": ["web", "app"]}}
    second["p"]["features"]["colour"] = {"kind": "hashed", "buckets": 3}
    second["p"]["ramp"] |= {"gate": {"min_exposures": 20}}
    second["p"]["reward"] |= {"window": "2h", "values": {"visit": 2.0, "purchase": 0.02, "call": 1.0}}
    third = {"p": hero(half_life="3h" if half_life else None)}
    third["p"]["ramp"] |= {"gate": {"min_exposures": 30}}
    third["p"]["arms"] |= {"aaa": {}, "mens": {"state": "draining"}}
    del third["p"]["features"]["history"]
    fourth = {"p": hero(half_life=half_life), "q": simple("x", "z")}
    fourth["p"]["arms"] |= {"aaa": {"state": "retired"}}
    del fourth["p"]["arms"]["mens"]
    return [first, second, third, fourth]


def lived(half_life: str | None, rounds: int = 2_000) -> World:
    """Return a world in which everything happened: deferred, late, repeated, refused, reloaded, expired."""
    rng = np.random.default_rng(21)
    configurations = versions(half_life)
    world = World(start=START, **configurations[0])
    waiting = []
    for i in range(rounds):
        world.now += int(rng.exponential(20 * SECOND)) + (5 * HOUR if i % 700 == 650 else 0)
        if i % 500 == 499:
            world.reload(**configurations[i // 500 % 4 if i // 500 < 3 else 3])
        if i % 90 == 60 and world.state().config.ramp:
            status = [RampStatus.HELD, RampStatus.RUNNING, RampStatus.STATIC, RampStatus.RUNNING][i // 90 % 4]
            world.engine.move_ramp("p", status, f"round {i}", "a test", world.now)
        world.look()
        name = "q" if "q" in world.engine.state.placements and rng.random() < 0.2 else "p"
        categories = {"platform": str(rng.choice(["web", "app", "tv", "new"])), "country": f"c{i % 9}"}
        numbers = {"history": float(rng.gamma(2.0, 200.0)), "returning": float(i % 2)}
        arms = ["none", "womens"] if name == "p" and i % 11 == 0 else []
        unit = f"u{rng.integers(300)}" if i % 4 else ""
        waiting.append(world.choose(name, unit, categories, numbers, arms, deferred=bool(rng.random() < 0.3)))
        for choice in rng.choice(len(waiting), 2).tolist():
            event = str(rng.choice(["visit", "purchase", "call", "exposure", "click"]))
            with suppress(BanditError):
                world.reward(waiting[choice], event, float(rng.choice([1.0, 2.0])), f"o{rng.integers(3)}")
    return world


@pytest.mark.parametrize("half_life", [None, "2h"])
def test_a_replay_may_leave_the_deriving_for_the_end(half_life: str | None) -> None:
    """While replaying no model is kept; what is derived at the end is what a fresh factorisation gives."""
    world = lived(half_life)
    whole, replayed = State(LEDGER_BYTES_MAX), State(LEDGER_BYTES_MAX, replaying=True)
    for record in world.journal:
        apply(whole, record)
        apply(replayed, record)
    assert snapshot(replayed) == snapshot(world.engine.state)
    assert all(not state.models.by_prior for state in replayed.placements.values())
    replayed.derive()
    for name, state in whole.placements.items():
        derived = replayed.placements[name].models.by_prior
        assert derived.keys() == state.models.by_prior.keys()
        for prior, model in state.models.by_prior.items():
            assert np.allclose(derived[prior].theta, model.theta, rtol=1e-6, atol=1e-9)
    engine = Engine(
        world.engine_config(), KEYS, origin="test", start_id=bytes(16), now_us=0, state=replayed
    )  # without a clock it goes on from the last record
    choice = engine.choose("p", "u", {"platform": "web"}, {}, (), False, 0)
    assert engine.reward(choice.decision_id, "visit", 1.0, "", 0) is Outcome.APPLIED
    assert engine.state.time_us == world.engine.state.time_us


def test_a_placement_that_holds_a_record_is_left_as_it_is() -> None:
    """`held` moves on what placements share alone: so sections taken at different records come together."""
    world = lived("2h", 450)  # before the first reload
    cut, held_through = 300, 420
    shared, ahead = State(LEDGER_BYTES_MAX), State(LEDGER_BYTES_MAX)
    for record in world.journal[:cut]:
        apply(shared, record)
    for record in world.journal[:held_through]:
        apply(ahead, record)
    shared.placements["p"] = ahead.placements["p"]
    shared.serving[shared.placements["p"].config.schema_id] = shared.placements["p"]
    for number, record in enumerate(world.journal[cut:], cut):
        apply(shared, record, held=number < held_through and _placement(shared, record) == "p")
    assert snapshot(shared) == snapshot(world.engine.state)


def _placement(state: State, record: Record) -> str:
    if isinstance(record, StratumOpened | RampMoved | GateLooked):
        return record.placement
    assert isinstance(record, Decided | Exposed | Rewarded)
    return state.schemas[record.decision.schema_id].name


def test_starts_past_every_window_give_their_numbers_back() -> None:
    """The ledger numbers starts with 16 bits: a process that restarts for years must not run out of them."""
    state = State(LEDGER_BYTES_MAX)
    for day in range(400):
        apply(state, Started(day.to_bytes(16, "little"), day * DAY))
        numbers = [start.number for start in state.starts.values()]
        assert len(set(numbers)) == len(numbers)
        assert max(numbers) <= 91
    held = [start.time_us // DAY for start in state.starts.values()]
    assert held == list(range(308, 400))  # that of day 308 decided until day 309, 90 days ago


@pytest.mark.parametrize("half_life", [None, "2h"])
def test_records_rebuild_the_state_bit_for_bit(half_life: str | None) -> None:
    """Tallies, strata, ledger, exposures, retired ids of a replay equal those of the live state."""
    world = lived(half_life)
    assert {type(record) for record in world.journal} == {
        Started, Configured, StratumOpened, Decided, Exposed, Rewarded, RampMoved, GateLooked,
    }  # fmt: skip
    replayed = State(LEDGER_BYTES_MAX)
    for record in world.journal:
        apply(replayed, record)
    assert snapshot(replayed) == snapshot(world.engine.state)
    assert replayed.ledger.bytes_held == world.engine.state.ledger.bytes_held


def test_replay_goes_on_where_it_stopped() -> None:
    """Replaying in two runs, with the state between them, is replaying in one."""
    world = lived("2h", 600)
    states = [State(LEDGER_BYTES_MAX) for _ in range(2)]
    for state in states:
        for record in world.journal[:900]:
            apply(state, record)
    for record in world.journal[900:]:
        apply(states[1], record)
    assert snapshot(states[0]) != snapshot(states[1])
    for record in world.journal[900:]:
        apply(states[0], record)
    assert snapshot(states[0]) == snapshot(states[1])


def test_the_same_seed_and_input_give_the_same_choices() -> None:
    """Two engines with the same keys, start and calls answer the same, token for token."""
    answers = []
    for _ in range(2):
        world = World(p=hero())
        choices = []
        for i in range(300):
            world.now += SECOND
            choices.append(world.choose("p", f"u{i % 50}", {"platform": "web"}, {"history": float(i)}))
            world.reward(choices[i // 2], "visit")
        answers.append(choices)
    assert answers[0] == answers[1]


def test_another_start_gives_other_choices_but_routes_the_same() -> None:
    """Draws depend on the start, routing on the unit alone."""
    worlds = [World(start=bytes([n] * 16), p=hero()) for n in (1, 2)]
    pairs = [[world.choose("p", f"u{i}", {"platform": "web"}) for world in worlds] for i in range(200)]
    assert all(one.policy == other.policy for one, other in pairs)
    assert 0 < sum(one.arm != other.arm for one, other in pairs) < 200


def test_models_derived_anew_agree_with_those_that_lived() -> None:
    """What is not in the records, the models, is the same function of the tally after a replay."""
    world = lived(None)
    state = world.state()
    for prior, kept in state.models.by_prior.items():
        awaited = state.arrivals.moments if state.arrivals else None
        fresh = LinearModels((prior,), state.tally, 1.0, awaited, corrected=True).by_prior[prior]
        assert np.allclose(kept.inverse, fresh.inverse, rtol=1e-9, atol=1e-12)
        assert np.allclose(kept.theta, fresh.theta, rtol=1e-8, atol=1e-10)
        assert kept.drift < 1e-9
