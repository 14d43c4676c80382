"""What both kinds of log become, and what is asked of them before anything is made of them."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from bandit.config import Placement, Reward
from bandit.hashing import SaltedHash
from bandit.logged import Log
from bandit.tally import Floats
from server.replays.rows import LogError

CLUSTERS = 256
"""Of visitors that a CSV log names: as many as an export has buckets."""

PROPENSITY_MIN = 1e-12
"""Below it a propensity is a mistake: no log is long enough for a weight of 10¹²."""

NO_ARM = "no arm of the placement could be shown"
"""Why a decision is left out: every arm is conditional, draining or retired."""

NAMES_SHOWN = 10
"""Names that a message lists."""


@dataclass(frozen=True, slots=True)
class Loaded:
    """A log, read.

    `arms` are the names of what each decision showed, `events` those that the log has. `rows` is how many
    decisions the file has of the placement; `left_out` says why some do not count, and how many; `notes` what
    a reader of the results has to know.
    """

    source: str
    log: Log
    arms: Sequence[str]
    events: Sequence[str]
    rows: int
    left_out: dict[str, int]
    notes: list[str]

    def without(self, reason: str, out: NDArray[np.bool_]) -> "Loaded":
        """Leave some decisions out. Raises LogError if none stays."""
        if not out.any():
            return self
        left_out = self.left_out | {reason: int(out.sum())}
        if out.all():
            why = ", ".join(f"{reason}: {count}" for reason, count in left_out.items())
            raise LogError(f"{self.source}: none of its {self.rows} decisions can be used ({why})")
        arms = [self.arms[i] for i in np.flatnonzero(~out).tolist()]
        return replace(self, log=self.log.only(~out), arms=arms, left_out=left_out)

    @property
    def propensities(self) -> bool:
        """Whether they are known."""
        return not bool(np.isnan(self.log.propensity).any())


_IDENTITIES = SaltedHash(b"", "evaluate")


def identity(name: str) -> int:
    """Return a 63-bit hash of what identifies a decision: it decides about fold and draw."""
    return _IDENTITIES(name.encode("utf-8", "surrogatepass")) >> 1


def check_arms(source: str, placement: Placement, logged: Sequence[str]) -> None:
    """Refuse a log none of whose arms is the placement's: its mapping, or the placement, is another's."""
    if not {arm.id for arm in placement.arms} & set(logged):
        raise LogError(
            f"{source}: shows the arms {listed(logged)}, and the placement {placement.name!r} has "
            f"{listed([arm.id for arm in placement.arms])}: none is common; give the log of this placement, "
            "or the mapping's arm.values, which say how the log calls its arms"
        )


def check_rewards(loaded: Loaded, placement: Placement) -> None:
    """Refuse a log without a reward: every mean would be 0, and what is said of them a lie."""
    if not loaded.log.reward.any():
        valued, events = [event for event, _ in placement.reward.values], loaded.events
        raise LogError(
            f"{loaded.source}: none of its {loaded.log.arm.size} decisions has a reward: the placement "
            f"values {listed(valued)}, the log has {listed(events) if events else 'no event'}; check the "
            "placement's reward, or wait for rewards"
        )


def clipped(reward: Reward, total: Floats) -> tuple[Floats, list[str]]:
    """Return R of Σ value x event value, and a note if some of them have to be clipped."""
    within = np.clip(total, 0.0, reward.maximum)
    outside = int((within != total).sum())
    bounds = f"R of {outside} decisions lies outside 0 to {reward.maximum:g} (reward.max)"
    return within, [f"{bounds}, and counts as the nearer of them"] if outside else []


def listed(names: Sequence[str]) -> str:
    """Return names as a message shows them."""
    shown = sorted(set(names))
    return ", ".join(shown[:NAMES_SHOWN]) + (", …" if len(shown) > NAMES_SHOWN else "")


def arms_of(placement: Placement, mask: int) -> list[str]:
    """Return the ids of a set of arms."""
    return [arm.id for k, arm in enumerate(placement.arms) if mask >> k & 1]
