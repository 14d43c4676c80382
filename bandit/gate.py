"""The gate: holds a ramp until it has seen enough for the next step, and takes it back when it does harm.

It judges decisions whose rewards have all come. Sums are kept in three parts: `older`, of all decisions up to
a checkpoint, `week`, of those among them since the current week began, and `young`, of those since. It looks
once the checkpoint lies a reward window back, so that older and week have all their rewards; then young joins
them, and the checkpoint is now. What a decision belongs to follows from its time alone.

With v_m what the learned policies together would earn a decision, v_s what static earns, and ℓ the loss that
is allowed (a fraction of v_s), it asks by confidence sequences

    back to static   v_m - (1 - ℓ) v_s < 0 for certain: over all time, or over the week
    wait             s (v_m - v_s) + ℓ v_s < 0 is possible, where s is the share that comes next

Each is one contrast with one side, so the error of v_s is taken into account. Over all time a sequence has
half of 1 - confidence, the k-th week's 1 / (k (k + 1)) of that half, so that late harm is not diluted by
early good, and all of them together err as rarely as is configured.
"""

from enum import Enum
from typing import NamedTuple

from bandit.config import Gate, Placement
from bandit.config.ramp import FROM_DEFAULT
from bandit.decision import Decision
from bandit.evidence import Evidence
from bandit.ramp import STATIC_INDEX, Router
from bandit.sequences import Interval, Sequence, all_time, of_week

GATE = "gate"
"""The actor of its moves, which nobody else may be."""

LOOK_US_MIN = 3_600_000_000
"""It looks once an hour at most, however short the reward window is."""

DAY_US = 24 * LOOK_US_MIN
WEEK_US = 7 * DAY_US

_PART_MAX = 1_000.0
"""From so many times what static earns on an uplift is said as it is: the part might have 300 digits."""


class Look(NamedTuple):
    """What the gate saw at `time_us`, of decisions whose rewards have all come.

    `exposures` are those that learned policies served; `share` is what they may have until the next look,
    whatever the calendar says. What learned policies earn more than static, over all time and in the current
    week, and `static_value`, are None while nothing can be said.
    """

    time_us: int
    exposures: int
    share: float
    static_value: float | None
    uplift: Interval | None
    week_uplift: Interval | None
    sentence: str


class Verdict(Enum):
    """What the ramp may do until the next look."""

    GO_ON = "go on"
    WAIT = "wait"
    BACK = "back"
    """to static"""


class Stage(NamedTuple):
    """Where a ramp stands: the learned share, and the one that comes next if it goes on.

    `unproven`: it began with nobody, and has to be seen before it is judged. `arrived`: nothing comes next.
    """

    share: float
    next_share: float
    unproven: bool
    arrived: bool

    def allowed(self, verdict: Verdict, *, seen: bool) -> float:
        """Return the share until the next look; `seen`: by evidence, without which nobody passes 5 %."""
        if verdict is Verdict.BACK:
            return 0.0
        if verdict is Verdict.WAIT:
            return self.share
        return self.next_share if seen or self.arrived else min(self.next_share, FROM_DEFAULT)


class _Period(NamedTuple):
    """What was seen in a period, and the sequence that it is judged by."""

    evidence: Evidence
    sequence: Sequence
    name: str

    def interval(self, of_mix: float, of_static: float) -> Interval | None:
        """Return the interval of this combination of what the learned policies and static earn."""
        return self.evidence.interval(self.sequence, of_mix, of_static)

    def bounds(self, of_mix: float, of_static: float) -> Interval | None:
        """Return how low and how high it may be, each for itself: the gate's questions have one side."""
        return self.evidence.bounds(self.sequence, of_mix, of_static)


class GateState:
    """What a placement's gate has counted, and what it saw last; `since_us`: later decisions count.

    `allowed`: the share that learned policies have at most, so that a ramp whose gate does not look (nobody
    serves, the journal is full, the clock leaps) goes no further. Their first share needs no evidence.
    `checkpoint_us`: decisions up to it are in `older`, later ones in `young`. `week_us`: of the former, those
    after it are in `week` too, which is number `week_number`. `due_us`: after it, it is time to look.
    """

    __slots__ = (
        "_split", "allowed", "checkpoint_us", "due_us", "interval_us", "look", "older", "settings",
        "since_us", "week", "week_number", "week_us", "young",
    )  # fmt: skip

    def __init__(self, config: Placement, settings: Gate, since_us: int) -> None:
        self.settings = settings
        self.interval_us = max(config.reward.window_us, LOOK_US_MIN)
        self.look: Look | None = None
        self.allowed = 0.0
        fractions: list[float] = Router(config).fractions.tolist()
        self._split = [(policy, fraction) for policy, fraction in enumerate(fractions) if fraction > 0.0]
        self.restart(since_us)

    def restart(self, since_us: int) -> None:
        """Forget all that was counted: what is judged together was decided under like conditions."""
        self.since_us = self.checkpoint_us = self.week_us = self.due_us = since_us
        self.week_number = 1
        self.older, self.week, self.young = Evidence.zeros(), Evidence.zeros(), Evidence.zeros()

    def carry(self, other: "GateState") -> None:
        """Go on with what another gate over the same measurement has counted, under settings of its own."""
        self.since_us, self.checkpoint_us, self.due_us = other.since_us, other.checkpoint_us, other.due_us
        self.week_us, self.week_number, self.look = other.week_us, other.week_number, other.look
        self.allowed = other.allowed
        self.older, self.week, self.young = other.older, other.week, other.young

    def expose(self, decision: Decision) -> None:
        """Count a decision of the epoch that was exposed. One that no learned policy could serve is none."""
        if decision.share <= 0.0 or decision.time_us <= self.since_us:
            return
        mix, static = self._of(decision.probabilities)
        weights = mix / decision.propensity, static / decision.propensity
        overlaps = self._of(decision.overlaps) if decision.overlaps else (1.0, 1.0)
        learned = decision.policy != STATIC_INDEX
        for evidence in self._holding(decision.time_us):
            evidence.expose(decision.bucket, *weights, overlaps, learned=learned)

    def credit(self, decision: Decision, reward: tuple[float, float]) -> None:
        """Move the R of such a decision from `reward[0]` to `reward[1]`."""
        if decision.share <= 0.0 or decision.time_us <= self.since_us:
            return
        mix, static = self._of(decision.probabilities)
        weights = mix / decision.propensity, static / decision.propensity
        for evidence in self._holding(decision.time_us):
            evidence.credit(decision.bucket, *weights, reward)

    def _of(self, by_policy: tuple[float, ...]) -> tuple[float, float]:
        """Return what the mixture of the learned policies has of something, and static."""
        mix = 0.0
        for policy, fraction in self._split:
            mix += fraction * by_policy[policy]
        return mix, by_policy[STATIC_INDEX]

    def _holding(self, time_us: int) -> tuple[Evidence, ...]:
        if time_us > self.checkpoint_us:
            return (self.young,)
        return (self.older, self.week) if time_us > self.week_us else (self.older,)

    def fold(self, look: Look) -> None:
        """Keep a look, and let what was young at its time grow old."""
        if self.checkpoint_us - self.week_us >= WEEK_US:
            self.week, self.week_us, self.week_number = (
                Evidence.zeros(),
                self.checkpoint_us,
                self.week_number + 1,
            )
        self.older.add(self.young)
        self.week.add(self.young)
        self.young = Evidence.zeros()
        self.checkpoint_us, self.due_us, self.look = look.time_us, look.time_us + self.interval_us, look
        self.allowed = look.share

    def judged(self, stage: Stage, now_us: int) -> tuple[Verdict, Look]:
        """Judge what was seen. Changes nothing."""
        alpha, least = 1.0 - self.settings.confidence, self.settings.min_exposures
        number = self.week_number
        ever = _Period(self.older, all_time(alpha, least), "")
        week = _Period(self.week, of_week(alpha, number, least), f" in week {number}")
        verdict, sentence = self._verdict(ever, week, stage)
        static = self.older.estimate(0.0, 1.0)
        uplift, week_uplift = (
            None if self._lack(period) else period.interval(1.0, -1.0) for period in (ever, week)
        )
        value = static.mean if static and uplift else None
        share = stage.allowed(verdict, seen=value is not None)
        return verdict, Look(now_us, self.older.learned, share, value, uplift, week_uplift, sentence)

    def _verdict(self, ever: _Period, week: _Period, stage: Stage) -> tuple[Verdict, str]:
        harm = self._harm(ever) or self._harm(week)
        if harm:
            return Verdict.BACK, harm
        lack = self._lack(ever)
        if lack:
            return (Verdict.GO_ON if stage.unproven or stage.arrived else Verdict.WAIT), lack
        risk = "" if stage.arrived else self._risk(ever, stage.next_share)
        if risk:
            return Verdict.WAIT, risk
        return Verdict.GO_ON, self._fine(ever, stage)

    def _lack(self, period: _Period) -> str:
        """Say why nothing can be judged by a period; "" if it can."""
        evidence, least = period.evidence, self.settings.min_exposures
        if evidence.learned < least:
            return (
                f"{evidence.learned:,} of the {least:,} learned decisions that are wanted have had their "
                f"reward window{period.name}"
            )
        if not evidence.overlaps:
            return "some of what a policy would show is never shown, so nothing can be said (NO_OVERLAP)"
        return "" if evidence.estimate(1.0, -1.0) else "rewards do not differ, so nothing can be said yet"

    def _harm(self, period: _Period) -> str:
        """Say how much is lost if it is more than is allowed, for certain; "" if not."""
        allowed = self.settings.max_loss
        found = None if self._lack(period) else period.bounds(1.0, allowed - 1.0)
        if found is None or found.high >= 0.0:
            return ""
        value = _static_value(period)
        least, most = (min(allowed - end / value, 1.0) for end in (found.high, found.low))  # R >= 0
        return (
            f"learned earns {least:.1%} to {most:.1%} less than static ({value:.4g} a decision) over "
            f"{period.evidence.learned:,} learned decisions{period.name}; at most {allowed:.1%} is allowed"
        )

    def _risk(self, period: _Period, share: float) -> str:
        """Say how much may be lost at a share if it may be more than is allowed; "" if not."""
        allowed = self.settings.max_loss
        found = period.bounds(share, allowed - share)
        if share <= allowed or found is None or found.low >= 0.0:  # R >= 0: a share loses itself at most
            return ""
        value = _static_value(period)
        loss = min(allowed - found.low / value, share) if value > 0.0 else share
        part = f"{loss:.1%} of static's {value:.4g}"
        return (
            f"at a share of {share:.1%} the loss may be up to {part} a decision, by "
            f"{period.evidence.learned:,} learned decisions; {allowed:.1%} is allowed"
        )

    def _fine(self, period: _Period, stage: Stage) -> str:
        value, found = _static_value(period), period.interval(1.0, -1.0)
        assert found is not None  # noqa: S101 - there was no lack
        part = max(abs(found.low), abs(found.high)) < _PART_MAX * value
        low, high = (f"{end / value:+.1%}" if part else f"{end:+.4g}" for end in found[1:])
        step = "the ramp has arrived" if stage.arrived else f"a share of {stage.next_share:.1%} is allowed"
        return (
            f"learned earns {low} to {high} against static ({value:.4g} a decision) over "
            f"{period.evidence.learned:,} learned decisions: {step}"
        )


def gate_of(config: Placement, since_us: int) -> GateState | None:
    """Return a gate that has seen nothing yet, None where none is configured; decisions after then count."""
    gate = config.ramp.gate if config.ramp else None
    return None if gate is None else GateState(config, gate, since_us)


def _static_value(period: _Period) -> float:
    static = period.evidence.estimate(0.0, 1.0)
    return static.mean if static else 0.0
