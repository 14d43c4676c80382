"""A snapshot whose sections were made at different records, and the journal behind it: the very state."""

import tempfile
from functools import cache
from pathlib import Path

from hypothesis import given, settings
from hypothesis import strategies as st

from bandit.apply import apply
from bandit.footer import Footer
from bandit.head import pack_head
from bandit.ledger import Ledger
from bandit.records import Configured, GateLooked, RampMoved, Record, Started, StratumOpened
from bandit.sections import pack_placement, restored, unpack_placement
from bandit.snapshot import SnapshotWriter, read_snapshot
from bandit.state import State
from tests.core.snapshots import GATED, traffic
from tests.core.world import World, hero, snapshot

PLACEMENTS = ("deferring", "forgetting", "plain")


@cache
def records() -> list[Record]:
    """What three placements decided and earned, in turns."""
    world = World(
        deferring=hero(exposure="on_event", ramp=GATED),
        forgetting=hero(half_life="3h"),
        plain=hero(ramp=GATED),
    )
    for rounds in range(1, 40):
        traffic(world, rounds % 7 + 2, PLACEMENTS[rounds % 3])
    assert any(isinstance(record, GateLooked) for record in world.journal)
    return list(world.journal)


def placement_of(record: Record, state: State) -> str:
    """The placement that a record changes."""
    match record:
        case Started() | Configured():
            return ""
        case StratumOpened(placement) | RampMoved(placement) | GateLooked(placement):
            return placement
    return state.schemas[record.decision.schema_id].name


@settings(max_examples=60)
@given(data=st.data())
def test_sections_of_different_records_and_replay_give_the_very_state(data: st.DataObject) -> None:
    """Wherever the head, each section and the end fall: tallies, strata, ledger and counts, to the bit."""
    journal = records()
    begun = data.draw(st.integers(2, len(journal)), "record of the head")
    made = dict.fromkeys(PLACEMENTS, begun)
    for name in PLACEMENTS:  # in the head's order, one after the other
        last = max(made.values())
        made[name] = data.draw(st.integers(last, min(len(journal), last + 60)), f"record of {name}")
    end = data.draw(st.integers(max(made.values()), len(journal)), "the last record")

    live = State(2**30, replaying=True)
    live.ledger = Ledger(2**30, noting=True)
    news, frames = bytearray(), {}
    for number, record in enumerate(journal[:end], 1):
        apply(live, record)
        if number == begun:
            news = live.ledger.take_news()
            frames["head"] = pack_head(live, sequence=begun, origin="test")
        frames |= {
            name: pack_placement(live.placements[name], number) for name in PLACEMENTS if made[name] == number
        }

    with tempfile.TemporaryDirectory() as folder:
        writer = SnapshotWriter(Path(folder), begun)
        for part in ("head", *PLACEMENTS):
            writer.add(frames[part])
        path = writer.finish(Footer(len(PLACEMENTS), max(made.values()), closed=False, ledger=()))
        found = read_snapshot(path)
    ledger = Ledger(2**30)
    ledger.load(news)
    sections = [unpack_placement(section, found.head) for section in found.sections]
    held = {placement.config.name: sequence for placement, sequence in sections}
    assert held == made
    again = restored(found.head, [placement for placement, _ in sections], ledger)
    for number, record in enumerate(journal[begun:end], begun + 1):
        apply(again, record, held=number <= held.get(placement_of(record, again), 0))
    assert snapshot(again) == snapshot(live)
