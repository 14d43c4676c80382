"""The state of one placement: its tally, what is derived from it, and how it changes.

It changes in three ways only: an exposure, a credit (a decision's R moves), and time passing.
"""

from collections.abc import Iterable

import numpy as np
from numpy.typing import NDArray

from bandit.arrivals import Arrivals
from bandit.config import ArmState, ExposureMode, Placement, PolicyKind, measured_id
from bandit.config.ramp import FROM_DEFAULT
from bandit.counters import Counters
from bandit.decision import Decision
from bandit.eligibility import Eligibility
from bandit.features import Encoder, column_meanings
from bandit.gate import DAY_US, GATE, LOOK_US_MIN, GateState, Look, Stage, Verdict, gate_of
from bandit.history import History
from bandit.kernels.decide import decide
from bandit.kernels.jit import bind
from bandit.measuring import Measuring
from bandit.model import LinearModels
from bandit.policies.linear import plan, priors
from bandit.policies.thompson import Thompson
from bandit.ramp import STANDING, Move, RampClock, RampStatus, Router, learned_share, start_of
from bandit.strata import Strata, Stratum
from bandit.tally import Floats, Forgetting, Tally

CONTEXT_FREE = frozenset({PolicyKind.STATIC, PolicyKind.UNIFORM, PolicyKind.THOMPSON})
"""Kinds of policy whose decisions do not depend on x, so that arms may be compared over them."""


class PlacementState:
    """Everything that is held in memory for one placement.

    `tally` learns from every exposure, `strata` hold what context-free policies learn from their own;
    `models` and the strata's pmfs are derived. `events` gives each event ever configured its ledger number.
    `takes_rewards` by arm, `context_free` by policy; `retired` are the arm ids that may not come back.
    `deferring`: every exposure waits for its event. `born_us`: when it was first configured; `started_us`:
    its first exposure under a ramp, None before; `latest_us`: its latest exposure's decision. `arrivals`:
    what is still expected of recent exposures, None where rewards are not waited for.

    While `replaying`, nothing is derived and nothing can be drawn: `derive` ends that.
    """

    def __init__(
        self, config: Placement, now_us: int, *,
        tally: Tally | None = None, strata: Strata | None = None, forgetting: Forgetting | None = None,
        measuring: Measuring | None = None, arrivals: Arrivals | None = None, replaying: bool = False,
    ) -> None:  # fmt: skip
        self.config = config
        self.encoder = Encoder(config)
        self.eligibility = Eligibility(config)
        self.router = Router(config)
        self.forgetting = forgetting or Forgetting.starting(config.half_life_us, now_us)
        self.tally = tally or Tally.zeros(len(config.arms), self.encoder.columns)
        self.strata = Strata() if strata is None else strata  # without strata it is falsy, yet has indices
        self.deferring = config.exposure is ExposureMode.ON_EVENT
        self.events = {event: number for number, (event, _) in enumerate(config.reward.values)}
        self._numbers = dict(self.events)
        self.takes_rewards = [arm.state is not ArmState.RETIRED for arm in config.arms]
        self.context_free = [policy.kind in CONTEXT_FREE for policy in config.policies]
        self.retired = frozenset(arm.id for arm in config.arms if arm.state is ArmState.RETIRED)
        self.born_us = now_us
        self.started_us: int | None = None
        self.ramp_clock = RampClock()
        self.latest_us = now_us
        self.counters = Counters.zeros(len(config.policies), len(config.arms), config.reward.values)
        self._thompson = Thompson(config, self.forgetting) if _has_thompson(config) else None
        self._columns: dict[bytes, NDArray[np.int64]] = {}
        self.measuring = measuring or Measuring(
            len(config.policies), len(config.reward.values), gate=gate_of(config, now_us - 1)
        )
        self.history = History(config, self.measuring)
        self._measured = b""
        self._measured_before: dict[bytes, bytes] = {}
        self._policies: dict[bytes, list[int]] = {}
        self.arrivals = arrivals or Arrivals.of(config, self.tally, now_us)
        self.replaying = replaying
        self._derive(() if replaying else priors(config))

    def derive(self) -> None:
        """Make the models of what was learned while nothing was derived."""
        self.replaying = False
        self._derive(priors(self.config))

    def _derive(self, by_prior: Iterable[float]) -> None:
        scale, arrivals = self.forgetting.scale(self.latest_us), self.arrivals
        if arrivals is None:
            models = LinearModels(by_prior, self.tally, scale)
        else:
            models = LinearModels(by_prior, self.tally, scale, arrivals.moments, corrected=arrivals.known)
            arrivals.derive(self.latest_us, self.tally, self.strata, scale)
        self.models = models
        self._decide = bind(
            decide, self.tally.sums, models.posterior, models.upkeep, plan(self.config, self.router)
        )

    def share(self, now_us: int, *, in_scope: bool = True) -> float:
        """Return the learned share now: the calendar's, as far as a gate allows."""
        ramp, gate = self.config.ramp, self.measuring.gate
        if ramp is None or not in_scope:
            return 0.0
        share = learned_share(ramp, self.started_us, now_us, self.ramp_clock)
        return share if gate is None else min(share, max(gate.allowed, ramp.share_from))

    def shares(self, now_us: int) -> Floats:
        """Return every policy's share (policies,) now, within the ramp's scope."""
        return self.router.shares(self.share(now_us))

    def arm_index(self, arm: str) -> int:
        """Return where an arm stands, or -1."""
        return next((k for k, candidate in enumerate(self.config.arms) if candidate.id == arm), -1)

    def columns_of_schema(self, schema: Placement) -> NDArray[np.int64]:
        """Return, for each column of another configuration of this placement, the one here, or -1."""
        columns = self._columns.get(schema.schema_id)
        if columns is None:
            here = {meaning: column for column, meaning in enumerate(column_meanings(self.config))}
            columns = np.array([here.get(meaning, -1) for meaning in column_meanings(schema)], np.int64)
            self._columns[schema.schema_id] = columns
        return columns

    def draw(
        self, stratum: Stratum, x: bytes, policy: int, share: float, u: float, now_us: int
    ) -> tuple[int, float, float, float, tuple[float, ...]]:
        """Compute every policy's pmf in context x, and draw an arm from that of `policy`.

        Returns the arm, its interval of the CDF, its propensity when learned policies have `share`, and the
        overlaps of a Decision; the pmfs stay in `stratum.pmfs`. A policy whose model cannot be used answers
        as static, and is counted.
        """
        if self._thompson is not None:
            self._thompson.refresh(stratum, now_us)
        arm, low, high, propensity, unusable, covered = self._decide(
            stratum.pmfs, stratum.eligible, x, policy, share, u
        )
        unusable |= stratum.unusable
        if unusable:
            for number in range(len(self.config.policies)):
                self.counters.degraded[number] += unusable >> number & 1
        return arm, low, high, propensity, () if covered else self._overlaps(stratum, share)

    def _overlaps(self, stratum: Stratum, share: float) -> tuple[float, ...]:
        """Return how much of each policy's pmf lies on arms that could be served."""
        possible = self.router.shares(share) @ stratum.pmfs > 0.0
        return tuple(stratum.pmfs[:, possible].sum(axis=1).tolist())

    def expose(self, arm: int, stratum: Stratum | None, x: bytes, time_us: int) -> None:
        """Count an exposure of a decision of `time_us`; `stratum` None: it teaches nothing context-free."""
        self.latest_us = max(self.latest_us, time_us)  # a deferred exposure's decision lies in the past
        weight, scale = self._weighed(time_us) if self.forgetting.half_life_us else (1.0, 1.0)
        arrivals, late = self.arrivals, 0.0
        if arrivals is not None:
            if time_us >= arrivals.due_us:
                self._step(arrivals)
            late = weight * arrivals.late
            if stratum is None:
                arrivals.others.expose(arm, weight, time_us)
        self.models.expose(arm, x, weight, scale, late)
        if stratum is not None:
            stratum.expose(arm, weight, time_us)
        self.counters.exposures[arm] += 1
        if self.started_us is None:
            self.started_us = max(time_us, self.latest_us)  # a confirmed decision may be older than the ramp

    def move_ramp(self, move: Move) -> None:
        """Change what the ramp does. Nothing without one: a configuration took it away."""
        ramp, clock, gate = self.config.ramp, self.ramp_clock, self.gate
        if ramp is None:
            return
        stood = clock.status in STANDING
        if gate is not None and clock.status is RampStatus.STATIC:
            gate.restart(move.time_us)  # else what it was taken back for would take it back again
            gate.allowed = 0.0
        clock.move(move, start_of(ramp, self.started_us))
        if gate is not None and stood and move.status is RampStatus.RUNNING and move.actor != GATE:
            ahead_us = gate.interval_us  # who resumes a ramp lets it run, until the gate has looked again
            share = learned_share(ramp, self.started_us, move.time_us, clock, ahead_us=ahead_us)
            gate.allowed = max(gate.allowed, share)

    @property
    def gate(self) -> GateState | None:
        """What the ramp's gate has counted and seen; None without one."""
        return self.measuring.gate

    def gate_is_due(self, now_us: int) -> bool:
        """Whether the gate has to look: it has not for a while, and the ramp has begun and is not static."""
        gate, ramp = self.gate, self.config.ramp
        if gate is None or ramp is None or now_us <= gate.due_us:
            return False
        start_us = start_of(ramp, self.started_us)
        return start_us is not None and now_us >= start_us and self.ramp_clock.status is not RampStatus.STATIC

    def judged(self, now_us: int) -> tuple[Verdict, Look]:
        """Return what the gate makes of what it has seen, and changes nothing. Only where there is one."""
        gate, ramp = self.gate, self.config.ramp
        assert gate is not None  # noqa: S101 - or it is not due
        assert ramp is not None  # noqa: S101 - the same
        waiting = self.ramp_clock.status is RampStatus.WAITING
        ahead_us = max(gate.interval_us, DAY_US) if waiting else gate.interval_us
        step = (ramp.share_to - ramp.share_from) * (ahead_us + LOOK_US_MIN) / ramp.over_us
        share = self.share(now_us)
        unproven = ramp.share_from == 0.0 and share < FROM_DEFAULT
        stage = Stage(share, min(share + step, ramp.share_to), unproven, share >= ramp.share_to)
        return gate.judged(stage, now_us)

    def look(self, look: Look) -> None:
        """Keep what the gate saw, and let what was young then grow old. Nothing without a gate."""
        ramp, gate = self.config.ramp, self.gate
        if ramp is not None and gate is not None:
            self.ramp_clock.fall_back(ramp, self.started_us, look.time_us, max(gate.allowed, ramp.share_from))
            gate.fold(look)

    def measure(self, decision: Decision, schema: Placement, arm: int) -> None:
        """Count a decision that was exposed, made under `schema`, whose arm stands at `arm` today.

        In its day; and, where the ramp is at work, in what is measured.
        """
        in_scope, share = decision.in_scope, decision.share
        policy = decision.policy if schema is self.config else self._policy_of(decision, schema)
        self.history.expose(decision.time_us, arm, policy, share, in_scope)
        if in_scope and (measured := self._measured_as(schema)):
            self.measuring.expose(decision, measured, self.router.share_of(policy, share))

    def measure_credit(
        self, decision: Decision, schema: Placement, arm: int, event: str, value: tuple[float, float],
        reward: tuple[float, float],
    ) -> None:  # fmt: skip
        """Count an event of such a decision: the sum of its values and R move, each from [0] to [1]."""
        in_scope = decision.in_scope
        policy = decision.policy if schema is self.config else self._policy_of(decision, schema)
        self.history.credit(decision.time_us, arm, policy, event, value[1] - value[0], reward, in_scope)
        if in_scope and (measured := self._measured_as(schema)):
            share, number = self.router.share_of(policy, decision.share), self._numbers[event]
            self.measuring.credit(decision, measured, share, reward, number, value)

    def credit(
        self, arm: int, stratum: Stratum | None, x: bytes, time_us: int, reward: tuple[float, float],
        arrival: tuple[int, int] | None = None,
    ) -> None:  # fmt: skip
        """Move the R of a decision of `time_us` from `reward[0]` to `reward[1]`.

        `arrival`: the number of the event that did it, and how long after the decision it came.
        """
        weight = self.forgetting.weight(time_us) if self.forgetting.half_life_us else 1.0
        self.models.credit(arm, x, weight, reward)
        if stratum is not None:
            stratum.credit(arm, weight, reward, time_us)
        if self.arrivals is not None and arrival is not None:
            self.arrivals.delays.credit(*arrival, weight, time_us, reward[1] - reward[0])
        self.counters.reward_sum[arm] += reward[1] - reward[0]

    def _policy_of(self, decision: Decision, schema: Placement) -> int:
        """Return where the policy of a decision made under `schema` stands today, or -1."""
        policies = self._policies.get(schema.schema_id)
        if policies is None:
            here = {policy.name: number for number, policy in enumerate(self.config.policies)}
            policies = [here.get(policy.name, -1) for policy in schema.policies]
            self._policies[schema.schema_id] = policies
        return policies[decision.policy]

    def _measured_as(self, schema: Placement) -> bytes | None:
        """Return what names what is measured if decisions of `schema` mean the same arms, policies and split.

        None if they do not mean the same as today's.
        """
        today = self._measured or self._measured_today()
        return today if schema is self.config or self._measured_of(schema) == today else None

    def _measured_today(self) -> bytes:
        self._measured = measured_id(self.config)
        return self._measured

    def _measured_of(self, schema: Placement) -> bytes:
        measured = self._measured_before.get(schema.schema_id)
        if measured is None:
            measured = self._measured_before[schema.schema_id] = measured_id(schema)
        return measured

    def _step(self, arrivals: Arrivals) -> None:
        """Look again at what is still expected of recent exposures."""
        now_us, maximum = self.latest_us, self.config.reward.maximum
        arrivals.step(now_us, self.tally, self.strata, maximum, self.forgetting.scale(now_us))
        self.models.correct(corrected=arrivals.known)

    def _weighed(self, time_us: int) -> tuple[float, float]:
        """Forget up to `time_us`; return the weight of its exposure and the scale that makes today's 1."""
        factor = self.forgetting.advance(time_us)
        if factor != 1.0:
            self.tally.scale(factor)
            for stratum in self.strata:
                stratum.scale(factor)
            self.models.rescale(factor)
            if self.arrivals is not None:
                self.arrivals.scale(factor)
        return self.forgetting.weight(time_us), self.forgetting.scale(self.latest_us)


def _has_thompson(config: Placement) -> bool:
    return any(policy.kind is PolicyKind.THOMPSON for policy in config.policies)
