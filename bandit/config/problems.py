"""What is wrong with a configuration: a path, a message, and the exception that carries all of them."""

from collections.abc import Iterable
from dataclasses import dataclass


@dataclass(frozen=True, slots=True, order=True)
class Problem:
    """One thing to mend, or, from `warnings`, to know.

    `path` as in `$.placements.home-hero.arms.womens.weight`; `source` is the file it came from, "" when the
    document did not come from a file.
    """

    path: str
    message: str
    source: str = ""

    def __str__(self) -> str:
        place = f"{self.source}: {self.path}" if self.source else self.path
        return f"{place}: {self.message}"


class ConfigError(Exception):
    """A configuration refused as a whole. `problems` holds everything that was found, never empty."""

    def __init__(self, problems: Iterable[Problem]) -> None:
        self.problems = tuple(problems)
        super().__init__("\n".join(str(problem) for problem in self.problems))
