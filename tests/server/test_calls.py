"""The calls as an application makes them: Choose, Reward and their batches over gRPC."""

import grpc
import pytest

from server.pb import bandit_pb2 as pb
from tests.server.running import WAIT_S, Running, item_info, refused, unary

APPLIED, DUPLICATE = pb.REWARD_OUTCOME_APPLIED, pb.REWARD_OUTCOME_DUPLICATE


def reward_sum(server: Running, placement: str = "hero") -> float:
    """Σ R that was learned."""
    return sum(server.engine.state.placements[placement].counters.reward_sum)


def exposures(server: Running, placement: str = "hero") -> int:
    """Exposures counted."""
    return sum(server.engine.state.placements[placement].counters.exposures)


def test_choose_answers_with_all_fields(shared: Running) -> None:
    """An eligible arm with its payload, a policy of the placement, a propensity in (0, 1] and a token."""
    chosen = shared.choose(unit="visitor", categories={"platform": "web"}, numbers={"history": 3.0})
    assert chosen.arm in {"a", "b", "c"}
    assert chosen.payload == ('{"banner": "a"}' if chosen.arm == "a" else "")
    assert chosen.policy in {"static", "best-arm", "personal"}
    assert 0 < chosen.propensity <= 1
    assert len(chosen.decision_id) > 50


def test_arms_restrict_the_choice(shared: Running) -> None:
    """Only a requested arm is served, and with one arm left its propensity is 1."""
    chosen = shared.choose(unit="visitor", categories={"platform": "web"}, arms=["b", "unheard-of"])
    assert (chosen.arm, chosen.propensity) == ("b", 1.0)


def test_the_same_unit_keeps_its_policy(shared: Running) -> None:
    """A unit is always routed the same way while the shares stand."""
    assert len({shared.choose(unit="faithful").policy for _ in range(20)}) == 1


def test_a_reward_is_applied_once(sidecar: Running) -> None:
    """APPLIED, then DUPLICATE for the same event, and R is learned once."""
    decision = sidecar.choose().decision_id
    assert [sidecar.reward(decision) for _ in range(3)] == [APPLIED, DUPLICATE, DUPLICATE]
    assert reward_sum(sidecar) == 1.0


def test_an_absent_value_is_one_and_zero_is_zero(sidecar: Running) -> None:
    """`value` left out counts as 1; a value of 0 that was sent stays 0."""
    sidecar.reward(sidecar.choose().decision_id)
    assert reward_sum(sidecar) == 1.0
    sidecar.reward(sidecar.choose().decision_id, value=0.0)
    assert reward_sum(sidecar) == 1.0


def test_a_repeatable_event_counts_once_per_id(sidecar: Running) -> None:
    """Two orders count twice, the same order once; values are multiplied by the configured one."""
    decision = sidecar.choose().decision_id
    outcomes = [
        sidecar.reward(decision, "purchase", value=2.0, event_id=order) for order in ("one", "two", "one")
    ]
    assert outcomes == [APPLIED, APPLIED, DUPLICATE]
    assert reward_sum(sidecar) == 2.0


def test_a_deferred_exposure_counts_when_it_is_confirmed(sidecar: Running) -> None:
    """No exposure at Choose; one with the event `exposure`; not a second one."""
    decision = sidecar.choose(defer_exposure=True).decision_id
    assert exposures(sidecar) == 0
    assert [sidecar.reward(decision, "exposure") for _ in range(2)] == [APPLIED, DUPLICATE]
    assert exposures(sidecar) == 1


def test_a_batch_answers_in_order_and_item_by_item(sidecar: Running) -> None:
    """Good and bad items stand where they were asked, the bad ones with the status of a single call."""
    requests = [
        pb.ChooseRequest(placement="hero", arms=["a"]),
        pb.ChooseRequest(placement="nowhere"),
        pb.ChooseRequest(placement="web-only"),
        pb.ChooseRequest(placement="hero", arms=["b"]),
    ]
    batch = sidecar.bandit.ChooseBatch(pb.ChooseBatchRequest(requests=requests), timeout=WAIT_S)
    assert [result.WhichOneof("result") for result in batch.results] == [
        "response", "error", "error", "response",
    ]  # fmt: skip
    assert [batch.results[i].response.arm for i in (0, 3)] == ["a", "b"]
    for item, request in ((batch.results[1], requests[1]), (batch.results[2], requests[2])):
        code, info = refused(lambda request=request: sidecar.bandit.Choose(request, timeout=WAIT_S))  # type: ignore[misc]
        assert (item.error.code, item_info(item.error)) == (code.value[0], info)


def test_a_batch_of_rewards_answers_in_order_and_item_by_item(sidecar: Running) -> None:
    """Outcomes and refusals stand where they were asked; items of one batch see those before them."""
    decision = sidecar.choose().decision_id
    requests = [
        pb.RewardRequest(decision_id=decision, event="click"),
        pb.RewardRequest(decision_id="forged", event="click"),
        pb.RewardRequest(decision_id=decision, event="click"),
        pb.RewardRequest(decision_id=decision, event="smile"),
    ]
    batch = sidecar.bandit.RewardBatch(pb.RewardBatchRequest(requests=requests), timeout=WAIT_S)
    assert [result.response.outcome for result in batch.results] == [APPLIED, 0, DUPLICATE, 0]
    reasons = [item_info(batch.results[i].error).reason for i in (1, 3)]
    assert reasons == ["TOKEN_INVALID", "EVENT_UNKNOWN"]
    assert reward_sum(sidecar) == 1.0


def test_an_empty_batch_is_answered_empty(shared: Running) -> None:
    """No requests, no results, no error."""
    assert not shared.bandit.ChooseBatch(pb.ChooseBatchRequest(), timeout=WAIT_S).results
    assert not shared.bandit.RewardBatch(pb.RewardBatchRequest(), timeout=WAIT_S).results


def test_a_full_batch_is_taken(shared: Running) -> None:
    """256 items are within the limit."""
    requests = [pb.ChooseRequest(placement="hero")] * 256
    assert (
        len(shared.bandit.ChooseBatch(pb.ChooseBatchRequest(requests=requests), timeout=WAIT_S).results)
        == 256
    )


def test_operators_see_how_placements_stand(sidecar: Running) -> None:
    """ListPlacements shows arms, shares and counts; asked by name, only those named."""
    for _ in range(10):
        sidecar.reward(sidecar.choose(arms=["b"]).decision_id)
    listed = sidecar.operator.ListPlacements(pb.ListPlacementsRequest(), timeout=WAIT_S).placements
    assert [placement.name for placement in listed] == ["hero", "web-only"]
    hero = listed[0]
    assert (hero.owner, hero.decisions, len(hero.schema_id)) == ("tests", 10, 16)
    arms = {arm.id: arm for arm in hero.arms}
    assert (arms["b"].exposures, arms["b"].mean_reward, arms["b"].weight) == (10, 1.0, 2.0)
    assert not arms["a"].HasField("mean_reward")
    assert arms["old"].state == pb.ARM_STATE_DRAINING
    assert [(policy.name, policy.kind) for policy in hero.policies] == [
        ("static", pb.POLICY_KIND_STATIC),
        ("best-arm", pb.POLICY_KIND_THOMPSON),
        ("personal", pb.POLICY_KIND_LINEAR_THOMPSON),
    ]
    assert [policy.share for policy in hero.policies] == pytest.approx([0.5, 0.25, 0.25])
    assert hero.ramp.share == pytest.approx(0.5)
    assert hero.ramp.start_time.ToJsonString() == "2026-01-01T00:00:00Z"
    assert not listed[1].HasField("ramp")
    named = sidecar.operator.ListPlacements(pb.ListPlacementsRequest(placements=["web-only"]), timeout=WAIT_S)
    assert [placement.name for placement in named.placements] == ["web-only"]


def test_operators_calls_are_not_on_the_data_port(shared: Running) -> None:
    """OperatorService has a listener of its own; the data port does not know it."""
    with pytest.raises(grpc.RpcError) as caught:
        unary(shared.channel, "/bandit.v1.OperatorService/ListPlacements")
    assert caught.value.code() is grpc.StatusCode.UNIMPLEMENTED
