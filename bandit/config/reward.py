"""The reward: which events count, how much, for how long."""

import math

from bandit.config.keys import KEYS
from bandit.config.model import EXPOSURE, Reward
from bandit.config.reader import Reader
from bandit.config.wording import meant, show
from bandit.limits import EVENT_VALUE_MAX, EVENTS_MAX, WINDOW_US_MAX

WINDOW_DEFAULT = "24h"

DELAYED_FROM_US = 10 * 60 * 1_000_000
"""Windows above it wait for rewards unless told otherwise: below, most have come before it matters."""


def parse_reward(reader: Reader) -> Reward:
    """Return the reward; it must value at least one event."""
    fields = reader.fields(KEYS["reward"])
    values = _values(fields["values"])
    window_us = fields["window"].duration_us(WINDOW_DEFAULT, at_most_us=WINDOW_US_MAX)
    return Reward(
        window_us=window_us,
        values=tuple(sorted(values.items())),
        maximum=fields["max"].number(math.inf, above=0.0, at_most=EVENT_VALUE_MAX),
        repeatable=_repeatable(fields["repeatable"], values),
        delayed=fields["delayed"].flag(default=window_us > DELAYED_FROM_US),
    )


def _values(reader: Reader) -> dict[str, float]:
    values: dict[str, float] = {}
    for event, entry in reader.entries("event", EVENTS_MAX):
        if event == EXPOSURE:
            entry.refuse(
                f"got {event!r} as the name of an event, which is reserved to confirm exposures; rename it"
            )
        values[event] = entry.number(at_least=-EVENT_VALUE_MAX, at_most=EVENT_VALUE_MAX)
    return values


def _repeatable(reader: Reader, values: dict[str, float]) -> frozenset[str]:
    if not reader.filled:
        return frozenset()
    events: set[str] = set()
    for item in reader.items("events", EVENTS_MAX):
        event = item.text()
        if not item.sound:
            continue
        if event not in values:
            item.refuse(f"got {show(event)}, expected an event of `values`{meant(event, values)}")
        elif event in events:
            item.refuse(f"got {show(event)} twice; keep one")
        events.add(event)
    return frozenset(events)
