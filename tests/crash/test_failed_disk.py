"""A disk that fails, or may not be written to, by limits of the system: no reply, an end, and a reason."""

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from bandit.records import Decided
from server.client import CallError
from server.exit_codes import ExitCode
from tests.crash.served import (
    Served,
    check_data,
    failing_disk,
    limit_files,
    mounted,
    records,
    rewarded,
    served,
)
from tests.server.running import WAIT_S


def check_end(server: Served) -> None:
    """It has ended by itself, and says why."""
    assert server.server.end() == ExitCode.DISK
    last = server.server.lines[-1]
    assert last["event"].startswith("the disk failed; ending without a reply")
    assert last["level"] == "critical"
    assert last["error"]


def test_an_append_that_fails_is_never_acknowledged(tmp_path: Path) -> None:
    """Fault 7: the process ends with code 7; what it had answered is there, what not can be told again."""
    with served(tmp_path) as server:
        tokens = [server.choose() for _ in range(20)]
        assert server.reward(tokens[0]) == "applied"
        limit_files(server.pid, 4096)  # of which the journal has used more: no write to it succeeds
        with pytest.raises(CallError) as caught:
            server.reward(tokens[1])
        assert caught.value.code == "UNAVAILABLE"
        assert caught.value.reason == ""
        check_end(server)
    assert len(records(tmp_path / "data")) > 20
    with served(tmp_path) as server:
        assert [server.reward(token) for token in tokens[:2]] == ["duplicate", "applied"]


def answers(server: Served) -> Iterator[str]:
    """Choices for as long as they are answered: the last one gets no reply."""
    try:
        while True:
            yield server.choose()
    except CallError as error:
        assert (error.code, error.reason) == ("UNAVAILABLE", "")  # noqa: PT017 - it comes when it comes


@pytest.mark.parametrize("fsync", ["always", "interval"])
def test_an_fsync_that_fails_is_the_end(tmp_path: Path, fsync: str) -> None:
    """Fault 7: it is not tried again, though a second one would find nothing wrong: nothing leaves after it.

    With `always` the choice that it was for is written down, and was not answered.
    """
    with (
        failing_disk(tmp_path) as (disk, fail),
        served(tmp_path, "--fsync", fsync, data=disk) as server,
    ):
        answered = [server.choose() for _ in range(3)]
        fail()
        answered += answers(server)
        check_end(server)
        written = sum(isinstance(record, Decided) for record in records(disk))
        assert written - len(answered) in ({1} if fsync == "always" else {0, 1})


@contextmanager
def unwritable(folder: Path) -> Iterator[None]:
    """A folder that exists and in which nothing can be made, for root either."""
    folder.mkdir()
    if os.geteuid() == 0:
        with mounted("--bind", str(folder), at=folder):
            subprocess.run(["mount", "-o", "remount,bind,ro", str(folder)], check=True)
            yield
    else:
        folder.chmod(0o500)
        yield
        folder.chmod(0o700)


def refusal(folder: Path, data: Path) -> str:
    """What a server says that cannot start with this data directory."""
    flags = [
        "--data-dir",
        str(data),
        "--listen",
        f"unix:{folder}/data.sock",
        "--operator-listen",
        "127.0.0.1:0",
    ]
    done = subprocess.run(
        [sys.executable, "-m", "server", "serve", "--http", "127.0.0.1:0", *flags],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])},
        capture_output=True,
        text=True,
        timeout=WAIT_S,
        check=False,
    )
    assert done.returncode == ExitCode.FILES, done.stderr
    (said,) = [line for line in map(json.loads, done.stderr.splitlines()) if line["event"] == "cannot start"]
    problem: str = said["problem"]
    return problem


def test_a_data_directory_that_cannot_be_made_or_written_is_said(tmp_path: Path) -> None:
    """Fault 8: where nothing can be made, where nothing can be written, where a file is: code 5, the path."""
    place = tmp_path / "place"
    with unwritable(place):
        assert f"'{place / 'data'}' cannot be made" in refusal(tmp_path, place / "data")
        assert f"'{place}' cannot be locked" in refusal(tmp_path, place)
    (tmp_path / "file").write_text("")
    assert f"'{tmp_path / 'file' / 'data'}' cannot be made" in refusal(tmp_path, tmp_path / "file" / "data")


@pytest.mark.parametrize("name", ["journal", "snapshots", "ledger"])
def test_a_folder_that_cannot_be_written_is_said(tmp_path: Path, name: str) -> None:
    """Fault 8: before anything is served, not a minute later."""
    (tmp_path / "data").mkdir()
    folder = tmp_path / "data" / name
    with unwritable(folder):
        assert f"'{folder}' cannot be written to" in refusal(tmp_path, tmp_path / "data")


def test_nothing_is_half_done_after_a_failed_disk(tmp_path: Path) -> None:
    """Fault 7: after an append failed, the next start recovers what the journal replays to."""
    with served(tmp_path) as server:
        tokens = [server.choose() for _ in range(50)]
        rewards = [server.reward(token) for token in tokens]
        assert rewards == ["applied"] * 50
        limit_files(server.pid, 4096)
        with pytest.raises(CallError):
            server.choose_many()
        check_end(server)
    assert rewarded(tmp_path / "data") == 50
    check_data(tmp_path / "data")
