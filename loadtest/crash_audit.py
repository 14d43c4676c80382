"""What a killed server has left, against what its clients know, and against a replay of its whole journal."""

from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

from bandit.apply import apply
from bandit.config import EXPOSURE
from bandit.journal_reader import read
from bandit.limits import LEDGER_BYTES_MAX
from bandit.record_codec import decode
from bandit.records import Decided, Exposed, Record, Rewarded
from bandit.state import State
from loadtest.crash_clients import Acknowledged, Book, Told


@dataclass(slots=True)
class Audit:
    """The journal of a data directory, read on from where it was read before, without a snapshot's help.

    `state` is that of all records from the first on.
    """

    folder: Path
    through: int = 0
    state: State = field(default_factory=lambda: State(LEDGER_BYTES_MAX, replaying=True))
    chosen: dict[bytes, tuple[str, float]] = field(default_factory=dict)
    rewards: Counter[tuple[bytes, str, float]] = field(default_factory=Counter)
    ids: set[tuple[bytes, str, int]] = field(default_factory=set)
    shown: set[bytes] = field(default_factory=set)
    confirmed: set[bytes] = field(default_factory=set)

    def read_on(self) -> None:
        """Read what is new. An AssertionError: a gap, or something that is there twice."""
        for sequence, payload in read(self.folder / "journal", self.through):
            assert sequence == self.through + 1, f"record {sequence} follows {self.through}"
            record = decode(payload)
            self._note(record, sequence)
            apply(self.state, record)
            self.through = sequence

    def check(self, book: Book) -> None:
        """Everything acknowledged is there, once, as its client knows it. Raises AssertionError."""
        for identity, decision in book.decisions.items():
            self.check_decision(identity, decision)
        for (identity, _, _), told in book.events.items():
            if told.acknowledged:
                self.check_event(identity, told)

    def check_decision(self, identity: bytes, decision: Acknowledged) -> None:
        """Its record is there, with the same arm and propensity."""
        answer = decision.answer
        found = self.chosen.get(identity)
        assert found == (answer.arm, answer.propensity), f"{identity.hex()}: {found}, told {answer}"

    def check_event(self, identity: bytes, told: Told) -> None:
        """Its record is there; a reward implies that the decision was shown."""
        if told.event == EXPOSURE:
            assert identity in self.shown, f"not there: {told}"
        else:
            count = self.rewards[identity, told.event, told.value]
            assert count == 1, f"{count} times there: {told}"

    def _note(self, record: Record, sequence: int) -> None:
        where = f"record {sequence}: {record}"
        match record:
            case Decided(decision):
                identity = decision.start + decision.counter.to_bytes(8, "little")
                assert identity not in self.chosen, f"chosen twice, {where}"
                arm = self.state.schemas[decision.schema_id].arms[decision.arm].id
                self.chosen[identity] = arm, decision.propensity
            case Exposed(decision):
                identity = decision.start + decision.counter.to_bytes(8, "little")
                assert identity not in self.shown, f"shown before, {where}"
                self.shown.add(identity)
            case Rewarded(decision, event, value, id_key):
                identity = decision.start + decision.counter.to_bytes(8, "little")
                assert (identity, event, id_key) not in self.ids, f"rewarded twice, {where}"
                self.ids.add((identity, event, id_key))
                self.rewards[identity, event, value] += 1
                self.shown.add(identity)
            case _:
                pass
