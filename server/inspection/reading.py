"""What `inspect` and `diff` look at: a data directory, a server's too, or a single snapshot."""

from dataclasses import dataclass
from pathlib import Path

from bandit.corruption import NewerFormat
from bandit.fields import SectionError
from bandit.ledger import Ledger
from bandit.sections import restored, unpack_placement
from bandit.snapshot import CorruptSnapshot, read_snapshot
from bandit.state import State
from server.data_reading import consistently
from server.exit_codes import ExitCode, StartError
from server.inspection.figures import Figures, figures
from server.inspection.files import Files, files
from server.inspection.holder import holder
from server.inspection.outlook import UNBOUNDED, planned, require_state, surveyed
from server.recovery import Progress


@dataclass(frozen=True, slots=True)
class Reading:
    """What was learned up to record `sequence`, at `time_us` in microseconds since 1970.

    `snapshot` is what it was read from, and `replayed` how many records behind it. `start` says what a start
    would do, and `files` what lies there; both are None for a single snapshot. `problems` say what could not
    be read: the figures leave that out.
    """

    path: str
    sequence: int
    time_us: int
    snapshot: str | None
    replayed: int
    problems: tuple[str, ...]
    placements: tuple[Figures, ...]
    start: str | None
    files: Files | None


def read(path: Path, *, only: str | None = None, progress: Progress | None = None) -> Reading:
    """Read a data directory with its journal, or a snapshot alone; of the placements, `only` one.

    Raises StartError, FILES for what cannot be read at all and DATA for a snapshot that is damaged.
    """
    if path.is_dir():
        return consistently(path, lambda: _directory(path, only, progress))
    return _snapshot(path, only)


def _directory(path: Path, only: str | None, progress: Progress | None) -> Reading:
    """Read what a start would find. Raises FileNotFoundError if a server removed a part of it meanwhile."""
    require_state(path)
    found = surveyed(path, progress, live=holder(path) is not None)
    base = found.base
    problems = [why for _, why in found.damaged]
    if found.refusal and found.refusal not in problems:
        problems.append(found.refusal)
    return Reading(
        path=str(path),
        sequence=base.after + found.records,
        time_us=base.state.time_us,
        snapshot=base.taken.path.name if base.taken else None,
        replayed=found.records,
        problems=tuple(problems),
        placements=figures(base.state, only),
        start=planned(found),
        files=files(path),
    )


def _snapshot(path: Path, only: str | None) -> Reading:
    try:
        state, sequence = _state(path)
    except (CorruptSnapshot, NewerFormat) as error:
        raise StartError(ExitCode.DATA, str(error)) from error
    except SectionError as error:
        raise StartError(ExitCode.DATA, f"{path}: {error}") from error
    except OSError as error:
        raise StartError(ExitCode.FILES, f"{str(path)!r} cannot be read ({error.strerror})") from error
    return Reading(str(path), sequence, state.time_us, path.name, 0, (), figures(state, only), None, None)


def _state(path: Path) -> tuple[State, int]:
    snapshot = read_snapshot(path)
    placements = [unpack_placement(section, snapshot.head)[0] for section in snapshot.sections]
    return restored(snapshot.head, placements, Ledger(UNBOUNDED)), snapshot.head.sequence
