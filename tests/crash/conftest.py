"""What tests of faults share with those of the server."""

from collections.abc import Iterator

import pytest

from tests.server.running import Loop


@pytest.fixture(scope="session")
def loop() -> Iterator[Loop]:
    """The event loop of every in-process sidecar."""
    made = Loop()
    yield made
    made.close()
