"""A sidecar to be attacked: a process of its own, with timeouts of about a second."""

from collections.abc import Iterator

import pytest

from loadtest import hostile_server
from loadtest.sidecar import Sidecar
from tests.hostile.peers import Beside


@pytest.fixture(scope="session")
def victim(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Sidecar]:
    """It serves the embedded example to all the tests here, one after another: none may leave a mark."""
    with hostile_server.running(tmp_path_factory.mktemp("victim")) as made:
        with Beside(made):
            pass  # with its first connection a process opens what it keeps: libuv a spare descriptor
        yield made
