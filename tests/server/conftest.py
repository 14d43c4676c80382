"""Sidecars for the tests: one loop for all of them, one shared sidecar for tests that leave it as it was."""

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from pathlib import Path

import pytest

from tests.server.running import Loop, Running, running

Start = Callable[..., AbstractContextManager[Running]]


@pytest.fixture(scope="session")
def loop() -> Iterator[Loop]:
    """The event loop of every in-process sidecar."""
    made = Loop()
    yield made
    made.close()


@pytest.fixture(scope="module")
def shared(loop: Loop, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    """A sidecar that serves the tests of one module one after another."""
    with running(loop, tmp_path_factory.mktemp("sidecar")) as made:
        yield made


@pytest.fixture
def sidecar(loop: Loop, tmp_path: Path) -> Iterator[Running]:
    """A fresh sidecar for one test."""
    with running(loop, tmp_path) as made:
        yield made
