"""Ramps that are held, taken back to static and resumed: the share over time, restarts, refusals."""

from datetime import UTC, datetime

import pytest

from bandit.errors import BanditError, Reason
from bandit.head import pack_head, unpack_head
from bandit.ramp import MOVES_KEPT, RampStatus
from bandit.sections import pack_placement, unpack_placement
from tests.core.world import DAY, NOW, Kept, World, simple, snapshot

RAMP = {"policies": {"t": 1.0}, "from": 0.1, "to": 0.6, "over": "10d"}
HELD, RUNNING, STATIC = RampStatus.HELD, RampStatus.RUNNING, RampStatus.STATIC


def world(**changes: object) -> World:
    """A placement whose ramp has begun: 10 % now, 60 % in ten days."""
    made = World(p=simple(policies={"t": {"kind": "thompson"}}, ramp=RAMP | changes))
    made.choose()
    return made


def move(made: World, status: RampStatus, reason: str = "because") -> bool:
    """Move the ramp now."""
    return made.engine.move_ramp("p", status, reason, "ada", made.now)


def share(made: World) -> float:
    """The learned share now."""
    return made.state().share(made.now)


def test_a_held_ramp_stands_still_and_goes_on_where_it_stood() -> None:
    """Three days of ramp, five of pause, two more of ramp: half of the way."""
    made = world()
    made.now += 3 * DAY
    assert share(made) == pytest.approx(0.25)
    assert move(made, HELD)
    made.now += 5 * DAY
    assert share(made) == pytest.approx(0.25)
    assert not move(made, HELD, "again")
    assert move(made, RUNNING)
    assert share(made) == pytest.approx(0.25)
    made.now += 2 * DAY
    assert share(made) == pytest.approx(0.35)
    move(made, HELD)
    made.now += DAY
    move(made, RUNNING)
    made.now += 100 * DAY
    assert share(made) == pytest.approx(0.6)


def test_back_to_static_serves_nobody_else_until_it_begins_again() -> None:
    """Latched; resumed, it begins at its beginning."""
    made = world()
    made.now += 5 * DAY
    assert share(made) == pytest.approx(0.35)
    assert move(made, STATIC)
    for _ in range(3):
        made.now += DAY
        assert share(made) == 0.0
        assert made.choose().policy == "static"
    assert not move(made, HELD)
    assert move(made, RUNNING)
    assert share(made) == pytest.approx(0.1)
    made.now += 5 * DAY
    assert share(made) == pytest.approx(0.35)


def test_a_held_ramp_can_be_taken_back() -> None:
    """And then begins again as well."""
    made = world()
    made.now += 5 * DAY
    move(made, HELD)
    made.now += DAY
    assert move(made, STATIC)
    made.now += DAY
    move(made, RUNNING)
    made.now += DAY
    assert share(made) == pytest.approx(0.15)


def test_a_ramp_that_is_held_before_its_start_begins_when_resumed() -> None:
    """With a start of its own, or with the first exposure: the pause is none of its time."""
    for ramp in (RAMP | {"start": "2027-01-20T00:00:00Z"}, RAMP):
        made = World(p=simple(policies={"t": {"kind": "thompson"}}, ramp=ramp))
        move(made, HELD)
        made.now += 10 * DAY
        made.choose()
        assert share(made) == pytest.approx(0.1)
        made.now += DAY
        move(made, RUNNING)
        made.now += 2 * DAY
        assert share(made) == pytest.approx(0.2)


def day(number: int) -> str:
    """The time so many days after the ramp began."""
    return datetime.fromtimestamp((NOW + number * DAY) / 1e6, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def reload(made: World, start: str | None = None) -> None:
    """Configure another start."""
    changes = {"start": start} if start else {}
    made.reload(p=simple(policies={"t": {"kind": "thompson"}}, ramp=RAMP | changes))


@pytest.mark.parametrize("begun", [day(-30), None])
@pytest.mark.parametrize("status", [STATIC, HELD])
def test_a_start_that_is_changed_after_a_move(status: RampStatus, begun: str | None) -> None:
    """An earlier one changes nothing, a later one begins the ramp anew, and taken away all is as it was."""
    made = world(**({"start": day(0)} if begun else {}))
    made.now += 3 * DAY
    move(made, status)
    made.now += 5 * DAY
    move(made, RUNNING)
    made.now += 4 * DAY
    here = 0.45 if status is HELD else 0.3
    assert share(made) == pytest.approx(here)
    for start in (begun, day(7)):  # before the ramp was resumed
        reload(made, start)
        assert share(made) == pytest.approx(here)
    reload(made, day(10))
    assert share(made) == pytest.approx(0.2)
    reload(made, day(14))
    assert share(made) == 0.0
    made.now += 3 * DAY
    assert share(made) == pytest.approx(0.15)
    reload(made, begun)
    assert share(made) == pytest.approx(min(here + 0.15, 0.6))


def test_a_start_that_is_changed_before_any_move() -> None:
    """The calendar is all there is."""
    made = world()
    made.now += 3 * DAY
    for start, expected in ((day(-2), 0.35), (day(2), 0.15), (None, 0.25)):
        reload(made, start)
        assert share(made) == pytest.approx(expected)


def test_the_history_says_who_and_why_and_survives() -> None:
    """In replay, in a placement's section, through a reload; the last fifty are remembered."""
    made = world()
    for number in range(MOVES_KEPT + 10):
        made.now += DAY // 24
        move(made, [HELD, RUNNING][number % 2], f"reason {number}")
    moves = made.state().ramp_clock.moves
    assert len(moves) == MOVES_KEPT
    assert (moves[-1].reason, moves[-1].actor, moves[-1].time_us) == (
        f"reason {MOVES_KEPT + 9}",
        "ada",
        made.now,
    )
    head = unpack_head(pack_head(made.engine.state, sequence=1, origin="test"))
    (read, _) = unpack_placement(pack_placement(made.state(), 1), head)
    assert read.ramp_clock.moves == moves
    assert read.share(made.now + DAY) == made.state().share(made.now + DAY)
    before = share(made)
    made.reload(p=simple("a", "b", "c", policies={"t": {"kind": "thompson"}}, ramp=RAMP))
    assert share(made) == before
    assert made.state().ramp_clock.moves == moves
    made.reload(p=simple("a", "b", "c", policies={"t": {"kind": "thompson"}}))
    made.reload(p=simple("a", "b", "c", policies={"t": {"kind": "thompson"}}, ramp=RAMP))
    assert made.state().ramp_clock.moves == ()


@pytest.mark.parametrize(
    ("placement", "reason", "actor", "expected"),
    [
        ("nope", "r", "a", Reason.PLACEMENT_UNKNOWN),
        ("plain", "r", "a", Reason.RAMP_ABSENT),
        ("p", "", "a", Reason.MOVE_UNEXPLAINED),
        ("p", "r", "", Reason.MOVE_UNEXPLAINED),
        ("p", "r" * 513, "a", Reason.MOVE_UNEXPLAINED),
        ("p", "r", "ä" * 65, Reason.MOVE_UNEXPLAINED),
        ("p", "\x1b[2J", "a", Reason.MOVE_UNEXPLAINED),
        ("p", "r", "a\u202e", Reason.MOVE_UNEXPLAINED),
    ],
)
def test_refused_moves_change_nothing(placement: str, reason: str, actor: str, expected: Reason) -> None:
    """Each with its reason; nothing is written down."""
    made = World(p=simple(policies={"t": {"kind": "thompson"}}, ramp=RAMP), plain=simple())
    before = snapshot(made.engine.state)
    with pytest.raises(BanditError) as refused:
        made.engine.move_ramp(placement, HELD, reason, actor, NOW)
    assert refused.value.reason is expected
    assert snapshot(made.engine.state) == before
    made.journal.full = True
    with pytest.raises(BanditError, match="no space left"):
        made.engine.move_ramp("p", HELD, "r", "a", NOW)
    assert isinstance(made.journal, Kept)
    assert snapshot(made.engine.state) == before
