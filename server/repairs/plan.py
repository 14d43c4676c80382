"""What to do so that a start works, and what that loses: decided from what a start would find."""

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from bandit.fields import SectionError
from bandit.files import Files
from bandit.frames import HEADER_BYTES
from bandit.journal_reader import SYNCED, cut, read_synced, segments
from bandit.recovery import Snapshots, Tail
from bandit.sections import unpack_placement
from bandit.snapshot import CorruptSnapshot, Snapshot, name_of, read_snapshot, snapshots
from server.inspection.journal_check import newer_segment
from server.inspection.outlook import UNBOUNDED
from server.inspection.words import count
from server.recovery import Folders, Progress, Survey, boot_id, survey
from server.repairs import aside, rebase
from server.repairs.leftovers import damaged_snapshots, unneeded_segments
from server.repairs.places import Place, behind, last_known, place_of


@dataclass(frozen=True, slots=True)
class Step:
    """One change of the directory, in words and as what does it. Each may be interrupted, and repeated."""

    what: str
    run: Callable[[Files], object]


@dataclass(frozen=True, slots=True)
class Plan:
    """What is wrong ("": nothing), what to do, and what that loses. With no steps nothing can be done."""

    wrong: str = ""
    steps: tuple[Step, ...] = ()
    lost: tuple[str, ...] = ()


_NOTHING_LEFT = (
    "There is no snapshot to go on from, and the journal's beginning is not there: nothing can be repaired. "
    "Restore the directory from a backup; or, to learn anew from nothing, move it away and keep its "
    "secret.key for the new one: rewards for earlier decisions are answered UNRECORDED then"
)


def plan(data_dir: Path, progress: Progress | None = None) -> Plan:
    """Return what to do next about a data directory. May raise OSError for what cannot be read."""
    folders = Folders.of(data_dir)
    for path in sorted(folders.journal.glob("*.journal")):
        if newer := newer_segment(path):
            return Plan(f"{path}: {newer}")
    strangers = _strangers(folders.journal)
    if strangers:
        return Plan("segments of the journal whose names are no numbers", tuple(map(_aside, strangers)))
    look = partial(survey, data_dir, ledger_bytes_max=UNBOUNDED, boot=boot_id(), progress=progress)
    found = look()
    if found.base.side is Snapshots.NEWER:
        return Plan(found.refusal)
    damaged = tuple(path for path, _ in found.damaged)
    if found.act.starts:
        return _tidied(data_dir, found)
    wrong = _cause(found.refusal)
    if found.base.side is Snapshots.DAMAGED:
        found = look(without=damaged)
        if found.act.starts and found.base.state.schemas:  # the journal has everything, from record 1 on
            return Plan(wrong, tuple(map(_aside, damaged)))
    return _with_loss(folders, found, damaged, wrong)


def _tidied(data_dir: Path, found: Survey) -> Plan:
    """A start works: what it does not need and is damaged goes out of the way."""
    journal, after = Folders.of(data_dir).journal, found.base.after
    damaged, kept = damaged_snapshots(data_dir), unneeded_segments(journal, after)
    wrong = [f"{one.file}: {one.detail}" for one in damaged]
    lost = []
    if kept:
        wrong.append(f"what is kept of the journal is damaged, in {kept[-1].name} or behind it")
        lost.append(f"what `explain` and `export` find in these files, all of records up to {after}")
    if found.missing:
        last = found.end.sequence - 1
        wrong.append(f"the journal ends with record {last}, and {found.missing} more were on the disk")
        lost.append(f"records {last + 1} to {last + found.missing}")
    steps = [_aside(path) for path in (*(data_dir / one.file for one in damaged), *kept)]
    return Plan("; ".join(wrong), (*steps, *_note_aside(journal, found.end.sequence)), tuple(lost))


def _with_loss(folders: Folders, found: Survey, damaged: tuple[Path, ...], wrong: str) -> Plan:
    """Return what keeps most, when neither the snapshots nor the journal are what a start needs."""
    last = found.base.after + found.records
    newest = _newest(folders.snapshots)
    if newest is not None and newest.head.sequence > last:  # its own ledger is damaged
        return _rebased(folders, newest, damaged, wrong)
    place = place_of(folders.journal, last + 1) if found.tail is Tail.DAMAGED else None
    aside = tuple(map(_aside, damaged))
    if place is not None and last >= max(1, found.base.through) and place.sequence > last:
        steps = (*aside, _cut(place), *_note_aside(folders.journal, last + 1))
        return Plan(wrong, steps, (_lost(folders.journal, place, last + 1),))
    if found.tail is Tail.DAMAGED and found.base.side is Snapshots.CLOSED and not found.records:
        return Plan(wrong, (_journal_aside(folders.journal),))
    if newest is None:
        return Plan(f"{wrong}. {_NOTHING_LEFT}")
    return _rebased(folders, newest, damaged, wrong)


def _rebased(folders: Folders, snapshot: Snapshot, damaged: tuple[Path, ...], wrong: str) -> Plan:
    """Go on from a snapshot and what can be saved besides, without the journal."""
    what = rebase.saved(folders, snapshot)
    steps = [_ledger_aside(folders.ledger, part) for part in what.parts if _is_to_keep(folders.ledger, part)]
    steps.append(
        Step(
            f"write a snapshot of what can be saved: {name_of(snapshot.head.sequence)}, the ledger as far as "
            f"it is good, {count(what.through - snapshot.head.sequence, 'record')} of the journal",
            partial(rebase.write, folders, what),
        )
    )
    if segments(folders.journal):
        steps.append(_journal_aside(folders.journal))
    return Plan(wrong, (*steps, *map(_aside, damaged)), tuple(_lost_by_rebase(folders, what)))


def _lost_by_rebase(folders: Folders, what: rebase.Saved) -> Iterator[str]:
    snapshot, last = what.snapshot, what.through
    through = max(last, snapshot.footer.sequence)
    place = place_of(folders.journal, last + 1)
    if not segments(folders.journal):
        yield f"all that came after record {through}, however much: the journal is not there"
    elif place is not None or last_known(folders.journal) > last:
        yield _lost(folders.journal, place, last + 1)
    else:
        yield "what `explain` and `export` find in the journal; what was learned from it is saved"
    if through > last:
        yield (
            f"the ledger's part of records {last + 1} to {through}, which some placements hold: rewards "
            "among them that a client sends again within their window count twice"
        )
    for part in what.parts:
        if not part.is_whole:
            file = f"{part.listed.name} from byte {part.good.bytes} to {part.listed.bytes}"
            yield (
                f"the ledger's file {file}: rewards that were noted there and that a client sends again "
                "within their window count twice"
            )


def _lost(folder: Path, place: Place | None, first: int) -> str:
    """Say what is lost with record `first` and all behind it; the journal has those from `place` on."""
    last = last_known(folder)
    extent = f"records {first} to {last}" if last > first else f"records from {first} on"
    return f"{extent}; {behind(folder, place)}"


def _newest(folder: Path) -> Snapshot | None:
    """Return the newest snapshot that can be read, whatever its ledger is."""
    for path in snapshots(folder):
        try:
            snapshot = read_snapshot(path)
            for section in snapshot.sections:
                unpack_placement(section, snapshot.head)
        except (CorruptSnapshot, SectionError):
            continue
        return snapshot
    return None


def _cause(text: str) -> str:
    """Return what is wrong without what to do, which is to run this."""
    return re.sub(r"; (`banditd verify`|restore the data directory)[^;]*", "", text)


def _strangers(folder: Path) -> list[Path]:
    names = re.compile(r"[0-9]{20}\.journal")
    return [path for path in sorted(folder.glob("*.journal")) if not names.fullmatch(path.name)]


def _aside(path: Path) -> Step:
    return Step(f"keep {path.name} aside", partial(aside.renamed, path))


def _cut(place: Place) -> Step:
    if place.offset < HEADER_BYTES:
        what = f"keep {place.segment.name} and the segments behind it aside"
    else:
        what = f"end the journal at byte {place.offset} of {place.segment.name}, and keep the rest aside"
    return Step(what, partial(cut, place.segment, place.offset))


def _note_aside(folder: Path, sequence: int) -> list[Step]:
    """The note of how far the journal is on the disk goes, if it speaks of this record or later ones."""
    return [_aside(folder / SYNCED)] if read_synced(folder).through >= sequence else []


def _journal_aside(folder: Path) -> Step:
    return Step("keep the whole journal aside", partial(cut, segments(folder)[0].path, 0))


def _is_to_keep(folder: Path, part: rebase.Part) -> bool:
    return not part.is_whole and (folder / part.listed.name).exists()


def _ledger_aside(folder: Path, part: rebase.Part) -> Step:
    """Keep a file of the ledger aside; if a part of it is good, that stays where it is too."""
    path = folder / part.listed.name
    if part.good.bytes:
        return Step(f"keep a copy of {path.name} aside", partial(aside.copied, path))
    return _aside(path)
