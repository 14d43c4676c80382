"""An export: two passes over the kept journal, since a decision's events come after it.

The first collects the events, the second writes a row for each decision, in order. Memory: the events of the
first pass, 26 bytes each (twice that for a moment), and one row group.
"""

import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

import pyarrow as pa
import pyarrow.parquet as pq

from bandit.config import EXPOSURE
from bandit.decision import Decision
from bandit.record_codec import CONFIGURED, DECIDED, EXPOSED, REWARDED, STRATUM_OPENED, decode
from bandit.records import Decided, Exposed, Rewarded
from server.data_reading import Meanings, consistently, frames, readable_snapshots
from server.exit_codes import ExitCode, StartError
from server.exporting.columns import SCHEMA, Row, batch
from server.exporting.events import EventTable

BATCH_ROWS = 4_096
"""Rows that are Python objects at once: some kilobytes each."""

GROUP_BATCHES = 16
"""Batches of a row group: 65,536 rows, of some hundred bytes each."""


@dataclass(frozen=True, slots=True)
class Selection:
    """Which decisions are exported. None: any; `since_us` is included, `until_us` is not."""

    placement: str | None = None
    since_us: int | None = None
    until_us: int | None = None

    def takes(self, decision: Decision) -> bool:
        """Whether it is one of them by its time."""
        since = self.since_us is None or decision.time_us >= self.since_us
        return since and (self.until_us is None or decision.time_us < self.until_us)


@dataclass(slots=True)
class Summary:
    """What an export holds. `first` and `last` are the records that were read; 0: there are none."""

    first: int = 0
    last: int = 0
    decisions: int = 0
    rewarded: int = 0
    nameless: int = 0
    """decisions that were left out, since their configuration is not known any more"""
    placements: frozenset[str] = frozenset()
    """those that the data directory knows"""


def export(data_dir: Path, out: Path, selection: Selection) -> Summary:
    """Write the decisions of a data directory's journal to a Parquet file, whole or not at all.

    Raises StartError.
    """
    try:
        with _written(out) as file:
            return export_to(data_dir, file, selection)
    except OSError as error:
        raise StartError(
            ExitCode.FILES, f"{str(out)!r} cannot be written ({error.strerror}); it is as it was"
        ) from error


def export_to(data_dir: Path, file: BinaryIO, selection: Selection) -> Summary:
    """Write them to an open file. Raises StartError."""
    return consistently(data_dir, lambda: _export(data_dir, file, selection))


def _export(data_dir: Path, file: BinaryIO, selection: Selection) -> Summary:
    file.seek(0)
    file.truncate()  # what was written before it had to begin again
    summary = Summary()
    events = _events(data_dir, selection, summary)
    with pq.ParquetWriter(file, SCHEMA, compression="zstd", write_page_checksum=True) as writer:
        batches: list[pa.RecordBatch] = []
        for rows in _batches(_rows(data_dir, selection, events, summary)):
            batches.append(batch(rows))
            if len(batches) == GROUP_BATCHES:
                writer.write_table(pa.Table.from_batches(batches))
                batches.clear()
        writer.write_table(pa.Table.from_batches(batches, SCHEMA))
    return summary


def _events(data_dir: Path, selection: Selection, summary: Summary) -> EventTable:
    """The first pass: every event of the selected times. It decides how far the second one goes."""
    events = EventTable()
    for sequence, payload in frames(data_dir):
        summary.first, summary.last = summary.first or sequence, sequence
        if payload[0] not in {EXPOSED, REWARDED}:
            continue
        match decode(payload):
            case Exposed(decision, time_us) if selection.takes(decision):
                events.add(decision.start, decision.counter, EXPOSURE, 1.0, time_us)
            case Rewarded(decision, event, value, _, time_us) if selection.takes(decision):
                events.add(decision.start, decision.counter, event, value, time_us)
    events.sort()
    return events


def _rows(data_dir: Path, selection: Selection, events: EventTable, summary: Summary) -> Iterator[Row]:
    """The second pass: every selected decision, with its events."""
    meanings = Meanings(data_dir, readable_snapshots(data_dir), selection.placement)
    for sequence, payload in frames(data_dir):
        if sequence > summary.last:
            break
        if payload[0] not in {DECIDED, CONFIGURED, STRATUM_OPENED}:
            continue
        record = decode(payload)
        meanings.learn(sequence, record)
        if not isinstance(record, Decided) or not selection.takes(record.decision):
            continue
        decision = record.decision
        schema = meanings.schemas.get(decision.schema_id)
        if schema is None:
            summary.nameless += 1
        elif selection.placement in {None, schema.name}:
            found = events.of(decision.start, decision.counter)
            summary.decisions += 1
            summary.rewarded += any(event.event != EXPOSURE for event in found)
            yield Row(sequence, decision, schema, meanings.stratum(decision), found)
    summary.placements = frozenset(schema.name for schema in meanings.schemas.values())


def _batches(rows: Iterator[Row]) -> Iterator[list[Row]]:
    held: list[Row] = []
    for row in rows:
        held.append(row)
        if len(held) == BATCH_ROWS:
            yield held
            held = []
    yield held


@contextmanager
def _written(out: Path) -> Iterator[BinaryIO]:
    """A new file for its owner alone, which takes the place of `out` if all goes well."""
    partial = out.with_name(f"{out.name}.part")
    try:
        descriptor = os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        with os.fdopen(descriptor, "wb") as file:
            yield file
        partial.rename(out)
    except BaseException:
        with suppress(OSError):
            partial.unlink(missing_ok=True)
        raise
