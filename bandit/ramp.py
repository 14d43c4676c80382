"""The ramp: how the share of units moves from static to the learned policies, and where a unit falls.

A unit's hash lies in the segment of one learned policy and has a position in it; it is served by that policy
if the position lies below the learned share, else by static. So a growing share only ever adds units, and a
unit never moves from one learned policy to another.
"""

from enum import IntEnum
from typing import NamedTuple

import numpy as np

from bandit.config import Placement, Ramp
from bandit.hashing import HASH_SPACE
from bandit.tally import Floats

STATIC_INDEX = 0
"""Every placement's policies begin with static."""


class RampStatus(IntEnum):
    """What a ramp does. The numbers are those of the journal and of the protocol."""

    RUNNING = 1
    HELD = 2
    """Its clock stands still: the share stays as it is."""
    STATIC = 3
    """Everyone sees static, until it is resumed; it then begins again at its beginning."""
    WAITING = 4
    """As held, by the gate, until it has seen enough for the next step."""


STANDING = frozenset({RampStatus.HELD, RampStatus.WAITING})
"""In these the clock stands still."""


class Move(NamedTuple):
    """One change of a ramp's status, by whom and why."""

    time_us: int
    status: RampStatus
    reason: str
    actor: str


MOVES_KEPT = 50
"""Moves of a ramp that are remembered; the journal has had all of them."""


class RampClock:
    """For how long a ramp has been running.

    `ran_us`: until `marked_us`, its last move; before the first its start alone counts. So does a start that
    is later than the mark: a reload set it, and the ramp begins anew. An earlier one changes nothing any
    more: who moves a ramp has said where it stands. `moves`: the last ones.
    """

    __slots__ = ("marked_us", "moves", "ran_us", "status")

    def __init__(self) -> None:
        self.status = RampStatus.RUNNING
        self.ran_us = 0
        self.marked_us = 0
        self.moves: tuple[Move, ...] = ()

    def follows(self, status: RampStatus) -> bool:
        """Whether a move to this status would change anything.

        What is static already is not held, and what is held by an operator does not wait for the gate.
        """
        if status is RampStatus.HELD:
            return self.status in {RampStatus.RUNNING, RampStatus.WAITING}
        if status is RampStatus.WAITING:
            return self.status is RampStatus.RUNNING
        return status is not self.status

    def move(self, move: Move, start_us: int | None) -> None:
        """Change the status; `start_us` is when the ramp began, None if it has not."""
        if start_us is None or self.status is RampStatus.STATIC:  # it has not begun, or begins anew
            self.ran_us = 0
        else:
            self.ran_us = self.passed_us(start_us, move.time_us)
        self.marked_us = move.time_us
        self.status = move.status
        self.moves = (*self.moves, move)[-MOVES_KEPT:]

    def fall_back(self, ramp: Ramp, started_us: int | None, now_us: int, share: float) -> None:
        """Where the calendar is ahead of the share that is allowed, go on from that share."""
        start_us, span = start_of(ramp, started_us), ramp.share_to - ramp.share_from
        if start_us is None or share >= ramp.share_to:
            return
        reached_us = int((share - ramp.share_from) / span * ramp.over_us)
        if self.passed_us(start_us, now_us) > reached_us:
            self.ran_us, self.marked_us = reached_us, now_us

    def passed_us(self, start_us: int, now_us: int) -> int:
        """Return for how long the ramp has been running at `now_us`."""
        ran_us = self.ran_us if start_us <= self.marked_us else 0
        if self.status in STANDING:
            return ran_us
        return ran_us + max(0, now_us - max(start_us, self.marked_us))


def start_of(ramp: Ramp, started_us: int | None) -> int | None:
    """Return when a ramp begins: as configured, else with the placement's first exposure."""
    return ramp.start_us if ramp.start_us is not None else started_us


def learned_share(
    ramp: Ramp, started_us: int | None, now_us: int, clock: RampClock | None = None, *, ahead_us: int = 0
) -> float:
    """Return the learned share in scope at `now_us`: nothing before a configured start, then `from` to `to`.

    `started_us` is the placement's first exposure, which starts a ramp that has no start of its own. `clock`
    knows of the times in which it stood still. With `ahead_us`, the share after running for so much longer.
    """
    if ramp.start_us is not None and now_us < ramp.start_us:
        return 0.0
    if clock is not None and clock.status is RampStatus.STATIC:
        return 0.0
    start_us = start_of(ramp, started_us)
    if start_us is None or now_us + ahead_us <= start_us:
        return ramp.share_from
    passed_us = clock.passed_us(start_us, now_us) if clock is not None else now_us - start_us
    passed_us += ahead_us
    if passed_us >= ramp.over_us:
        return ramp.share_to  # which the sum below may miss by its rounding
    return ramp.share_from + (ramp.share_to - ramp.share_from) * (passed_us / ramp.over_us)


def end_of(ramp: Ramp, started_us: int | None, now_us: int, clock: RampClock) -> int | None:
    """Return when a ramp gets to its last share if nothing stops it; None if it does not move."""
    start_us = start_of(ramp, started_us)
    if start_us is None or clock.status is not RampStatus.RUNNING or ramp.share_from == ramp.share_to:
        return None
    left_us = ramp.over_us - clock.passed_us(start_us, now_us)
    return max(start_us, now_us) + left_us if left_us > 0 else None


class Router:
    """Routes units of one placement. Segments are fixed by the configuration, the share moves.

    `fractions` (policies,): what each policy has of the learned share.
    """

    __slots__ = ("_fractions", "_segments", "fractions")

    def __init__(self, placement: Placement) -> None:
        names = [policy.name for policy in placement.policies]
        split = placement.ramp.policies if placement.ramp else ()
        self.fractions = np.zeros(len(names))
        bounds = [0]
        whole = sum(fraction for _, fraction in split)  # 1 but for rounding: a propensity must not exceed 1
        for name, fraction in split:
            self.fractions[names.index(name)] = fraction / whole
            bounds.append(min(HASH_SPACE, bounds[-1] + int(fraction / whole * HASH_SPACE)))
        if split:
            bounds[-1] = HASH_SPACE
        self._fractions: list[float] = self.fractions.tolist()
        policies = [names.index(name) for name, _ in split]
        self._segments = list(zip(bounds, bounds[1:], policies, strict=False))

    def shares(self, share: float) -> Floats:
        """Return the share of each policy (policies,) when the learned policies have `share`."""
        shares = self.fractions * share
        shares[STATIC_INDEX] += 1.0 - share
        return shares

    def share_of(self, policy: int, share: float) -> float:
        """Return one policy's share when the learned policies have `share`."""
        return share * self._fractions[policy] + (1.0 - share if policy == STATIC_INDEX else 0.0)

    def policy(self, hashed: int, share: float) -> int:
        """Return the index of the policy that serves a unit with this hash in [0, 2⁶⁴)."""
        for low, high, policy in self._segments:
            if hashed < high:  # at a share of 1 the product may round below the whole segment
                learned = share >= 1.0 or hashed - low < int(share * (high - low))
                return policy if learned else STATIC_INDEX
        return STATIC_INDEX
