"""What a start of a data directory would do, in words."""

from pathlib import Path

from bandit.recovery import Action
from server.data_reading import consistently
from server.inspection.reading import UNBOUNDED
from server.inspection.view import count
from server.recovery import Progress, Survey, boot_id, survey


def outlook(data_dir: Path, process: int | None, progress: Progress | None) -> tuple[str, bool]:
    """Return what a start would do, and whether it would serve; `process` serves now, None: none does.

    Raises StartError for what cannot be read.
    """
    (data_dir / "snapshots").stat()
    found = consistently(
        data_dir,
        lambda: survey(
            data_dir, ledger_bytes_max=UNBOUNDED, boot=boot_id(), progress=progress, live=process is not None
        ),
    )
    now = f"process {process} serves; a start after it" if process is not None else "a start"
    return f"{now} would {planned(found)}", found.act.starts


def planned(found: Survey) -> str:
    """Return what a start would do with what was found."""
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
            return f"{found.act}: {found.refusal}"
    aside = "".join(f"; {path.name} is set aside as damaged" for path, _ in found.damaged)
    return f"{what}{aside}"
