"""Where in a journal a record stands, and what stands behind a place: what is lost if it ends there."""

from collections import Counter
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from struct import Struct
from typing import NamedTuple

import numpy as np

from bandit import limits
from bandit.frames import FRAME_BYTES, HEADER_BYTES, CorruptJournal, Frames, Tail
from bandit.journal_reader import Segment, segments
from bandit.kernels.crc import FULL, proof, scan
from bandit.record_codec import RecordError, decode
from bandit.records import Decided, Exposed, Rewarded
from server.inspection.words import count


class Place(NamedTuple):
    """A byte of a segment, where record `sequence` begins or should."""

    segment: Path
    offset: int
    sequence: int


def place_of(folder: Path, sequence: int) -> Place | None:
    """Return where record `sequence` stands, or where what is wrong begins before; None: beyond the end."""
    before: Frames | None = None
    for segment in _from(segments(folder), sequence):
        try:
            frames = Frames(str(segment.path), segment.path.read_bytes())
        except CorruptJournal:
            return Place(segment.path, 0, segment.first)
        if before is not None and frames.first != before.position:
            return Place(segment.path, 0, segment.first)
        offset = HEADER_BYTES
        for number, payload in enumerate(frames, frames.first.sequence):
            if number == sequence:
                return Place(segment.path, offset, sequence)
            offset += FRAME_BYTES + len(payload)
        if frames.tail()[0] is not Tail.CLEAN:
            return Place(segment.path, frames.offset, frames.position.sequence)
        before = frames
    return None


def _from(present: list[Segment], sequence: int) -> list[Segment]:
    """Return the segments from the one that has the record before `sequence`."""
    earlier = [segment for segment in present if segment.first < sequence]
    return present[max(0, len(earlier) - 1) :]


def last_known(folder: Path) -> int:
    """Return the number of the last record that the last segment shows that it had; 0: it shows none."""
    for segment in reversed(segments(folder)):
        try:
            frames = Frames(str(segment.path), segment.path.read_bytes())
        except CorruptJournal:
            return segment.first - 1
        for _ in frames:
            pass
        return frames.position.sequence - 1
    return 0


def behind(folder: Path, place: Place | None) -> str:
    """Return, in words, what can still be read from a place on; None: of the whole journal."""
    kinds: Counter[str] = Counter()
    for segment in segments(folder):
        if place is None or segment.path.name >= place.segment.name:
            offset = place.offset if place and segment.path == place.segment else 0
            kinds.update(_kinds(segment.path, offset))
    if not kinds:
        return "none of them can be read any more"
    return f"of them {', '.join(count(kinds[kind], kind) for kind in sorted(kinds))} can still be read"


def _kinds(path: Path, offset: int) -> Iterator[str]:
    """Yield the kind of each record that can be read in a segment from a byte on."""
    for payload in _payloads(path, offset):
        try:
            record = decode(payload)
        except RecordError:
            continue
        match record:
            case Decided():
                yield "decision"
            case Rewarded():
                yield "reward"
            case Exposed():
                yield "exposure"
            case _:
                yield "other record"


def _payloads(path: Path, offset: int) -> Iterator[bytes]:
    """Yield the payloads of all frames from a byte on, also behind bad places, if they can be proven."""
    data = path.read_bytes()
    at, chain = HEADER_BYTES, 0
    with suppress(CorruptJournal):
        frames = Frames(str(path), data)
        for payload in frames:
            if at >= offset:
                yield payload
            at += FRAME_BYTES + len(payload)
        chain = frames.position.chain
    yield from _proven(data, at, chain)


def _proven(data: bytes, bad: int, chain: int) -> Iterator[bytes]:
    """Yield the payloads of the frames behind a bad one, which would stand behind the CRC `chain`."""
    view, ends = np.frombuffer(data, np.uint8), np.zeros(_FRAMES_AT_ONCE, np.int64)
    size_max = limits.JOURNAL_PAYLOAD_BYTES_MAX
    while (at := proof(view, bad, chain, size_max, limits.JOURNAL_PROOF_BYTES_MAX)[0]) > 0:
        length, chain = _FRAME.unpack_from(data, at)
        bad, stop = at + FRAME_BYTES + length, FULL
        yield data[at + FRAME_BYTES : bad]
        while stop == FULL:
            at = bad
            number, bad, chain, stop = scan(view, at, chain, size_max, ends)
            for end in ends[:number].tolist():
                yield data[at + FRAME_BYTES : end]
                at = end


_FRAME = Struct("<II")
_FRAMES_AT_ONCE = 4096
