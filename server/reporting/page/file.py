"""Writes the page to a file."""

import os
from contextlib import suppress
from pathlib import Path

from server.exit_codes import ExitCode, StartError
from server.pb import bandit_pb2 as pb
from server.reporting.page.document import page


def write_page(report: pb.GetReportResponse, path: Path) -> None:
    """Write the report's page, which takes the place of `path` once it is whole.

    Raises StartError where it cannot be written, with the path and the remedy.
    """
    try:
        _write(page(report), path)
    except OSError as error:
        raise StartError(
            ExitCode.FILES,
            f"{str(path)!r} cannot be written ({error.strerror}); name a file in a folder that is there and "
            "that you may write to",
        ) from error


def _write(text: str, path: Path) -> None:
    if path.is_symlink() or (path.exists() and not path.is_file()):
        path.write_text(text, "utf-8")  # a link, a pipe or a device stays what it is
        return
    partial = Path(f"{path}.{os.getpid()}.part")
    try:
        with partial.open("x", encoding="utf-8") as file:  # never through somebody's link
            file.write(text)
        partial.replace(path)
    finally:
        with suppress(OSError):
            partial.unlink(missing_ok=True)
