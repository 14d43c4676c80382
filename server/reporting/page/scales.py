"""Scales: from a quantity to a place in a plot, and where its ticks are."""

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import date

MONTHS = "Jan Feb Mar Apr May Jun Jul Aug Sep Oct Nov Dec".split()

STEPS_DAYS = (1, 2, 4, 7, 14, 28, 56, 91, 182, 364)
"""Days between two ticks: whole weeks as soon as there are many, so that ticks fall on one weekday."""

ROOM = 0.06
"""Part of a scale that is left free beyond its data, so that marks keep clear of the frame."""


@dataclass(frozen=True, slots=True)
class Scale:
    """A linear scale: `low` lies at `start` and `high` at `end`, in user units of the drawing."""

    low: float
    high: float
    start: float
    end: float

    def at(self, value: float) -> float:
        """Return where a value lies; those beyond the scale at its end, no number at its start."""
        if math.isnan(value):
            return self.start
        part = (min(max(value, self.low), self.high) - self.low) / (self.high - self.low)
        return self.start + part * (self.end - self.start)

    def ticks(self, most: int) -> list[float]:
        """Return at most `most` round values within the scale: steps of 1, 2 or 5 times a power of ten."""
        step = tick_step(self.high - self.low, most)
        first, last = math.ceil(self.low / step - 1e-9), math.floor(self.high / step + 1e-9)
        return [number * step for number in range(first, last + 1)]


def around(values: Iterable[float], *, room: float = ROOM) -> tuple[float, float]:
    """Return bounds that hold all the values, with some room; of a width above 0, whatever they are."""
    known = [value for value in values if math.isfinite(value)] or [0.0]
    low, high = min(known), max(known)
    alike = high - low <= 1e-12 * max(abs(low), abs(high))
    spare = (abs(low) / 2 or 1.0) if alike else (high - low) * room
    return low - spare, high + spare


def tick_step(width: float, most: int) -> float:
    """Return the smallest round step that has at most `most` ticks within `width`."""
    power = 10.0 ** math.floor(math.log10(width / most))
    return next(power * factor for factor in (1, 2, 5, 10, 20) if width / (power * factor) < most)


def tick_texts(ticks: Sequence[float], *, sign: bool = False, part: bool = False) -> list[str]:
    """Return the ticks' numbers, with as many decimals as tell them apart; `part`: as percent."""
    scaled = [tick * 100 for tick in ticks] if part else list(ticks)
    step = scaled[1] - scaled[0] if len(scaled) > 1 else abs(scaled[0]) if scaled and scaled[0] else 1.0
    decimals = min(max(0, -math.floor(math.log10(step) + 1e-9)), 9)
    form = f"{'+' if sign else ''},.{decimals}f"
    texts = [f"{tick:{form}}" if abs(tick) > step * 1e-6 else "0" for tick in scaled]
    return [f"{written}%" for written in texts] if part else texts


@dataclass(frozen=True, slots=True)
class Days:
    """A scale of days: each has a slot of the same width."""

    first: int
    count: int
    start: float
    end: float

    @classmethod
    def over(cls, dates: Sequence[str], start: float, end: float) -> "Days":
        """Return the scale from the first to the last of these dates, which are in order."""
        first, last = (date.fromisoformat(dates[at]).toordinal() for at in (0, -1))
        return cls(first, last - first + 1, start, end)

    @property
    def width(self) -> float:
        """Width of one day's slot."""
        return (self.end - self.start) / self.count

    def left(self, day: str) -> float:
        """Return where a day begins."""
        return self.start + (date.fromisoformat(day).toordinal() - self.first) * self.width

    def middle(self, day: str) -> float:
        """Return the middle of a day."""
        return self.left(day) + self.width / 2

    def moment(self, seconds: float) -> float | None:
        """Return where a time in seconds since 1970 lies, or None outside of the scale."""
        days = seconds / 86_400 + date(1970, 1, 1).toordinal() - self.first
        return self.start + days * self.width if 0.0 <= days <= self.count else None

    def ticks(self, most: int) -> list[tuple[float, str]]:
        """Return place and text of at most `most` days."""
        step = next((step for step in STEPS_DAYS if self.count <= step * most), self.count)
        days = (date.fromordinal(self.first + number) for number in range(0, self.count, step))
        return [(self.middle(day.isoformat()), f"{day.day} {MONTHS[day.month - 1]}") for day in days]

    def caption(self) -> str:
        """Return what the axis shows, with the year or years."""
        years = sorted({date.fromordinal(self.first + at).year for at in (0, self.count - 1)})
        return f"days in UTC, {'–'.join(map(str, years))}"
