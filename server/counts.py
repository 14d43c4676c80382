"""What the shell counts while it serves: plain lists and integers, turned into metrics at scrape.

One observation costs about a quarter of a microsecond. Written by the event loop's thread alone; a scrape
reads from another and may see a call counted but not yet timed.
"""

from bisect import bisect_left
from collections.abc import Sequence
from dataclasses import dataclass, field

from bandit.counters import Outcome
from server.causes import Cause
from server.codes import Code

LATENCY_BOUNDS_US = (
    25, 50, 75, 100, 125, 150, 200, 250, 300, 400, 500, 600, 800,
    1_000, 1_500, 2_000, 3_000, 5_000, 7_500, 10_000, 15_000, 25_000, 50_000, 100_000, 250_000, 500_000,
    1_000_000,
)  # fmt: skip
"""Upper bounds of the latency histogram's buckets in microseconds; one more bucket is beyond."""

LATENCY_BOUNDS_NS = tuple(us * 1_000 for us in LATENCY_BOUNDS_US)
"""The same in nanoseconds, as they are measured."""


class MethodCounts:
    """One method's calls by code, and how long they took."""

    __slots__ = ("buckets", "codes", "total_ns")

    def __init__(self) -> None:
        self.codes = [0] * len(Code)
        self.buckets = [0] * (len(LATENCY_BOUNDS_NS) + 1)
        self.total_ns = 0

    def observe(self, code: int, duration_ns: int) -> None:
        """Count one call that ended with `code` after `duration_ns` nanoseconds."""
        self.codes[code] += 1
        self.buckets[bisect_left(LATENCY_BOUNDS_NS, duration_ns)] += 1
        self.total_ns += duration_ns


@dataclass(slots=True)
class Counts:
    """Everything the shell counts itself; what the core counts lies in its own arrays."""

    methods: dict[str, MethodCounts] = field(default_factory=dict)
    """by path (`/bandit.v1.BanditService/Choose`)"""
    errors: dict[str, int] = field(default_factory=dict)
    """refusals by reason, those of single items in a batch included"""
    reloads: dict[str, int] = field(default_factory=lambda: {"applied": 0, "refused": 0})
    """attempts to read the configuration again, by what became of them"""
    key_reloads: dict[str, int] = field(default_factory=lambda: {"applied": 0, "refused": 0})
    """attempts to take over a changed key file, by what became of them"""
    tls_reloads: dict[str, int] = field(default_factory=lambda: {"applied": 0, "refused": 0})
    """attempts to take over changed TLS files, by what became of them"""
    tls_expires_s: float | None = None
    """when the certificate that is served ends, in Unix time; None without TLS"""
    outcomes: dict[Outcome, int] = field(default_factory=lambda: dict.fromkeys(Outcome, 0))
    """answered rewards by outcome, those in batches included; some have no placement any more"""
    connections: int = 0
    """connections that are open now"""
    connections_ended: dict[Cause, int] = field(default_factory=lambda: dict.fromkeys(Cause, 0))
    """connections that are not, by what ended them"""
    start_s: float = 0.0
    """seconds from the process's start to being ready; 0 before that"""

    def track(self, paths: Sequence[str]) -> None:
        """Make room for methods, so that their metrics exist before the first call."""
        for path in paths:
            self.methods.setdefault(path, MethodCounts())

    def refuse(self, reason: str) -> None:
        """Count one refusal."""
        self.errors[reason] = self.errors.get(reason, 0) + 1
