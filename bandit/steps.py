"""Work in steps: what takes long stops now and then, so that its driver may let others in between."""

from collections.abc import Generator
from typing import TypeVar

T = TypeVar("T")

Steps = Generator[None, None, T]
"""Yields where others may come in, and returns what it came to."""


def finished(steps: Steps[T]) -> T:
    """Take all steps at once, and return what they came to."""
    while True:
        try:
            next(steps)
        except StopIteration as end:
            found: T = end.value
            return found
