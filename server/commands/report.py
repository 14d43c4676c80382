"""`banditd report PLACEMENT`: what each policy of a running sidecar earns, and whether depth pays."""

import json
import os
import sys
from pathlib import Path

import click

from server.addresses import OPERATOR_SOCKET, parse_address
from server.channel import Security, open_channel
from server.commands.security import tls_options
from server.exit_codes import ExitCode

TIMEOUT_S = 30.0

WIDTH_MIN = 120
"""Columns that the table takes, whatever a terminal has: lines that wrap can be read, cells cannot."""


def operator_target() -> str:
    """Where operators call the sidecar of this environment."""
    socket = f"unix:{Path(os.environ.get('BANDITD_DATA_DIR', 'data')) / OPERATOR_SOCKET}"
    return os.environ.get("BANDITD_OPERATOR_LISTEN", socket)


@click.command("report")
@click.argument("placement")
@click.option(
    "--target",
    default=operator_target,
    help="The sidecar's operator's listener: HOST:PORT or unix:PATH.  [default: operator.sock in the data "
    "directory]",
)
@click.option("--json", "as_json", is_flag=True, help="For programs.")
@click.option(
    "--html",
    type=click.Path(path_type=Path, dir_okay=False),
    metavar="FILE",
    help="Write it as one page with plots, which needs no network; a file that is there is replaced.",
)
@tls_options
def report(
    *, placement: str, target: str, as_json: bool, html: Path | None, security: Security | None
) -> None:
    """Say what each policy of PLACEMENT earns, or would, and whether the next depth pays."""
    if as_json and html:
        raise click.UsageError("--json and --html exclude each other: run it once for each")
    try:
        address = parse_address(target)
    except ValueError as error:
        raise click.BadParameter(str(error), param_hint="--target") from None
    os.environ.setdefault("GRPC_VERBOSITY", "NONE")
    import grpc
    from rich.console import Console

    from server.client import call_error
    from server.pb import bandit_pb2 as pb
    from server.pb import bandit_pb2_grpc as pb_grpc
    from server.reporting.page import write_page
    from server.reporting.view import document, show

    with open_channel(str(address), security) as channel:
        operator: pb_grpc.OperatorServiceStub = pb_grpc.OperatorServiceStub(channel)
        try:
            found = operator.GetReport(pb.GetReportRequest(placement=placement), timeout=TIMEOUT_S)
        except grpc.RpcError as error:
            click.echo(f"{address}: {call_error(error, str(address))}", err=True)
            sys.exit(ExitCode.FAILURE)
    if as_json:
        click.echo(json.dumps(document(found), indent=2))
    elif html:
        write_page(found, html)
        click.echo(f"{html}: the report of {placement}")
    else:
        console = Console(highlight=False)
        show(found, Console(highlight=False, width=max(console.width, WIDTH_MIN)))
