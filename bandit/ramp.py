"""The ramp: how the share of units moves from static to the learned policies, and where a unit falls.

A unit's hash lies in the segment of one learned policy and has a position in it; it is served by that policy
if the position lies below the learned share, else by static. So a growing share only ever adds units, and a
unit never moves from one learned policy to another.
"""

import numpy as np

from bandit.config import Placement, Ramp
from bandit.hashing import HASH_SPACE
from bandit.tally import Floats

STATIC_INDEX = 0
"""Every placement's policies begin with static."""


def learned_share(ramp: Ramp, started_us: int | None, now_us: int) -> float:
    """Return the learned share in scope at `now_us`: nothing before a configured start, then `from` to `to`.

    `started_us` is the placement's first exposure, which starts a ramp that has no start of its own.
    """
    if ramp.start_us is not None and now_us < ramp.start_us:
        return 0.0
    start_us = ramp.start_us if ramp.start_us is not None else started_us
    if start_us is None or now_us <= start_us:
        return ramp.share_from
    passed_us = now_us - start_us
    progress = passed_us / ramp.over_us if passed_us < ramp.over_us else 1.0
    return ramp.share_from + (ramp.share_to - ramp.share_from) * progress


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
            if hashed < high:
                learned = hashed - low < int(share * (high - low))
                return policy if learned else STATIC_INDEX
        return STATIC_INDEX
