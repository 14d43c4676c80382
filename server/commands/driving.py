"""What the commands that drive a running sidecar share: where it is, how to end, where to print."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import wraps
from pathlib import Path
from typing import TypeVar

import click
from rich.console import Console

from bandit.limits import BATCH_MAX
from server.addresses import parse_address
from server.client import CallError, Client, Security

F = TypeVar("F", bound=Callable[..., object])

WAIT_S = 10.0
"""Seconds a tool waits for the sidecar to listen: one that loads its kernels needs about two."""


class DriveError(click.ClickException):
    """Ends a command with one message for a person and exit code 1."""


batch_option = click.option(
    "--batch", type=click.IntRange(1, BATCH_MAX), default=64, show_default=True, help="Choices a call."
)


def connection_options(command: F) -> F:
    """Add --target, --allow-remote and the TLS files; the command gets an open-able `client`."""

    @wraps(command)
    def with_client(
        *,
        target: str,
        allow_remote: bool,
        tls_ca: Path | None,
        tls_cert: Path | None,
        tls_key: Path | None,
        **rest: object,
    ) -> object:
        return command(
            client=_client(target, _security(tls_ca, tls_cert, tls_key), allow_remote=allow_remote), **rest
        )

    options = (
        click.option(
            "--target",
            default="127.0.0.1:50051",
            show_default=True,
            help="The sidecar: HOST:PORT or unix:PATH.",
        ),
        click.option("--allow-remote", is_flag=True, help="Drive a sidecar that is not on this machine."),
        click.option("--tls-ca", type=_file(), help="CA of the sidecar's certificate (PEM): use TLS."),
        click.option(
            "--tls-cert", type=_file(), help="Own certificate (PEM), where the sidecar asks for one."
        ),
        click.option("--tls-key", type=_file(), help="Key of --tls-cert (PEM)."),
    )
    for option in reversed(options):
        with_client = option(with_client)
    return with_client  # type: ignore[return-value]  # click keeps the signature, but does not say so


def _file() -> click.Path:
    return click.Path(path_type=Path, dir_okay=False, exists=True, readable=True)


def _security(ca: Path | None, cert: Path | None, key: Path | None) -> Security | None:
    if (cert is None) != (key is None) or (cert is not None and ca is None):
        raise click.UsageError("--tls-cert and --tls-key go together, and with --tls-ca")
    if ca is None:
        return None
    return Security(ca.read_bytes(), *(file.read_bytes() if file else None for file in (cert, key)))


def _client(target: str, security: Security | None, *, allow_remote: bool) -> Client:
    try:
        address = parse_address(target)
    except ValueError as error:
        raise click.BadParameter(str(error), param_hint="--target") from None
    if not address.is_local and not allow_remote:
        raise click.BadParameter(
            f"{target} is not on this machine, and what is sent there is learned: use a sidecar of your own, "
            "or add --allow-remote",
            param_hint="--target",
        )
    return Client(str(address), security=security)


@contextmanager
def driving(client: Client) -> Iterator[None]:
    """Wait for the sidecar, close the client at the end, and turn its refusals into messages."""
    with client:
        try:
            client.wait_ready(WAIT_S)
            yield
        except CallError as error:
            raise DriveError(f"{client.target}: {error}") from None


def output_console(*, as_json: bool) -> Console:
    """Where progress goes: stderr when stdout is for JSON."""
    return Console(stderr=as_json)
