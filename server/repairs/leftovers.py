"""What is damaged though no start needs it: older snapshots, and segments that are only kept."""

from pathlib import Path

from bandit.frames import CorruptJournal, Frames, Position, Tail
from bandit.journal_reader import Segment, segments
from bandit.record_codec import RecordError, decode
from server.inspection.findings import Finding, Verdict
from server.inspection.verifying import snapshots_checked


def damaged_snapshots(data_dir: Path) -> list[Finding]:
    """Return the snapshots that cannot be used, or whose part of the ledger cannot."""
    return [one for one in snapshots_checked(data_dir) if one.verdict is Verdict.DAMAGED]


def unneeded_segments(folder: Path, through: int) -> list[Path]:
    """Return the first segments, up to the last that is damaged, or does not lead to the one behind it.

    Only of those that hold no record above `through`: a start does not read them, `explain` and `export` do.
    """
    present, aside = segments(folder), 0
    before: Position | None = None
    for index, segment in enumerate(present):
        frames = _frames(segment)
        if frames is not None and before is not None and frames.first != before:
            aside = index
        if index + 1 == len(present) or present[index + 1].first - 1 > through:
            break
        before = None if frames is None else _end(frames)
        if before is None:
            aside = index + 1
    return [segment.path for segment in present[:aside]]


def _frames(segment: Segment) -> Frames | None:
    try:
        return Frames(str(segment.path), segment.path.read_bytes())
    except CorruptJournal:
        return None


def _end(frames: Frames) -> Position | None:
    """Return where the next segment begins; None for damage."""
    try:
        for payload in frames:
            decode(payload)
    except RecordError:
        return None
    return frames.position if frames.tail()[0] is Tail.CLEAN else None
