"""A snapshot's sections: what is packed is unpacked bit for bit; what nothing packs is refused by field."""

from collections.abc import Callable, Mapping
from hashlib import blake2b
from pathlib import Path
from typing import Any

import msgpack
import numpy as np
import pytest

from bandit.apply import apply
from bandit.config import column_names
from bandit.fields import SectionError
from bandit.footer import Footer, Listed
from bandit.head import Head, pack_head, unpack_head
from bandit.ledger import Ledger
from bandit.records import Configured, Decided
from bandit.sections import pack_placement, restored, unpack_placement
from bandit.snapshot import read_snapshot
from bandit.state import State
from tests.core.snapshots import (
    LISTED,
    WORLDS,
    doubles_of,
    everything,
    forgetting,
    migrated,
    state_of,
    write_snapshot,
)
from tests.core.world import HOUR, World, snapshot, tally_bytes

Change = Callable[[dict[str, Any]], None]


def head_of(state: State) -> Head:
    """The head of a state, read back."""
    return unpack_head(pack_head(state, sequence=7, origin="test"))


@pytest.mark.parametrize("make", WORLDS)
def test_a_state_comes_back_bit_for_bit(make: Callable[[], World], tmp_path: Path) -> None:
    """Tallies, strata, what their indices mean, counts, clocks, schemas, starts: all of it."""
    state = make().engine.state
    found = read_snapshot(write_snapshot(tmp_path, state))
    again = state_of(found, state.ledger)
    assert snapshot(again) == snapshot(state)
    assert list(again.starts.items()) == list(state.starts.items())
    assert again.schemas == state.schemas
    for name, held in state.placements.items():
        placement = again.placements[name]
        assert placement is again.serving[held.config.schema_id]
        assert placement.config is again.schemas[held.config.schema_id]
        assert placement.strata.indices() == held.strata.indices()
        assert [placement.strata.at(i) in list(placement.strata) for i in range(40)] == [
            held.strata.at(i) in list(held.strata) for i in range(40)
        ]
        assert placement.forgetting == held.forgetting
        assert placement.replaying
        assert pack_placement(placement, 7) == pack_placement(held, 7)
    assert pack_head(again, sequence=7, origin="test") == pack_head(state, sequence=7, origin="test")


@pytest.mark.parametrize("make", WORLDS)
def test_what_comes_after_a_restart_is_bit_for_bit_the_same(make: Callable[[], World]) -> None:
    """Records, applied to the state that came back and to the one that stayed, leave equal states.

    Also once models are derived, and with a reload among them.
    """
    world = make()
    state = world.engine.state
    mark = len(world.journal)
    ledger = Ledger(state.ledger.bytes_max)
    again = restored(
        head_of(state),
        [unpack_placement(pack_placement(held, 7), head_of(state))[0] for held in state.placements.values()],
        ledger,
    )
    for i in range(30):
        world.now += HOUR
        choice = world.choose("p", f"v{i}", {"platform": ("web", "app")[i % 2]})
        if i % 4 == 0:
            world.reward(choice, next(iter(world.state().events)), 0.5, "once")
    config = world.journal[[type(record) for record in world.journal].index(Configured)]
    assert isinstance(config, Configured)
    world.journal.append(Configured(config.config, world.now))
    apply(state, world.journal[-1])
    for record in world.journal[mark:-9]:
        apply(again, record)
    again.derive()
    for record in world.journal[-9:]:
        apply(again, record)
    assert any(isinstance(record, Decided) for record in world.journal[mark:])
    before, after = snapshot(again), snapshot(state)
    assert before[1:] == after[1:]  # all but the ledger, which is no section's


@pytest.mark.parametrize("make", WORLDS)
def test_models_that_are_derived_are_those_of_the_tally(make: Callable[[], World]) -> None:
    """Every inverse and mean is what a fresh factorisation of the live tally gives."""
    state = make().engine.state
    head = head_of(state)
    for held in state.placements.values():
        placement, _ = unpack_placement(pack_placement(held, 7), head)
        assert not placement.models.by_prior
        placement.derive()
        held.derive()
        assert placement.models.posterior.tobytes() == held.models.posterior.tobytes()


@pytest.mark.parametrize("make", WORLDS)
def test_every_matrix_is_symmetric_to_the_bit(make: Callable[[], World]) -> None:
    """Which is why half of it is kept."""
    for held in make().engine.state.placements.values():
        A = held.tally.A
        assert A.tobytes() == np.ascontiguousarray(A.transpose(0, 2, 1)).tobytes()


def test_every_finite_double_comes_back() -> None:
    """Minus zero, the smallest, the largest: in a tally, a stratum and a sum of rewards."""
    state = everything().engine.state
    held = state.placements["p"]
    odd = np.array([-0.0, 5e-324, -1.7976931348623157e308])
    stratum = next(iter(held.strata))
    held.tally.r1[:] = held.tally.b[:, 2] = stratum.tally.r2[:] = odd
    held.tally.A[:, 1, 3] = held.tally.A[:, 3, 1] = odd
    held.counters.reward_sum = odd.tolist()
    placement, _ = unpack_placement(pack_placement(held, 7), head_of(state))
    assert tally_bytes(placement.tally) == tally_bytes(held.tally)
    assert tally_bytes(next(iter(placement.strata)).tally) == tally_bytes(stratum.tally)
    assert [total.hex() for total in placement.counters.reward_sum] == [float(value).hex() for value in odd]


def test_another_program_reads_it_from_the_page() -> None:
    """docs/format.md in plain Python and msgpack alone: the same sums, by the ids of arms and columns."""
    state = migrated().engine.state
    held = state.placements["p"]
    section = msgpack.unpackb(pack_placement(held, 9))
    head = msgpack.unpackb(pack_head(state, sequence=7, origin="test"))
    for schema_id, document in head["schemas"].items():
        assert blake2b(document.encode(), digest_size=8).hexdigest() == schema_id
    assert head["placements"]["p"] == section["schema"] == held.config.schema_id.hex()
    assert section["columns"] == list(column_names(held.config))
    arms, d, tally = len(section["arms"]), len(section["columns"]), section["tally"]
    entries, b = doubles_of(tally["A"], arms * d * (d + 1) // 2), doubles_of(tally["b"], arms * d)
    for k, arm in enumerate(section["arms"]):
        assert arm == held.config.arms[k].id
        for i in range(d):
            for j in range(i, d):
                entry = entries.pop(0)
                assert entry == held.tally.A[k, i, j] == held.tally.A[k, j, i]
        assert b[k * d : (k + 1) * d] == held.tally.b[k].tolist()
    assert entries == []
    assert sum(section["exposures"]) == sum(doubles_of(tally["n"], arms)) == 60
    assert np.frombuffer(section["indices"], "<u2").tolist() == held.strata.indices()


def test_a_later_reader_may_find_more() -> None:
    """A field that is not known is left alone, in every section."""
    state = everything().engine.state
    head = unpack_head(msgpack.packb(msgpack.unpackb(pack_head(state, sequence=7, origin="o")) | {"new": 1}))
    section = msgpack.unpackb(pack_placement(state.placements["p"], 9)) | {"measurement": {"x": [1.5]}}
    placement, sequence = unpack_placement(msgpack.packb(section), head)
    assert tally_bytes(placement.tally) == tally_bytes(state.placements["p"].tally)
    assert sequence == 9
    footer = Footer(2, 9, closed=False, ledger=LISTED)
    assert Footer.unpack(msgpack.packb(msgpack.unpackb(footer.pack()) | {"new": None})) == footer


def test_what_is_not_finite_is_never_written() -> None:
    """Such a file could not be read again, and the journal behind it would be gone."""
    placement = everything().state()
    placement.tally.A[0, 1, 1] = np.inf
    with pytest.raises(SectionError, match=r"^the section of placement 'p': A: expected .*, found inf$"):
        pack_placement(placement, 7)
    placement.tally.A[0, 1, 1] = 1.0
    next(iter(placement.strata)).tally.r1[0] = np.nan
    with pytest.raises(SectionError, match="r1: expected finite numbers, found nan"):
        pack_placement(placement, 7)


def put(path: str, value: object) -> Change:
    """Set a field, by its path."""

    def change(section: dict[str, Any]) -> None:
        *outer, last = path.split(".")
        inside: Any = section
        for step in outer:
            inside = inside[int(step) if isinstance(inside, list) else step]
        inside[int(last) if isinstance(inside, list) else last] = value

    return change


def drop(key: str) -> Change:
    """Remove a field."""

    def change(section: dict[str, Any]) -> None:
        del section[key]

    return change


NAN = np.array([1.0, np.nan, 1.0]).tobytes()

PLACEMENT_CHANGES: Mapping[str, tuple[Change, str]] = {
    "no kind": (drop("kind"), "kind: expected a string .*, found nothing"),
    "another kind": (put("kind", "head"), "kind: expected 'placement', found 'head'"),
    "no name": (drop("placement"), "placement: expected a string"),
    "a name of bytes": (put("placement", b"p"), "placement: expected a string"),
    "a name that is too long": (put("placement", "p" * 65), "at most 64 bytes, found str of 65"),
    "an unknown name": (put("placement", "q"), "placement 'q': placement: expected a placement of the head"),
    "another's schema": (put("schema", "00" * 8), "schema: expected [0-9a-f]{16}, as in the head"),
    "a schema in capitals": (put("schema", "AB" * 8), "schema: expected 16 hexadecimal digits"),
    "a schema of seven bytes": (put("schema", "ab" * 7), "schema: expected 16 hexadecimal digits"),
    "an earlier sequence": (put("sequence", 6), "sequence: expected an integer from 7 to .*, found 6"),
    "a sequence of 2^63": (put("sequence", 2**63), "sequence: expected an integer"),
    "a sequence that is true": (put("sequence", True), "sequence: expected an integer"),
    "a sequence that is 7.0": (put("sequence", 7.0), "sequence: expected an integer"),
    "a time that is a string": (put("born_us", "now"), "born_us: expected an integer"),
    "no started_us": (drop("started_us"), "started_us: expected an integer"),
    "another half-life": (
        put("half_life_us", 5),
        "half_life_us: expected 43200000000, as .*, found 5",
    ),
    "an origin between": (put("origin_us", 5), "origin_us: expected a multiple of the half-life"),
    "an arm less": (put("arms", ["mens", "none"]), "arms: expected 3 names, as configured, found '2'"),
    "arms in another order": (put("arms", ["none", "mens", "womens"]), "arms: expected 'mens', found 'none'"),
    "another column": (put("columns.0", "Bias"), "columns: expected 'bias', found 'Bias'"),
    "an array as tally": (put("tally", []), "tally: expected a map"),
    "tally short of a byte": (put("tally.n", bytes(23)), "tally.n: expected 3 doubles, found b'"),
    "a negative n": (
        put("tally.n", np.array([1.0, -1.0, 1.0]).tobytes()),
        "tally.n: .* 0.0 on, found -1.0",
    ),
    "NaN": (put("tally.r1", NAN), "tally.r1: expected finite numbers, found nan"),
    "a whole matrix": (
        put("tally.A", bytes(8 * 3 * 19 * 19)),
        "tally.A: expected 360 doubles, found bytes",
    ),
    "b of strings": (put("tally.b", ["1"]), "tally.b: expected binary data"),
    "strata as a map": (put("strata", {}), "strata: expected an array"),
    "a stratum that is none": (put("strata.0", 1), r"strata\[0\]: expected a map"),
    "an unknown arm in a stratum": (put("strata.0.arms.0", "x"), r"strata\[0\].arms: expected some of"),
    "a stratum of no arms": (put("strata.1.arms", []), r"strata\[1\].arms: expected some of"),
    "in_scope as a number": (put("strata.0.in_scope", 1), r"strata\[0\].in_scope: expected true or false"),
    "a stratum's index": (put("strata.0.index", 0xFFFF), r"strata\[0\].index: expected an integer from 0 to"),
    "an index twice": (put("strata.1.index", 0), "indices: expected what each means"),
    "a stratum's NaN": (put("strata.0.tally.r2", NAN), r"strata\[0\].tally.r2: expected finite"),
    "an odd byte of indices": (put("indices", bytes(3)), "indices: expected what each means"),
    "no indices": (put("indices", b""), "indices: expected what each means"),
    "too many indices": (put("indices", b"\xff" * 2 * 65536), "indices: expected what each means"),
    "events that share a number": (put("events.visit", 0), "events: expected each number from 0 on once"),
    "an event less": (put("events", {"visit": 0}), "events: expected 'purchase', as configured"),
    "a seventeenth event": (put("events.visit", 16), "events.visit: expected an integer from 0 to 15"),
    "an arm that is served and retired": (put("retired", {"none": None}), "retired: expected no arm that is"),
    "retired arms with values": (put("retired", {"old": 1}), "retired: expected a map to nil"),
    "policies in another order": (put("chosen", {"even": [0] * 3}), "chosen: expected .*, as configured"),
    "counts below 0": (put("chosen.even", [1, -1, 1]), "chosen.even: expected 3 counts"),
    "a count too many": (put("exposures", [1] * 4), "exposures: expected 3 counts"),
    "a sum that is not finite": (put("reward_sum", NAN), "reward_sum: expected finite numbers, found nan"),
}


@pytest.mark.parametrize(("change", "message"), PLACEMENT_CHANGES.values(), ids=PLACEMENT_CHANGES)
def test_a_placement_that_nothing_packs_is_refused_by_field(change: Change, message: str) -> None:
    """With the placement, the field, what was expected and what was found."""
    world = forgetting()
    section = msgpack.unpackb(pack_placement(world.state(), 7))
    head = head_of(world.engine.state)
    unpack_placement(msgpack.packb(section), head)
    change(section)
    with pytest.raises(SectionError, match=message) as refused:
        unpack_placement(msgpack.packb(section), head)
    assert str(refused.value).startswith(f"{refused.value.where}: {refused.value.field}: expected ")
    assert len(str(refused.value)) < 300


START = bytes(range(100, 116)).hex()
HEAD_CHANGES: Mapping[str, tuple[Change, str]] = {
    "another kind": (put("kind", "footer"), "the head: kind: expected 'head', found 'footer'"),
    "a negative sequence": (put("sequence", -1), "sequence: expected an integer from 0"),
    "a long origin": (put("origin", "ö" * 128), "origin: expected a string of at most 255 bytes"),
    "no time": (drop("time_us"), "time_us: expected an integer"),
    "starts as an array": (put("starts", []), "starts: expected a map whose keys are strings"),
    "a short start": (put("starts", {"ab": {"number": 0, "time_us": 1}}), "starts.ab: expected 32 hex"),
    "a number beyond the ledger's": (put(f"starts.{START}.number", 1 << 16), "number: expected an integer"),
    "a number twice": (
        put("starts", {start: {"number": 1, "time_us": 1} for start in ("00" * 16, "01" * 16)}),
        "starts: expected numbers of their own, and the earliest first",
    ),
    "starts out of order": (
        put("starts", {f"{i:02}" * 16: {"number": i, "time_us": -i} for i in range(2)}),
        "starts: expected numbers of their own, and the earliest first",
    ),
    "bytes as keys": (put("schemas", {b"0": ""}), "schemas: expected a map whose keys are strings"),
    "an id that is none": (put("schemas", {"x": ""}), "schemas: expected 16 hexadecimal digits, found 'x'"),
    "a document that is none": (put("schemas", {"00" * 8: 1}), "schemas.0{16}: expected the canonical"),
    "a document that is not JSON": (put("schemas", {"00" * 8: "{"}), "schemas.0{16}: expected the canonical"),
    "JSON with NaN": (put("schemas", {"00" * 8: "NaN"}), "NaN is not a number of JSON"),
    "JSON without end": (put("schemas", {"00" * 8: "[" * 100_000}), "schemas.0{16}: expected the canonical"),
    "a document of another id": (
        put("schemas", {"00" * 8: '{"version":1,"placements":{"p":{"arms":{"a":{}}}}}'}),
        "schemas.0{16}: expected the canonical document",
    ),
    "two placements in a document": (
        put("schemas", {"00" * 8: '{"version":1,"placements":{}}'}),
        "schemas.0{16}: expected the canonical document",
    ),
    "a placement without a schema": (put("placements.p", "00" * 8), "placements.p: expected the id of a"),
    "an unknown placement": (put("placements.q", "00" * 8), "placements.q: expected the id of a schema of"),
    "a placement's schema outdated": (put("outdated_us", {}), "outdated_us: expected the schemas that no"),
    "a time of 65 bits": (put("expire_us", 2**64 - 1), "expire_us: expected an integer"),
}


@pytest.mark.parametrize(("change", "message"), HEAD_CHANGES.values(), ids=HEAD_CHANGES)
def test_a_head_that_nothing_packs_is_refused_by_field(change: Change, message: str) -> None:
    """As a section is."""
    head = msgpack.unpackb(pack_head(migrated().engine.state, sequence=7, origin="test"))
    unpack_head(msgpack.packb(head))
    change(head)
    with pytest.raises(SectionError, match=message):
        unpack_head(msgpack.packb(head))


FOOTER_CHANGES: Mapping[str, tuple[Change, str]] = {
    "another kind": (put("kind", "head"), "the footer: kind: expected 'footer', found 'head'"),
    "too many sections": (put("sections", 1001), "sections: expected an integer from 0 to 1000"),
    "closed as a string": (put("closed", "yes"), "closed: expected true or false"),
    "a path": (put("ledger", {"../x.ledger": {}}), "ledger: expected names of ledger files"),
    "a name with a zero": (put("ledger", {"\0.ledger": {}}), "ledger: expected names of ledger files"),
    "another file": (put("ledger", {"secret.key": {}}), "ledger: expected names of ledger files"),
    "no bytes": (put("ledger", {"1.ledger": {"chain": 1}}), r"ledger.1.ledger.bytes: expected an integer"),
    "a chain of 33 bits": (
        put("ledger", {"1.ledger": {"bytes": 1, "chain": 2**32}}),
        "ledger.1.ledger.chain: expected an integer from 0 to 4294967295",
    ),
}


@pytest.mark.parametrize(("change", "message"), FOOTER_CHANGES.values(), ids=FOOTER_CHANGES)
def test_a_footer_that_nothing_packs_is_refused_by_field(change: Change, message: str) -> None:
    """As a section is."""
    footer = msgpack.unpackb(Footer(2, 9, closed=True, ledger=(Listed("1.ledger", 5, 6),)).pack())
    change(footer)
    with pytest.raises(SectionError, match=message):
        Footer.unpack(msgpack.packb(footer))


def test_placements_of_another_head_are_refused() -> None:
    """All of the head's placements, in its order, or no state."""
    state = everything().engine.state
    head = head_of(state)
    placements = [unpack_placement(pack_placement(p, 7), head)[0] for p in state.placements.values()]
    for wrong in (placements[:1], placements[::-1]):
        with pytest.raises(SectionError, match="placements: expected the 2 of the head"):
            restored(head, wrong, state.ledger)
