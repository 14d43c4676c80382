"""Journals for tests: what is written into them, how it is read back, and file systems that fail."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

from bandit.files import Files
from bandit.frames import Position
from bandit.journal import Journal
from bandit.journal_reader import read

SEGMENT = 160
PAYLOADS = [bytes([i]) * (i % 23 + 1) for i in range(1, 40)]
CALLS = "open duplicate close write fsync fallocate truncate rename unlink fsync_dir".split()


def allocate(journal: Journal) -> None:
    """Allocate the next segment, as a server's other thread does."""
    if (allocation := journal.begin_allocation()) is not None:
        allocation.run()


def write(folder: Path, payloads: list[bytes], segment_bytes: int = SEGMENT, boot: bytes = b"") -> Position:
    """Append and flush; the process then ends without closing anything in order."""
    journal = Journal(folder, sequence=1, chain=0, segment_bytes=segment_bytes, boot=boot)
    for payload in payloads:
        journal.append(payload)
        allocate(journal)
    journal.flush()
    return journal.position


def payloads_of(folder: Path, after: int = 0) -> list[bytes]:
    """All payloads, with their numbers checked."""
    found = list(read(folder, after))
    assert [sequence for sequence, _ in found] == list(range(after + 1, after + 1 + len(found)))
    return [payload for _, payload in found]


class Stopped(BaseException):
    """The process is killed here."""


class Faulty(Files):
    """Files whose calls go through `fault(name, number, arguments)` first; its result counts, unless None."""

    def __init__(self, fault: Callable[..., Any]) -> None:
        self.calls: list[str] = []
        for name in CALLS:
            setattr(self, name, self._faulty(name, getattr(self, name), fault))

    def _faulty(self, name: str, call: Callable[..., Any], fault: Callable[..., Any]) -> Callable[..., Any]:
        def called(*arguments: Any) -> Any:
            self.calls.append(name)
            result = fault(name, len(self.calls), arguments)
            return call(*arguments) if result is None else result

        return called
