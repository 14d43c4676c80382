"""What both kinds of log become, and what is asked of them before anything is estimated."""

from collections.abc import Sequence
from dataclasses import dataclass

from bandit.config import Placement
from bandit.crossfit import Log
from bandit.hashing import SaltedHash
from server.replays.rows import LogError

CLUSTERS = 256
"""Of visitors that a CSV log names: as many as an export has buckets."""

PROPENSITY_MIN = 1e-12
"""Below it a propensity is a mistake: no log is long enough for a weight of 10¹², and its square "
"overflows."""

NAMES_SHOWN = 10
"""Names that a message lists."""


@dataclass(frozen=True, slots=True)
class Loaded:
    """A log, read.

    `rows` is how many decisions the file has of the placement; `left_out` says why some do not count, and how
    many; `notes` what a reader of the results has to know.
    """

    log: Log
    rows: int
    left_out: dict[str, int]
    notes: list[str]


_IDENTITIES = SaltedHash(b"", "evaluate")


def identity(name: str) -> int:
    """Return a 63-bit hash of what identifies a decision: it decides about fold and draw."""
    return _IDENTITIES(name.encode("utf-8", "surrogatepass")) >> 1


def check_arms(source: str, placement: Placement, logged: Sequence[str]) -> None:
    """Refuse a log none of whose arms is the candidate's: its mapping, or the candidate, is another's."""
    if not {arm.id for arm in placement.arms} & set(logged):
        raise LogError(
            f"{source}: shows the arms {listed(logged)}, and the candidate {placement.name!r} has "
            f"{listed([arm.id for arm in placement.arms])}: none is common; give the candidate of this "
            "placement"
        )


def check_rewards(source: str, placement: Placement, log: Log, events: Sequence[str]) -> None:
    """Refuse a log without a reward: every estimate would be 0, and every interval a lie."""
    if not log.reward.any():
        valued = [event for event, _ in placement.reward.values]
        raise LogError(
            f"{source}: none of its {log.arm.size} decisions has a reward: the candidate values "
            f"{listed(valued)}, the log has {listed(events) if events else 'no event'}; check the "
            "candidate's reward, or wait for rewards"
        )


def listed(names: Sequence[str]) -> str:
    """Return names as a message shows them."""
    shown = sorted(set(names))
    return ", ".join(shown[:NAMES_SHOWN]) + (", …" if len(shown) > NAMES_SHOWN else "")
