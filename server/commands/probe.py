"""`banditd probe`: one health check of a running sidecar.

It imports little: containers call it every few seconds.
"""

import os
import sys
from pathlib import Path

import click

from server.addresses import OPERATOR_SOCKET, parse_address
from server.exit_codes import ExitCode

DEFAULT_TARGET = "127.0.0.1:50051"
_FILE = click.Path(path_type=Path, dir_okay=False, exists=True)


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
@click.option("--tls-ca", type=_FILE, help="CA of the sidecar's certificate (PEM): use TLS.")
@click.option(
    "--tls-cert",
    envvar="BANDITD_PROBE_TLS_CERT",
    allow_from_autoenv=False,  # BANDITD_TLS_CERT is the server's
    type=_FILE,
    help="Own certificate (PEM), where the sidecar asks for one.",
)
@click.option(
    "--tls-key",
    envvar="BANDITD_PROBE_TLS_KEY",
    allow_from_autoenv=False,  # the same
    type=_FILE,
    help="Key of --tls-cert (PEM).",
)
@click.option(
    "--tls-server-name", help="Name in the sidecar's certificate, where it is not the target's host."
)
def probe(
    *,
    target: str,
    service: str,
    timeout_s: float,
    tls_ca: Path | None,
    tls_cert: Path | None,
    tls_key: Path | None,
    tls_server_name: str | None,
) -> None:
    """Ask a running sidecar whether it serves. Exit code 0: it does; 1: it does not, or nobody answers."""
    try:
        address = parse_address(target)
    except ValueError as error:
        raise click.BadParameter(str(error), param_hint="--target") from None
    if (tls_cert is None) != (tls_key is None) or (tls_cert is not None and tls_ca is None):
        raise click.UsageError("--tls-cert and --tls-key go together, and with --tls-ca")
    tls = None if tls_ca is None else (tls_ca, tls_key, tls_cert)
    answer = ask(str(address), service, timeout_s, tls, tls_server_name)
    click.echo(f"{address}: {answer}")
    sys.exit(ExitCode.OK if answer == "SERVING" else ExitCode.FAILURE)


def ask(
    target: str,
    service: str,
    timeout_s: float,
    tls: tuple[Path, Path | None, Path | None] | None,
    server_name: str | None,
) -> str:
    """The health service's answer by its name in the protocol, or what went wrong instead."""
    os.environ.setdefault("GRPC_VERBOSITY", "NONE")
    import grpc
    from grpc_health.v1 import health_pb2

    options: list[tuple[str, str | int]] = [("grpc.enable_http_proxy", 0)]
    if server_name:
        options.append(("grpc.ssl_target_name_override", server_name))
    if tls is None:
        channel = grpc.insecure_channel(target, options)
    else:
        credentials = grpc.ssl_channel_credentials(*(path.read_bytes() if path else None for path in tls))
        channel = grpc.secure_channel(target, credentials, options)
    with channel:
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
