"""A fixed course of a server's life on a small disk: a store and an engine, driven call by call.

`History` is what the world outside knows: the records in the order in which they were made, how far they were
flushed (so that a reply could leave) and synced, and which replies left. It outlives processes.
"""

from contextlib import suppress
from dataclasses import dataclass, field, replace
from itertools import count
from pathlib import Path

from bandit.apply import apply
from bandit.config import Config
from bandit.counters import Outcome
from bandit.engine import Choice, Engine
from bandit.files import Files
from bandit.records import Record
from bandit.state import State
from server.store import Keep, Store
from tests.core.journals import Stopped
from tests.core.world import KEYS, NOW, SECOND, Document, config, simple, snapshot
from tests.crash.disk import Disk

LEDGER_BYTES_MAX = 2**24
SEGMENT = 2048
"""Bytes of a journal's segment: a dozen records."""

REWARD = {"values": {"click": 1.0, "buy": 0.5}, "max": 5.0, "repeatable": ["buy"]}
DOCUMENT: Document = simple(
    "a", "b", "c",
    features={"platform": {"kind": "category", "values": ["web", "app"]}},
    reward=REWARD | {"window": "30s"},
    policies={"t": {"kind": "thompson"}},
    ramp={"policies": {"t": 1.0}, "from": 0.8, "gate": {"min_exposures": 2}},
)  # fmt: skip
OTHER: Document = simple("x", "y", reward=REWARD | {"window": "1h"})
BEFORE = config(p=DOCUMENT, q=OTHER)
AFTER = config(q=OTHER, p=DOCUMENT | {"arms": {"c": {}, "d": {"weight": 2}, "a": {}}})
"""What BEFORE is reconfigured to: arms in another order, one gone, one new."""


@dataclass
class Told:
    """An event that was told, and the number of the last record by its reply."""

    choice: Choice
    event: str
    value: float
    event_id: str
    sequence: int


@dataclass
class History:
    """What a data directory must know; see above. `folder` is the directory."""

    folder: Path
    records: list[Record] = field(default_factory=list)
    flushed: int = 0
    synced: int = 0
    chosen: list[Choice] = field(default_factory=list)
    told: list[Told] = field(default_factory=list)
    recorded: dict[str, int] = field(default_factory=dict)
    """the last record by the reply to each choice"""
    lost: list[Choice] = field(default_factory=list)
    """choices whose records a power cut took"""
    now: int = NOW
    processes: int = 0

    def copied(self, folder: Path) -> "History":
        """The same history of another directory, which may go on in its own way."""
        return replace(
            self,
            folder=folder,
            records=list(self.records),
            chosen=list(self.chosen),
            told=list(self.told),
            recorded=dict(self.recorded),
            lost=list(self.lost),
        )

    def expected(self, through: int) -> list[object]:
        """The state of the first records, by nothing but `apply`."""
        state = State(LEDGER_BYTES_MAX, replaying=True)
        for record in self.records[:through]:
            apply(state, record)
        return snapshot(state)


class Recorded:
    """A store that notes in the history what it took."""

    def __init__(self, store: Store, history: History) -> None:
        self._store = store
        self._history = history

    def takes(self) -> bool:
        """As Store."""
        return self._store.takes()

    def __call__(self, record: Record, packed: bytes | None = None) -> None:
        """As Store."""
        self._store(record, packed)
        self._history.records.append(record)

    def spoil(self, error: Exception) -> None:
        """As Store."""
        self._store.spoil(error)


class Process:
    """A process that has recovered and serves. What it finds is checked against the history."""

    def __init__(
        self,
        history: History,
        files: Files,
        *,
        served: Config | None = None,
        boot: bytes = b"boot",
        least: int | None = None,
    ) -> None:
        self.history = history
        self.served = served
        history.processes += 1
        history.now += SECOND
        self.store = store(history.folder, files, boot)
        check_recovered(history, self.store, least)
        self.engine = Engine(
            served or BEFORE,
            KEYS,
            origin="test",
            start_id=history.processes.to_bytes(16, "little"),
            now_us=history.now,
            state=self.store.state,
            journal=Recorded(self.store, history),
        )
        self.reply()

    def reply(self) -> None:
        """What is recorded by now may be acknowledged."""
        self.history.flushed = self.store.flush()

    def sync(self) -> None:
        """What is flushed by now is to survive a power cut."""
        self.history.synced = self.store.begin_sync().run()

    def choose(self, *, deferred: bool = False) -> None:
        """One decision, acknowledged."""
        history = self.history
        number = len(history.chosen)
        history.now += SECOND
        platform = {"platform": ("web", "app", "tv")[number % 3]}
        arms = ("a", "c") if number % 5 == 4 else ()
        placement = "q" if number % 4 == 3 else "p"
        choice = self.engine.choose(
            placement, f"u{number % 7}", platform, {}, arms if placement == "p" else (), deferred, history.now
        )
        recorded = self.store.sequence > history.flushed
        self.reply()
        if recorded:
            history.chosen.append(choice)
            history.recorded[choice.decision_id] = history.flushed

    def tell(self, back: int, event: str = "click", value: float = 1.0, event_id: str = "") -> None:
        """An event of the decision so many decisions ago, acknowledged."""
        choice = self.history.chosen[-back]
        told = Told(choice, event, value, event_id, 0)
        outcome = self.engine.reward(choice.decision_id, event, value, event_id, self.history.now)
        self.reply()
        assert outcome is not Outcome.UNRECORDED or choice.arm == "b"
        if outcome in (Outcome.APPLIED, Outcome.DUPLICATE):
            told.sequence = self.history.flushed
            self.history.told.append(told)

    def tell_again(self, through: int) -> None:
        """Every event that was acknowledged with a record up to `through`, and events of what was lost.

        Nothing comes of them.
        """
        before = len(self.history.records)
        for told in self.history.told:
            if told.sequence <= through:
                outcome = self.engine.reward(
                    told.choice.decision_id, told.event, told.value, told.event_id, self.history.now
                )
                assert outcome in (Outcome.DUPLICATE, Outcome.LATE, Outcome.UNRECORDED), outcome
                if outcome is Outcome.UNRECORDED:
                    assert told.choice.arm == "b"
        for choice in self.history.lost:
            outcome = self.engine.reward(choice.decision_id, "click", 1.0, "", self.history.now)
            assert outcome in (Outcome.UNRECORDED, Outcome.LATE), outcome
        assert len(self.history.records) == before

    def traffic(self) -> None:
        """A few calls of every kind, and what a server does each second."""
        self.choose()
        self.choose(deferred=True)
        self.tell(2)
        self.tell(1, "buy", 2.0, "one")
        self.choose(deferred=True)
        self.tell(1, "exposure")
        self.tell(2, "buy", 3.0, "two")
        self.tell(3)
        self.look()
        self.allocate()

    def look(self) -> None:
        """Gates look, as in each second."""
        for name in self.engine.gates_due(self.history.now):
            self.engine.look(name, self.history.now)
        self.reply()

    def allocate(self) -> None:
        """Space for the journal's next segment, which a server asks for each second."""
        allocation = self.store.begin_allocation()
        if allocation is not None:
            allocation.run()

    def snapshot(self, *, reload: bool = False, closed: bool = False) -> None:
        """A snapshot with traffic between its steps."""
        steps = self.store.snapshot(closed=closed)
        try:
            for step, work in enumerate(steps):
                if callable(work):
                    work()
                    continue
                if not closed:
                    self.choose()
                    self.tell(1)
                if reload and step == 2:
                    self.reload()
        finally:
            with suppress(Stopped):  # a process that was killed puts nothing away
                steps.close()
        assert self.store.taken is not None
        self.history.synced = max(self.history.synced, self.store.taken.sequence)

    def reload(self) -> None:
        """Another configuration."""
        self.engine.reconfigure(AFTER, self.history.now)
        self.reply()

    def stop(self) -> None:
        """A stop in good order."""
        self.snapshot(closed=True)
        self.store.close()


def store(folder: Path, files: Files, boot: bytes = b"boot") -> Store:
    """A data directory's store, with the limits of these tests."""
    return Store(
        folder,
        ledger_bytes_max=LEDGER_BYTES_MAX,
        origin="test",
        files=files,
        boot=boot,
        segment_bytes=SEGMENT,
        keep=Keep(),
        monotonic_s=map(float, count()).__next__,
        wall_s=lambda: 0.0,
    )


def check_recovered(history: History, found: Store, least: int | None = None) -> None:
    """A store holds a prefix of the history, with everything that was flushed, or with `least` records.

    The history goes on from there. All of it is on the disk: a start sees to that.
    """
    through = found.sequence
    least = history.flushed if least is None else least
    assert least <= through <= len(history.records), (least, through, len(history.records))
    assert snapshot(found.state) == history.expected(through)
    del history.records[through:]
    history.told = [told for told in history.told if told.sequence <= through]
    history.lost += [choice for choice in history.chosen if history.recorded[choice.decision_id] > through]
    history.chosen = [choice for choice in history.chosen if history.recorded[choice.decision_id] <= through]
    history.flushed = history.synced = through


def course(history: History, files: Files, kind: type[Process] = Process) -> None:
    """Two processes, one after the other: traffic, snapshots, a reload, retention, a stop, a start."""
    process = kind(history, files)
    process.traffic()
    process.sync()
    for _ in range(2):
        process.snapshot()
        process.traffic()
    process.snapshot(reload=True)
    process.traffic()
    process.snapshot()
    process.stop()
    process = kind(history, files, served=AFTER)
    process.traffic()
    process.snapshot()
    process.choose()


def go_on(history: History, *, least: int | None = None, boot: bytes = b"boot") -> None:
    """After a crash: start, traffic and a snapshot on a disk in good order; and a start after that."""
    told = history.flushed if least is None else least
    disk = Disk()
    process = Process(history, disk, served=AFTER, boot=boot, least=least)
    process.tell_again(told)
    process.traffic()
    process.snapshot()
    process.choose()
    process.tell(1)
    process.tell_again(history.flushed)
    disk.close_all()
    check_recovered(history, store(history.folder, disk, boot))
    disk.close_all()
