"""The bytes of records: what an engine wrote comes back equal, anything else is refused with its place."""

import math
import re
import struct
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from bandit.apply import apply
from bandit.config import Config, combine, parse
from bandit.decision import Decision
from bandit.gate import Look
from bandit.limits import ARMS_MAX, FEATURES_MAX, LEDGER_BYTES_MAX, POLICIES_MAX
from bandit.ramp import Move, RampStatus
from bandit.record_codec import RecordError, decode, encode
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
from bandit.sequences import Interval
from bandit.state import State
from server.config_files import load_text
from tests.core.test_apply import lived
from tests.core.world import NOW, START, World, config, decision, simple, snapshot
from tests.goldens import check_golden

ROOT = Path(__file__).resolve().parent.parent.parent
CONFIGS = [
    *sorted((ROOT / "tests/config/accepted").glob("*.yaml")),
    *(path for path in sorted(ROOT.glob("examples/**/*.yaml")) if "\nplacements:" in path.read_text("utf-8")),
]
SECTION = re.compile(r"^## Records\n(.*?)(?=^## |\Z)", re.MULTILINE | re.DOTALL)
SUBSECTION = re.compile(r"^### (\w[\w ]*?)(?:, kind (\d))?$\n(.*?)(?=^### |\Z)", re.MULTILINE | re.DOTALL)

DECISION = decision()
EXAMPLES: dict[str, Record] = {
    "Started": Started(START, NOW),
    "Configured": Configured(config(p=simple("x", "y")), NOW),
    "StratumOpened": StratumOpened("home-hero", 0b101 | 1 << 255, in_scope=True),
    "Decided": Decided(DECISION, 0.25, 0.75),
    "Exposed": Exposed(DECISION, NOW + 1),
    "Rewarded": Rewarded(DECISION, "purchase", 49.5, 2**64 - 2, NOW + 2),
    "RampMoved": RampMoved("home-hero", Move(NOW + 3, RampStatus.HELD, "sales fell ✓", "ada")),
    "GateLooked": GateLooked(
        "home-hero", Look(NOW + 4, 14_200, 0.375, 0.125, Interval(-0.5, -0.75, -0.25), None, "1 % is lost ✓")
    ),
}
BYTES = {name: encode(record) for name, record in EXAMPLES.items()}
PACKED_AT = {"Decided": 41, "Exposed": 33, "Rewarded": 58}

names = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=16)
times = st.integers(-(2**63), 2**63 - 1)
finite = st.floats(allow_nan=False, allow_infinity=False)
finite_singles = st.floats(allow_nan=False, allow_infinity=False, width=32)


@st.composite
def decisions(draw: st.DrawFn) -> Decision:
    """Any decision that an engine can make."""
    probabilities = draw(st.lists(st.floats(0.0, 1.0), min_size=1, max_size=POLICIES_MAX))
    values = draw(st.lists(finite_singles, max_size=FEATURES_MAX + 1))
    columns = [draw(st.integers(0, 255)) for _ in values]
    return Decision(
        origin=draw(names | st.just("")),
        start=draw(st.binary(min_size=16, max_size=16)),
        counter=draw(st.integers(1, 2**64 - 1)),
        schema_id=draw(st.binary(min_size=8, max_size=8)),
        time_us=draw(times),
        arm=draw(st.integers(0, ARMS_MAX - 1)),
        policy=draw(st.integers(0, len(probabilities) - 1)),
        stratum=draw(st.integers(0, 0xFFFF)),
        bucket=draw(st.integers(0, 255)),
        propensity=draw(st.floats(0.0, 1.0, exclude_min=True)),
        share=draw(st.floats(0.0, 1.0)),
        probabilities=tuple(probabilities),
        overlaps=tuple(draw(st.sampled_from([[], probabilities]))),
        x=struct.pack(f"<{len(values)}H{len(values)}f", *columns, *values),
        deferred=draw(st.booleans()),
        recorded=draw(st.booleans()),
        in_scope=draw(st.booleans()),
    )


seen = st.builds(Interval, finite, finite, finite)
intervals = st.tuples(st.floats(0.0, 1.0), st.floats(0.0, 1.0)).map(sorted)
records = st.one_of(
    st.builds(Started, st.binary(min_size=16, max_size=16), times),
    st.builds(StratumOpened, names, st.integers(1, 2**ARMS_MAX - 1), st.booleans()),
    st.builds(lambda decision, within: Decided(decision, *within), decisions(), intervals),
    st.builds(Exposed, decisions(), times),
    st.builds(
        RampMoved,
        names,
        st.builds(Move, times, st.sampled_from(RampStatus), names, names),
    ),
    st.builds(Rewarded, decisions(), names, finite, st.integers(0, 2**64 - 1), times),
    st.builds(
        GateLooked,
        names,
        st.builds(
            Look,
            times,
            st.integers(0, 2**63 - 1),
            st.floats(0.0, 1.0),
            st.none() | finite,
            st.none() | seen,
            st.none() | seen,
            names,
        ),
    ),
)


@given(records)
@settings(max_examples=200)
def test_round_trip(record: Record) -> None:
    """What is encoded decodes as an equal record of the same type, all fields at their limits included."""
    again = decode(encode(record))
    assert again == record
    assert type(again) is type(record)


def load(path: Path) -> Config:
    """The configuration in a file."""
    return load_text(path.read_bytes(), path.name)


@pytest.mark.parametrize("path", CONFIGS, ids=lambda path: path.stem)
def test_configurations_come_back_whole(path: Path) -> None:
    """Every accepted configuration comes back equal, in the same order and with the same schema ids."""
    one = Configured(load(path), NOW)
    again = decode(encode(one))
    assert again == one
    assert isinstance(again, Configured)
    assert list(again.config.placements) == list(one.config.placements)
    ids = [[p.schema_id for p in c.placements.values()] for c in (one.config, again.config)]
    assert ids[0] == ids[1]


def test_one_record_holds_placements_of_several_owners() -> None:
    """A directory's files may each have an owner of their own; a configuration may be empty."""
    owned = ({"version": 1, "owner": f"team {name} ✓", "placements": {name: simple()}} for name in "ab")
    parts = {str(document["owner"]): parse(document) for document in owned}
    for one in (combine(parts), combine({})):
        assert decode(encode(Configured(one, NOW))) == Configured(one, NOW)


def models(state: State) -> list[tuple[str, bytes, bytes]]:
    """All that the linear models derived, as values that compare bit for bit."""
    held = ((name, placement.models) for name, placement in sorted(state.placements.items()))
    return [(name, m.posterior.tobytes(), m.upkeep.tobytes()) for name, m in held]


@pytest.mark.parametrize("half_life", [None, "2h"])
def test_decoded_records_rebuild_the_state_bit_for_bit(half_life: str | None) -> None:
    """A life of deferrals, rewards, reloads and expiry, through bytes: the state equals the engine's."""
    world = lived(half_life)
    live = world.engine.state
    assert {type(record).__name__ for record in world.journal} == set(EXAMPLES)
    replayed = State(LEDGER_BYTES_MAX)
    for record in world.journal:
        again = decode(encode(record))
        assert again == record
        apply(replayed, again)
    assert snapshot(replayed) == snapshot(live)
    assert replayed.ledger.entries() == live.ledger.entries()
    assert models(replayed) == models(live)


def test_a_decided_record_is_small() -> None:
    """A decision over ten arms, eight features and three policies takes about 170 bytes."""
    features = {f"f{i}": {"kind": "hashed", "buckets": 4} for i in range(8)}
    policies = {"l": {"kind": "linear_thompson"}, "t": {"kind": "thompson"}}
    world = World(p=simple(*(f"arm-{i}" for i in range(10)), features=features, policies=policies))
    world.choose("p", "u", dict.fromkeys(features, "value"))
    (decided,) = (record for record in world.journal if isinstance(record, Decided))
    assert 140 <= len(encode(decided)) <= 170


def test_golden() -> None:
    """The bytes of a record never change: journals are read by later versions."""
    check_golden("records.txt", (f"{name} {data.hex()}" for name, data in BYTES.items()))


def test_documented_example() -> None:
    """The worked example of docs/format.md is, byte for byte, what the code writes and reads."""
    section = SECTION.search((ROOT / "docs/format.md").read_text("utf-8"))
    assert section
    block = re.search(r"^```hex\n(.*?)^```", section[1], re.MULTILINE | re.DOTALL)
    assert block
    shown = bytes.fromhex("".join(line.partition("   ")[0] for line in block[1].splitlines()))
    assert shown == BYTES["Decided"]
    assert decode(shown) == EXAMPLES["Decided"]


def test_documented_tables_have_no_gaps() -> None:
    """In every table of the section each field begins where the one before it ends; kinds are the code's."""
    section = SECTION.search((ROOT / "docs/format.md").read_text("utf-8"))
    assert section
    found = SUBSECTION.findall(section[1])
    kinds = {name: int(kind) for name, kind, _ in found if kind}
    assert kinds == {name: data[0] for name, data in BYTES.items()}
    for name, _, text in found:
        rows = re.findall(r"^\| (\d+) \| (\d+)? ?\|?", text, re.MULTILINE)
        assert rows, name
        end = 0
        for offset, size in rows:
            assert int(offset) == end, name
            end += int(size or 0)


def mutated(data: bytes, edits: list[tuple[int, int]], cut: int, more: bytes) -> bytes:
    """Overwrite some bytes, cut some off the end, append some."""
    changed = bytearray(data)
    for at, value in edits:
        changed[at % len(data)] = value
    return bytes(changed[: len(data) - cut]) + more


edits = st.lists(st.tuples(st.integers(0, 10_000), st.integers(0, 255)), max_size=4)
NESTED = struct.pack("<Bq", 2, NOW) + b"[" * 100_000


@given(
    st.one_of(
        st.binary(max_size=200),
        st.builds(
            mutated, st.sampled_from([*BYTES.values()]), edits, st.integers(0, 20), st.binary(max_size=8)
        ),
    )
)
@example(NESTED)
@example(NESTED[:9] + b"1" * 5_000)
@example(NESTED[:9] + b'{"0011223344556677":' + b"9" * 4_000 + b"}")
@settings(max_examples=1_500)
def test_any_bytes_are_a_record_or_a_record_error(data: bytes) -> None:
    """Whatever comes in: RecordError with a place in it, or a record that is written the same way again."""
    try:
        record = decode(data)
    except RecordError as error:
        refused = error
    else:
        again = encode(record)
        assert decode(again) == record if isinstance(record, Configured) else again == data
        return
    assert 0 <= refused.at <= len(data)
    assert str(refused).startswith(f"byte {refused.at}: ")


@pytest.mark.parametrize("name", [name for name in BYTES if name != "StratumOpened"])
def test_every_cut_and_every_addition_is_refused(name: str) -> None:
    """No record is the beginning of another one; only StratumOpened, whose name stands last, may be."""
    data = BYTES[name]
    for payload in (*(data[:size] for size in range(len(data))), data + b"\1"):
        with pytest.raises(RecordError):
            decode(payload)


def put(at: int, layout: str, *values: object) -> Callable[[bytes], bytes]:
    """Return what writes the values over a record's bytes from `at` on."""
    new = struct.pack(f"<{layout}", *values)
    return lambda data: data[:at] + new + data[at + len(new) :]


def cut(size: int) -> Callable[[bytes], bytes]:
    """Return what keeps the first bytes."""
    return lambda data: data[:size]


P = PACKED_AT["Decided"]
REFUSED: list[tuple[str, Callable[[bytes], bytes], int, str]] = [
    ("Started", cut(0), 0, "there is nothing"),
    ("Started", put(0, "B", 0), 0, "kind 0 is not known: expected one of [1, 2, 3, 4, 5, 6, 7, 8]"),
    ("Started", cut(24), 24, "expected at least 25 bytes for kind 1"),
    ("Started", lambda data: data + b"12", 25, "2 bytes follow"),
    ("StratumOpened", put(1, "B", 2), 1, "in_scope is 2"),
    ("StratumOpened", put(2, "32s", b""), 2, "no arm is in the mask"),
    ("StratumOpened", cut(34), 34, "the placement's name has 0 bytes: expected 1 to 64"),
    ("StratumOpened", put(36, "B", 255), 36, "the placement's name is not UTF-8"),
    ("Decided", put(25, "d", 0.8), 25, "the interval is [0.8, 0.75)"),
    ("Decided", put(33, "d", float("nan")), 25, "the interval is [0.25, nan)"),
    ("Decided", cut(P + 42), P + 42, f"expected a decision of at least 43 bytes from byte {P} on"),
    ("Decided", cut(120), 120, "the record has 120 bytes: expected 156"),
    ("Decided", lambda data: data + b"1", 156, "the record has 157 bytes: expected 156"),
    ("Decided", put(P + 16, "H", 256), P + 16, "the arm is 256: expected 0 to 255"),
    ("Decided", put(P + 20, "B", 3), P + 20, "the policy is 3: expected 0 to 2"),
    ("Decided", put(P + 24, "B", 31), P + 24, "the flags' byte is 31: expected 0 to 15"),
    ("Decided", put(P + 27, "d", float("nan")), P + 27, "the propensity is nan"),
    ("Decided", put(P + 35, "d", 2.0), P + 35, "the share is 2.0"),
    ("Decided", put(P + 51, "d", -0.5), P + 51, "probability 1 is -0.5"),
    ("Decided", put(P + 75, "d", 1.5), P + 75, "overlap 1 is 1.5"),
    ("Decided", put(P + 92, "B", 255), P + 92, "the origin is not UTF-8"),
    ("Decided", put(P + 99, "H", 256), P + 99, "x sets column 256: expected 0 to 255"),
    ("Decided", put(P + 107, "f", float("inf")), P + 107, "x sets column 5 to inf"),
    ("Rewarded", put(33, "d", float("inf")), 33, "the event's value is inf"),
    ("Rewarded", put(49, "B", 0), 50, "the event's name has 0 bytes"),
    ("Rewarded", cut(54), 54, "the record ends within the event's name: expected it up to byte 58"),
    ("RampMoved", put(9, "B", 5), 9, "the ramp's status is 5: expected 1 to 4"),
    ("RampMoved", put(11, "H", 600), 23, "the reason has 600 bytes: expected 1 to 512"),
    ("RampMoved", cut(30), 30, "the record ends within the reason"),
    ("RampMoved", lambda data: data + b"1", 40, "1 bytes follow"),
    ("GateLooked", put(9, "Q", 2**63), 9, "the exposures are 9223372036854775808: expected at most"),
    ("GateLooked", put(17, "d", 1.5), 17, "the share that is allowed is 1.5: expected 0 to 1"),
    ("GateLooked", put(25, "B", 8), 25, "the flags' byte is 8: expected 0 to 7"),
    ("GateLooked", cut(50), 50, "the record ends within what the gate saw"),
    ("GateLooked", put(37, "d", math.nan), 29, "the gate saw (0.125, nan, -0.75, -0.25): expected finite"),
    ("GateLooked", put(26, "B", 65), 61, "the placement has 65 bytes: expected 1 to 64"),
    ("GateLooked", put(27, "H", 0), 70, "the sentence has 0 bytes: expected 1 to 256"),
    ("GateLooked", put(27, "H", 257), 70, "the sentence has 257 bytes: expected 1 to 256"),
    ("GateLooked", lambda data: data + b"1", 85, "1 bytes follow"),
    ("Configured", cut(20), 10, "the configuration is not JSON: Unterminated"),
    ("Configured", put(9, "B", 255), 9, "the configuration is not ASCII"),
    ("Configured", lambda data: data[:9] + b"[]", 9, "the configuration is not an object"),
    ("Configured", lambda data: data[:9] + b'{"a":NaN}', 9, "NaN is not a number of JSON"),
    ("Configured", lambda data: data[:9] + b'{"a":{}}', 9, "the configuration is refused: $.version"),
    ("Configured", lambda data: data.replace(b'"weight":1', b'"weight":2'), 9, "expected the same id"),
]


@pytest.mark.parametrize(("name", "change", "at", "what"), REFUSED, ids=[what for *_, what in REFUSED])
def test_refusals_name_the_byte(name: str, change: Callable[[bytes], bytes], at: int, what: str) -> None:
    """Each refusal says what was wrong and where."""
    with pytest.raises(RecordError) as error:
        decode(change(BYTES[name]))
    assert what in str(error.value)
    assert error.value.at == at
