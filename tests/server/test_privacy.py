"""A marked visitor goes through everything; nothing that stays behind knows them (fault row 28)."""

import signal
import urllib.request
from pathlib import Path
from typing import Any

import grpc
import pytest

from server.pb import bandit_pb2 as pb
from server.pb import bandit_pb2_grpc as pb_grpc
from tests.server.running import CONFIG, WAIT_S, process, unary

MARK = "visitor-4711-x"
VALUE = "marked-value-815"


def calls(stub: pb_grpc.BanditServiceStub) -> list[str]:
    """Good and bad calls about the marked visitor; the tokens they brought."""
    tokens = []
    good: dict[str, Any] = {
        "placement": "hero",
        "unit": MARK,
        "categories": {"platform": VALUE, "page": VALUE},
    }
    for fields in (good, {**good, "defer_exposure": True}):
        decision = stub.Choose(pb.ChooseRequest(**fields), timeout=WAIT_S).decision_id
        tokens.append(decision)
        stub.Reward(pb.RewardRequest(decision_id=decision, event="click"), timeout=WAIT_S)
        stub.Reward(pb.RewardRequest(decision_id=decision, event="purchase", event_id=VALUE), timeout=WAIT_S)
    batch = pb.ChooseBatchRequest(requests=[pb.ChooseRequest(**good), pb.ChooseRequest(unit=MARK)])
    stub.ChooseBatch(batch, timeout=WAIT_S)
    bad = (
        {**good, "placement": "nowhere"},
        {**good, "unit": MARK * 100},
        {**good, "numbers": {"history": float("nan")}},
        {**good, "arms": [VALUE]},
    )
    for fields in bad:
        with pytest.raises(grpc.RpcError) as caught:
            stub.Choose(pb.ChooseRequest(**fields), timeout=WAIT_S)
        assert MARK not in str(caught.value.details())
    return tokens


def test_the_unit_is_nowhere(tmp_path: Path) -> None:
    """Neither data directory, log, metrics nor listing has the unit, a context value or a token."""
    (tmp_path / "config.yaml").write_text(CONFIG)
    socket = f"unix:{tmp_path}/data.sock"
    with process(tmp_path, "--config", "config.yaml", "--listen", socket) as server:
        server.wait_for("ready")
        http = server.wait_for("listening")["http"]
        with grpc.insecure_channel(socket) as channel:
            tokens = calls(pb_grpc.BanditServiceStub(channel))
            malformed = b"\x0a\x04hero\x12\x10" + MARK.encode() + b"\xff\xff"
            with pytest.raises(grpc.RpcError) as caught:
                unary(channel, "/bandit.v1.BanditService/Choose", malformed)
            assert MARK not in str(caught.value.details())
        with urllib.request.urlopen(f"http://{http}/metrics", timeout=WAIT_S) as response:
            metrics = response.read()
        with grpc.insecure_channel(f"unix:{tmp_path}/data/operator.sock") as channel:
            listed = unary(channel, "/bandit.v1.OperatorService/ListPlacements")
        assert server.end(signal.SIGTERM) == 0
        left = {
            "log": repr(server.lines).encode(),
            "metrics": metrics,
            "listing": listed,
            **{str(path): path.read_bytes() for path in (tmp_path / "data").iterdir()},
        }
    assert len(left) == 4  # with the key, which is all that the data directory keeps
    for place, content in left.items():
        for marked in (MARK, VALUE, *tokens):
            assert marked.encode() not in content, place
    secret = (tmp_path / "data" / "secret.key").read_bytes().strip()
    assert secret not in left["log"] + metrics
