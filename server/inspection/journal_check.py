"""Every segment of a journal, checked: headers, the chain of CRCs, that each frame holds a record."""

from collections import deque
from collections.abc import Iterator
from functools import partial
from pathlib import Path

from bandit.config import format_bytes
from bandit.corruption import NewerFormat
from bandit.frames import (
    FRAME_BYTES,
    HEADER_BYTES,
    CorruptJournal,
    Frames,
    Position,
    Synced,
    Tail,
    read_header,
)
from bandit.journal_reader import SYNCED, Segment, read, read_synced, segments
from bandit.record_codec import RecordError, decode
from server.inspection.findings import Finding, Said, Verdict, found
from server.recovery import boot_id


def journal(data_dir: Path, folder: Path, *, live: bool) -> Iterator[Finding]:
    """Yield what is found about each segment, and how far the journal is known to be on the disk."""
    synced = read_synced(folder).through  # before the segments: all that it speaks of is in them
    try:
        present = segments(folder)
    except CorruptJournal as error:
        yield Finding(str(Path(error.path).relative_to(data_dir)), Verdict.DAMAGED, "its name is no number")
        return
    check = _Check(folder, live=live)
    for segment in present:
        if newer := newer_segment(segment.path):
            yield Finding(f"{folder.name}/{segment.path.name}", Verdict.NEWER, newer)
            continue
        yield found(data_dir, segment.path, partial(check.segment, segment))
    if check.last is not None and check.last < synced:
        missing = f"ends with record {check.last}, and {synced - check.last} more were on the disk"
        yield Finding(str(folder.relative_to(data_dir)), Verdict.DAMAGED, missing)
    path = folder / SYNCED
    if path.exists():
        yield found(data_dir, path, lambda: _synced(path))


def newer_segment(path: Path) -> str:
    """Return what to do about a segment that a later version of this program wrote; "" for any other."""
    try:
        with path.open("rb") as file:
            read_header(str(path), file.read(HEADER_BYTES))
    except NewerFormat as error:
        return error.why
    except (CorruptJournal, FileNotFoundError):
        pass
    return ""


def _synced(path: Path) -> Said:
    data = path.read_bytes()
    synced = Synced.of(data)
    if synced.packed() != data:
        return Verdict.NOTE, "says nothing: no such file, as a journal writes it"
    return Verdict.GOOD, f"up to record {synced.through}"


class _Check:
    """Goes from segment to segment."""

    def __init__(self, folder: Path, *, live: bool) -> None:
        self.last: int | None = None
        """the last record"""
        self._folder = folder
        self._live = live
        self._expected: Position | None = None
        """where the next segment has to begin"""

    def segment(self, segment: Segment) -> Said:
        """Return what a segment holds. Raises CorruptJournal."""
        path, expected, self._expected = str(segment.path), self._expected, None
        frames = Frames(path, segment.path.read_bytes())
        offset, bad = frames.offset, None
        for sequence, payload in enumerate(frames, frames.first.sequence):
            try:
                decode(payload)
            except RecordError as error:
                bad = bad or CorruptJournal(path, offset, f"a record in frame {sequence}", f"none: {error}")
            offset += FRAME_BYTES + len(payload)
        self.last, self._expected = frames.position.sequence - 1, frames.position
        if expected is not None and frames.first != expected:
            raise CorruptJournal(path, 8, f"{expected}, where the segment before it ends", f"{frames.first}")
        if bad is not None:
            raise bad
        verdict, ending = self._ending(frames)
        return verdict, f"{_span(frames)}, {format_bytes(segment.bytes)}{ending}"

    def _ending(self, frames: Frames) -> Said:
        """Return what is behind the last frame. Raises CorruptJournal."""
        if frames.tail()[0] is Tail.CLEAN:
            return Verdict.GOOD, ""
        reader = read(self._folder, frames.first.sequence - 1, boot=boot_id(), live=self._live)
        deque(reader, maxlen=0)
        if reader.torn is None:
            return Verdict.GOOD, "; the server is writing behind them"
        where = f"a write was interrupted at byte {reader.torn.offset}"
        return Verdict.NOTE, f"; {where}: a start keeps the rest aside"


def _span(frames: Frames) -> str:
    first, last = frames.first.sequence, frames.position.sequence - 1
    return f"records {first} to {last}" if last >= first else f"no records, from {first} on"
