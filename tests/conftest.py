"""What keeps every test steady: kernels compiled before anyone waits, no overload by slowness, no dice."""

from collections.abc import Iterator

import pytest
from hypothesis import HealthCheck, settings

import server.lifecycle  # noqa: F401 - with it every kernel is known
from bandit.kernels import jit

# The same examples in every run: a failure is the change's, never the dice's. Nor is it the machine's, which
# may be slow to draw them.
settings.register_profile(
    "repeatable", derandomize=True, deadline=None, suppress_health_check=[HealthCheck.too_slow]
)
settings.load_profile("repeatable")


@pytest.fixture(scope="session", autouse=True)
def _kernels() -> None:
    """Have the kernels on the disk before a test waits for a server with a limit.

    Compiling them takes 16 s of processor time, and a minute and more where others want it too.
    """
    jit.compile_all()


@pytest.fixture(scope="session", autouse=True)
def _patience() -> Iterator[None]:
    """Calls wait as long as they must: a busy machine is no overload. That has tests of its own."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("server.turns.WAIT_NS", 60 * 10**9)
        yield
