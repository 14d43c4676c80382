"""What a request may be: every refusal of the engine's own, with its words."""

import math
import re
from collections.abc import Sequence

from bandit.config import EXPOSURE, Placement
from bandit.errors import BanditError, Reason
from bandit.gate import GATE
from bandit.limits import (
    ACTOR_BYTES_MAX,
    CONTEXT_ENTRIES_MAX,
    EVENT_ID_BYTES_MAX,
    EVENT_VALUE_MAX,
    REASON_BYTES_MAX,
    UNIT_BYTES_MAX,
)
from bandit.placement import PlacementState

_CONTROLS = re.compile("[\x00-\x1f\x7f-\x9f\u2028-\u202e\u2066-\u2069]")
"""What moves a terminal's cursor, or turns the order of what is read."""


def placement_unknown(name: str) -> BanditError:
    """Return the refusal of a placement that is not configured."""
    message = f"placement '{_quoted(name)}' is not configured here; check the name, or add it and reload"
    return BanditError(Reason.PLACEMENT_UNKNOWN, message, placement=_quoted(name))


def too_large(unit_bytes: int, entries: int, placement: str) -> BanditError:
    """Return the refusal of a unit of more than UNIT_BYTES_MAX, or else of a context of too many entries."""
    if unit_bytes > UNIT_BYTES_MAX:
        message = (
            f"unit has {unit_bytes} bytes, at most {UNIT_BYTES_MAX} are taken; send a hash of it instead"
        )
        return BanditError(Reason.UNIT_TOO_LONG, message, limit=str(UNIT_BYTES_MAX), placement=placement)
    message = (
        f"context has {entries} categories and numbers, at most {CONTEXT_ENTRIES_MAX} are taken; "
        f"send only the features that placement '{placement}' configures"
    )
    return BanditError(Reason.CONTEXT_TOO_LARGE, message, limit=str(CONTEXT_ENTRIES_MAX), placement=placement)


def check_event(schema: Placement, event: str, value: float, event_id: str) -> None:
    """Refuse an event that is not configured, a value that is not a usable number, a missing event_id.

    `schema` is the configuration that the decision was made under.
    """
    reward, name = schema.reward, schema.name
    known = [known for known, _ in reward.values]
    if event not in known and event != EXPOSURE:
        message = (
            f"event '{_quoted(event)}' is not configured for placement '{name}', or was not when the "
            f"decision was made; expected one of {', '.join(known)} or '{EXPOSURE}'"
        )
        raise BanditError(Reason.EVENT_UNKNOWN, message, placement=name, event=_quoted(event))
    if not math.isfinite(value):
        message = f"value of event '{event}' is {value}: expected a finite number"
        raise BanditError(Reason.VALUE_NOT_FINITE, message, placement=name, event=event)
    if abs(value) > EVENT_VALUE_MAX:
        message = f"value of event '{event}' is {value}: expected at most ±{EVENT_VALUE_MAX:g}"
        raise BanditError(Reason.VALUE_OUT_OF_RANGE, message, placement=name, event=event)
    if event in reward.repeatable and not event_id:
        message = (
            f"event '{event}' is repeatable and came without event_id; send one per occurrence (an order id)"
        )
        raise BanditError(Reason.EVENT_ID_REQUIRED, message, placement=name, event=event)
    if len(event_id.encode("utf-8", "surrogatepass")) > EVENT_ID_BYTES_MAX:
        message = f"event_id has {len(event_id)} characters, at most {EVENT_ID_BYTES_MAX} bytes are taken"
        raise BanditError(Reason.EVENT_ID_TOO_LONG, message, placement=name, event=event)


def no_eligible_arm(state: PlacementState, arms: Sequence[str]) -> BanditError:
    """Return the refusal of a request that leaves nothing to choose from."""
    name = state.config.name
    asked = f" among the {len(arms)} arms of the request" if arms else ""
    message = (
        f"no arm of placement '{name}' is eligible{asked} in this context; show your default, and give one "
        "active arm no 'when' condition"
    )
    return BanditError(Reason.NO_ELIGIBLE_ARM, message, placement=name)


def check_move(state: PlacementState, reason: str, actor: str) -> None:
    """Refuse a move of a ramp that is not there, or that nobody explains."""
    name = state.config.name
    if state.config.ramp is None:
        message = f"placement '{name}' has no ramp: there is nothing to hold or to resume"
        raise BanditError(Reason.RAMP_ABSENT, message, placement=name)
    for what, text, size in (("a reason", reason, REASON_BYTES_MAX), ("an actor", actor, ACTOR_BYTES_MAX)):
        if not 0 < len(text.encode("utf-8", "surrogatepass")) <= size or _CONTROLS.search(text):
            message = (
                f"a move of a ramp needs {what} of 1 to {size} bytes on one line, without control "
                "characters: it is what the history will say"
            )
            raise BanditError(Reason.MOVE_UNEXPLAINED, message, placement=name)
    if actor == GATE:
        message = f"the actor '{GATE}' is the ramp's gate itself; say who you are"
        raise BanditError(Reason.MOVE_UNEXPLAINED, message, placement=name)


def journal_full() -> BanditError:
    """Return the refusal of an event that could not be written down."""
    message = (
        "the journal has no space left on its disk, so nothing was counted: send it again later; Choose goes "
        "on, and counting does as soon as there is space"
    )
    return BanditError(Reason.JOURNAL_FULL, message)


def conflict(event: str, counted: float, value: float) -> BanditError:
    """Return the refusal of an event that was counted with another value."""
    message = (
        f"event '{event}' was counted with value {counted:g} and came again with {value:g}: the first stays; "
        "a repeated event needs its own event_id and 'repeatable' in the configuration"
    )
    return BanditError(Reason.REWARD_CONFLICT, message, event=event)


def _quoted(name: str) -> str:
    """Return a caller's name as it may stand in a message: short and printable."""
    return "".join(c if c.isprintable() else "?" for c in name[:64])
