"""`banditd simulate`: shoppers with known response rates visit a running sidecar, or, by days, an engine."""

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import click
from click.core import ParameterSource

from bandit.config import ConfigError
from server.client import Client
from server.commands.driving import DriveError, batch_option, connection_options, driving, output_console
from server.commands.simulating_days import read_config, simulate_days
from server.exit_codes import ExitCode
from server.simulation.campaign import DAYS_MAX, Campaign
from server.simulation.drive import SHOPPERS_MAX, Simulation, SimulationError
from server.simulation.scenario import Scenario
from server.simulation.scenario_file import DEMO, read_scenario
from server.simulation.view import LiveView, show_report

_FOR_A_SIDECAR = ("target", "allow_remote", "tls_ca", "tls_cert", "tls_key", "tls_server_name", "batch")
_FOR_DAYS = ("config_path", "html")
_FILE = click.Path(path_type=Path, dir_okay=False)


@click.command("simulate")
@click.option(
    "--days",
    type=click.IntRange(1, DAYS_MAX),
    help="Simulate a campaign of so many days, in this process and by its own clock, without a sidecar.",
)
@click.option(
    "--config",
    "config_path",
    type=click.Path(path_type=Path),
    help="With --days: the configuration, a file or a directory. Default: the embedded example.",
)
@connection_options
@click.option(
    "--scenario",
    "scenario_path",
    type=_FILE,
    help="Scenario file (YAML). Default: the scenario of the embedded demo configuration.",
)
@click.option("--placement", help="Visit this placement instead of the scenario's; its arms are the same.")
@click.option(
    "--shoppers", type=click.IntRange(1, SHOPPERS_MAX), default=20_000, show_default=True, help="Visits."
)
@click.option(
    "--seed", type=click.IntRange(0), default=1, show_default=True, help="Of visitors and responses."
)
@batch_option
@click.option("--shuffle-contexts", is_flag=True, help="Send each shopper's context with another's visit.")
@click.option("--json", "as_json", is_flag=True, help="Print the result as JSON; progress goes to stderr.")
@click.option("--html", type=_FILE, metavar="FILE", help="With --days: write the report there as one page.")
def simulate(
    *,
    days: int | None,
    config_path: Path | None,
    connect: Callable[[], Client],
    scenario_path: Path | None,
    placement: str | None,
    shoppers: int,
    seed: int,
    batch: int,
    shuffle_contexts: bool,
    as_json: bool,
    html: Path | None,
) -> None:
    """Let simulated shoppers visit a running sidecar, and say what its choices were worth.

    The scenario file gives the true response rates, so the reward of the arms served is set against the
    static campaign's and an oracle's without noise. With --days there is no sidecar: the engine runs here,
    and days pass in seconds. See docs/simulate.md.
    """
    _refuse_others(days)
    if html is not None and not html.parent.is_dir():
        raise click.BadParameter(
            f"there is no folder {str(html.parent)!r}: make it first", param_hint="--html"
        )
    scenario = _scenario(scenario_path or DEMO, placement)
    try:
        if days is not None:
            config = read_config(config_path)
            campaign = Campaign(scenario, config, days, shoppers, seed, shuffle_contexts)
            simulate_days(campaign, as_json=as_json, html=html)
        else:
            client = connect()
            run = Simulation(scenario, client, shoppers, batch, seed, shuffle_contexts)
            _visit_sidecar(run, client, as_json=as_json)
    except SimulationError as error:
        raise DriveError(str(error)) from None


def _refuse_others(days: int | None) -> None:
    """Refuse options on the command line that mean nothing with, or without, --days."""
    context = click.get_current_context()
    useless, why = (
        (
            _FOR_DAYS,
            "is for --days: a running sidecar has its own, and `banditd report --html` writes its page",
        )
        if days is None
        else (
            _FOR_A_SIDECAR,
            "is for a running sidecar, and with --days there is none; leave one of them out",
        )
    )
    for parameter in context.command.params:
        given = context.get_parameter_source(parameter.name or "") is ParameterSource.COMMANDLINE
        if given and parameter.name in useless:
            raise click.UsageError(f"{parameter.opts[0]} {why}")


def _scenario(path: Path, placement: str | None) -> Scenario:
    try:
        scenario = read_scenario(path)
    except ConfigError as error:
        raise DriveError(str(error), ExitCode.CONFIG) from None
    return scenario if placement is None else replace(scenario, placement=placement)


def _visit_sidecar(run: Simulation, client: Client, *, as_json: bool) -> None:
    console = output_console(as_json=as_json)
    with driving(client), LiveView(console, run.shoppers) as view:
        finished = _drive(run, view)
    report = run.scores.report(run.seed, shuffled=run.shuffle)
    if as_json:
        click.echo(json.dumps(report.as_dict(), indent=2))
    else:
        show_report(console, report)
    if not finished:
        raise DriveError(f"interrupted after {len(run.scores)} of {run.shoppers} shoppers")


def _drive(run: Simulation, view: LiveView) -> bool:
    """Run to the end, or to Ctrl-C: then False, and the scores hold what was done."""
    run.progress = view.update
    try:
        run.run()
    except KeyboardInterrupt:
        return False
    return True
