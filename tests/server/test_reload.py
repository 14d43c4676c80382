"""Reloading the configuration: by call and by signal, good and bad, without losing what was learned."""

import signal
from pathlib import Path

import grpc
import pytest
import structlog

from bandit.counters import Outcome
from server.pb import bandit_pb2 as pb
from tests.server.running import CONFIG, WAIT_S, Running, process, refused

HEAVIER = CONFIG.replace("b: {weight: 2}", "b: {weight: 3}")
BAD = CONFIG.replace("b: {weight: 2}", "b: {weight: -3}")
OTHER = HEAVIER.replace("web-only", "app-only")


def reload(server: Running) -> pb.ReloadConfigResponse:
    """ReloadConfig's answer."""
    response: pb.ReloadConfigResponse = server.operator.ReloadConfig(pb.ReloadConfigRequest(), timeout=WAIT_S)
    return response


def test_a_reload_says_what_changed_and_keeps_what_was_learned(sidecar: Running) -> None:
    """Added, removed and changed placements by name; exposures, rewards and tokens stay good."""
    decision = sidecar.choose(arms=["a"]).decision_id
    sidecar.reward(decision)
    open_decision = sidecar.choose(arms=["b"]).decision_id
    sidecar.config.write_text(OTHER)
    changed = reload(sidecar)
    assert changed.placement_count == 2
    assert [list(changed.added), list(changed.removed), list(changed.changed)] == [
        ["app-only"], ["web-only"], ["hero"],
    ]  # fmt: skip
    assert sidecar.sidecar.counts.reloads == {"applied": 1, "refused": 0}
    (hero,) = sidecar.operator.ListPlacements(
        pb.ListPlacementsRequest(placements=["hero"]), timeout=WAIT_S
    ).placements
    arms = {arm.id: arm for arm in hero.arms}
    assert (arms["a"].exposures, arms["a"].mean_reward, arms["b"].weight) == (1, 1.0, 3.0)
    assert sidecar.reward(open_decision) == pb.REWARD_OUTCOME_APPLIED
    assert sidecar.reward(decision) == pb.REWARD_OUTCOME_DUPLICATE


def test_a_reload_of_the_same_changes_nothing(sidecar: Running) -> None:
    """Nothing is listed; the warnings are those of `check`."""
    changed = reload(sidecar)
    assert [*changed.added, *changed.removed, *changed.changed] == []
    assert any("nothing to learn" in warning for warning in changed.warnings)


def test_a_bad_configuration_keeps_the_old(sidecar: Running) -> None:
    """CONFIG_INVALID quotes path, file and line; the log and the metric have it; the old one serves on."""
    sidecar.config.write_text(BAD)
    with structlog.testing.capture_logs() as lines:
        code, info = refused(lambda: reload(sidecar))
    assert (code, info.reason) == (grpc.StatusCode.FAILED_PRECONDITION, "CONFIG_INVALID")
    with pytest.raises(grpc.RpcError, match=r"config.yaml:\d+:\d+: \$\.placements\.hero\.arms\.b\.weight"):
        reload(sidecar)
    (line,) = [line for line in lines if line["log_level"] == "error"]
    assert "$.placements.hero.arms.b.weight" in line["problems"][0]
    assert sidecar.sidecar.counts.reloads == {"applied": 0, "refused": 2}
    sidecar.choose("hero")
    sidecar.choose("web-only", categories={"platform": "web"})


def test_a_configuration_that_cannot_follow_is_refused(sidecar: Running) -> None:
    """An arm id that was removed does not come back, since its rewards may still arrive."""
    sidecar.config.write_text(CONFIG.replace("      c: {weight: 1, when: {platform: [web]}}\n", ""))
    reload(sidecar)
    sidecar.config.write_text(CONFIG)
    assert refused(lambda: reload(sidecar))[1].reason == "CONFIG_INVALID"
    assert {sidecar.choose(categories={"platform": "web"}).arm for _ in range(50)} <= {"a", "b"}


def test_removed_placements_and_late_rewards_are_no_fault(sidecar: Running) -> None:
    """Arm and placement removed between Choose and Reward: an outcome, not a crash."""
    gone = sidecar.choose("web-only", categories={"platform": "web"}).decision_id
    arm = sidecar.choose(categories={"platform": "web"}, arms=["c"]).decision_id
    sidecar.config.write_text(OTHER.replace("      c: {weight: 1, when: {platform: [web]}}\n", ""))
    reload(sidecar)
    assert sidecar.reward(gone) == pb.REWARD_OUTCOME_UNRECORDED
    assert sidecar.reward(arm) == pb.REWARD_OUTCOME_UNRECORDED
    assert sidecar.sidecar.counts.outcomes[Outcome.UNRECORDED] == 2
    assert refused(lambda: sidecar.choose("web-only"))[1].reason == "PLACEMENT_UNKNOWN"


def test_reloads_take_turns_and_calls_go_on(sidecar: Running) -> None:
    """Many at once are all answered, with Chooses in between."""
    reloads = [
        sidecar.operator.ReloadConfig.future(pb.ReloadConfigRequest(), timeout=WAIT_S) for _ in range(8)
    ]
    for _ in range(20):
        sidecar.choose()
    assert [call.result().placement_count for call in reloads] == [2] * 8


def test_an_unexpected_fault_of_a_reload_is_internal(sidecar: Running) -> None:
    """A fault of ours in parsing is INTERNAL for the operator, and the old configuration stays."""

    def source() -> None:
        raise ZeroDivisionError

    assert sidecar.sidecar.reloader is not None
    sidecar.sidecar.reloader._source = source  # type: ignore[assignment]
    assert refused(lambda: reload(sidecar))[1].reason == "INTERNAL"
    sidecar.loop.run(sidecar.sidecar.reloader.on_signal())
    assert sidecar.sidecar.counts.reloads == {"applied": 0, "refused": 2}
    sidecar.choose()


def test_sighup_reloads(tmp_path: Path) -> None:
    """A good file is applied, a bad one refused with its problem in the log; the process goes on."""
    config = tmp_path / "config.yaml"
    config.write_text(CONFIG)
    flags = ("--config", "config.yaml", "--listen", f"unix:{tmp_path}/data.sock")
    with process(tmp_path, *flags) as server:
        server.wait_for("ready")
        config.write_text(OTHER)
        server.process.send_signal(signal.SIGHUP)
        applied = server.wait_for("configuration applied")
        assert (applied["added"], applied["removed"]) == (["app-only"], ["web-only"])
        config.write_text(BAD)
        server.process.send_signal(signal.SIGHUP)
        said = server.wait_for("configuration refused, the old one stays")
        assert "$.placements.hero.arms.b.weight" in said["problems"][0]
        config.write_text(CONFIG)
        server.process.send_signal(signal.SIGHUP)
        server.wait_for("configuration applied", 2)
        assert server.end(signal.SIGTERM) == 0
