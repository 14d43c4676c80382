"""A configuration as frozen objects: what `parse` makes of a document, and all that the core reads.

Durations and times are integers of microseconds (`_us`), times since the Unix epoch.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum

STATIC = "static"
"""The name of the policy that every placement has: the campaign as it was before learning."""

EXPOSURE = "exposure"
"""The reserved event that confirms a deferred exposure."""


class ArmState(StrEnum):
    """An arm's life: served; takes rewards but is not served; neither."""

    ACTIVE = "active"
    DRAINING = "draining"
    RETIRED = "retired"


class FeatureKind(StrEnum):
    """How a feature becomes columns of x."""

    CATEGORY = "category"
    HASHED = "hashed"
    NUMBER = "number"
    BOOLEAN = "boolean"


class Scale(StrEnum):
    """How a number is mapped to [0, 1]."""

    LINEAR = "linear"
    LOG = "log"


class PolicyKind(StrEnum):
    """The ways to get a pmf."""

    STATIC = "static"
    UNIFORM = "uniform"
    THOMPSON = "thompson"
    LINEAR_THOMPSON = "linear_thompson"
    LINUCB = "linucb"


class ExposureMode(StrEnum):
    """When a decision counts as shown: at Choose, or by the event `exposure`."""

    ON_CHOOSE = "on_choose"
    ON_EVENT = "on_event"


Condition = Mapping[str, frozenset[str]]
"""Feature name → accepted values; holds when every named feature has one of them. Empty: always holds.

A boolean feature's values are written "0" and "1".
"""


@dataclass(frozen=True, slots=True)
class Arm:
    """One thing that can be shown. `weight` ≥ 0 is its share of the static campaign, not normalised."""

    id: str
    weight: float
    payload: str
    when: Condition
    state: ArmState


@dataclass(frozen=True, slots=True)
class Feature:
    """One entry of the context. `values` for category, `buckets` for hashed, the rest for number."""

    name: str
    kind: FeatureKind
    values: tuple[str, ...] = ()
    buckets: int = 0
    minimum: float = 0.0
    maximum: float = 1.0
    scale: Scale = Scale.LINEAR


@dataclass(frozen=True, slots=True)
class Reward:
    """R = clip(Σ value x event value, 0, maximum), over a decision's events within `window_us`.

    `values` are (event, value) sorted by event; `maximum` is infinity when unbounded. `delayed`: estimates
    are corrected for rewards that are still to come.
    """

    window_us: int
    values: tuple[tuple[str, float], ...]
    maximum: float
    repeatable: frozenset[str]
    delayed: bool


@dataclass(frozen=True, slots=True)
class Policy:
    """A named way to get a pmf. What a kind does not use keeps its default.

    `explore` is ε; `prior_precision` is λ of the ridge prior; `alpha` is LinUCB's α in units of σ.
    """

    name: str
    kind: PolicyKind
    explore: float = 0.01
    prior_precision: float = 1.0
    alpha: float = 1.0


@dataclass(frozen=True, slots=True)
class Gate:
    """When measurement may hold the ramp or take it back. `max_loss` is a fraction of static's value."""

    min_exposures: int
    max_loss: float
    confidence: float


@dataclass(frozen=True, slots=True)
class Ramp:
    """The learned share over time: `share_from` at the start, `share_to` after `over_us`.

    `policies` are (policy name, fraction of the learned share), fractions summing to 1, sorted by name.
    `start_us` None: the placement's first exposure. `only_when` is the scope; outside it, static alone.
    """

    policies: tuple[tuple[str, float], ...]
    start_us: int | None
    over_us: int
    share_from: float
    share_to: float
    only_when: Condition
    gate: Gate | None


@dataclass(frozen=True, slots=True)
class Placement:
    """A named decision point.

    `arms` are sorted by id and hold every state; `policies` begin with `static`, then by name;
    `features` are sorted by name, which is the order of columns; so the order of keys in a document
    never matters.
    """

    name: str
    owner: str
    arms: tuple[Arm, ...]
    features: tuple[Feature, ...]
    reward: Reward
    exposure: ExposureMode
    half_life_us: int | None
    policies: tuple[Policy, ...]
    ramp: Ramp | None
    document: str
    """The canonical document as JSON, in ASCII: journal and snapshot keep it."""
    schema_id: bytes
    """Eight bytes: BLAKE2b of `document`. Equal documents have equal ids."""


@dataclass(frozen=True, slots=True)
class Config:
    """Everything that is configured, by placement name, sorted."""

    placements: Mapping[str, Placement]
