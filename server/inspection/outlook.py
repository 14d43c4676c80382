"""What a start of a data directory would do, in words."""

from pathlib import Path

from bandit.recovery import Action
from server.data_reading import consistently
from server.exit_codes import ExitCode, StartError
from server.inspection.words import count
from server.recovery import Folders, Progress, Survey, boot_id, survey

UNBOUNDED = 2**62
"""Bytes of a ledger that is only read: what was acknowledged is shown, whatever today's limit."""


def require_state(data_dir: Path) -> None:
    """Raise StartError for a folder that no server has used as its data directory."""
    if not any(folder.is_dir() for folder in Folders.of(data_dir)):
        raise StartError(
            ExitCode.FILES,
            f"{str(data_dir)!r} holds no state: expected the folders journal, snapshots and ledger",
        )


def surveyed(data_dir: Path, progress: Progress | None, *, live: bool) -> Survey:
    """Return what a start would find. Raises FileNotFoundError if a server removed a part of it meanwhile."""
    found = survey(data_dir, ledger_bytes_max=UNBOUNDED, boot=boot_id(), progress=progress, live=live)
    if found.refusal or found.damaged:  # or are the files gone, with what belonged to them?
        used = [path for path, _ in found.damaged] + ([found.base.taken.path] if found.base.taken else [])
        for path in used:
            path.stat()
    return found


def outlook(data_dir: Path, process: int | None, progress: Progress | None) -> tuple[str, bool]:
    """Return what a start would do, and whether it would serve; `process` serves now, None: none does.

    Raises StartError for what cannot be read.
    """
    live = process is not None
    found = consistently(data_dir, lambda: surveyed(data_dir, progress, live=live))
    now = f"process {process} serves; a start after it" if live else "a start"
    why = f": {found.refusal}" if found.refusal else ""
    return f"{now} would {planned(found)}{why}", found.act.starts


def planned(found: Survey) -> str:
    """Return what a start would do with what was found: the words behind "a start would"."""
    base = found.base
    source = base.taken.path.name if base.taken else "nothing"
    behind = f"restore {source}, replay {count(found.records, 'record')} of the journal"
    match found.act:
        case Action.BEGIN:
            what = "begin empty: there is neither a snapshot nor a journal"
        case Action.RESTORE:
            what = f"restore {source}, which a stop made"
        case Action.REPLAY:
            what = behind
        case Action.CUT if found.torn is not None:
            torn = found.torn
            what = f"{behind}, and keep {count(torn.length, 'byte')} of an interrupted write aside"
        case _:
            return str(found.act.value)
    aside = "".join(f"; {path.name} is set aside as damaged" for path, _ in found.damaged)
    return f"{what}{aside}"
