"""Arms: what can be shown."""

from bandit.config.conditions import Declared, parse_condition
from bandit.config.keys import KEYS
from bandit.config.model import Arm, ArmState
from bandit.config.reader import Reader
from bandit.limits import ARMS_MAX, PAYLOAD_BYTES_MAX, WEIGHT_MAX


def parse_arms(reader: Reader, features: Declared) -> tuple[Arm, ...]:
    """Return the arms, sorted by id; at least one must be active."""
    arms = tuple(
        sorted(
            (_arm(name, entry, features) for name, entry in reader.entries("arm", ARMS_MAX)),
            key=lambda arm: arm.id,
        )
    )
    if reader.sound and not any(arm.state is ArmState.ACTIVE for arm in arms):
        reader.refuse(
            "no arm is active, so nothing could be shown; let one have the state active, the default"
        )
    return arms


def _arm(name: str, reader: Reader, features: Declared) -> Arm:
    fields = reader.fields(KEYS["arm"])
    return Arm(
        id=name,
        weight=fields["weight"].number(1.0, at_least=0.0, at_most=WEIGHT_MAX),
        payload=fields["payload"].text(PAYLOAD_BYTES_MAX, "", label=False),
        when=parse_condition(fields["when"], features),
        state=fields["state"].choice(ArmState, list(ArmState), ArmState.ACTIVE) or ArmState.ACTIVE,
    )
