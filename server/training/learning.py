"""Learns a placement from a log, and says what was learned of what."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace

import numpy as np
from numpy.typing import NDArray

from bandit.comparing import compared
from bandit.config import ArmState, Placement, PolicyKind, column_names
from bandit.config.columns import MISSING, OTHER
from bandit.estimators import EFFECTIVE_MIN
from bandit.logged import TRAINED_STRATA_MAX, trained
from bandit.placement import PlacementState
from bandit.policies.thompson import Thompson
from server.logged.logs import Loaded, check_rewards, listed
from server.logged.randomised import check_independent
from server.replays.rows import LogError

_LINEAR = frozenset({PolicyKind.LINEAR_THOMPSON, PolicyKind.LINUCB})


@dataclass(frozen=True, slots=True)
class Arm:
    """What was learned of an arm by context: `rows` decisions of mean R `mean`, which count `counts` now."""

    arm: str
    rows: int
    mean: float | None
    counts: float


@dataclass(frozen=True, slots=True)
class ComparedArm:
    """What was learned of an arm where arms are compared without context.

    Its `rows` decisions are worth `effective`, and estimate that all of the audience would earn `mean`. `pmf`
    is how often each thompson policy would begin to show it.
    """

    arm: str
    rows: int
    effective: float
    mean: float | None
    pmf: Mapping[str, float]


@dataclass(frozen=True, slots=True)
class Audience:
    """Arms that were compared: those that may be shown to the same visitors."""

    in_scope: bool
    arms: Sequence[ComparedArm]


@dataclass(frozen=True, slots=True)
class Learned:
    """All of it. `rows` has the log of the placement, `decisions` were learned, each counting `weight`."""

    source: str
    placement: str
    rows: int
    decisions: int
    left_out: Mapping[str, int]
    weight: float
    arms: Sequence[Arm]
    audiences: Sequence[Audience]
    notes: Sequence[str]

    def as_dict(self) -> dict[str, object]:
        """Plain values, for JSON."""
        return asdict(self)


def learned(
    loaded: Loaded, placement: Placement, now_us: int, weight: float
) -> tuple[PlacementState, Learned]:
    """Return the state, replaying, of a placement that has learned a log by `now_us`, and what that was.

    Raises LogError for a log that cannot teach it.
    """
    loaded = _comparable(loaded, placement)
    loaded = _known(loaded)
    check_rewards(loaded, placement)
    log = loaded.log
    state = trained(placement, log, max(now_us, int(log.time_us.max())), weight)
    counts = state.tally.n * state.forgetting.scale(state.latest_us)
    arms = []
    for k, arm in enumerate(placement.arms):
        own = log.reward[log.arm == k]
        arms.append(Arm(arm.id, own.size, float(own.mean()) if own.size else None, float(counts[k])))
    audiences = _audiences(loaded, placement, state)
    return state, Learned(
        loaded.source,
        placement.name,
        loaded.rows,
        log.arm.size,
        loaded.left_out,
        weight,
        arms,
        audiences,
        [*loaded.notes, *_notes(loaded, placement, arms, audiences), *_unseen(placement, state)],
    )


def _comparable(loaded: Loaded, placement: Placement) -> Loaded:
    """Refuse a log whose arms cannot be compared for want of propensities; unless nobody compares them."""
    if loaded.propensities:
        return loaded
    try:
        check_independent(loaded, placement)
    except LogError as error:
        if _thompsons(placement):
            remedy = "log them and name them, or configure no thompson policy: linear ones need none"
            raise LogError(f"{error}; {remedy}") from None
        log = replace(loaded.log, comparable=np.zeros(loaded.log.arm.size))
        note = "its arms depend on the context, so nothing is learned for policies that do not look at it"
        return replace(loaded, log=log, notes=[*loaded.notes, note])
    note = "the log has no propensities: its arms look as if drawn at random, and are compared as they are"
    return replace(loaded, notes=[*loaded.notes, note])


def _known(loaded: Loaded) -> Loaded:
    """Leave out decisions that this placement could not have made. Raises LogError if none stays."""
    unknown = loaded.log.arm < 0
    loaded = loaded.without(
        f"of arms that the placement does not have: {_examples(loaded, unknown)}", unknown
    )
    pairs = zip(loaded.log.mask, loaded.log.arm.tolist(), strict=True)
    outside = np.array([not mask >> arm & 1 for mask, arm in pairs])
    return loaded.without(f"of arms that it would not show there: {_examples(loaded, outside)}", outside)


def _examples(loaded: Loaded, out: NDArray[np.bool_]) -> str:
    counted = Counter(loaded.arms[i] for i in np.flatnonzero(out).tolist())
    return listed([f"{arm!r} ({count})" for arm, count in counted.items()])


def _thompsons(placement: Placement) -> list[int]:
    kinds = enumerate(policy.kind for policy in placement.policies)
    return [number for number, kind in kinds if kind is PolicyKind.THOMPSON]


def _audiences(loaded: Loaded, placement: Placement, state: PlacementState) -> list[Audience]:
    """Return what was learned in each stratum, with what thompson policies make of it."""
    thompsons = _thompsons(placement)
    thompson = Thompson(placement, state.forgetting)
    found: dict[tuple[int, bool], list[ComparedArm]] = {}
    strata = {(stratum.mask, stratum.in_scope): stratum for stratum in state.strata}
    for one in compared(loaded.log, strata):
        stratum = strata[one.audience]
        if thompsons:
            thompson.refresh(stratum, state.latest_us)
        pmf = {placement.policies[j].name: float(stratum.pmfs[j, one.arm]) for j in thompsons}
        row = ComparedArm(placement.arms[one.arm].id, one.rows, one.effective, one.mean, pmf)
        found.setdefault(one.audience, []).append(row)
    return [Audience(in_scope, arms) for (_, in_scope), arms in found.items()]


def _notes(
    loaded: Loaded, placement: Placement, arms: Sequence[Arm], audiences: Sequence[Audience]
) -> list[str]:
    notes = []
    active = {arm.id for arm in placement.arms if arm.state is ArmState.ACTIVE}
    if unshown := [arm.arm for arm in arms if arm.rows == 0 and arm.arm in active]:
        notes.append(f"never shown, so as without training: {listed(unshown)}")
    compared_arms = [arm for audience in audiences for arm in audience.arms]
    if few := [arm.arm for arm in compared_arms if 0 < arm.effective < EFFECTIVE_MIN]:
        notes.append(
            f"worth fewer than {EFFECTIVE_MIN:.0f} decisions where arms are compared, so little is known of: "
            f"{listed(few)}"
        )
    if (beyond := len(loaded.log.audiences) - TRAINED_STRATA_MAX) > 0:
        notes.append(
            f"{beyond} sets of arms that may be shown together are beyond the most frequent "
            f"{TRAINED_STRATA_MAX}: thompson learns nothing of their decisions"
        )
    return notes


def _unseen(placement: Placement, state: PlacementState) -> list[str]:
    """Say which configured values the log has nothing of, if a policy looks at them."""
    if not any(policy.kind in _LINEAR for policy in placement.policies):
        return []
    diagonal = np.einsum("kjj->j", state.tally.A)
    names = [
        name
        for name, squares in zip(column_names(placement), diagonal.tolist(), strict=True)
        if squares == 0.0 and not name.endswith((OTHER, MISSING)) and "#" not in name
    ]
    if not names:
        return []
    return [f"no decision has {listed(names)}, so linear policies begin unsure where that is sent"]
