"""What of a log a candidate is judged by: decisions in its ramp's scope, with their propensities."""

from dataclasses import replace

import numpy as np

from bandit.config import Placement
from server.logged.logs import Loaded, check_rewards
from server.logged.randomised import NEEDED, check_independent
from server.replays.rows import LogError, uneven

OUTSIDE = "outside the ramp's scope, where static alone serves"


def judging(loaded: Loaded, candidate: Placement) -> Loaded:
    """Return what a candidate can be judged by. Raises LogError."""
    inside = loaded.without(OUTSIDE, ~loaded.log.in_scope)
    known = inside if inside.propensities else _uniform(inside, candidate)
    check_rewards(known, candidate)
    if known.log.cluster is not None:
        return known
    note = "the mapping names no unit: intervals take rows as independent, too narrow where visitors return"
    return replace(known, notes=[*known.notes, note])


def _uniform(loaded: Loaded, candidate: Placement) -> Loaded:
    """Take each propensity as 1 / K over the arms of a log that looks uniform."""
    if found := uneven(loaded.arms):
        raise LogError(f"{loaded.source}: {NEEDED}: {found}")
    check_independent(loaded, candidate)
    share = 1.0 / len(set(loaded.arms))
    note = (
        "the log has no propensities: since its arms look as if drawn uniformly, each is taken as "
        f"{share:.4g}"
    )
    propensity = np.full(loaded.log.arm.size, share)
    return replace(loaded, log=replace(loaded.log, propensity=propensity), notes=[*loaded.notes, note])
