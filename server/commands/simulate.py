"""`banditd simulate`: shoppers with known response rates visit a running sidecar."""

import json
from dataclasses import replace
from pathlib import Path

import click

from bandit.config import ConfigError
from server.client import Client
from server.commands.driving import DriveError, batch_option, connection_options, driving, output_console
from server.exit_codes import ExitCode
from server.simulation.drive import SHOPPERS_MAX, Simulation, SimulationError
from server.simulation.scenario_file import DEMO, read_scenario
from server.simulation.view import LiveView, show_report


@click.command("simulate")
@connection_options
@click.option(
    "--scenario",
    "scenario_path",
    type=click.Path(path_type=Path, dir_okay=False),
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
def simulate(
    *,
    client: Client,
    scenario_path: Path | None,
    placement: str | None,
    shoppers: int,
    seed: int,
    batch: int,
    shuffle_contexts: bool,
    as_json: bool,
) -> None:
    """Drive a running sidecar with simulated shoppers, and say what its choices were worth.

    The scenario file gives the true response rates, so the reward of the arms served is set against the
    static campaign's and an oracle's without noise. See docs/simulate.md.
    """
    try:
        scenario = read_scenario(scenario_path or DEMO)
    except ConfigError as error:
        raise DriveError(str(error), ExitCode.CONFIG) from None
    if placement is not None:
        scenario = replace(scenario, placement=placement)
    console = output_console(as_json=as_json)
    run = Simulation(scenario, client, shoppers, batch, seed, shuffle_contexts)
    with driving(client), LiveView(console, shoppers) as view:
        finished = _drive(run, view)
    report = run.scores.report(seed, shuffled=shuffle_contexts)
    if as_json:
        click.echo(json.dumps(report.as_dict(), indent=2))
    else:
        show_report(console, report)
    if not finished:
        raise DriveError(f"interrupted after {len(run.scores)} of {shoppers} shoppers")


def _drive(run: Simulation, view: LiveView) -> bool:
    """Run to the end, or to Ctrl-C: then False, and the scores hold what was done."""
    run.progress = view.update
    try:
        run.run()
    except SimulationError as error:
        raise DriveError(str(error)) from None
    except KeyboardInterrupt:
        return False
    return True
