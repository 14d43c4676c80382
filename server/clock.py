"""Learning time: the wall clock at start, advanced by the monotonic clock.

An operator's `date -s` or a leap of NTP must not move ramps and decay. The wall clock's departure from
learning time is watched: over five minutes is a warning, because reported times are then off by as much.
"""

import time
from collections.abc import Callable

from server import limits


class LearningClock:
    """Microseconds since the Unix epoch that never step.

    `wall_ns` and `monotonic_ns` are the clocks it is made of, in nanoseconds; tests give their own.
    """

    def __init__(
        self,
        wall_ns: Callable[[], int] = time.time_ns,
        monotonic_ns: Callable[[], int] = time.monotonic_ns,
    ) -> None:
        self._wall_ns = wall_ns
        self._monotonic_ns = monotonic_ns
        self._offset_ns = wall_ns() - monotonic_ns()
        self._departed = False

    def now_us(self) -> int:
        """Learning time in microseconds since the Unix epoch."""
        return (self._offset_ns + self._monotonic_ns()) // 1000

    def resume(self, last_us: int, *, accept: bool) -> bool:
        """Go on after a record of `last_us`; return whether the wall clock is not to be believed.

        Learning time is then `last_us`, from where it advances: when the wall clock is behind it, or more
        than a month ahead and nobody `accept`s that. Ramps and decay neither jump nor go back.
        """
        ahead_us = self.now_us() - last_us
        credible = ahead_us >= 0 and (accept or ahead_us <= limits.CLOCK_AHEAD_MAX_S * 1_000_000)
        if last_us and not credible:
            self._offset_ns -= ahead_us * 1000
        return bool(last_us) and not credible

    def departure_s(self) -> float:
        """Seconds by which the wall clock is ahead of learning time; negative: behind."""
        return (self._wall_ns() - self._monotonic_ns() - self._offset_ns) / 1e9

    def newly_departed(self) -> bool:
        """Whether the wall clock is found over the limit now and was within it when last asked."""
        departed = abs(self.departure_s()) > limits.CLOCK_DEPARTURE_MAX_S
        news = departed and not self._departed
        self._departed = departed
        return news
