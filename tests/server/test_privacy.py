"""A marked visitor goes through everything; nothing that stays behind knows them (fault row 28)."""

import base64
import signal
import urllib.request
from collections.abc import Callable
from pathlib import Path
from typing import Any

import grpc
import pytest

from server.pb import bandit_pb2 as pb
from server.pb import bandit_pb2_grpc as pb_grpc
from tests.server.running import CONFIG, WAIT_S, process, unary

MARK = "visitor-4711-x"
VALUE = "marked-value-815"


def calls(stub: pb_grpc.BanditServiceStub) -> tuple[list[str], list[bytes]]:
    """Good and bad calls about the marked visitor: the tokens they brought, and all that was replied."""
    tokens, replies = [], []
    good: dict[str, Any] = {
        "placement": "hero",
        "unit": MARK,
        "categories": {"platform": VALUE, "page": VALUE},
    }
    for fields in (good, {**good, "defer_exposure": True}):
        choice = stub.Choose(pb.ChooseRequest(**fields), timeout=WAIT_S)
        token = choice.decision_id
        tokens.append(token)
        click = pb.RewardRequest(decision_id=token, event="click")
        purchase = pb.RewardRequest(decision_id=token, event="purchase", event_id=VALUE)
        sealed = base64.urlsafe_b64decode(token + "==")
        rewarded = [stub.Reward(request, timeout=WAIT_S) for request in (click, purchase)]
        replies += [sealed, *(reply.SerializeToString() for reply in (choice, *rewarded))]
    bad: tuple[dict[str, Any], ...] = (
        {**good, "placement": "nowhere"},
        {**good, "unit": MARK * 100},
        {**good, "numbers": {"history": float("nan")}},
        {**good, "arms": [VALUE]},
        {"unit": MARK},
    )
    for fields in bad:
        replies.append(refusal(lambda: stub.Choose(pb.ChooseRequest(**fields), timeout=WAIT_S)))  # noqa: B023
    batch = pb.ChooseBatchRequest(requests=[pb.ChooseRequest(**fields) for fields in (good, *bad)])
    results = stub.ChooseBatch(batch, timeout=WAIT_S)
    assert [item.WhichOneof("result") for item in results.results] == ["response"] + ["error"] * len(bad)
    replies.append(results.SerializeToString())
    return tokens, replies


def refusal(call: Callable[[], object]) -> bytes:
    """All that a call which must fail replies: its message, its details, whatever else is in the trailers."""
    with pytest.raises(grpc.RpcError) as caught:
        call()
    trailers: dict[str, Any] = dict(caught.value.trailing_metadata())  # type: ignore[arg-type]  # pairs, as they come
    assert "grpc-status-details-bin" in trailers
    return f"{caught.value.details()} {trailers}".encode()


def test_the_unit_is_nowhere(tmp_path: Path) -> None:
    """Neither data directory, log, metrics nor listing has the unit, a context value or a token.

    No reply has the unit: neither a good one, nor a refusal's message or details, alone or in a batch.
    """
    (tmp_path / "config.yaml").write_text(CONFIG)
    socket = f"unix:{tmp_path}/data.sock"
    with process(tmp_path, "--config", "config.yaml", "--listen", socket) as server:
        server.wait_for("ready")
        http = server.wait_for("listening")["http"]
        with grpc.insecure_channel(socket) as channel:
            tokens, replies = calls(pb_grpc.BanditServiceStub(channel))
            malformed = b"\x0a\x04hero\x12\x10" + MARK.encode() + b"\xff\xff"
            replies.append(refusal(lambda: unary(channel, "/bandit.v1.BanditService/Choose", malformed)))
        with urllib.request.urlopen(f"http://{http}/metrics", timeout=WAIT_S) as response:
            metrics = response.read()
        with grpc.insecure_channel(f"unix:{tmp_path}/data/operator.sock") as channel:
            listed = unary(channel, "/bandit.v1.OperatorService/ListPlacements")
        assert server.end(signal.SIGTERM) == 0
        left = {
            "log": repr(server.lines).encode(),
            "metrics": metrics,
            "listing": listed,
            **{str(path): path.read_bytes() for path in (tmp_path / "data").rglob("*") if path.is_file()},
        }
    assert [reply for reply in replies if MARK.encode() in reply] == []
    kept = " ".join(left)
    assert all(name in kept for name in ("secret.key", "lock", ".journal", ".snapshot", ".ledger", "synced"))
    for place, content in left.items():
        for marked in (MARK, VALUE, *tokens):
            assert marked.encode() not in content, place
    secret = (tmp_path / "data" / "secret.key").read_bytes().strip()
    assert secret not in left["log"] + metrics
