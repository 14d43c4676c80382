"""One decision in the ledger's files, without making the whole ledger of them."""

from pathlib import Path

import numpy as np

from bandit.kernels.entries import (
    COUNTED,
    DROPPED,
    EVENT_BITS,
    HEAD,
    KEY,
    KIND_BITS,
    PLACE_SHIFT,
    VALUE,
    WORD_SHIFT,
    WORDS,
)
from bandit.ledger_reader import NAME, Content
from bandit.snapshot import Snapshot
from server.recovery import Folders

_KIND = np.uint64((1 << KIND_BITS) - 1)
_WINDOW, _PLACE, _DECISION, _WORD = (
    np.uint64(bits) for bits in (KIND_BITS, PLACE_SHIFT, EVENT_BITS, WORD_SHIFT)
)
_BIT_OF_WORD = 63


class Lookup:
    """What entries say of the decision of a window and a key; the others it forgets.

    `counted` are (event number, value) in the order in which they were counted, `was_shown` tells whether a
    deferred exposure was confirmed.
    """

    def __init__(self, window_us: int, key: int) -> None:
        self.counted: list[tuple[int, float]] = []
        self.was_shown = False
        self._window, self._key = np.uint64(window_us), np.uint64(key)

    def take(self, entries: bytes) -> None:
        """Take in what packed entries say of it, in order."""
        rows = np.frombuffer(entries, np.uint64).reshape(-1, WORDS)
        same_chunk = (rows[:, HEAD] >> _WINDOW == self._window) & (
            rows[:, KEY] >> _PLACE == self._key >> _PLACE
        )
        for row in rows[same_chunk]:
            kind = row[HEAD] & _KIND
            if kind == DROPPED:
                self.counted.clear()
                self.was_shown = False
            elif kind == COUNTED:
                if row[KEY] >> _DECISION == self._key >> _DECISION:
                    number = int(row[KEY] - self._key)
                    self.counted.append((number, float(row[VALUE : VALUE + 1].view(np.float64)[0])))
            elif row[KEY] >> _WORD == self._key >> _WORD:
                bit = int(self._key >> _DECISION) & _BIT_OF_WORD
                self.was_shown |= bool(int(row[VALUE]) >> bit & 1)


def looked_up(data_dir: Path, snapshot: Snapshot, window_us: int, key: int) -> Lookup:
    """Return what the ledger of a snapshot says of a decision. Raises CorruptLedger and NewerFormat."""
    found = Lookup(window_us, key)
    folder = Folders.of(data_dir).ledger
    for name, size, chain in snapshot.footer.ledger:
        named = NAME.fullmatch(name)
        if named and int(named[2]) != window_us.bit_length():
            continue  # of other windows
        content = Content(folder / name, size)
        content.expect(chain)
        for entries in content.blocks:
            found.take(entries)
    return found
