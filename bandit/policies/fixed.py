"""The policies that do not learn: static, the campaign as configured, and uniform."""

from bandit.strata import Stratum
from bandit.tally import Floats


class Static:
    """Configured weights over the eligible arms; uniform if those are all zero."""

    context_free = True

    def __init__(self, name: str) -> None:
        self.name = name

    def pmf(self, stratum: Stratum, now_us: int, out: Floats) -> bool:
        """See `Policy.pmf`."""
        del now_us
        out[:] = stratum.static
        return True


class Uniform:
    """Every eligible arm alike."""

    context_free = True

    def __init__(self, name: str) -> None:
        self.name = name

    def pmf(self, stratum: Stratum, now_us: int, out: Floats) -> bool:
        """See `Policy.pmf`."""
        del now_us
        out[:] = stratum.uniform
        return True
