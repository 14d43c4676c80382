"""Every error the core raises to a caller. One class, one list of reasons; transports map the reasons.

A message says what was wrong, quoting it, where, what was expected and what to do. It never quotes a
unit: that is a person.
"""

from enum import StrEnum


class Reason(StrEnum):
    """Why a call was refused. The names are part of the contract: clients switch on them."""

    PLACEMENT_UNKNOWN = "PLACEMENT_UNKNOWN"
    NO_ELIGIBLE_ARM = "NO_ELIGIBLE_ARM"
    FEATURE_NOT_FINITE = "FEATURE_NOT_FINITE"
    FEATURE_NOT_BOOLEAN = "FEATURE_NOT_BOOLEAN"
    CONTEXT_TOO_LARGE = "CONTEXT_TOO_LARGE"
    UNIT_TOO_LONG = "UNIT_TOO_LONG"
    TOKEN_INVALID = "TOKEN_INVALID"  # noqa: S105 - a reason's name, not a secret
    EVENT_UNKNOWN = "EVENT_UNKNOWN"
    EVENT_ID_REQUIRED = "EVENT_ID_REQUIRED"
    EVENT_ID_TOO_LONG = "EVENT_ID_TOO_LONG"
    VALUE_NOT_FINITE = "VALUE_NOT_FINITE"
    VALUE_OUT_OF_RANGE = "VALUE_OUT_OF_RANGE"
    REWARD_CONFLICT = "REWARD_CONFLICT"
    LEDGER_FULL = "LEDGER_FULL"
    JOURNAL_FULL = "JOURNAL_FULL"
    RAMP_ABSENT = "RAMP_ABSENT"
    MOVE_UNEXPLAINED = "MOVE_UNEXPLAINED"
    BATCH_TOO_LARGE = "BATCH_TOO_LARGE"
    MESSAGE_MALFORMED = "MESSAGE_MALFORMED"
    CONFIG_INVALID = "CONFIG_INVALID"


class BanditError(Exception):
    """A call refused, with nothing changed.

    Attributes: `reason`, the stable name; `message`, one sentence for a person; `metadata`, the facts of
    the case as strings (placement, feature, event, limit), never a unit.
    """

    def __init__(self, reason: Reason, message: str, **metadata: str) -> None:
        super().__init__(message)
        self.reason = reason
        self.message = message
        self.metadata = metadata
