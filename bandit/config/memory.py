"""What a placement's sums and models weigh: known before the start, so that too much is refused there."""

from bandit.config.columns import columns
from bandit.config.model import Placement
from bandit.config.policies import LINEAR
from bandit.delays import DELAY_BINS
from bandit.hashing import BUCKETS
from bandit.kernels.recent import BINS, ROWS
from bandit.limits import EVENTS_MAX, HISTORY_DAYS_MAX, STRATA_MAX

FLOAT_BYTES = 8


def memory_bytes(placement: Placement) -> int:
    """Return the bytes of a placement's float64 arrays.

    With K arms and d columns: the tally, K d² + K d + 3 K numbers; as much again for every model, one per
    distinct prior precision of the linear policies; 3 K for each of the strata; what is measured of its J
    policies, 1 + 4 J for each unit bucket and 2 + 3 J + J² in all; what is measured of each of its E events,
    J for each bucket and 2; for each day that is kept K (3 + 2 E) + J (2 + 2 E) + 3 (J - 1); and the sums of
    a gate's three periods, 5 for each bucket and 8. Where rewards are waited for, besides: K d² if there is a
    linear policy, 64 K for each of the strata and for what is in none, and 26 for each event there may be.
    """
    arms, width = len(placement.arms), columns(placement)
    tally = arms * width * width + arms * width + 3 * arms
    models = len({policy.prior_precision for policy in placement.policies if policy.kind in LINEAR})
    policies = len(placement.policies)
    measured = BUCKETS * (1 + 4 * policies) + 2 + 3 * policies + policies * policies
    events = len(placement.reward.values)
    measured += events * (BUCKETS * policies + 2)
    day = arms * (3 + 2 * events) + policies * (2 + 2 * events) + 3 * (policies - 1)
    if placement.ramp is not None and placement.ramp.gate is not None:
        measured += 3 * (5 * BUCKETS + 8)
    awaited = 0
    if placement.reward.delayed:
        awaited = (1 + STRATA_MAX) * ROWS * BINS * arms + EVENTS_MAX * (1 + DELAY_BINS)
        awaited += arms * width * width if models else 0
    learned = (1 + models) * tally + STRATA_MAX * 3 * arms + awaited
    return FLOAT_BYTES * (learned + measured + HISTORY_DAYS_MAX * day)


def format_bytes(size: float) -> str:
    """Return a size for a person: "1.6 MiB"."""
    for unit in ("B", "KiB", "MiB"):
        if size < 1024:  # noqa: PLR2004 - the step between binary units
            return f"{size:.0f} B" if unit == "B" else f"{size:.1f} {unit}"
        size /= 1024
    return f"{size:.1f} GiB"
