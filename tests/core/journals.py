"""Journals for tests: what is written into them, how it is read back, and file systems that fail."""

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

from bandit.files import Files
from bandit.frames import Position
from bandit.journal import Journal
from bandit.journal_reader import read
from bandit.kernels.crc import POLYNOMIAL

FORMAT = Path(__file__).parents[2] / "docs" / "format.md"
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


def slow_crc32c(data: bytes) -> int:
    """Bit by bit, from the polynomial."""
    register = 0xFFFFFFFF
    for byte in data:
        register ^= byte
        for _ in range(8):
            register = (register >> 1) ^ (POLYNOMIAL if register & 1 else 0)
    return register ^ 0xFFFFFFFF


def hex_of_the_page(section: str) -> bytes:
    """The worked bytes of docs/format.md that come first behind a heading."""
    text = FORMAT.read_text("utf-8").partition(f"\n{section}")[2]
    match = re.search(r"^```hex\n(.*?)^```", text, re.MULTILINE | re.DOTALL)
    assert match is not None
    return b"".join(bytes.fromhex(line.partition("   ")[0]) for line in match[1].splitlines())


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
