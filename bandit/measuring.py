"""Measuring a placement's decisions in epochs: what is summed up together was decided under like conditions.

An epoch has one key: the arms, rewards, policies and split that are measured, and whether the learned
policies have no, some or every unit. A decision made under another key begins the next one; rewards of
decisions of epochs that are over change nothing here.
"""

from dataclasses import dataclass

import numpy as np

from bandit.decision import Decision
from bandit.gate import GateState
from bandit.measurement import Measurement
from bandit.tally import Floats

_STAGES = b"\0", b"\1", b"\2"
"""The learned policies have no unit, some, all."""


@dataclass(slots=True, eq=False)
class Epoch:
    """What is measured under one `key`, from decisions since `began_us`."""

    key: bytes
    began_us: int
    measurement: Measurement

    @classmethod
    def none(cls, policies: int, events: int) -> "Epoch":
        """Return the epoch before the first decision."""
        return cls(b"", 0, Measurement.zeros(policies, events))

    def holds(self, decision: Decision, key: bytes) -> bool:
        """Whether a decision made under `key` belongs to it."""
        return key == self.key and decision.time_us >= self.began_us


def key_of(decision: Decision, measured: bytes) -> bytes:
    """Return the key of a decision's epoch; `measured` names what is measured (`config.measured_id`)."""
    return measured + _STAGES[(decision.share > 0.0) + (decision.share >= 1.0)]


class Measuring:
    """The measurement epoch of a placement that is going on, and its gate's sums, which begin anew with it.

    `share` is, each time, that of the policy that served the decision.
    """

    __slots__ = ("_all", "_events", "epoch", "gate")

    def __init__(
        self, policies: int, events: int, epoch: Epoch | None = None, gate: GateState | None = None
    ) -> None:
        self.epoch = epoch or Epoch.none(policies, events)
        self.gate = gate
        self._events = events
        self._all: Floats = np.ones(policies)

    def expose(self, decision: Decision, measured: bytes, share: float) -> None:
        """Count a decision in scope, beginning an epoch if it is due. Raises ValueError for a share of 0."""
        if share <= 0.0:
            message = f"policy {decision.policy} served a decision with a share of {share}"
            raise ValueError(message)
        key = key_of(decision, measured)
        if key != self.epoch.key and decision.time_us >= self.epoch.began_us:
            fresh = Measurement.zeros(len(decision.probabilities), self._events)
            self.epoch = Epoch(key, decision.time_us, fresh)
            if self.gate is not None:
                self.gate.restart(max(decision.time_us - 1, self.gate.since_us))
        if self.epoch.holds(decision, key):
            overlaps = np.array(decision.overlaps) if decision.overlaps else self._all
            self.epoch.measurement.expose(
                decision.bucket, decision.probabilities, decision.propensity, overlaps, decision.policy,
                share,
            )  # fmt: skip
            if self.gate is not None:
                self.gate.expose(decision)

    def credit(
        self, decision: Decision, measured: bytes, share: float, reward: tuple[float, float], event: int,
        value: tuple[float, float],
    ) -> None:  # fmt: skip
        """Move a decision's R, and the sum of an event's values, from [0] to [1], if its epoch goes on."""
        if self.epoch.holds(decision, key_of(decision, measured)):
            self.epoch.measurement.credit(
                decision.bucket, decision.probabilities, decision.propensity, decision.policy, share, reward,
                event, value,
            )  # fmt: skip
            if self.gate is not None:
                self.gate.credit(decision, reward)
