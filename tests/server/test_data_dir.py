"""One process at a time serves from a data directory."""

import signal
from pathlib import Path

import pytest

from server import data_dir
from server.exit_codes import ExitCode, StartError
from tests.server.running import process


def refusal(folder: Path) -> str:
    """What is said to a process that may not have the directory."""
    with pytest.raises(StartError) as caught, data_dir.held(folder):
        pass
    assert caught.value.code is ExitCode.FILES
    return str(caught.value)


def test_the_second_is_refused_until_the_first_is_gone(tmp_path: Path) -> None:
    """It says who is there; afterwards the directory is free, its lock file left where it was."""
    folder = tmp_path / "data"
    with data_dir.held(folder):
        assert folder.stat().st_mode & 0o777 == 0o700
        message = refusal(folder)
        assert str(folder) in message
        assert (folder / "lock").read_text().strip() in message
    with data_dir.held(folder):
        assert (folder / "lock").exists()


def test_what_is_no_directory_cannot_be_held(tmp_path: Path) -> None:
    """A file in its place is told by its path."""
    place = tmp_path / "data"
    place.write_text("")
    assert str(place) in refusal(place)


def test_a_sidecar_that_is_killed_frees_its_directory(tmp_path: Path) -> None:
    """And one that lives keeps a second one out, which says so and ends with its exit code."""
    flags = ["--data-dir", "data", "--listen", "127.0.0.1:0", "--operator-listen", "127.0.0.1:0"]
    with process(tmp_path, *flags) as first:
        first.wait_for("ready")
        with process(tmp_path, *flags) as second:
            assert second.end() == ExitCode.FILES
            problem = second.lines[-1]["problem"]
            assert f"another process (number {first.process.pid}) serves from the data directory" in problem
        first.end(signal.SIGKILL)
    with data_dir.held(tmp_path / "data"):
        pass
