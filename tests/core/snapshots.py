"""Snapshots for tests: states that have seen everything, written and read back."""

import struct
from collections.abc import Callable, Iterator
from hashlib import blake2b
from pathlib import Path

import numpy as np

from bandit.config import column_names
from bandit.files import Files
from bandit.footer import Footer, Listed
from bandit.head import pack_head
from bandit.ledger import Ledger
from bandit.placement import PlacementState
from bandit.ramp import RampStatus
from bandit.sections import pack_placement, restored, unpack_placement
from bandit.snapshot import Snapshot, SnapshotWriter
from bandit.state import State
from bandit.tally import Floats
from tests.core.world import DAY, HOUR, World, hero, simple

LISTED = (
    Listed("00000000000000000003-37.ledger", 145, 0x12345678),
    Listed("00000000000000000004-37.ledger", 0, 0),
)

GATED = hero()["ramp"] | {"gate": {"min_exposures": 10}}
UNIFORM = {"u": {"kind": "uniform"}}


def traffic(world: World, rounds: int = 90, placement: str = "p") -> None:
    """A decision an hour in the hero's contexts, some deferred, some for named arms; events of every kind."""
    rng = np.random.default_rng(rounds)
    for i in range(rounds):
        world.now += HOUR
        world.look()
        categories = {"platform": ("web", "app", "tv")[i % 3], "country": f"c{i % 7}"}
        arms = [["none"], ["none", "womens"]][i % 2] if i % 5 == 0 else []
        numbers = {"history": float(3000 * rng.random()), "returning": float(i % 2)}
        choice = world.choose(placement, f"u{i}", categories, numbers, arms, deferred=i % 4 == 0)
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
    """Arms retired, removed, added and draining; strata that merged, strata that are gone; a feature less.

    And beside it a placement that forgets, and one that is there no more.
    """
    arms = {"a": {}, "b": {}, "c": {"when": {"platform": ["web"]}}, "d": {}}
    document = simple(
        arms=arms,
        features={"platform": {"kind": "category", "values": ["web", "app"]}, "extra": {"kind": "boolean"}},
        policies={"t": {"kind": "thompson"}, "even": {"kind": "uniform"}},
        ramp={"policies": {"t": 0.5, "even": 0.5}, "from": 1.0},
    )
    home = hero(half_life="12h")
    world = World(p=document, home=home, leaves=simple("x"))
    traffic(world, 60, "home")
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
    world.reload(p=changed, home=home)
    indices = world.state().strata.indices()
    assert any(index < position for position, index in enumerate(indices))  # merged
    assert 0xFFFF in indices  # gone
    for i in range(20):
        world.now += HOUR
        world.reward(world.choose("p", f"u{i}", {"platform": ("web", "app")[i % 2]}), ("click", "buy")[i % 2])
    return world


def gated() -> World:
    """A gate that has looked, and waits; one that is new."""
    world = World(p=hero(ramp=GATED), q=simple(ramp={"policies": {"u": 1}, "gate": {}}, policies=UNIFORM))
    traffic(world, 120)
    state = world.state()
    assert state.ramp_clock.status is RampStatus.WAITING
    assert state.gate is not None
    assert state.gate.look is not None
    assert state.gate.look.uplift is not None
    return world


def fresh() -> World:
    """Configured, and nothing more."""
    return World(p=hero(half_life="12h"))


WORLDS: list[Callable[[], World]] = [everything, forgetting, migrated, gated, fresh]


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


def described(found: Snapshot) -> Iterator[str]:
    """Say all that a snapshot holds, line by line; floats so that they come back exactly."""
    head = found.head
    yield f"head {head.sequence} of {head.origin}: time {head.time_us}, expire {head.expire_us}"
    for start, held in head.starts.items():
        yield f"start {start.hex()}: number {held.number}, time {held.time_us}"
    for schema_id, schema in head.schemas.items():
        yield f"schema {schema_id.hex()}, outdated {head.outdated_us.get(schema_id)}: {schema.document}"
    for section in found.sections:
        placement, sequence = unpack_placement(section, head)
        name, tally = placement.config.name, placement.tally
        times = placement.born_us, placement.started_us, placement.latest_us
        yield f"{name} {placement.config.schema_id.hex()} at {sequence}: born, started, latest {times}"
        yield f"{name} {placement.forgetting}, events {placement.events}, retired {sorted(placement.retired)}"
        yield f"{name} strata {placement.strata.indices()}"
        for stratum in placement.strata:
            sums = stratum.tally.sums.tolist()
            yield f"{name} stratum {stratum.index} {stratum.mask:b} {stratum.in_scope}: {sums}"
        for policy, counts in zip(placement.config.policies, placement.counters.chosen, strict=True):
            yield f"{name} chosen by {policy.name}: {counts}"
        for k, arm in enumerate(placement.config.arms):
            counted = placement.counters.exposures[k], placement.counters.reward_sum[k]
            yield f"{name} {arm.id}: exposures, reward {counted}, n, r1, r2 {tally.sums[:, k].tolist()}"
            yield f"{name} {arm.id}: b {tally.b[k].tolist()}"
            for i, column in enumerate(column_names(placement.config)):
                yield f"{name} {arm.id}: A {column} {tally.A[k, i].tolist()}"
        yield from (f"{name} {line}" for line in described_days(placement))
        yield from (f"{name} {line}" for line in described_sums(placement))
    yield f"{found.footer}"


def described_days(placement: PlacementState) -> Iterator[str]:
    """Say what the ramp and its gate came to, and what happened day by day."""
    if (clock := placement.ramp_clock).moves:
        yield f"ramp {clock.status} for {clock.ran_us} until {clock.marked_us}: {clock.moves}"
    if (gate := placement.gate) is not None:
        times = gate.since_us, gate.checkpoint_us, gate.week_us, gate.week_number, gate.due_us
        yield f"gate {times}, allowed {gate.allowed}: {gate.look}"
    for number, day in placement.history.days.items():
        yield f"day {number} at {day.share}: {day.sums.tolist()}, {day.uplifts.tolist()}"
    if placement.history.days:
        yield f"shown {placement.history.shown.tolist()}"


def described_sums(placement: PlacementState) -> Iterator[str]:
    """Say what was measured, and what is still expected: of large arrays only a digest."""
    if (epoch := placement.measuring.epoch).began_us:
        said = [digest(array) for array in epoch.measurement.arrays()]
        yield f"measured {epoch.key.hex()} since {epoch.began_us}: {said}"
    if (gate := placement.gate) is not None:
        periods = gate.older, gate.week, gate.young
        yield f"gate {[digest(array) for period in periods for array in period.arrays()]}"
    if (arrivals := placement.arrivals) is not None and arrivals.due_us:
        delays = arrivals.delays
        times = delays.since_us, arrivals.due_us, arrivals.fresh
        yield f"arrivals {times}: {delays.uncounted}, {delays.counts.tolist()}, {digest(delays.credits)}"
        rings = [arrivals.others, *(stratum.recent for stratum in placement.strata if stratum.recent)]
        yield f"recent {[(ring.newest, digest(ring.rows)) for ring in rings]}, A {digest(arrivals.moments)}"


def doubles_of(data: bytes, count: int) -> list[float]:
    """Read so many doubles from binary data, in plain Python, as docs/format.md describes them."""
    if len(data) != 8 * count:
        codes = [data[i // 2] >> 4 * (i % 2) & 15 for i in range(count)]
        kept, data = data[(count + 1) // 2 :], b""
        for code in codes:
            size, first = (code, b"") if code <= 8 else (code - 8, b"\x40")
            data, kept = data + (kept[:size] + first).rjust(8, b"\0"), kept[size:]
        assert kept == b""
    return list(struct.unpack(f"<{count}d", data))


def digest(array: Floats) -> str:
    """Something that another bit anywhere changes."""
    return blake2b(array.tobytes(), digest_size=8).hexdigest()
