"""A placement's days as a field of msgpack (docs/format.md): a blob for each kind of number, all days in it.

Not there before the first exposure, so that a placement that nobody visits takes no room.
"""

from typing import Any

import numpy as np

from bandit.config import Placement
from bandit.fields import Fields, pack_doubles
from bandit.history import UPLIFT_NUMBERS, History
from bandit.limits import HISTORY_DAYS_MAX
from bandit.measuring import Measuring
from bandit.tally import Floats

_DAYS = range(-700_000, 2_900_000)
"""Those that have a date."""


def pack_history(where: str, config: Placement, history: History) -> dict[str, object]:
    """Return the field of the days there are. Raises SectionError for a sum that is not finite."""
    kept = history.days
    numbers, days = list(kept), kept.values()
    if not numbers:
        return {}
    return {
        "history": {
            "days": numbers,
            "share": pack_doubles(where, "share", np.array([day.share for day in days])),
            "sums": pack_doubles(where, "sums", _joined([day.sums for day in days])),
            "uplift": pack_doubles(where, "uplift", _joined([day.uplifts for day in days])),
            "shown": {
                policy.name: counts
                for policy, counts in zip(config.policies, history.shown.tolist(), strict=True)
            },
        }
    }


def _joined(rows: list[Any]) -> Floats:
    """Return arrays of doubles as one: as bytes, which takes a third of what np.concatenate takes."""
    return np.frombuffer(bytearray().join(rows))


def read_history(fields: Fields, config: Placement, measuring: Measuring) -> History:
    """Return the days in a section. Raises SectionError."""
    history = History(config, measuring)
    if not fields.has("history"):
        return history
    held = fields.inner("history")
    days = held.array("days")
    numbers = [number for number in days if type(number) is int and number in _DAYS]
    if len(numbers) != len(days) or len(days) > HISTORY_DAYS_MAX or numbers != sorted(set(numbers)):
        raise held.refuse("days", f"at most {HISTORY_DAYS_MAX} days, the earliest first", days)
    uplifts = UPLIFT_NUMBERS * (len(config.policies) - 1)
    columns = (
        held.doubles("share", len(days)).tolist(),
        held.doubles("sums", len(days) * history.width).reshape(len(days), -1),
        held.doubles("uplift", len(days) * uplifts).reshape(len(days), uplifts),
    )
    for number, share, sums, uplift in zip(numbers, *columns, strict=True):
        history.restore(number, share, sums, uplift)
    shown = held.inner("shown")
    counts = [shown.counts(policy.name, len(config.arms)) for policy in config.policies]
    history.restore_shown(np.array(counts, np.int64))
    return history
