"""Records: every change of state as a value. Live traffic and replay apply the same ones (`apply.apply`).

An engine hands each record to its journal before applying it; the state is a function of their sequence.
"""

from typing import NamedTuple

from bandit.config import Config
from bandit.decision import Decision
from bandit.gate import Look
from bandit.ramp import Move


class Started(NamedTuple):
    """A process began to decide under a new random id, `start`."""

    start: bytes
    time_us: int


class Configured(NamedTuple):
    """A configuration was accepted; it holds from here on."""

    config: Config
    time_us: int


class StratumOpened(NamedTuple):
    """A placement met a new set of eligible arms (bits of `mask`, in arm order) or side of its scope."""

    placement: str
    mask: int
    in_scope: bool


class Decided(NamedTuple):
    """An arm was chosen: its interval [low, high) of the served policy's CDF held the draw."""

    decision: Decision
    low: float
    high: float


class Exposed(NamedTuple):
    """A deferred decision was shown; `time_us` is when that was told."""

    decision: Decision
    time_us: int


class Rewarded(NamedTuple):
    """An event of a decision was counted, at `time_us`. `id_key` hashes its event_id; 0: not repeatable."""

    decision: Decision
    event: str
    value: float
    id_key: int
    time_us: int


class RampMoved(NamedTuple):
    """A placement's ramp was held, resumed or taken back to static, by an operator or by its gate."""

    placement: str
    move: Move


class GateLooked(NamedTuple):
    """A ramp's gate looked at what it had counted, which decisions since the look before now join."""

    placement: str
    look: Look


Record = Started | Configured | StratumOpened | Decided | Exposed | Rewarded | RampMoved | GateLooked
