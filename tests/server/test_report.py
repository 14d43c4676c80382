"""`banditd report` and GetReport, beside a sidecar that learned something."""

import json
import random
from pathlib import Path

import grpc
import pytest
from click.testing import CliRunner

from server.cli import cli
from server.exit_codes import ExitCode, StartError
from server.pb import bandit_pb2 as pb
from tests.reporting.parsed import Parsed
from tests.server.running import CONFIG, WAIT_S, Loop, Running, refused, running

GATED = CONFIG.replace("      over: 1d\n", "      over: 1d\n      gate: {min_exposures: 200}\n")


def live(server: Running, visits: int = 400) -> None:
    """Visitors who like arm a."""
    luck = random.Random(5)
    for i in range(visits):
        choice = server.choose(unit=f"u{i}", categories={"platform": "web"})
        if luck.random() < {"a": 0.7, "b": 0.2, "c": 0.2}[choice.arm]:
            server.reward(choice.decision_id)


def test_the_report_survives_a_restart(loop: Loop, tmp_path: Path) -> None:
    """Values, intervals and shares come over the wire, and are the same after it."""
    with running(loop, tmp_path, GATED) as server:
        live(server)
        before = server.operator.GetReport(pb.GetReportRequest(placement="hero"), timeout=WAIT_S)
    assert before.decisions == 400
    assert [policy.name for policy in before.policies] == ["static", "best-arm", "personal"]
    assert not before.policies[0].HasField("uplift")
    assert all(policy.value.low < policy.value.mean < policy.value.high for policy in before.policies)
    assert sum(policy.share for policy in before.policies) == pytest.approx(1.0)
    with running(loop, tmp_path, GATED) as server:
        after = server.operator.GetReport(pb.GetReportRequest(placement="hero"), timeout=WAIT_S)
    assert after.time.seconds >= before.time.seconds
    before.ClearField("time")
    after.ClearField("time")
    assert after == before


def test_the_message_has_all_of_it(loop: Loop, tmp_path: Path) -> None:
    """Events with intervals, counts, arms, the day, features, the ramp: sums agree with each other."""
    with running(loop, tmp_path, GATED) as server:
        live(server)
        found = server.operator.GetReport(pb.GetReportRequest(placement="hero"), timeout=WAIT_S)
        listed = server.operator.ListPlacements(pb.ListPlacementsRequest(placements=["hero"]), timeout=WAIT_S)
    (status,) = listed.placements
    clicks = [policy.events[0] for policy in found.policies]
    assert {click.event for click in clicks} == {"click"}
    assert all(click.value == policy.value for click, policy in zip(clicks, found.policies, strict=True))
    assert not any(policy.events[1].HasField("value") for policy in found.policies)  # nobody bought
    assert found.days[-1].date <= found.time.ToDatetime().date().isoformat()
    assert sum(policy.served for day in found.days for policy in day.policies) == 400
    assert sum(arm.exposures for day in found.days for arm in day.arms) == 400
    assert [arm.id for arm in found.arms] == [arm.id for arm in status.arms]
    assert [arm.exposures for arm in found.arms] == [arm.exposures for arm in status.arms]
    assert [sum(arm.shown_by_policy) for arm in found.arms] == [arm.exposures for arm in found.arms]
    assert sum(arm.weight for arm in found.arms) == pytest.approx(1.0)
    applied = sum(policy.counts[0].count for policy in found.policies)
    assert applied == sum(arm.events[0].count for arm in found.arms) > 0
    assert found.ramp == status.ramp
    assert found.next_step
    assert {feature.name for feature in found.features} == {"platform", "history", "returning"}


def test_the_command_prints_it(loop: Loop, tmp_path: Path) -> None:
    """As a table with a sentence for each step, or as JSON with the message's names."""
    with running(loop, tmp_path, GATED) as server:
        live(server)
        target = ["--target", f"unix:{tmp_path}/operator.sock"]
        text = CliRunner().invoke(cli, ["report", "hero", *target])
        machine = CliRunner().invoke(cli, ["report", "hero", *target, "--json"])
        message = server.operator.GetReport(pb.GetReportRequest(placement="hero"), timeout=WAIT_S)
    assert text.exit_code == machine.exit_code == ExitCode.OK
    assert "hero: 400 decisions since" in text.output
    assert f"{message.policies[1].value.mean:.4f}" in text.output
    assert message.ladder[0].sentence in text.output
    found = json.loads(machine.output)
    assert found["policies"][1]["value"]["mean"] == message.policies[1].value.mean


def test_the_command_writes_a_page(loop: Loop, tmp_path: Path) -> None:
    """With the numbers that it prints; not together with --json, and not where there is no folder."""
    path, gone = tmp_path / "hero.html", tmp_path / "gone" / "hero.html"
    with running(loop, tmp_path, GATED) as server:
        live(server)
        call = ["report", "hero", "--target", f"unix:{tmp_path}/operator.sock"]
        written = CliRunner().invoke(cli, [*call, "--html", str(path)])
        failed = CliRunner().invoke(cli, [*call, "--html", str(gone)])
        both = CliRunner().invoke(cli, [*call, "--html", str(path), "--json"])
        message = server.operator.GetReport(pb.GetReportRequest(placement="hero"), timeout=WAIT_S)
    assert written.exit_code == ExitCode.OK
    assert written.output == f"{path}: the report of hero\n"
    tables = Parsed(path.read_text("utf-8")).tables
    assert [row[4] for row in tables["policies"][1:]] == [f"{one.value.mean:.4f}" for one in message.policies]
    assert isinstance(failed.exception, StartError)
    assert failed.exception.code is ExitCode.FILES
    assert f"'{gone}' cannot be written" in str(failed.exception)
    assert both.exit_code == ExitCode.USAGE
    assert "--json and --html exclude each other" in both.output


def test_what_cannot_be_reported_is_said(loop: Loop, tmp_path: Path) -> None:
    """No such placement, nothing measured yet, nobody there."""
    with running(loop, tmp_path, GATED) as server:
        code, info = refused(
            lambda: server.operator.GetReport(pb.GetReportRequest(placement="nope"), timeout=WAIT_S)
        )
        assert (code, info.reason) == (grpc.StatusCode.NOT_FOUND, "PLACEMENT_UNKNOWN")
        target = ["--target", f"unix:{tmp_path}/operator.sock"]
        empty = CliRunner().invoke(cli, ["report", "web-only", *target])
        unknown = CliRunner().invoke(cli, ["report", "nope", *target])
    assert "web-only: nothing was measured yet" in empty.output
    assert unknown.exit_code == ExitCode.FAILURE
    assert "placement 'nope' is not configured here, but " in unknown.output
    assert "web-only" in unknown.output
    nobody = CliRunner().invoke(cli, ["report", "hero", "--target", f"unix:{tmp_path}/gone.sock"])
    assert nobody.exit_code == ExitCode.FAILURE
    assert f"no sidecar answers at unix:{tmp_path}/gone.sock; start one with `banditd serve`" in nobody.output
