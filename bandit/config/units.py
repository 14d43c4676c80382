"""Durations ("24h") and times ("2026-12-01T00:00:00Z") as integers of microseconds, there and back."""

import re
from datetime import UTC, datetime, timedelta

SECOND_US = 1_000_000
UNITS_US = {
    "w": 7 * 86_400 * SECOND_US,
    "d": 86_400 * SECOND_US,
    "h": 3_600 * SECOND_US,
    "m": 60 * SECOND_US,
    "s": SECOND_US,
}
"""The units of a duration, largest first."""

DURATION_FORM = "a whole number and one of s, m, h, d, w, as in '24h'"
TIME_FORM = "a time with its zone, as in '2026-12-01T00:00:00Z'"

_DURATION = re.compile(r"([0-9]{1,12})([smhdw])")
_TIME = re.compile(r"\d{4}-\d\d-\d\d[Tt ]\d\d:\d\d:\d\d(\.\d{1,9})?([Zz]|[+-]\d\d:\d\d)", re.ASCII)
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_TIME_US_MAX = (datetime(2100, 1, 1, tzinfo=UTC) - _EPOCH) // timedelta(microseconds=1)


def parse_duration(text: str) -> int | None:
    """Return the microseconds of e.g. "90s", "5m", "24h", "30d", "1w"; None when it is not a duration."""
    match = _DURATION.fullmatch(text)
    return int(match[1]) * UNITS_US[match[2]] if match else None


def format_duration(duration_us: int) -> str:
    """Return whole seconds in the largest unit that divides them: the inverse of `parse_duration`."""
    for unit, unit_us in UNITS_US.items():
        if duration_us % unit_us == 0 and duration_us > 0:
            return f"{duration_us // unit_us}{unit}"
    return f"{duration_us // SECOND_US}s"


def parse_time(value: str | datetime) -> int | None:
    """Return microseconds since 1970 (UTC) of an RFC 3339 time or an aware datetime.

    None when it is neither, or outside 1970 to 2100: a year further away is a slip of the finger.
    """
    if isinstance(value, str):
        if not _TIME.fullmatch(value):
            return None
        try:
            value = datetime.fromisoformat(value.upper())
        except ValueError:  # the form is right, the date is not: a 31st of February
            return None
    if value.tzinfo is None or value.utcoffset() is None:
        return None
    time_us = (value - _EPOCH) // timedelta(microseconds=1)
    return time_us if 0 <= time_us <= _TIME_US_MAX else None


def format_time(time_us: int) -> str:
    """Return the RFC 3339 time in UTC, with microseconds only where there are some."""
    return (_EPOCH + timedelta(microseconds=time_us)).isoformat().replace("+00:00", "Z")
