"""The data directory that a trained placement is written to: one snapshot, as of a stop in good order.

Its sequence number is 0, before any record: a server that starts from it records its own start as number 1.
Placements can be trained into it one by one, until it has been served from.
"""

from pathlib import Path

from bandit.corruption import NewerFormat
from bandit.fields import SectionError
from bandit.files import Files
from bandit.footer import Footer
from bandit.head import pack_head
from bandit.ledger import Ledger
from bandit.placement import PlacementState
from bandit.sections import pack_placement, restored, unpack_placement
from bandit.snapshot import CorruptSnapshot, SnapshotWriter, name_of, read_snapshot
from bandit.state import State
from server.data_dir import held
from server.exit_codes import ExitCode, StartError
from server.keys import origin_name
from server.recovery import Folders
from server.store import is_full, make_folders

TRAINED = 0
"""The sequence number of the snapshot."""

_UNFINISHED = ".tmp"


def check_unserved(data_dir: Path, placement: str) -> None:
    """Refuse a data directory that was served from, or holds what this placement learned.

    Raises StartError.
    """
    _before(data_dir, placement)


def write(data_dir: Path, placement: PlacementState) -> Path:
    """Write what a placement learned, beside what others were trained to; return the snapshot.

    Whole or not at all. Raises StartError.
    """
    with held(data_dir):
        try:
            return _write(data_dir, _before(data_dir, placement.config.name), placement)
        except OSError as error:
            code, remedy = ExitCode.FILES, "give the service's user a disk that works"
            if is_full(error):
                code, remedy = ExitCode.DISK, "make room, and train again"
            place = error.filename or data_dir
            raise StartError(
                code, f"{str(place)!r} cannot be written to ({error.strerror}): {remedy}"
            ) from error


def _write(data_dir: Path, state: State, placement: PlacementState) -> Path:
    state.placements = dict(sorted({**state.placements, placement.config.name: placement}.items()))
    state.schemas = {held.config.schema_id: held.config for held in state.placements.values()}
    state.time_us = max(state.time_us, placement.latest_us)
    files, folders = Files(), Folders.of(data_dir)
    make_folders(data_dir, folders, files)
    writer = SnapshotWriter(folders.snapshots, TRAINED, files)
    writer.add(pack_head(state, sequence=TRAINED, origin=origin_name()))
    for each in state.placements.values():
        writer.add(pack_placement(each, TRAINED))
    return writer.finish(Footer(len(state.placements), TRAINED, closed=True, ledger=()))


def _before(data_dir: Path, placement: str) -> State:
    """Return the state that earlier training left. Raises StartError for any other."""
    try:
        present = [
            path
            for folder in Folders.of(data_dir)
            if folder.is_dir()
            for path in sorted(folder.iterdir())
            if path.suffix != _UNFINISHED
        ]
    except OSError as error:
        raise StartError(
            ExitCode.FILES,
            f"{str(error.filename)!r} cannot be read ({error.strerror}); check its permissions",
        ) from error
    if not present:
        return State(0, replaying=True)
    if [path.name for path in present] != [name_of(TRAINED)]:
        raise StartError(
            ExitCode.FILES,
            f"the data directory {str(data_dir)!r} has been served from ({str(present[0])!r} is there): what "
            "was learned live stays; give a new directory with --data-dir",
        )
    state = _trained(present[0])
    if placement in state.placements:
        raise StartError(
            ExitCode.FILES,
            f"the data directory {str(data_dir)!r} holds what {placement!r} learned from a log already; give "
            f"another with --data-dir, or remove {str(present[0])!r} and train all its placements again",
        )
    return state


def _trained(path: Path) -> State:
    try:
        snapshot = read_snapshot(path)
        sections = [unpack_placement(section, snapshot.head)[0] for section in snapshot.sections]
        return restored(snapshot.head, sections, Ledger(0))
    except (CorruptSnapshot, NewerFormat, SectionError) as error:
        raise StartError(
            ExitCode.DATA, f"{error}; remove {str(path)!r}, and train its placements again"
        ) from error
