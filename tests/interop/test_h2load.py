"""h2load as a client: nghttp2's own client side, with many calls at once."""

import re
import shutil
import urllib.request
from collections.abc import Callable
from pathlib import Path

import pytest

from loadtest.transport_load import CHOOSE, Shape, frame, run
from server.pb import bandit_pb2 as pb
from tests.server.running import Running
from tests.transport.doors import ENGINES

CALLS = 2_000
SHAPE = Shape(connections=16, streams=20)

needs_h2load = pytest.mark.skipif(
    shutil.which("h2load") is None, reason="h2load (nghttp2-client) is not on this machine"
)


def answers(server: Running) -> dict[str, int]:
    """Choose's answers by code, as /metrics has them."""
    with urllib.request.urlopen(f"{server.http}/metrics", timeout=10) as response:  # noqa: S310 - http
        text = response.read().decode()
    found = re.findall(rf'{{code="(\w+)",method="{CHOOSE}"}} (\d+)', text)
    return {code: int(count) for code, count in found if int(count)}


@needs_h2load
@pytest.mark.parametrize("engine", ENGINES)
def test_h2load(sidecars: Callable[[str, str], Running], engine: str, tmp_path: Path) -> None:
    """2,000 calls on 16 connections with 20 streams each: all answered, and by our own count all OK."""
    server = sidecars(engine, "tcp")
    before = answers(server)
    request = tmp_path / "choose"
    request.write_bytes(frame(pb.ChooseRequest(placement="hero", unit="visitor").SerializeToString()))
    calls = SHAPE.calls(CALLS)
    run(server.target, request, SHAPE, calls)
    after = answers(server)
    assert {code: after[code] - before.get(code, 0) for code in after} == {"OK": calls}
