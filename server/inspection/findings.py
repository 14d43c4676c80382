"""What is found about a file when every byte of it is checked, whichever file it is."""

from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

from bandit.corruption import NewerFormat
from bandit.fields import SectionError
from bandit.frames import CorruptJournal
from bandit.journal_reader import JournalTrimmed
from bandit.ledger_reader import CorruptLedger
from bandit.snapshot import CorruptSnapshot
from server.exit_codes import StartError

Corrupt = CorruptJournal | CorruptLedger | CorruptSnapshot


class Verdict(StrEnum):
    """What is to be said of a file."""

    GOOD = "good"
    NOTE = "note"
    """no damage, but something to know"""
    DAMAGED = "damaged"
    NEWER = "newer"
    """of a version of the format that this program does not know"""
    UNREADABLE = "unreadable"


@dataclass(frozen=True, slots=True)
class Finding:
    """What was found about a file, by its name within the data directory."""

    file: str
    verdict: Verdict
    detail: str


Said = tuple[Verdict, str]
"""GOOD or NOTE, and what a file holds."""


def found(data_dir: Path, path: Path, check: Callable[[], Said]) -> Finding:
    """Return what `check` finds about a file: it describes one that is whole, and raises for any other."""
    file = str(path.relative_to(data_dir))
    try:
        return Finding(file, *check())
    except (CorruptJournal, CorruptLedger, CorruptSnapshot) as error:
        other = f"{Path(error.path).relative_to(data_dir)}: " if Path(error.path) != path else ""
        return Finding(file, Verdict.DAMAGED, f"{other}{plain(error)}")
    except SectionError as error:
        return Finding(file, Verdict.DAMAGED, str(error))
    except NewerFormat as error:
        return Finding(file, Verdict.NEWER, str(error).removeprefix(f"{error.path}: "))
    except (FileNotFoundError, JournalTrimmed):
        return Finding(file, Verdict.NOTE, "the server removed it meanwhile")
    except OSError as error:
        return Finding(file, Verdict.UNREADABLE, error.strerror or str(error))
    except StartError as error:
        return Finding(file, Verdict.UNREADABLE, str(error))


def plain(error: Corrupt) -> str:
    """Return what a file is damaged by, without its path and the remedy."""
    return str(error).removeprefix(f"{error.path}: ").partition("; `banditd")[0]
