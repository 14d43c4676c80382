"""Asymptotic confidence sequences: intervals that hold at all times at once, so looking every day is allowed.

Waudby-Smith, Arbour, Sinha, Kennedy & Ramdas, "Time-uniform central limit theory and asymptotic confidence
sequences" (Annals of Statistics 52, 2024). With σ̂² the variance of an observation and t of them, the running
mean of the conditional means lies, at all t at once, with probability 1 - α asymptotically, within

    mean ± √( (t σ̂² ρ² + 1) / (t² ρ²) · ln( (t σ̂² ρ² + 1) / α² ) )      their Proposition 2.5

of the mean: observations may depend on the past and have changing means and variances (Lindeberg's
condition). ρ says where the sequence is tight and has to be fixed in advance. There it has the unit 1 / σ̂;
here it is measured in it, which gives the form of their Theorem 2.2:

    mean ± σ̂ √( 2 (t ρ² + 1) / (t² ρ²) · ln( √(t ρ² + 1) / α ) )

so that ρ depends on neither the rewards' unit nor anything seen. A question with one side has a sequence of
its own, by which the mean is at no t further off to that side than

    σ̂ √( 2 (t ρ² + 1) / (t² ρ²) · ln( 1 + √(t ρ² + 1) / (2 α) ) )

which is less: with S the sum of t deviations in units of σ̂, x = ρ S / √(t ρ² + 1), Φ the normal distribution,
2 e^(x²/2) Φ(x) / √(t ρ² + 1), a mixture over drifts to that side, is a martingale of mean 1, which by Ville
ever reaches 1 / α with probability α; and e^(x²/2) Φ(x) ≥ e^(x²/2) - 1.
"""

import math
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]

AHEAD = 10
"""Sequences are tightest at so many times the exposures from which on they are looked at."""


def tuned(planned: float, alpha: float) -> float:
    """Return the ρ whose sequence is tightest, against those of other ρ, after `planned` observations.

    √((-2 ln α + ln(1 - 2 ln α)) / t), the paper's approximation (its appendix on the choice of ρ) of the root
    of an equation without a closed form: the width there exceeds the least possible by less than 0.2 %.
    """
    logs = -2.0 * math.log(alpha)
    return math.sqrt((logs + math.log1p(logs)) / planned)


def halfwidth(n: float | Floats, variance: float | Floats, alpha: float, rho: float) -> Floats:
    """Return half the width of the sequence's interval around the mean of n > 0 observations.

    `variance` is that of one observation: of the mean it is variance / n, however it was estimated. `alpha`
    in (0, 1) is the probability that any interval of the sequence misses. Arrays are taken element
    by element.
    """
    grown = 1.0 + n * rho**2
    logs = np.log(grown) - 2.0 * math.log(alpha)
    return np.asarray(np.sqrt(variance / n * grown / (n * rho**2) * logs))


def reach(n: float, variance: float, alpha: float, rho: float) -> float:
    """Return how far to one side of the mean of n > 0 observations the truth may be; as `halfwidth`."""
    grown = 1.0 + n * rho**2
    logs = math.log1p(math.sqrt(grown) / (2.0 * alpha))
    return math.sqrt(2.0 * variance / n * grown / (n * rho**2) * logs)


class Interval(NamedTuple):
    """A mean, and the confidence sequence's interval around it, per decision in units of R."""

    mean: float
    low: float
    high: float


class Sequence(NamedTuple):
    """One confidence sequence: it ever misses with probability `alpha`; `rho` says where it is tight."""

    alpha: float
    rho: float

    @classmethod
    def planned(cls, alpha: float, min_exposures: int) -> "Sequence":
        """Return the sequence that is looked at from `min_exposures` on."""
        return cls(alpha, tuned(AHEAD * min_exposures, alpha))

    def interval(self, n: float, mean: float, variance: float) -> tuple[float, float]:
        """Return the interval around the mean of n > 0 observations of `variance` each."""
        half = float(halfwidth(n, variance, self.alpha, self.rho))
        return mean - half, mean + half

    def bounds(self, n: float, mean: float, variance: float) -> tuple[float, float]:
        """Return how low and how high the mean may be: each misses with `alpha`, so ask for one of them."""
        far = reach(n, variance, self.alpha, self.rho)
        return mean - far, mean + far


def all_time(alpha: float, min_exposures: int) -> Sequence:
    """Return the sequence over everything since the beginning: half of alpha."""
    return Sequence.planned(alpha / 2.0, min_exposures)


def of_week(alpha: float, week: int, min_exposures: int) -> Sequence:
    """Return the sequence that begins anew with `week` (1, 2, …), so that early good does not hide late harm.

    α / (2 k (k + 1)) adds up to α / 2 over all weeks: with `all_time`, α for all sequences together.
    """
    return Sequence.planned(alpha / (2.0 * week * (week + 1)), min_exposures)
