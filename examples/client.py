"""A client of the sidecar in ten lines. Needs grpcio, protobuf and the stubs of proto/ (here: server/pb)."""

import grpc

from server.pb import bandit_pb2, bandit_pb2_grpc

with grpc.insecure_channel("127.0.0.1:50051") as channel:
    bandit = bandit_pb2_grpc.BanditServiceStub(channel)
    context = {"interest": "mens", "device": "phone"}
    request = bandit_pb2.ChooseRequest(placement="home-hero", unit="visitor-7", categories=context)
    choice = bandit.Choose(request, timeout=0.2)
    print("show", choice.arm, choice.payload)
    click = bandit_pb2.RewardRequest(decision_id=choice.decision_id, event="click")
    print("learned:", bandit_pb2.RewardOutcome.Name(bandit.Reward(click, timeout=0.2).outcome))

# ruff: noqa: INP001, T201 - a script, and it prints
