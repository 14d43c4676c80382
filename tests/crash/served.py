"""The real server as a process of its own, and real limits of the system around it."""

import json
import os
import re
import resource
import shutil
import subprocess
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest

from bandit.apply import apply
from bandit.journal_reader import read
from bandit.record_codec import decode
from bandit.records import Record, Rewarded
from bandit.state import State
from loadtest.crash_clients import document
from server.client import Client
from server.pb import bandit_pb2 as pb
from server.store import Store
from tests.core.world import snapshot
from tests.server.running import Process, process

SEGMENT = 2**20
LEDGER_BYTES_MAX = 2**24

REQUEST = pb.ChooseRequest(placement="hero", categories={"platform": "web"}, numbers={"history": 5})


class Served:
    """A server in `folder`, ready, with a client."""

    def __init__(self, server: Process, client: Client) -> None:
        self.server = server
        self.client = client
        self._http = server.wait_for("listening")["http"]

    @property
    def pid(self) -> int:
        """Of the process."""
        return self.server.process.pid

    def choose(self) -> str:
        """One decision's token."""
        token: str = self.client.choose(REQUEST).decision_id
        return token

    def choose_many(self) -> str:
        """A batch of decisions; the token of the last one."""
        *_, last = self.client.choose_batch([REQUEST] * 256)
        assert isinstance(last, pb.ChooseResponse), last
        return last.decision_id

    def reward(self, token: str) -> str:
        """A click's outcome."""
        return self.client.reward(pb.RewardRequest(decision_id=token, event="click"))

    def metric(self, name: str) -> float:
        """The sum of a metric's samples."""
        with urllib.request.urlopen(f"http://{self._http}/metrics") as page:
            text = page.read().decode()
        return sum(float(value) for value in re.findall(rf"^{name}(?:{{.*}})? (\S+)$", text, re.MULTILINE))

    def ready(self) -> bool:
        """Whether /readyz says so."""
        with urllib.request.urlopen(f"http://{self._http}/readyz") as page:
            return bool(page.status == 200)


@contextmanager
def served(folder: Path, *flags: str, data: Path | None = None) -> Iterator[Served]:
    """A server with a client, in `folder`; its data directory is `data`, or in there."""
    (folder / "config.json").write_text(json.dumps(document(0)))  # JSON is YAML
    options = [
        "--config",
        "config.json",
        "--data-dir",
        str(data or "data"),
        "--listen",
        f"unix:{folder}/data.sock",
    ]
    options += ["--journal-segment-bytes", f"{SEGMENT}", "--journal-keep", "7d", *flags]
    with process(folder, *options) as server:
        server.wait_for("ready")
        with Client(f"unix:{folder}/data.sock") as client:
            yield Served(server, client)


def records(data: Path) -> list[Record]:
    """Every record of a data directory's journal, but for one that is half written."""
    return [decode(payload) for _, payload in read(data / "journal", 0)]


def rewarded(data: Path) -> int:
    """How many events are in a data directory's journal."""
    return sum(isinstance(record, Rewarded) for record in records(data))


def check_data(data: Path) -> None:
    """What a start would recover of a directory that nobody uses equals the replay of its whole journal."""
    state = State(LEDGER_BYTES_MAX, replaying=True)
    for record in records(data):
        apply(state, record)
    store = Store(data, ledger_bytes_max=LEDGER_BYTES_MAX, origin="test", segment_bytes=SEGMENT)
    store.close()
    assert snapshot(store.state) == snapshot(state)


@contextmanager
def mounted(*command: str, at: Path) -> Iterator[None]:
    """Something mounted until the block ends. Skips the test where that is not allowed."""
    at.mkdir(exist_ok=True)
    if os.geteuid() != 0:
        pytest.skip("only root may mount")
    done = subprocess.run(["mount", *command, str(at)], capture_output=True, text=True, check=False)
    if done.returncode != 0:
        pytest.skip(f"nothing can be mounted here: {done.stderr.strip()}")
    try:
        yield
    finally:
        subprocess.run(["umount", "--lazy", str(at)], check=True)


@contextmanager
def small_disk(at: Path, size: str = "8m") -> Iterator[None]:
    """A file system of so many bytes in memory."""
    with mounted("-t", "tmpfs", "-o", f"size={size},mode=0700", "none", at=at):
        yield


def fill(folder: Path) -> Callable[[], None]:
    """Use up all the space of a file system; return what gives it back."""
    junk = folder / "junk"
    with junk.open("wb", buffering=0) as file:
        size = 2**20
        while size:
            try:
                file.write(bytes(size))
            except OSError:
                size //= 2
    return junk.unlink


def limit_files(pid: int, size: int) -> Callable[[], None]:
    """Let no file of a process grow beyond `size`; return what lifts that."""
    soft, hard = resource.prlimit(pid, resource.RLIMIT_FSIZE, (size, resource.RLIM_INFINITY))

    def lift() -> None:
        resource.prlimit(pid, resource.RLIMIT_FSIZE, (soft, hard))

    return lift


@contextmanager
def failing_disk(folder: Path) -> Iterator[tuple[Path, Callable[[], object]]]:
    """A file system in a file, which is on a small disk, and what makes the writes here fail: filling that.

    What is lost then is for tests/crash/disk.py: a loop device takes a short write for a whole one.
    """
    ram, disk, image = folder / "ram", folder / "disk", folder / "ram" / "image"
    with ExitStack() as stack:
        stack.enter_context(small_disk(ram, "16m"))
        subprocess.run(["truncate", "--size", "64m", image], check=True)
        if shutil.which("mkfs.ext4") is None:
            pytest.skip("no mkfs.ext4")
        subprocess.run(["mkfs.ext4", "-q", "-O", "^has_journal", "-m", "0", image], check=True)
        stack.enter_context(mounted("-o", "loop", str(image), at=disk))
        yield disk, lambda: fill(ram)
