"""Data directories as servers leave them: a store and an engine, called one by one."""

from collections.abc import Callable, Mapping
from pathlib import Path

from bandit.engine import Engine
from server.keys import KEY_FILE_NAME
from server.store import Keep, Store
from tests.core.world import KEYS, NOW, SECOND, Document, World, config, hero, simple, snapshot

LEDGER_BYTES_MAX = 2**24
SEGMENT = 4096
"""Bytes of a journal's segment: some twenty records."""

PLACEMENTS: dict[str, Document] = {"hero": hero(), "p": simple("a", "b", "c")}


class Stored(World):
    """A world whose records go to a data directory. One that is made for the same path starts from it.

    `keep`: so long segments stay that no snapshot needs.
    """

    def __init__(
        self,
        path: Path,
        *,
        keep: Keep = Keep(),  # noqa: B008 - it is immutable
        segment_bytes: int = SEGMENT,
        placements: Mapping[str, Document] = PLACEMENTS,
    ) -> None:
        path.mkdir(mode=0o700, exist_ok=True)
        (path / KEY_FILE_NAME).write_text(bytes(range(32)).hex())
        (path / KEY_FILE_NAME).chmod(0o600)
        self.path = path
        self.store = Store(
            path, ledger_bytes_max=LEDGER_BYTES_MAX, origin="test", segment_bytes=segment_bytes, keep=keep
        )
        starts = len(self.store.state.starts)
        self.now = max(NOW, self.store.state.time_us) + SECOND
        self.engine = Engine(
            config(**placements),
            KEYS,
            origin="test",
            start_id=bytes([starts + 1]) * 16,
            now_us=self.now,
            state=self.store.state,
            journal=self.store,
        )
        self.store.flush()

    def visits(self, number: int, placement: str = "p") -> None:
        """So many visitors come a second apart; every third clicks, every fifth decision is deferred."""
        event = "visit" if placement == "hero" else "click"
        for visitor in range(number):
            self.now += SECOND
            if (allocation := self.store.begin_allocation()) is not None:
                allocation.run()
            choice = self.choose(placement, f"visitor-{visitor}", deferred=visitor % 5 == 4)
            if visitor % 3 == 0:
                self.reward(choice, event)
        self.store.flush()

    def snapshot(self, *, closed: bool = False, between: Callable[[], None] | None = None) -> Path:
        """Take a snapshot; `between` happens behind its first placement. Return its file."""
        sections = 0
        for work in self.store.snapshot(closed=closed):
            if work is not None:
                work()
            elif between is not None:
                sections += 1
                if sections == len(self.engine.state.placements):
                    between()
        assert self.store.taken is not None
        return self.store.taken.path

    def stop(self) -> None:
        """End in good order, as SIGTERM does."""
        self.snapshot(closed=True)
        self.store.close()

    def kill(self) -> None:
        """End like SIGKILL: what was flushed is there, nothing is closed."""
        self.store.flush()

    def learned(self) -> list[object]:
        """All that is held, to compare bit for bit."""
        return snapshot(self.engine.state)
