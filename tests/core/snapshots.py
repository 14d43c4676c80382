"""Snapshots for tests: states that have seen everything, written and read back."""

from collections.abc import Callable
from pathlib import Path

import numpy as np

from bandit.files import Files
from bandit.ledger import Ledger
from bandit.sections import Footer, Listed, pack_head, pack_placement, restored, unpack_placement
from bandit.snapshot import Snapshot, SnapshotWriter
from bandit.state import State
from tests.core.world import DAY, HOUR, World, hero, simple

LISTED = (
    Listed("00000000000000000003-37.ledger", 145, 0x12345678),
    Listed("00000000000000000004-37.ledger", 0, 0),
)


def traffic(world: World, rounds: int = 90, step_us: int = HOUR) -> None:
    """Decisions in the hero's contexts, some deferred, some for named arms; events of every kind."""
    rng = np.random.default_rng(rounds)
    for i in range(rounds):
        world.now += step_us
        categories = {"platform": ("web", "app", "tv")[i % 3], "country": f"c{i % 7}"}
        arms = [["none"], ["none", "womens"]][i % 2] if i % 5 == 0 else []
        numbers = {"history": float(3000 * rng.random()), "returning": float(i % 2)}
        choice = world.choose("p", f"u{i}", categories, numbers, arms, deferred=i % 4 == 0)
        if i % 8 == 0:
            world.reward(choice, "exposure")
        if i % 3 == 0:
            world.reward(choice, "visit")
        if i % 6 == 0:
            world.reward(choice, "purchase", float(100 * rng.random()), f"order-{i}")


def everything() -> World:
    """Every kind of feature, policy, event and decision."""
    world = World(p=hero(), other=simple())
    traffic(world)
    for _ in range(5):
        world.choose("other")
    return world


def forgetting() -> World:
    """A half-life, passed many times, once by a long pause."""
    world = World(p=hero(half_life="12h"))
    traffic(world)
    world.now += 400 * DAY
    traffic(world, 30)
    return world


def migrated() -> World:
    """Arms retired, removed, added and draining; strata that merged, strata that are gone; a feature less."""
    arms = {"a": {}, "b": {}, "c": {"when": {"platform": ["web"]}}, "d": {}}
    document = simple(
        arms=arms,
        features={"platform": {"kind": "category", "values": ["web", "app"]}, "extra": {"kind": "boolean"}},
        policies={"t": {"kind": "thompson"}, "even": {"kind": "uniform"}},
        ramp={"policies": {"t": 0.5, "even": 0.5}, "from": 1.0},
    )
    world = World(p=document, leaves=simple("x"))
    for i in range(40):
        world.now += HOUR
        named = [[], [], ["c"], ["c", "d"], ["b", "d"]][i % 5]
        platform = "web" if named[:1] == ["c"] or i % 2 else "app"
        choice = world.choose("p", f"u{i}", {"platform": platform}, {"extra": 1.0}, named)
        if i % 3 == 0:
            world.reward(choice)
    changed = document | {
        "arms": {
            "a": {},
            "b": {},
            "c": arms["c"] | {"state": "draining"},
            "d": {"state": "retired"},
            "e": {},
        },
        "features": {"platform": document["features"]["platform"]},
        "reward": {"values": {"click": 1, "buy": 0.5}},
    }
    world.reload(p=changed)
    indices = world.state().strata.indices()
    assert any(index < position for position, index in enumerate(indices))  # merged
    assert 0xFFFF in indices  # gone
    for i in range(20):
        world.now += HOUR
        world.reward(world.choose("p", f"u{i}", {"platform": ("web", "app")[i % 2]}), ("click", "buy")[i % 2])
    return world


def fresh() -> World:
    """Configured, and nothing more."""
    return World(p=hero(half_life="12h"))


WORLDS: list[Callable[[], World]] = [everything, forgetting, migrated, fresh]


def write_snapshot(folder: Path, state: State, sequence: int = 7, files: Files | None = None) -> Path:
    """Write a state as a snapshot, its placements all with the head's sequence number."""
    writer = SnapshotWriter(folder, sequence, files)
    writer.add(pack_head(state, sequence=sequence, origin="test"))
    for placement in state.placements.values():
        writer.add(pack_placement(placement, sequence))
    return writer.finish(Footer(len(state.placements), sequence, closed=True, ledger=LISTED))


def state_of(found: Snapshot, ledger: Ledger) -> State:
    """Return the state in a snapshot, with a ledger that was kept elsewhere."""
    placements = [unpack_placement(section, found.head)[0] for section in found.sections]
    return restored(found.head, placements, ledger)
