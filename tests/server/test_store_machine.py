"""Any sequence of calls, snapshots, kills and restarts against a model of a few dictionaries."""

import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import precondition, rule

from bandit.engine import Choice, Engine, Looked
from bandit.files import Files
from bandit.limits import LEDGER_BYTES_MAX
from server.store import Keep, Store, Work
from tests.core.test_state_machine import EngineMachine
from tests.core.world import KEYS, Document, World, config, snapshot

SEGMENT = 8_192
"""Bytes of a segment of the journal: some twenty records."""


class OpenFiles(Files):
    """Files that can all be closed at once, as the end of a process does."""

    def __init__(self) -> None:
        self._open: set[int] = set()

    def open(self, path: Path, flags: int) -> int:
        """Open, and remember it."""
        descriptor = super().open(path, flags)
        self._open.add(descriptor)
        return descriptor

    def duplicate(self, descriptor: int) -> int:
        """Duplicate, and remember it."""
        copy = super().duplicate(descriptor)
        self._open.add(copy)
        return copy

    def close(self, descriptor: int) -> None:
        """Close, and forget it."""
        super().close(descriptor)
        self._open.discard(descriptor)

    def end(self) -> None:
        """Close what a process had open when it was killed."""
        for descriptor in self._open:
            os.close(descriptor)
        self._open.clear()


class StoredWorld(World):
    """A world whose engine journals to a folder, through as many processes as it takes.

    Each call is answered only when its records were handed to the kernel, as the server does it.
    """

    def __init__(self, folder: Path, placement: Document) -> None:
        super().__init__(p=placement)
        self._folder = folder
        self._served = config(p=placement)
        self._starts = 0
        self.start()

    def start(self) -> None:
        """Start a process; `recovered` is the state that it finds."""
        self.files = OpenFiles()
        self._starts += 1
        self.store = Store(
            self._folder, ledger_bytes_max=LEDGER_BYTES_MAX, origin="test", files=self.files,
            segment_bytes=SEGMENT, keep=Keep(1e9),
        )  # fmt: skip
        self.recovered = snapshot(self.store.state)
        self.engine = Engine(
            self._served, KEYS, origin="test", start_id=self._starts.to_bytes(16, "little"),
            now_us=self.now, state=self.store.state, journal=self.store,
        )  # fmt: skip
        self.store.flush()

    def kill(self) -> None:
        """End the process as SIGKILL does."""
        self.files.end()

    def choose(self, *arguments: object, **fields: object) -> Choice:
        """Choose now, and answer."""
        choice = super().choose(*arguments, **fields)  # type: ignore[arg-type]
        self.store.flush()
        return choice

    def reward(self, *arguments: object, **fields: object) -> object:  # type: ignore[override]
        """Reward now, and answer."""
        outcome = super().reward(*arguments, **fields)  # type: ignore[arg-type]
        self.store.flush()
        return outcome

    def look(self) -> list[Looked]:
        """Let gates look, as the tick does."""
        looked = super().look()
        self.store.flush()
        return looked

    def reload(self, **placements: Document) -> None:
        """Reconfigure now, and answer."""
        super().reload(**placements)
        self._served = config(**placements)
        self.store.flush()


class StoreMachine(EngineMachine):
    """All that `EngineMachine` does, with snapshots in steps between it, kills and restarts."""

    def begin(self, placement: Document) -> World:
        """Return a world in a folder of its own."""
        self.folder = Path(tempfile.mkdtemp())
        self.steps: Iterator[Work | None] | None = None
        self.stored = StoredWorld(self.folder, placement)
        return self.stored

    @precondition(lambda self: self.steps is None)
    @rule()
    def begin_snapshot(self) -> None:
        """A snapshot is under way: what the state says as a whole is in it, its placement is not."""
        self.steps = self.stored.store.snapshot()
        for work in self.steps:
            if work is None:
                return
            work()

    @precondition(lambda self: self.steps is not None)
    @rule(steps=st.integers(1, 6))
    def go_on(self, steps: int) -> None:
        """The snapshot comes further."""
        assert self.steps is not None
        for _ in range(steps):
            try:
                work = next(self.steps)
            except StopIteration:
                self.steps = None
                return
            if work is not None:
                work()

    @rule()
    def be_killed(self) -> None:
        """The process ends wherever it is; the next one knows all that was answered, bit for bit."""
        before = snapshot(self.stored.engine.state)
        self.stored.kill()
        self.steps = None
        self.stored.start()
        assert self.stored.recovered == before

    @rule(last_snapshot=st.booleans())
    def stop(self, *, last_snapshot: bool) -> None:
        """The process ends in good order, with or without room for its last snapshot."""
        before = snapshot(self.stored.engine.state)
        self.steps = None
        if last_snapshot:
            for work in self.stored.store.snapshot(closed=True):
                if work is not None:
                    work()
        self.stored.store.close()
        self.stored.start()
        assert self.stored.recovered == before
        assert not last_snapshot or self.stored.store.recovered.records == 0

    def teardown(self) -> None:
        """Remove the folder."""
        self.stored.kill()
        shutil.rmtree(self.folder)


StoreMachine.TestCase.settings = settings(max_examples=60, stateful_step_count=40, deadline=None)
TestStore = StoreMachine.TestCase
