"""`banditd simulate --days`: a whole campaign in this process, and what it prints."""

import json
import time
from pathlib import Path

import click
from rich.console import Console

from bandit.config import Config, ConfigError
from bandit.kernels.jit import compile_all
from server.commands.driving import DriveError, output_console
from server.commands.report import WIDTH_MIN
from server.config_files import load
from server.exit_codes import ExitCode
from server.pb import bandit_pb2 as pb
from server.reporting.message import report_message
from server.reporting.page import write_page
from server.reporting.view import document, show
from server.simulation.campaign import Campaign
from server.simulation.view import LiveView, show_report

DEMO = Path(__file__).parents[1] / "defaults" / "demo.yaml"


def simulate_days(campaign: Campaign, *, as_json: bool, html: Path | None) -> None:
    """Run a campaign to the end, or to Ctrl-C, and print what came of it. Raises SimulationError.

    `html`: write the placement's report there, as one page.
    """
    console = output_console(as_json=as_json)
    _note_unknown(campaign)
    compile_all()
    began_s = time.perf_counter()
    with LiveView(console, campaign.shoppers, lambda: f"{_moment(campaign)}; ") as view:
        campaign.progress = view.update
        finished = _run(campaign)
    passed_s = time.perf_counter() - began_s
    found = report_message(campaign.state, campaign.now_us)
    if as_json:
        click.echo(json.dumps(_document(campaign, found, passed_s), indent=2))
    else:
        _show(console, campaign, found, passed_s)
    if html is not None:
        write_page(found, html)
        console.print(f"{html}: the report as a page", highlight=False, soft_wrap=True, markup=False)
    if not finished:
        raise DriveError(f"interrupted after {len(campaign.scores)} of {campaign.shoppers} shoppers")


def read_config(path: Path | None) -> Config:
    """The configuration of a campaign; None: the embedded example's. Raises DriveError."""
    try:
        return load(path or DEMO)
    except ConfigError as error:
        raise DriveError(str(error), ExitCode.CONFIG) from None


def _note_unknown(campaign: Campaign) -> None:
    """Say which of the scenario's features the placement does not have: perhaps a slip of the pen."""
    known = {feature.name for feature in campaign.state.config.features}
    unknown = sorted(feature.name for feature in campaign.scenario.features if feature.name not in known)
    if unknown:
        names = ", ".join(unknown)
        click.echo(f"note: the placement has no feature {names}, so it cannot learn from it", err=True)


def _run(campaign: Campaign) -> bool:
    try:
        campaign.run()
    except KeyboardInterrupt:
        return False
    return True


def _document(campaign: Campaign, found: pb.GetReportResponse, passed_s: float) -> dict[str, object]:
    """What a simulation beside a sidecar prints, and what only a campaign has."""
    return campaign.scores.report(campaign.seed, shuffled=campaign.shuffle).as_dict() | {
        "days": campaign.days,
        "learned_share": campaign.learned_share,
        "report": document(found),
        "speed": {
            "visits_per_s": len(campaign.scores) / passed_s,
            "core_part": campaign.core_s / passed_s,
        },
    }


def _show(console: Console, campaign: Campaign, found: pb.GetReportResponse, passed_s: float) -> None:
    show_report(console, campaign.scores.report(campaign.seed, shuffled=campaign.shuffle))
    console.print()
    show(found, Console(highlight=False, width=max(console.width, WIDTH_MIN)))
    visits = len(campaign.scores)
    console.print(
        f"\n{_moment(campaign)}\n{visits:,} visits in {passed_s:.1f} s: {visits / passed_s:,.0f} a second, "
        f"{campaign.core_s / passed_s:.0%} of the time in the core",
        highlight=False,
        soft_wrap=True,
    )


def _moment(campaign: Campaign) -> str:
    return f"day {campaign.day:.0f}, learned policies serve {campaign.learned_share:.1%}"
