"""What a start does with what it finds: a table from the snapshots and the journal behind them to an action.

The rule it spells out: take the newest snapshot that can be read whole, apply the journal behind it, and
refuse whenever something that was acknowledged could be missing. Nothing here looks at a file.
"""

from enum import Enum


class Snapshots(Enum):
    """What the snapshots are, the newest first."""

    NONE = "no snapshot"
    CLOSED = "a snapshot, made by a stop, which nothing followed"
    OPEN = "a snapshot, after which the server went on"
    OLDER = "a damaged snapshot, and an older good one"
    DAMAGED = "damaged snapshots alone"
    NEWER = "a snapshot of a newer version"


class Tail(Enum):
    """What the journal behind the snapshot is: from its sequence number on, or from 1 without a snapshot."""

    ABSENT = "no segment at all"
    WHOLE = "records up to a clean end"
    TORN = "records up to a write that was interrupted"
    GAP = "segments, none of which has the first record wanted"
    DAMAGED = "a bad frame, with more behind it"
    SHORT = "fewer records than the snapshot holds"
    NEWER = "records of a newer version"


class Action(Enum):
    """What a start does."""

    BEGIN = "start empty"
    RESTORE = "take the snapshot as it is"
    REPLAY = "replay the journal behind the snapshot"
    CUT = "keep the torn tail aside, cut it off, replay what is before it"
    REFUSE_SNAPSHOTS = "refuse: no snapshot can be read"
    REFUSE_NEWER = "refuse: another version is needed"
    REFUSE_ABSENT = "refuse: the journal is missing"
    REFUSE_GAP = "refuse: the journal begins too late"
    REFUSE_DAMAGED = "refuse: the journal is damaged"
    REFUSE_SHORT = "refuse: the end of the journal is missing"

    @property
    def starts(self) -> bool:
        """Whether it leads to a server that serves."""
        return self in {Action.BEGIN, Action.RESTORE, Action.REPLAY, Action.CUT}


def action(snapshots: Snapshots, tail: Tail) -> Action:
    """Return what to do. The tail does not matter where the snapshots refuse."""
    return _TABLE[snapshots][tail]


def _refused(why: Action) -> dict[Tail, Action]:
    return dict.fromkeys(Tail, why)


_WITH_JOURNAL = {
    Tail.WHOLE: Action.REPLAY,
    Tail.TORN: Action.CUT,
    Tail.GAP: Action.REFUSE_GAP,
    Tail.DAMAGED: Action.REFUSE_DAMAGED,
    Tail.SHORT: Action.REFUSE_SHORT,
    Tail.NEWER: Action.REFUSE_NEWER,
}

_TABLE: dict[Snapshots, dict[Tail, Action]] = {
    Snapshots.NONE: {Tail.ABSENT: Action.BEGIN, **_WITH_JOURNAL},
    Snapshots.CLOSED: {Tail.ABSENT: Action.RESTORE, **_WITH_JOURNAL},
    Snapshots.OPEN: {Tail.ABSENT: Action.REFUSE_ABSENT, **_WITH_JOURNAL},
    Snapshots.OLDER: {Tail.ABSENT: Action.REFUSE_ABSENT, **_WITH_JOURNAL},
    Snapshots.DAMAGED: _refused(Action.REFUSE_SNAPSHOTS),
    Snapshots.NEWER: _refused(Action.REFUSE_NEWER),
}
