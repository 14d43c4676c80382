"""The ramp: how the learned share grows, where, and (the gate) when measurement may stop it."""

import math

from bandit.config.conditions import Declared, parse_condition
from bandit.config.keys import KEYS
from bandit.config.model import STATIC, Gate, Ramp
from bandit.config.reader import Reader
from bandit.config.wording import meant
from bandit.limits import POLICIES_MAX

OVER_DEFAULT = "60d"
FROM_DEFAULT = 0.05
TO_DEFAULT = 0.9
MIN_EXPOSURES_DEFAULT = 2000
MAX_LOSS_DEFAULT = 0.05
CONFIDENCE_DEFAULT = 0.95

DEFAULT_GATE = Gate(MIN_EXPOSURES_DEFAULT, MAX_LOSS_DEFAULT, CONFIDENCE_DEFAULT)
"""By what a placement without a gate of its own is judged in reports."""

_FRACTIONS_TOLERANCE = 1e-9
_EXPOSURES_MAX = 10**12
_CONFIDENCE_MIN = 0.5


def parse_ramp(reader: Reader, policies: frozenset[str], features: Declared) -> Ramp | None:
    """Return the ramp, None without one: then static serves alone."""
    if not reader.present:
        return None
    fields = reader.fields(KEYS["ramp"])
    share_from = fields["from"].number(FROM_DEFAULT, at_least=0.0, at_most=1.0)
    share_to = fields["to"].number(max(share_from, TO_DEFAULT), at_least=0.0, at_most=1.0)
    if fields["from"].sound and fields["to"].sound and share_to < share_from:
        fields["to"].refuse(
            f"got {share_to:g} with from {share_from:g}, expected at least that; a ramp only grows"
        )
    return Ramp(
        policies=_fractions(fields["policies"], policies),
        start_us=fields["start"].time_us() if fields["start"].present else None,
        over_us=fields["over"].duration_us(OVER_DEFAULT),
        share_from=share_from,
        share_to=share_to,
        only_when=parse_condition(fields["only_when"], features),
        gate=_gate(fields["gate"]),
    )


def _fractions(reader: Reader, policies: frozenset[str]) -> tuple[tuple[str, float], ...]:
    fractions: dict[str, float] = {}
    for name, entry in reader.entries("policy", POLICIES_MAX - 1):
        if name == STATIC:
            entry.refuse(
                "got 'static', which serves what the ramp leaves; remove it, and lower `to` to leave more"
            )
        elif name not in policies:
            guess = meant(name, policies) or "; define it under `policies`"
            entry.refuse(f"policy {name!r} is not defined{guess}")
        fractions[name] = entry.number(above=0.0, at_most=1.0)
    total = math.fsum(fractions.values())
    if reader.sound and abs(total - 1.0) > _FRACTIONS_TOLERANCE:
        reader.refuse(f"got fractions that sum to {total:.10g}, expected 1: they split the learned share")
    return tuple(sorted(fractions.items()))


def _gate(reader: Reader) -> Gate | None:
    if not reader.present:
        return None
    fields = reader.fields(KEYS["gate"])
    return Gate(
        min_exposures=fields["min_exposures"].integer(
            MIN_EXPOSURES_DEFAULT, at_least=1, at_most=_EXPOSURES_MAX
        ),
        max_loss=fields["max_loss"].number(MAX_LOSS_DEFAULT, at_least=0.0, at_most=1.0),
        confidence=fields["confidence"].number(CONFIDENCE_DEFAULT, at_least=_CONFIDENCE_MIN, below=1.0),
    )
