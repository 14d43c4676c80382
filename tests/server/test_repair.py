"""`banditd repair`: after it a start works, for every kind of damage, and what is lost is said."""

import random
import re
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from bandit.files import Files
from bandit.frames import Synced
from bandit.journal_reader import SYNCED, read
from bandit.kernels.crc import crc32c
from bandit.record_codec import decode
from bandit.records import Decided, Rewarded
from server import data_dir
from server.commands.repair import ROUNDS
from server.exit_codes import ExitCode, StartError
from server.recovery import survey
from server.repairs.plan import plan
from server.store import Keep
from tests.core.journals import Faulty, Stopped
from tests.server.damage import (
    DAMAGE,
    behind_newest,
    contents,
    flip,
    invoke,
    learned,
    ledger_of,
    put,
    segments_of,
    serve,
    snapshots_of,
    starts,
)
from tests.server.stored import LEDGER_BYTES_MAX, Stored


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A data directory of a killed server: two snapshots, the second with sections of later records.

    The journal goes from the first snapshot on, in several segments.
    """
    path = tmp_path_factory.mktemp("served") / "data"
    world = Stored(path)
    serve(world)
    return path


@pytest.fixture
def data(served: Path, tmp_path: Path) -> Path:
    """A copy to damage."""
    return Path(shutil.copytree(served, tmp_path / "data"))


@pytest.mark.parametrize("damage", DAMAGE, ids=str)
def test_a_start_works_after_a_repair(data: Path, damage: str) -> None:
    """A start refuses and names the command; a dry run changes nothing; after --yes all goes on."""
    DAMAGE[damage](data)
    with pytest.raises(StartError, match=r"banditd (repair|verify)") as refused:
        Stored(data)
    assert refused.value.code is ExitCode.DATA
    before = contents(data)
    code, said = invoke("repair", data)
    assert code == ExitCode.DATA
    assert "to do: " in said
    assert contents(data) == before
    code, said = invoke("repair", data, "--yes")
    assert code == ExitCode.OK, said
    assert starts(data)
    kept = b"".join(contents(data).values())
    assert [name for name, content in before.items() if content.rstrip(b"\0")[64:] not in kept] == []
    world = Stored(data)
    assert sum(world.state("p").counters.exposures) >= 60
    world.visits(30)
    world.stop()
    assert learned(Stored(data).engine.state) == learned(world.engine.state)
    assert invoke("verify", data)[0] == ExitCode.OK


@pytest.mark.parametrize("damage", [name for name in DAMAGE if "ledger" not in name])
def test_all_is_kept_that_can_be(data: Path, damage: str) -> None:
    """Bit for bit: what the snapshot and the good records behind it make."""
    DAMAGE[damage](data)
    found = survey(data, ledger_bytes_max=LEDGER_BYTES_MAX)
    expected, last = learned(found.base.state), found.base.after + found.records
    _, said = invoke("repair", data, "--yes")
    assert re.search(
        rf"^lost: .*record(s|s from)? ({last + 1}|{found.base.through})\b", said, re.MULTILINE
    ), said
    assert learned(survey(data, ledger_bytes_max=LEDGER_BYTES_MAX).base.state) == expected


@pytest.mark.parametrize("damage", [name for name in DAMAGE if "ledger" in name and "journal" not in name])
def test_a_damaged_ledger_costs_no_tally(data: Path, damage: str) -> None:
    """What was learned stays bit for bit; what the ledger still knows is a part of what it knew."""
    known, *tallies = learned(survey(data, ledger_bytes_max=LEDGER_BYTES_MAX).base.state)
    DAMAGE[damage](data)
    _, said = invoke("repair", data, "--yes")
    left, *after = learned(survey(data, ledger_bytes_max=LEDGER_BYTES_MAX).base.state)
    assert after == tallies
    assert "lost: records" not in said
    assert counted(left) < counted(known)


def counted(ledger: object) -> set[object]:
    """The entries of a ledger."""
    assert isinstance(ledger, list)
    return {(place, *entry) for place, values, ids, _ in ledger for entry in (*values, *ids)}


def test_what_is_lost_is_said(data: Path) -> None:
    """Numbers of records, and how many decisions and rewards among them can still be read."""
    records = [
        (sequence, decode(payload))
        for sequence, payload in read(data / "journal", int(segments_of(data)[0].stem) - 1)
    ]
    damaged = behind_newest(data, 1)
    flip(damaged, 200)
    last = survey(data, ledger_bytes_max=LEDGER_BYTES_MAX)
    first = last.base.after + last.records + 1
    later = [record for sequence, record in records if sequence > first]
    code, said = invoke("repair", data)
    assert code == ExitCode.DATA
    (lost,) = re.findall(r"^lost: (.*)$", said, re.MULTILINE)
    assert lost.startswith(f"records {first} to {records[-1][0]}; ")
    for kind, word in ((Decided, "decision"), (Rewarded, "reward")):
        assert f"{sum(isinstance(record, kind) for record in later)} {word}" in lost
    assert damaged.name in said


def test_counting_twice_is_said(data: Path) -> None:
    """Where the ledger lost something: a client that repeats a reward is counted again."""
    flip(ledger_of(data), 60)
    assert "within their window count twice" in invoke("repair", data)[1]


def test_damaged_snapshots_are_not_needed_when_the_journal_is_whole(tmp_path: Path) -> None:
    """Both are set aside, and everything comes from the journal: nothing is lost."""
    path = tmp_path / "data"
    world = Stored(path, keep=Keep(seconds=1e9))
    serve(world)
    for damaged in snapshots_of(path):
        flip(damaged, 100)
    assert not starts(path)
    code, said = invoke("repair", path, "--yes")
    assert (code, "lost: " in said) == (0, False)
    assert learned(survey(path, ledger_bytes_max=LEDGER_BYTES_MAX).base.state) == learned(world.engine.state)


def test_an_older_snapshot_needs_no_repair(data: Path) -> None:
    """A start would set the damaged one aside itself; repair does it too."""
    flip(snapshots_of(data)[-1], 100)
    assert starts(data)
    assert invoke("verify", data)[0] == ExitCode.DATA
    code, said = invoke("repair", data, "--yes")
    assert (code, "lost: " in said) == (0, False)
    assert invoke("verify", data)[0] == ExitCode.OK


def test_an_older_snapshot_that_is_damaged_goes(data: Path) -> None:
    """No start would look at it while the newest stands, so none would notice."""
    flip(snapshots_of(data)[0], 100)
    assert starts(data)
    code, said = invoke("repair", data, "--yes")
    assert (code, "lost: " in said) == (ExitCode.OK, False)
    assert snapshots_of(data)[0].stem in said
    assert invoke("verify", data)[0] == ExitCode.OK


@pytest.mark.parametrize("damage", ["a frame", "a header", "missing", "cut"])
def test_kept_segments_that_are_damaged_go(tmp_path: Path, damage: str) -> None:
    """They are kept for `explain` and `export` alone, which read what is left without a gap."""
    data = tmp_path / "data"
    world = Stored(data, keep=Keep(seconds=1e9))
    serve(world)
    third = segments_of(data)[2]
    match damage:
        case "a frame":
            flip(third, 300)
        case "a header":
            flip(third, 20)
        case "missing":
            third.unlink()
        case "cut":
            put(third.read_bytes()[:-900], third)
    assert starts(data)
    assert invoke("verify", data)[0] == ExitCode.DATA
    code, said = invoke("repair", data, "--yes")
    assert code == ExitCode.OK
    assert "`explain`" in said
    assert invoke("verify", data)[0] == ExitCode.OK
    assert list(read(data / "journal", int(segments_of(data)[0].stem) - 1))
    assert learned(survey(data, ledger_bytes_max=LEDGER_BYTES_MAX).base.state) == learned(world.engine.state)


def test_synced_records_that_are_gone(data: Path) -> None:
    """A start would go on without them and say so; repair says how many, and that is then settled."""
    last = survey(data, ledger_bytes_max=LEDGER_BYTES_MAX).end.sequence - 1
    put(Synced(last + 5, b"").packed(), data / "journal" / SYNCED)
    assert invoke("verify", data)[0] == ExitCode.DATA
    code, said = invoke("repair", data, "--yes")
    assert (code, f"lost: records {last + 1} to {last + 5}" in said) == (ExitCode.OK, True)
    assert invoke("verify", data)[0] == ExitCode.OK


def test_nothing_to_do(data: Path) -> None:
    """A good directory stays as it is, byte for byte."""
    before = contents(data)
    code, said = invoke("repair", data, "--yes")
    assert code == ExitCode.OK
    assert "to do" not in said
    assert contents(data) == before


def test_it_never_starts_empty(data: Path) -> None:
    """With nothing left to go on from, it says what the operator may choose, and touches nothing."""
    for damaged in snapshots_of(data):
        flip(damaged, 100)
    before = contents(data)
    code, said = invoke("repair", data, "--yes")
    assert code == ExitCode.DATA
    assert "Restore the directory from a backup" in said
    assert contents(data) == before


@pytest.mark.parametrize("kind", ["snapshots", "journal", "ledger"])
def test_what_a_newer_version_wrote_is_not_touched(data: Path, kind: str) -> None:
    """The header says so, with its CRC right: install that version."""
    for path in (data / kind).iterdir():
        if path.suffix in {".snapshot", ".journal", ".ledger"}:
            header = bytearray(path.read_bytes()[:32])
            header[7] = 3
            header[28:] = crc32c(np.frombuffer(header[:28], np.uint8)).to_bytes(4, "little")
            path.write_bytes(header + path.read_bytes()[32:])
    before = contents(data)
    code, said = invoke("repair", data, "--yes")
    assert code == ExitCode.DATA
    assert re.search(r"version 3 of the .*or a later one", said)
    assert contents(data) == before
    code, said = invoke("verify", data)
    assert code == ExitCode.DATA
    assert re.search(r"^newer ", said, re.MULTILINE)


def test_it_refuses_beside_a_server(data: Path) -> None:
    """The lock is the server's."""
    flip(behind_newest(data, 1), 200)
    before = contents(data)
    with data_dir.held(data):
        code, said = invoke("repair", data, "--yes")
    assert code == ExitCode.FILES
    assert "another process" in said
    assert contents(data) == before


@pytest.mark.parametrize(
    "damage", ["a frame", "no journal", "the ledger and the journal", "the ledger's header"]
)
def test_it_may_be_killed_anywhere(data: Path, tmp_path: Path, damage: str) -> None:
    """Before each call that changes a file: repeated, it gets there, and no byte is gone."""
    DAMAGE[damage](data)
    before = contents(data)
    whole = Path(shutil.copytree(data, tmp_path / "whole"))
    counting = Faulty(lambda *_: None)
    repaired(whole, counting)
    expected = learned(survey(whole, ledger_bytes_max=LEDGER_BYTES_MAX).base.state)
    assert len(counting.calls) > 3
    for stop in range(1, len(counting.calls) + 1):
        copy = Path(shutil.copytree(data, tmp_path / str(stop)))
        with pytest.raises(Stopped):
            repaired(copy, Faulty(stopping(stop)))
        repaired(copy, Files())
        kept = b"".join(contents(copy).values())
        assert [name for name, content in before.items() if content.rstrip(b"\0")[64:] not in kept] == []
        assert starts(copy), stop
        assert learned(survey(copy, ledger_bytes_max=LEDGER_BYTES_MAX).base.state) == expected, stop


def stopping(at: int) -> Callable[..., None]:
    """Kill the process before its call of this number."""

    def fault(_name: str, number: int, _arguments: object) -> None:
        if number == at:
            raise Stopped

    return fault


def repaired(path: Path, files: Files) -> None:
    """What the command does, on these files."""
    for _ in range(ROUNDS):
        steps = plan(path).steps
        if not steps:
            return
        for step in steps:
            step.run(files)


def test_any_damage_has_a_message(data: Path, tmp_path: Path) -> None:
    """Bytes flipped, cut, put in, files gone or swapped: never a traceback, and repair never harms."""
    rng = random.Random(1)
    for case in range(60):
        copy = Path(shutil.copytree(data, tmp_path / str(case)))
        for _ in range(rng.randint(1, 3)):
            mutate(rng, copy)
        for command in ("inspect", "verify"):
            code, said = invoke(command, copy)
            assert code in {ExitCode.OK, ExitCode.DATA, ExitCode.FILES}, said
            assert said
        worked = starts(copy)
        code, said = invoke("repair", copy, "--yes")
        assert code in {ExitCode.OK, ExitCode.DATA}, said
        assert starts(copy) == (code == ExitCode.OK)
        assert code == ExitCode.OK or not worked


def mutate(rng: random.Random, data: Path) -> None:
    """Damage a file of the data somehow."""
    files = [path for path in data.glob("*/*") if path.suffix in {".snapshot", ".journal", ".ledger", ""}]
    path = rng.choice(files)
    content = bytearray(path.read_bytes())
    at = rng.randrange(len(content) + 1)
    match rng.randrange(7):
        case 0:
            path.unlink()
            return
        case 1:
            content = content[:at]
        case 2:
            content[at:at] = rng.randbytes(rng.randint(1, 40))
        case 3:
            del content[at : at + rng.randint(1, 40)]
        case 4:
            content[at : at + 4] = rng.randbytes(4)
        case 5:
            content = bytearray(rng.choice(files).read_bytes())
        case 6:
            content += content[at:]
    path.write_bytes(content)
