"""`banditd probe`: one health check of a running sidecar.

It imports little: containers call it every few seconds.
"""

import os
import sys
from pathlib import Path

import click

from server.addresses import OPERATOR_SOCKET, parse_address
from server.channel import Security, open_channel
from server.commands.security import tls_options
from server.exit_codes import ExitCode

DEFAULT_TARGET = "127.0.0.1:50051"


def default_target() -> str:
    """Where the sidecar of this environment can be asked.

    The first of BANDITD_LISTEN, else the default; where that speaks TLS and we were given no CA, the
    operator's socket, which answers for the whole process.
    """
    environment = os.environ
    if environment.get("BANDITD_TLS_CERT") and not environment.get("BANDITD_TLS_CA"):
        socket = f"unix:{Path(environment.get('BANDITD_DATA_DIR', 'data')) / OPERATOR_SOCKET}"
        return environment.get("BANDITD_OPERATOR_LISTEN", socket)
    return data_target()


def data_target() -> str:
    """Where the sidecar of this environment takes applications' calls: the first of BANDITD_LISTEN."""
    first = os.environ.get("BANDITD_LISTEN", "").split()[:1]
    return str(parse_address(first[0]).reachable) if first else DEFAULT_TARGET


@click.command("probe")
@click.option(
    "--target",
    default=default_target,
    help="The sidecar: HOST:PORT or unix:PATH.  [default: the first of BANDITD_LISTEN, else 127.0.0.1:50051; "
    "with BANDITD_TLS_CERT the operator's socket]",
)
@click.option(
    "--service",
    default="",
    help="A service by its full name, as bandit.v1.BanditService.  [default: the process]",
)
@click.option(
    "--timeout-s",
    type=click.FloatRange(0.01, 60),
    default=1.0,
    show_default=True,
    help="Seconds to wait for the answer.",
)
@tls_options
def probe(
    *,
    target: str,
    service: str,
    timeout_s: float,
    security: Security | None,
) -> None:
    """Ask a running sidecar whether it serves. Exit code 0: it does; 1: it does not, or nobody answers."""
    try:
        address = parse_address(target)
    except ValueError as error:
        raise click.BadParameter(str(error), param_hint="--target") from None
    answer = ask(str(address), service, timeout_s, security)
    click.echo(f"{address}: {answer}")
    sys.exit(ExitCode.OK if answer == "SERVING" else ExitCode.FAILURE)


def ask(
    target: str,
    service: str,
    timeout_s: float,
    security: Security | None,
) -> str:
    """The health service's answer by its name in the protocol, or what went wrong instead."""
    os.environ.setdefault("GRPC_VERBOSITY", "NONE")
    import grpc
    from grpc_health.v1 import health_pb2

    with open_channel(target, security) as channel:
        check: grpc.UnaryUnaryMultiCallable[bytes, bytes] = channel.unary_unary(
            "/grpc.health.v1.Health/Check"
        )
        request = health_pb2.HealthCheckRequest(service=service)
        try:
            reply = check(request.SerializeToString(), timeout=timeout_s)
        except grpc.RpcError as error:
            return f"no answer ({error.code().name}: {error.details()})"
    name: str = health_pb2.HealthCheckResponse.ServingStatus.Name(
        health_pb2.HealthCheckResponse.FromString(reply).status
    )
    return name
