"""What is still expected of recent exposures, as fields of msgpack (docs/format.md).

Nothing is written of what is empty, so that a placement that nobody visits takes no room.
"""

import numpy as np

from bandit.arrivals import Arrivals
from bandit.config import Placement
from bandit.delays import DELAY_BINS
from bandit.fields import Fields, pack_doubles
from bandit.kernels.recent import BINS, ROWS
from bandit.limits import EVENTS_MAX
from bandit.recent import Recent
from bandit.tally import Tally
from bandit.tally_codec import pack_triangles, read_triangles

_ROWS = ("n", "t", "r1", "r2")


def pack_recent(where: str, recent: Recent | None) -> dict[str, object]:
    """Return the field of recent exposures: none before the first. Rows that are all 0 are left out."""
    if recent is None or not recent.newest:
        return {}
    rows = recent.in_order()
    held = np.asarray(rows.any(axis=2)).tolist()
    first = min((bins.index(True) for bins in held if any(bins)), default=BINS)
    fields = {
        name: pack_doubles(where, f"recent.{name}", row[first:])
        for name, row, bins in zip(_ROWS, rows, held, strict=True)
        if any(bins)
    }
    return {"recent": {"newest": recent.newest, "bins": BINS - first} | fields}


def read_recent(fields: Fields, recent: Recent | None) -> None:
    """Read them into an empty ring. Raises SectionError."""
    if recent is None or not fields.has("recent"):
        return
    held = fields.inner("recent")
    bins = held.integer("bins", 0, BINS)
    rows = np.zeros((ROWS, BINS, recent.arms))
    for number, name in enumerate(_ROWS):
        if held.has(name):
            low = 0.0 if name in {"n", "t"} else -np.inf
            doubles = held.doubles(name, bins * recent.arms, low=low)
            rows[number, BINS - bins :] = doubles.reshape(bins, recent.arms)
    recent.fill(held.integer("newest", 1, _NEWEST_MAX), rows)


def pack_arrivals(where: str, arrivals: Arrivals | None) -> dict[str, object]:
    """Return the fields of what a placement expects: none before its first exposure."""
    if arrivals is None or not arrivals.due_us:
        return {}
    delays = arrivals.delays
    events = int(np.flatnonzero(delays.counts)[-1]) + 1 if delays.counts.any() else 0
    fields: dict[str, object] = {
        "since_us": delays.since_us,
        "due_us": arrivals.due_us,
        "uncounted": pack_doubles(where, "arrivals.uncounted", np.array([delays.uncounted])),
        "events": events,
        "counts": pack_doubles(where, "arrivals.counts", delays.counts[:events]),
        "credits": pack_doubles(where, "arrivals.credits", delays.credits[:events]),
    }
    if arrivals.fresh is not None:
        fields["fresh"] = pack_doubles(where, "arrivals.fresh", np.array([arrivals.fresh]))
    if arrivals.moments.any():
        fields["A"] = pack_triangles(where, "arrivals.A", arrivals.moments)
    return {"arrivals": fields | pack_recent(where, arrivals.others)}


def read_arrivals(fields: Fields, config: Placement, tally: Tally) -> Arrivals | None:
    """Return what a placement expects, None where rewards are not waited for. Raises SectionError.

    Of a section that an earlier version wrote nothing is expected: what comes begins with it.
    """
    arrivals = Arrivals.of(config, tally, fields.time_us("latest_us"))
    if arrivals is None or not fields.has("arrivals"):
        return arrivals
    held, delays = fields.inner("arrivals"), arrivals.delays
    delays.since_us, arrivals.due_us = held.time_us("since_us"), held.time_us("due_us")
    delays.uncounted = float(held.doubles("uncounted", 1)[0])
    events = held.integer("events", 0, EVENTS_MAX)
    delays.counts[:events] = held.doubles("counts", events, low=0.0)
    delays.credits[:events] = held.doubles("credits", events * DELAY_BINS).reshape(events, DELAY_BINS)
    if held.has("fresh"):
        arrivals.take(float(held.doubles("fresh", 1, low=0.0)[0]))
    if held.has("A"):
        arrivals.moments[:] = read_triangles(held, "A", *arrivals.moments.shape[:2])
    read_recent(held, arrivals.others)
    return arrivals


_NEWEST_MAX = 2**40
"""Bins since 1970: more than any time and the shortest window give."""
