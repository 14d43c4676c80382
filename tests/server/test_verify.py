"""`banditd verify`: any byte that changes is found and its file named; what a start would do is said."""

import json
import re
import shutil
from pathlib import Path

import pytest

from bandit.journal import Journal
from bandit.journal_reader import SYNCED
from server.exit_codes import ExitCode
from server.keys import KEY_FILE_NAME
from server.recovery import boot_id, survey
from tests.server.damage import DAMAGE, contents, flip, invoke, ledger_of, segments_of, serve, snapshots_of
from tests.server.stored import LEDGER_BYTES_MAX, Stored


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A data directory of a killed server."""
    path = tmp_path_factory.mktemp("served") / "data"
    serve(Stored(path))
    return path


@pytest.fixture
def data(served: Path, tmp_path: Path) -> Path:
    """A copy to damage."""
    return Path(shutil.copytree(served, tmp_path / "data"))


def verified(data: Path) -> tuple[int, dict[str, str], str]:
    """Exit code, verdict by file, and the line on what a start would do."""
    code, said = invoke("verify", data)
    lines = re.findall(r"^(good|note|damaged|newer|unreadable) +([^:]+): (.*)$", said, re.MULTILINE)
    return code, {file: verdict for verdict, file, _ in lines}, said.splitlines()[-1]


def test_all_is_good(data: Path) -> None:
    """Every file is named; nothing changes; a start would do what a start does."""
    before = contents(data)
    code, verdicts, start = verified(data)
    assert code == ExitCode.OK
    assert verdicts.keys() == before.keys()
    assert {verdicts.pop(f"journal/{name}") for name in ("ahead.tmp",)} == {"note"}
    assert set(verdicts.values()) == {"good"}
    found = survey(data, ledger_bytes_max=LEDGER_BYTES_MAX, boot=boot_id())
    assert f"restore {snapshots_of(data)[-1].name}, replay {found.records} records" in start
    assert contents(data) == before


def test_any_byte_that_changes_is_found(data: Path) -> None:
    """In snapshots, in what is listed of the ledger, and in all segments but the last: the file is named."""
    for path in (*snapshots_of(data), ledger_of(data), *segments_of(data)[:-1]):
        content = path.read_bytes()
        for offset in range(0, len(content.rstrip(b"\0")), 97):
            flip(path, offset)
            code, verdicts, _ = verified(data)
            assert code == ExitCode.DATA, (path.name, offset)
            assert verdicts[str(path.relative_to(data))] in {"damaged", "newer"}, (path.name, offset)
            path.write_bytes(content)
    assert verified(data)[0] == ExitCode.OK


@pytest.mark.parametrize("damage", ["", "a frame", "no ledger"])
def test_as_json(data: Path, damage: str) -> None:
    """The same files, verdicts, outlook and exit code as in the lines, of what is good and what is not."""
    if damage:
        DAMAGE[damage](data)
    code, verdicts, start = verified(data)
    again, said = invoke("verify", data, "--json")
    found = json.loads(said)
    assert again == code == (ExitCode.DATA if damage else ExitCode.OK)
    assert {one["file"]: one["verdict"] for one in found["files"]} == verdicts
    assert all(one["detail"] for one in found["files"])
    assert (found["path"], found["process"], found["start"]) == (str(data), None, start)
    assert found["starts"] == (not damage)


@pytest.mark.parametrize("damage", DAMAGE, ids=str)
def test_a_refused_start_is_foretold(data: Path, damage: str) -> None:
    """What stops a start, in its own words."""
    DAMAGE[damage](data)
    code, _, start = verified(data)
    assert code == ExitCode.DATA
    assert start.startswith("a start would refuse: ")
    assert survey(data, ledger_bytes_max=LEDGER_BYTES_MAX, boot=boot_id()).refusal in start


def test_a_torn_tail_is_no_damage(data: Path) -> None:
    """A kill left half a frame: a note of it, and a start keeps it aside."""
    last = segments_of(data)[-1]
    content = last.read_bytes()
    end = len(content.rstrip(b"\0"))
    last.write_bytes(content[: end - 3] + bytes(len(content) - end + 3))
    code, said = invoke("verify", data)
    assert code == ExitCode.OK
    assert re.search(
        rf"^note +journal/{last.name}: .*a write was interrupted at byte \d+", said, re.MULTILINE
    )
    assert re.search(r"keep \d+ bytes of an interrupted write aside", said)
    last.write_bytes(content[: end - 3])
    (data / "journal" / SYNCED).unlink()
    assert verified(data)[0] == ExitCode.OK


def test_synced_records_that_are_gone(data: Path) -> None:
    """The note of the last sync tells that the end is missing, though nothing else shows it."""
    sequence = int(segments_of(data)[-1].stem)
    segments_of(data)[-1].unlink()
    journal = Journal(
        data / "journal", sequence=sequence, chain=survey(data, ledger_bytes_max=2**30).end.chain
    )
    journal.append(b"\x01" + bytes(24))
    journal.close()
    segments_of(data)[-1].unlink()
    code, said = invoke("verify", data)
    assert code == ExitCode.DATA
    assert f"damaged     journal: ends with record {sequence - 1}, and 1 more were on the disk" in said


def test_a_frame_that_holds_no_record(data: Path) -> None:
    """Its CRC is right, so that it was written like that: named with its byte."""
    end = survey(data, ledger_bytes_max=2**30, boot=boot_id()).end
    journal = Journal(data / "journal", sequence=end.sequence, chain=end.chain)
    journal.append(b"\x09 nothing")
    journal.close()
    code, said = invoke("verify", data)
    assert code == ExitCode.DATA
    assert f"damaged     journal/{end.sequence:020d}.journal: byte 32: expected a record in frame" in said


def test_the_key(data: Path) -> None:
    """Open to others or nonsense: unreadable, exit code 5. Not there: a note, since it may be elsewhere."""
    path = data / KEY_FILE_NAME
    path.chmod(0o644)
    code, verdicts, _ = verified(data)
    assert (code, verdicts[KEY_FILE_NAME]) == (ExitCode.FILES, "unreadable")
    path.chmod(0o600)
    path.write_text("x")
    assert verified(data)[0] == ExitCode.FILES
    path.unlink()
    code, verdicts, _ = verified(data)
    assert (code, verdicts[KEY_FILE_NAME]) == (ExitCode.OK, "note")


def test_what_is_left_over_is_noted(data: Path) -> None:
    """What was kept aside, what a write left, what somebody put there, more of the ledger than is listed."""
    for name in (
        "journal/x.journal.7.torn",
        "snapshots/y.snapshot.broken",
        "snapshots/z.tmp",
        "ledger/mine.txt",
    ):
        (data / name).write_bytes(b"x")
    with ledger_of(data).open("ab") as file:
        file.write(b"left")
    (data / "journal" / SYNCED).write_bytes(b"?")
    code, verdicts, _ = verified(data)
    assert code == ExitCode.OK
    assert sorted(verdicts.values()).count("note") == 7
    assert verdicts["ledger/mine.txt"] == "note"


def test_a_directory_without_snapshots(data: Path) -> None:
    """A first start that was killed: the journal has everything."""
    shutil.rmtree(data / "snapshots")
    shutil.rmtree(data / "ledger")
    for segment in segments_of(data):
        segment.unlink()
    code, said = invoke("verify", data)
    assert code == ExitCode.OK
    assert "begin empty" in said


@pytest.mark.parametrize("command", ["inspect", "verify", "repair"])
def test_what_is_no_data_directory(tmp_path: Path, command: str) -> None:
    """Another folder is refused, and nothing is left in it."""
    code, said = invoke(command, tmp_path)
    assert (code, "holds no state" in said) == (ExitCode.FILES, True)
    assert list(tmp_path.iterdir()) == []
