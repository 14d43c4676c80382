"""A disk without space, by limits of the system: the real server goes on choosing, and mends by itself."""

import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path

import pytest

from bandit.journal_reader import read
from server.client import CallError
from server.exit_codes import ExitCode
from tests.crash.served import Served, check_data, fill, limit_files, rewarded, served, small_disk
from tests.server.running import WAIT_S, process

Filling = Callable[[], Callable[[], None]]
"""Takes all space; what it returns gives it back."""


@contextmanager
def limited(folder: Path) -> Iterator[tuple[Served, Filling]]:
    """A server for whose files there is a limit, just below the size of the journal's next segment."""
    with served(folder, "--snapshot-interval", "0s") as server:
        yield server, lambda: limit_files(server.pid, 2**20 - 1)


@contextmanager
def cramped(folder: Path) -> Iterator[tuple[Served, Filling]]:
    """A server on a small disk that something else fills."""
    data = folder / "data"
    with small_disk(data), served(folder, "--snapshot-interval", "1s") as server:
        yield server, lambda: fill(data)


def until(condition: Callable[[], bool]) -> None:
    """Wait for it."""
    end_s = time.monotonic() + WAIT_S
    while not condition():
        assert time.monotonic() < end_s
        time.sleep(0.02)


@pytest.mark.parametrize("shortage", [limited, cramped])
def test_rewards_wait_for_space_and_choices_do_not(
    tmp_path: Path, shortage: Callable[[Path], AbstractContextManager[tuple[Served, Filling]]]
) -> None:
    """Fault 6: UNAVAILABLE for Reward, unrecorded choices, a metric, ready all the time; then it mends."""
    data = tmp_path / "data"
    with shortage(tmp_path) as (server, filling):
        tokens = [server.choose() for _ in range(3)]
        assert server.reward(tokens[0]) == "applied"
        make_room = filling()
        while not server.metric("banditd_decisions_unrecorded_total"):  # what is allocated is used first
            unrecorded = server.choose_many()
        assert server.metric("banditd_journal_full") == 1
        with pytest.raises(CallError) as caught:
            server.reward(tokens[1])
        assert (caught.value.code, caught.value.reason) == ("UNAVAILABLE", "JOURNAL_FULL")
        assert server.reward(tokens[0]) == "duplicate"
        assert server.reward(unrecorded) == "unrecorded"
        assert server.ready()

        make_room()
        until(lambda: not server.metric("banditd_journal_full"))
        assert server.reward(unrecorded) == "unrecorded"
        assert server.reward(tokens[1]) == "applied"
        assert server.reward(server.choose()) == "applied"
        server.server.process.kill()
        server.server.end()
        reader = read(data / "journal", 0)
        assert len(list(reader)) > 1000
        assert reader.torn is None, "half a record"
        assert rewarded(data) == 3
        check_data(data)


def test_a_start_on_a_full_disk_is_refused(tmp_path: Path) -> None:
    """Fault 6: with what to do, and nothing of what was learned touched; with space again it starts."""
    data = tmp_path / "data"
    with small_disk(data):
        with served(tmp_path) as server:
            token = server.choose()
            assert server.reward(token) == "applied"
            server.server.process.kill()
            server.server.end()
        make_room = fill(data)
        flags = ("--listen", "127.0.0.1:0", "--config", "config.json", "--data-dir", str(data))
        with process(tmp_path, *flags) as refused:
            assert refused.end() == ExitCode.DISK
            (said,) = [line for line in refused.lines if line["event"] == "cannot start"]
        assert str(data / "journal") in said["problem"]
        assert "make room for the journal, and start again" in said["problem"]
        make_room()
        with served(tmp_path) as server:
            assert server.reward(token) == "duplicate"
