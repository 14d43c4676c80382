"""Data directories that are damaged, in every way that a tool or a start is to tell apart."""

from collections.abc import Callable
from pathlib import Path

from click.testing import CliRunner

from bandit.journal import Journal
from bandit.journal_reader import segments
from bandit.record_codec import encode
from bandit.records import Record, StratumOpened
from bandit.state import State
from server.cli import cli
from server.exit_codes import StartError
from server.recovery import Folders, boot_id, survey
from tests.core.world import snapshot
from tests.server.stored import LEDGER_BYTES_MAX, SEGMENT, Stored


def invoke(*arguments: str | Path) -> tuple[int, str]:
    """Exit code and output of a command, whose errors are messages, never tracebacks."""
    result = CliRunner().invoke(cli, [str(argument) for argument in arguments])
    if isinstance(result.exception, StartError):
        return int(result.exception.code), str(result.exception)
    assert result.exception is None or isinstance(result.exception, SystemExit), result.exception
    return result.exit_code, result.output


def starts(path: Path) -> bool:
    """Whether a start would work, by recovery's own code."""
    return survey(path, ledger_bytes_max=LEDGER_BYTES_MAX, boot=boot_id()).act.starts


def flip(path: Path, offset: int) -> None:
    """Damage a byte; counted from the end if negative."""
    data = bytearray(path.read_bytes())
    data[offset] ^= 0xFF
    path.write_bytes(data)


def serve(world: Stored) -> None:
    """A life with two snapshots, which ends like SIGKILL."""
    world.visits(60)
    world.visits(40, "hero")
    world.snapshot()
    world.visits(50)
    world.snapshot(between=lambda: world.visits(9))
    world.visits(90)
    world.kill()


def contents(data: Path) -> dict[str, bytes]:
    """All files but the lock, by name."""
    files = [path for path in sorted(data.rglob("*")) if path.is_file() and path.name != "lock"]
    return {str(path.relative_to(data)): path.read_bytes() for path in files}


def learned(state: State) -> list[object]:
    """The ledger and the placements; starts go on with each process."""
    held = snapshot(state)
    return [held[0], *held[5:]]


def snapshots_of(path: Path) -> list[Path]:
    """The snapshots, oldest first."""
    return sorted((path / "snapshots").glob("*.snapshot"))


def segments_of(path: Path) -> list[Path]:
    """The segments, in order."""
    return [segment.path for segment in segments(Folders.of(path).journal)]


def ledger_of(path: Path) -> Path:
    """The ledger's file."""
    (file,) = (path / "ledger").glob("*.ledger")
    return file


def behind_newest(path: Path, number: int) -> Path:
    """A segment behind the newest snapshot: 0 is the one that begins there."""
    newest = int(snapshots_of(path)[-1].stem)
    return [segment for segment in segments_of(path) if int(segment.stem) > newest][number]


def lose(*paths: Path) -> None:
    """Remove files."""
    for path in paths:
        path.unlink()


def put(content: bytes, path: Path) -> None:
    """Write a file."""
    path.write_bytes(content)


def append(path: Path, record: Record) -> None:
    """Write a record behind the last one."""
    end = survey(path, ledger_bytes_max=LEDGER_BYTES_MAX, boot=boot_id()).end
    journal = Journal(path / "journal", sequence=end.sequence, chain=end.chain, segment_bytes=SEGMENT)
    journal.append(encode(record))
    journal.close()


def flip_both(one: Path, one_at: int, other: Path, other_at: int) -> None:
    """Damage two files."""
    flip(one, one_at)
    flip(other, other_at)


DAMAGE: dict[str, Callable[[Path], None]] = {
    "a frame": lambda path: flip(behind_newest(path, 1), 200),
    "a segment's header": lambda path: flip(behind_newest(path, 1), 12),
    "an empty segment": lambda path: put(b"", behind_newest(path, 1)),
    "a record that does not fit": lambda path: append(path, StratumOpened("unknown", 1, in_scope=False)),
    "a missing segment": lambda path: lose(behind_newest(path, 1)),
    "a segment of another place": lambda path: put(segments_of(path)[0].read_bytes(), behind_newest(path, 1)),
    "a record below what sections hold": lambda path: flip(behind_newest(path, 0), 60),
    "no journal": lambda path: lose(*segments_of(path)),
    "a journal that begins too late": lambda path: lose(*segments_of(path)[:-1]),
    "the ledger's header": lambda path: flip(ledger_of(path), 3),
    "the ledger's beginning": lambda path: flip(ledger_of(path), 60),
    "no ledger": lambda path: lose(ledger_of(path)),
    "the ledger and the journal": lambda path: flip_both(ledger_of(path), 60, behind_newest(path, 1), 200),
    "the newest snapshot and the journal behind the older": lambda path: flip_both(
        snapshots_of(path)[-1], 100, behind_newest(path, 0), 60
    ),
}
"""Damage after which a start refuses, and repair helps."""
