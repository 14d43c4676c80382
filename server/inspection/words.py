"""Numbers and times in words, as the tools show them."""

import time

from bandit.config import format_time

now_s = time.time
"""The wall clock."""


def count(things: int, what: str) -> str:
    """Return a number of things, in words: "1,000 records"."""
    return f"{things:,} {what}{'' if things == 1 else 's'}"


def percent(fraction: float | None) -> str:
    """Return a fraction, or a dash."""
    return "–" if fraction is None else f"{fraction:.1%}"


def number(value: float | None) -> str:
    """Return a mean with four digits that count, or a dash."""
    return "–" if value is None else f"{value:.4g}"


def interval(low: float | None, high: float | None) -> str:
    """Return an interval, or a dash."""
    return "–" if low is None or high is None else f"{low:.4g}–{high:.4g}"


def time_text(time_us: int) -> str:
    """Return a time, to the second; one that no calendar has as it stands."""
    try:
        return format_time(time_us // 1_000_000 * 1_000_000)
    except OverflowError:
        return f"{time_us} µs"


def moment(time_us: int) -> str:
    """Return a time and how long ago that was."""
    ago_s = now_s() - time_us / 1e6
    if ago_s < 0:
        return time_text(time_us)
    for unit, seconds in (("days", 86_400), ("hours", 3_600), ("minutes", 60)):
        if ago_s >= 2 * seconds:
            return f"{time_text(time_us)} ({ago_s // seconds:.0f} {unit} ago)"
    return f"{time_text(time_us)} ({ago_s:.0f} s ago)"
