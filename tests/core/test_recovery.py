"""The table of what a start does: whole, and refusing whatever could hide a loss."""

from bandit.recovery import Action, Snapshots, Tail, action


def test_the_table_is_exhaustive() -> None:
    """Every pair of what snapshots and journal can be has one action, and every action is used."""
    used = {action(snapshots, tail) for snapshots in Snapshots for tail in Tail}
    assert used == set(Action)


def test_it_starts_only_when_nothing_can_be_missing() -> None:
    """With a snapshot that can be read, or none at all, and a journal that reaches from it to an end."""
    starting = {
        (snapshots, tail) for snapshots in Snapshots for tail in Tail if action(snapshots, tail).starts
    }
    readable = {Snapshots.NONE, Snapshots.CLOSED, Snapshots.OPEN, Snapshots.OLDER}
    assert starting == {
        *((snapshots, tail) for snapshots in readable for tail in (Tail.WHOLE, Tail.TORN)),
        (Snapshots.NONE, Tail.ABSENT),
        (Snapshots.CLOSED, Tail.ABSENT),
    }


def test_it_starts_empty_only_where_nothing_ever_was() -> None:
    """Never because something cannot be read."""
    empty = [(s, t) for s in Snapshots for t in Tail if action(s, t) is Action.BEGIN]
    assert empty == [(Snapshots.NONE, Tail.ABSENT)]
