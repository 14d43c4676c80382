"""Node's client against both engines: @grpc/grpc-js brings an HTTP/2 of its own."""

import json
import subprocess
from base64 import b64decode
from collections.abc import Callable
from typing import Any

import pytest
from google.rpc import status_pb2

from bandit.errors import Reason
from server.codes import Code
from tests.interop.node_packages import FOLDER, ROOT, needs_node, node_modules
from tests.server.certificates import Authority
from tests.server.running import Running, item_info
from tests.transport.doors import CARRIERS, ENGINES

NODE_S = 60

SERVING = "CAE="
"""A HealthCheckResponse with SERVING, in base64."""


@needs_node
@pytest.mark.parametrize("carrier", CARRIERS)
@pytest.mark.parametrize("engine", ENGINES)
def test_grpc_js(
    sidecars: Callable[[str, str], Running], authority: Authority, engine: str, carrier: str
) -> None:
    """Answers, batches, refusals with details, deadlines, cancellation, 300 calls at once, health."""
    node_modules()
    target = sidecars(engine, carrier).target
    trust = [str(authority.pem)] if carrier == "tls" else []
    command = ["node", "client.mjs", target, str(ROOT / "proto"), *trust]
    done = subprocess.run(command, cwd=FOLDER, check=False, capture_output=True, text=True, timeout=NODE_S)
    assert done.returncode == 0, done.stderr
    got: dict[str, Any] = json.loads(done.stdout)

    assert got["choose"]["code"] == Code.OK
    chosen = got["choose"]["value"]
    assert (chosen["arm"], chosen["payload"], chosen["propensity"]) == ("a", '{"banner": "a"}', 1)
    assert got["reward"] == {"code": Code.OK, "value": {"outcome": "REWARD_OUTCOME_APPLIED"}}
    assert got["batch"] == {"code": Code.OK, "arms": ["a"] * 256}

    status = status_pb2.Status.FromString(b64decode(got["refused"]["details"]))
    assert got["refused"]["code"] == status.code == Code.NOT_FOUND
    assert got["refused"]["message"] == status.message
    assert "nöwhere" in status.message
    assert item_info(status).reason == Reason.PLACEMENT_UNKNOWN

    assert got["too_large"]["code"] == Code.RESOURCE_EXHAUSTED
    assert got["expired"]["code"] == Code.DEADLINE_EXCEEDED
    assert got["cancelled"] == Code.CANCELLED
    assert set(got["concurrent"]) == {Code.OK}
    assert got["unknown"]["code"] == Code.UNIMPLEMENTED
    assert got["health"] == {"code": Code.OK, "value": SERVING}
    assert got["watch"] == {"code": Code.DEADLINE_EXCEEDED, "seen": [SERVING]}
