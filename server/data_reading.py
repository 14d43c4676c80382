"""What a data directory holds, read beside a server that may be writing there: nothing is changed."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple, TypeVar

from bandit.config import Placement
from bandit.corruption import CorruptFile, NewerFormat
from bandit.decision import Decision
from bandit.fields import SectionError
from bandit.journal_reader import JournalTrimmed, read, segments
from bandit.record_codec import RecordError
from bandit.records import Configured, Record, StratumOpened
from bandit.sections import unpack_placement
from bandit.snapshot import CorruptSnapshot, Snapshot, read_snapshot, snapshots
from bandit.strata import Strata, Stratum
from server.exit_codes import ExitCode, StartError
from server.recovery import Folders

ATTEMPTS = 5
"""How often reading is begun again when a server removes files meanwhile; it does so once a snapshot."""

UNKNOWN = 2**64
"""Beyond every record."""

_DAMAGE = (CorruptFile, NewerFormat, RecordError, SectionError)

T = TypeVar("T")


def consistently(data_dir: Path, work: Callable[[], T]) -> T:
    """Return what `work` reads from a data directory, beginning again if a server removes files meanwhile.

    Raises StartError for a directory that is not there, or is damaged.
    """
    if not data_dir.is_dir():
        raise StartError(
            ExitCode.FILES, f"there is no data directory {str(data_dir)!r}; give it with --data-dir"
        )
    for _ in range(ATTEMPTS):
        try:
            with _explained():
                return work()
        except (JournalTrimmed, FileNotFoundError):
            continue
    raise StartError(
        ExitCode.FAILURE,
        f"files of {str(data_dir)!r} were removed {ATTEMPTS} times while they were read; try again, or read "
        "a copy",
    )


@contextmanager
def _explained() -> Iterator[None]:
    """Turn what is wrong with files into a StartError. That some are gone is for the caller."""
    try:
        yield
    except FileNotFoundError:
        raise
    except OSError as error:
        if error.filename is None:  # not of a file that was to be opened
            raise
        raise StartError(
            ExitCode.FILES, f"{str(error.filename)!r} cannot be read ({error.strerror})"
        ) from error
    except _DAMAGE as error:
        raise StartError(ExitCode.DATA, str(error)) from error


def frames(data_dir: Path) -> Iterator[tuple[int, bytes]]:
    """Yield (sequence number, payload) of every record of the journal that is kept, oldest first.

    Raises CorruptJournal where it is damaged, and JournalTrimmed if what was still to come was removed.
    """
    folder = Folders.of(data_dir).journal
    present = segments(folder)
    if present:
        yield from read(folder, present[0].first - 1, live=True)


class _Followed(NamedTuple):
    """A placement's configuration and strata, as of some record."""

    config: Placement
    strata: Strata


def readable_snapshots(data_dir: Path) -> list[Snapshot]:
    """Return the snapshots, oldest first, but for those that are damaged, of a newer version, or gone."""
    folder = Folders.of(data_dir).snapshots
    paths = reversed(snapshots(folder)) if folder.is_dir() else []
    return [snapshot for snapshot in map(_read, paths) if snapshot]


def _read(path: Path) -> Snapshot | None:
    try:
        return read_snapshot(path)
    except (CorruptSnapshot, NewerFormat, FileNotFoundError):
        return None


class Meanings:
    """What decisions refer to by number, as far as a data directory tells: configurations and strata.

    `schemas` are configurations by schema id. Begins with what snapshots (oldest first) say, and is told the
    records of `frames`, in order. With `only` it follows the strata of that placement alone.
    """

    def __init__(self, data_dir: Path, kept: Sequence[Snapshot], only: str | None = None) -> None:
        self.schemas: dict[bytes, Placement] = {}
        for snapshot in kept:
            self.schemas |= snapshot.head.schemas
        self._only = only
        self._followed: dict[str, _Followed] = {}
        self._held: dict[str, int] = {}
        self._known_from = 1
        """the first record from which on strata are followed"""
        first = next((segment.first for segment in segments(Folders.of(data_dir).journal)), 1)
        if first > 1:
            self._begin_with(next((one for one in kept if one.head.sequence >= first - 1), None))

    def learn(self, sequence: int, record: Record) -> None:
        """Take in a configuration or a stratum; other records say nothing new."""
        match record:
            case Configured(config, _):
                self.schemas |= {placement.schema_id: placement for placement in config.placements.values()}
                if sequence >= self._known_from:
                    self._followed = {
                        name: self._with(name, placement)
                        for name, placement in config.placements.items()
                        if self._only in {None, name}
                    }
            case StratumOpened(name, mask, in_scope):
                followed = self._followed.get(name)
                if followed and sequence >= self._known_from and sequence > self._held.get(name, 0):
                    index = followed.strata.next_index
                    followed.strata.open(Stratum(followed.config, index, mask, in_scope=in_scope))

    def stratum(self, decision: Decision) -> Stratum | None:
        """Return the stratum of a decision under the configuration that is served now, else None.

        An index keeps its meaning as long as the configuration stays.
        """
        schema = self.schemas.get(decision.schema_id)
        followed = self._followed.get(schema.name) if schema else None
        if followed is None or followed.config.schema_id != decision.schema_id:
            return None
        return followed.strata.at(decision.stratum)

    def _begin_with(self, base: Snapshot | None) -> None:
        """Follow strata from a snapshot on that the journal goes on from; None: they stay unknown."""
        if base is None:
            self._known_from = UNKNOWN
            return
        self._known_from = base.head.sequence + 1
        for name, section in zip(base.head.placements, base.sections, strict=True):
            if self._only in {None, name}:
                placement, self._held[name] = unpack_placement(section, base.head)
                self._followed[name] = _Followed(placement.config, placement.strata)

    def _with(self, name: str, new: Placement) -> _Followed:
        """Return what follows on a configuration, as `State.configure` has it."""
        held = self._followed.get(name)
        if held is None:
            return _Followed(new, Strata())
        if held.config.schema_id == new.schema_id:
            return held
        before = {arm.id: k for k, arm in enumerate(held.config.arms)}
        arms = [before.get(arm.id, -1) for arm in new.arms]
        return _Followed(new, held.strata.rearranged(held.config, new, arms))
