"""A campaign of simulated days: ends where it should, the same each time, and refuses what makes no sense."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import yaml
from click.testing import CliRunner, Result

from bandit.config import parse
from bandit.ramp import RampStatus
from server.cli import cli
from server.config_files import load
from server.simulation.campaign import BEGIN_US, DAY_US, HOUR_US, Campaign
from server.simulation.drive import Simulation, SimulationError
from server.simulation.scenario_file import read_scenario
from server.simulation.view import LiveView
from tests.clients.stand_in import StandIn

EXAMPLE = Path(__file__).parents[2] / "examples" / "campaign"
SCENARIO = read_scenario(EXAMPLE / "scenario.yaml")
CONFIG = load(EXAMPLE / "config.yaml")
SCENARIO_FILE = ("--scenario", str(EXAMPLE / "scenario.yaml"))


def command(*arguments: str) -> Result:
    """`banditd simulate` with these arguments, in this process."""
    return CliRunner().invoke(cli, ["simulate", *arguments], prog_name="banditd")


def three_days(*arguments: str) -> dict[str, Any]:
    """What three days of 3,000 visitors on the embedded example come to, but for how long they took."""
    done = command("--days", "3", "--shoppers", "3000", "--json", *arguments)
    assert done.exit_code == 0, done.output
    found: dict[str, Any] = json.loads(done.stdout)
    assert found.pop("speed")["visits_per_s"] > 0
    return found


def test_the_same_seed_is_the_same_campaign() -> None:
    """Bit for bit, the learned and measured figures too; another seed is another one."""
    one = three_days()
    assert one == three_days()
    assert one != three_days("--seed", "2")
    assert one["whole"]["visits"] == int(one["report"]["decisions"]) == 3000
    assert one["days"] == 3
    assert one["learned_share"] == 0.9
    assert one["last_half"]["gain"] > 0.2


def test_it_ends_at_the_configured_share(tmp_path: Path) -> None:
    """A ramp of three days from 5 % to 90 % is at its end, exactly, after three days."""
    document = yaml.safe_load((EXAMPLE / "config.yaml").read_text())
    document["placements"]["home-hero"]["ramp"]["over"] = "3d"
    del document["placements"]["home-hero"]["ramp"]["gate"]
    config = tmp_path / "config.yaml"
    config.write_text(yaml.safe_dump(document))
    done = command("--days", "3", "--shoppers", "3000", *SCENARIO_FILE, "--config", str(config))
    assert done.exit_code == 0, done.output
    assert "\nday 3, learned policies serve 90.0%\n" in done.output
    assert "home-hero: 3,000 decisions since 2026-01-01T00:00:00Z" in done.output


def test_the_gate_is_asked_by_the_campaign_s_clock() -> None:
    """It waits until it has seen enough, then lets the ramp go on; the share is that of the days it ran."""
    document = yaml.safe_load((EXAMPLE / "config.yaml").read_text())
    document["placements"]["home-hero"]["ramp"] |= {"over": "3d", "gate": {"min_exposures": 100}}
    campaign = Campaign(SCENARIO, parse(document), 6, 6_000, 1)
    campaign.run()
    waiting, running = campaign.state.ramp_clock.moves
    assert (waiting.status, running.status) == (RampStatus.WAITING, RampStatus.RUNNING)
    assert waiting.time_us == BEGIN_US + HOUR_US
    waited = (running.time_us - waiting.time_us) / DAY_US
    assert 2 < waited < 5  # 100 decisions at 5 % of 1,000 a day, and a day for their rewards
    before = 1 / 24  # nothing moves before the first look
    assert campaign.learned_share == pytest.approx(0.05 + 0.85 * (6 - before - waited) / 3)


def test_events_reach_the_engine_at_their_times() -> None:
    """Purchases come four hours after their visit in the mean; those behind the window are late."""
    campaign = Campaign(SCENARIO, CONFIG, 6, 3000, 1)
    came = []
    reward = campaign.engine.reward

    def noted(decision_id: str, event: str, value: float, event_id: str, now_us: int) -> object:
        came.append(now_us)
        return reward(decision_id, event, value, event_id, now_us)

    campaign.engine.reward = noted  # type: ignore[method-assign,assignment]
    campaign.run()
    assert came == sorted(came)
    assert BEGIN_US < came[0] < came[-1] <= campaign.end_us == BEGIN_US + 6 * DAY_US
    assert campaign.engine.state.time_us <= campaign.now_us == campaign.end_us
    assert sum(campaign.scores.outcomes.values()) == len(came)


@pytest.mark.parametrize("flag", [["--target", "127.0.0.1:1"], ["--batch", "3"], ["--allow-remote"]])
def test_what_is_for_a_sidecar_is_refused_with_days(flag: list[str]) -> None:
    """And the message says why."""
    done = command("--days", "3", *flag)
    assert done.exit_code == 2
    assert f"{flag[0]} is for a running sidecar, and with --days there is none" in done.output


def test_ctrl_c_ends_it_with_what_was_done(monkeypatch: pytest.MonkeyPatch) -> None:
    """After the first block: its figures and the report, and exit code 1."""

    def interrupted(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(LiveView, "update", interrupted)
    done = command("--days", "3", "--shoppers", "3000")
    assert done.exit_code == 1
    assert "home-hero: 2,048 decisions" in done.output
    assert "\nday 2, learned policies serve 90.0%\n" in done.output
    assert "interrupted after 2048 of 3000 shoppers" in done.output


@pytest.mark.parametrize("flag", ["--config", "--html"])
def test_what_is_for_days_is_refused_without(flag: str) -> None:
    """A running sidecar has a configuration and a report of its own."""
    done = command(flag, "somewhere")
    assert done.exit_code == 2
    assert f"{flag} is for --days" in done.output


def test_the_report_is_written_as_a_page(tmp_path: Path) -> None:
    """Beside what is printed, and with --json, whose output stays JSON."""
    page = tmp_path / "report.html"
    done = command("--days", "3", "--shoppers", "3000", "--json", "--html", str(page))
    assert done.exit_code == 0, done.output
    assert json.loads(done.stdout)["days"] == 3
    assert "home-hero" in page.read_text()
    assert page.read_text().startswith("<!DOCTYPE html>")


def test_files_that_are_not_there_are_refused_at_once(tmp_path: Path) -> None:
    """A configuration with exit code 3, as everywhere; a page's folder before a minute is spent."""
    assert command("--days", "3", "--config", str(tmp_path / "none.yaml")).exit_code == 3
    done = command("--days", "3", "--html", str(tmp_path / "nowhere" / "report.html"))
    assert done.exit_code == 2
    assert "there is no folder" in done.output


def test_a_feature_that_is_not_configured_is_noted(tmp_path: Path) -> None:
    """It is sent and ignored, as a sidecar does; nobody shall look for its effect in vain."""
    scenario = tmp_path / "scenario.yaml"
    scenario.write_text(
        (EXAMPLE / "scenario.yaml").read_text().replace("spend:", "spent:").replace(" spend,", " spent,")
    )
    arguments = "--config", str(EXAMPLE / "config.yaml"), "--scenario", str(scenario)
    done = command("--days", "1", "--shoppers", "50", *arguments)
    assert done.exit_code == 0, done.output
    assert "note: the placement has no feature spent, so" in done.stderr
    assert "note: " not in command("--days", "1", "--shoppers", "50").stderr


def test_a_placement_that_is_not_configured_is_refused() -> None:
    """With the ones that are."""
    with pytest.raises(SimulationError, match="'elsewhere', and the configuration has home-hero"):
        Campaign(replace(SCENARIO, placement="elsewhere"), CONFIG, 3, 10, 1)


def test_an_event_that_is_not_configured_ends_it() -> None:
    """The engine's refusal is the message: the example's placement has no purchases."""
    done = command("--days", "3", "--shoppers", "3000", *SCENARIO_FILE)
    assert done.exit_code == 1
    assert "the engine refuses what the scenario sends: event 'purchase'" in done.output


def test_delays_in_time_take_a_clock() -> None:
    """Beside a sidecar only visits can be counted."""
    with pytest.raises(SimulationError, match="'click' has a delay in time"):
        Simulation(SCENARIO, StandIn(lambda _: "classic"), 10, 5, 1)
