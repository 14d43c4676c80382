"""Servers for the transport's tests: one of each kind for all of them, started when first asked for."""

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack
from functools import cache
from itertools import product
from pathlib import Path

import grpc
import pytest

from server.addresses import Address
from server.tls import load_tls
from tests.server.certificates import Authority
from tests.server.running import LOOPBACK, Loop, Running, running
from tests.transport.doors import CARRIERS, ENGINES, BareDoor, Door, SidecarDoor, server_files
from tests.transport.stand_in import Bare

EVERY_DOOR = [pytest.param(both, id="-".join(both)) for both in product(ENGINES, CARRIERS)]

NGH2_DOORS = [each for each in EVERY_DOOR if str(each.id).startswith("ngh2")]
FEW_DOORS = [each for each in EVERY_DOOR if each.id == "grpcio-tcp"] + NGH2_DOORS
"""For tests with many cases: once is enough for the reference, since how it reads HTTP/2 does not depend on
what carries it."""


@pytest.fixture(scope="session")
def loop() -> Iterator[Loop]:
    """The event loop of every in-process server."""
    made = Loop()
    yield made
    made.close()


@pytest.fixture(scope="session")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    """A CA with a certificate for the server."""
    made = Authority(tmp_path_factory.mktemp("certificates"))
    made.issue("server")
    return made


@pytest.fixture(scope="session")
def bares(
    loop: Loop, authority: Authority, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Callable[[str], Bare]]:
    """An engine with a stand-in for each name of an engine."""
    with ExitStack() as stack:

        @cache
        def bare(engine: str) -> Bare:
            made = Bare(loop, engine, tmp_path_factory.mktemp("bare"), load_tls(server_files(authority)))
            stack.callback(made.stop)
            return made

        yield bare


@pytest.fixture(scope="session")
def sidecars(
    loop: Loop, authority: Authority, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Callable[[str, str], Running]]:
    """A sidecar for each engine and carrier."""
    with ExitStack() as stack:

        @cache
        def sidecar(engine: str, carrier: str) -> Running:
            folder = tmp_path_factory.mktemp("sidecar")
            return stack.enter_context(running_at(loop, folder, engine, carrier, authority))

        yield sidecar


@pytest.fixture(params=EVERY_DOOR, scope="session")
def door(request: pytest.FixtureRequest, bares: Callable[[str], Bare], authority: Authority) -> BareDoor:
    """Each door to an engine with a stand-in behind it."""
    engine, carrier = request.param
    bare = bares(engine)
    trust = authority if carrier == "tls" else None
    return BareDoor(engine, carrier, bare.targets[carrier], trust, bare)


@pytest.fixture(params=EVERY_DOOR, scope="session")
def service(
    request: pytest.FixtureRequest, sidecars: Callable[[str, str], Running], authority: Authority
) -> SidecarDoor:
    """Each door to a whole sidecar."""
    engine, carrier = request.param
    sidecar = sidecars(engine, carrier)
    return SidecarDoor(engine, carrier, sidecar.target, authority if carrier == "tls" else None, sidecar)


def running_at(
    loop: Loop, folder: Path, engine: str, carrier: str, authority: Authority
) -> AbstractContextManager[Running]:
    """A sidecar of that engine behind that carrier, with a channel to it."""
    listen = Address(path=str(folder / "data.sock")) if carrier == "unix" else LOOPBACK
    trust = authority if carrier == "tls" else None
    tls = server_files(authority) if trust else None

    def dial(target: str) -> grpc.Channel:
        return Door(engine, carrier, target, trust).channel()

    return running(loop, folder, dial=dial, listen=(listen,), tls=tls, transport=engine)
