"""Bars of time on a machine that others use too: what came too late is tried again, nothing else is."""

from collections.abc import Callable
from functools import wraps
from typing import ParamSpec

ROUNDS = 3

P = ParamSpec("P")


class LateError(AssertionError):
    """A bar of time was missed, by the server or because the machine stood still."""


def best_of_three(test: Callable[P, None]) -> Callable[P, None]:
    """The test, which fails when it was late three times: what is slow by itself always is."""

    @wraps(test)
    def rounds(*arguments: P.args, **named: P.kwargs) -> None:
        for _ in range(ROUNDS - 1):
            try:
                return test(*arguments, **named)
            except LateError as late:
                print(f"once more: {late}")
        return test(*arguments, **named)

    return rounds
