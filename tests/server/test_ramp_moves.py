"""HoldRamp and ResumeRamp: over the wire, in the log and the metrics, over restarts."""

import urllib.request
from pathlib import Path

import pytest
import structlog.testing

from server.pb import bandit_pb2 as pb
from tests.server.running import WAIT_S, Loop, Running, running


def ramp(server: Running) -> pb.RampStatus:
    """What ListPlacements says of the ramp."""
    listed = server.operator.ListPlacements(pb.ListPlacementsRequest(placements=["hero"]), timeout=WAIT_S)
    status: pb.RampStatus = listed.placements[0].ramp
    return status


@pytest.mark.parametrize("transport", ["ngh2", "grpcio"])
@pytest.mark.parametrize("fsync", ["interval", "always"])
def test_a_ramp_stays_where_operators_put_it(loop: Loop, tmp_path: Path, transport: str, fsync: str) -> None:
    """Held, taken back to static and resumed, with a restart between."""
    with running(loop, tmp_path, transport=transport, fsync=fsync) as server:
        assert ramp(server).state == pb.RAMP_STATE_RUNNING
        request = pb.HoldRampRequest(placement="hero", reason="sale", actor="ada")
        held = server.operator.HoldRamp(request, timeout=WAIT_S).ramp
        assert (held.state, held.share) == (pb.RAMP_STATE_HELD, 0.5)
        request.back_to_static, request.reason = True, "worse"
        with structlog.testing.capture_logs() as lines:
            assert server.operator.HoldRamp(request, timeout=WAIT_S).ramp.share == 0.0
        assert [(line["to"], line["reason"], line["actor"]) for line in lines] == [("STATIC", "worse", "ada")]
    with running(loop, tmp_path, transport=transport, fsync=fsync) as server:
        found = ramp(server)
        assert (found.state, found.share) == (pb.RAMP_STATE_STATIC, 0.0)
        assert [(move.reason, move.actor) for move in found.moves] == [("sale", "ada"), ("worse", "ada")]
        assert {server.choose(unit=f"u{i}").policy for i in range(50)} == {"static"}
        metrics = f"{server.http}/metrics"
        with urllib.request.urlopen(metrics, timeout=WAIT_S) as page:  # noqa: S310 - http, to ourselves
            assert 'banditd_ramp_state{placement="hero"} 3.0' in page.read().decode()
        resume = pb.ResumeRampRequest(placement="hero", reason="mended", actor="bob")
        assert server.operator.ResumeRamp(resume, timeout=WAIT_S).ramp.share == 0.5
        assert {server.choose(unit=f"u{i}").policy for i in range(50)} > {"static"}
