"""What the commands that drive a running sidecar share: where it is, how to end, where to print."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import wraps

import click
from rich.console import Console

from bandit.limits import BATCH_MAX
from server.addresses import parse_address
from server.channel import Security
from server.client import CallError, Client
from server.commands.probe import data_target
from server.commands.security import tls_options
from server.exit_codes import ExitCode

WAIT_S = 60.0
"""Seconds a tool waits for the sidecar to serve: the first start compiles kernels for up to a minute."""


QUIET_S = 1.0
"""Seconds of that which pass without a word."""


class DriveError(click.ClickException):
    """Ends a command with one message for a person."""

    def __init__(self, message: str, code: ExitCode = ExitCode.FAILURE) -> None:
        super().__init__(message)
        self.code = code

    @property
    def exit_code(self) -> int:  # type: ignore[override]
        """The process's exit code."""
        return int(self.code)


batch_option = click.option(
    "--batch", type=click.IntRange(1, BATCH_MAX), default=64, show_default=True, help="Choices a call."
)


def connection_options(command: Callable[..., None]) -> Callable[..., None]:
    """Add --target, --allow-remote and the TLS files to a command, which gets `connect` to make a client."""

    @click.option(
        "--target",
        default=data_target,
        help="The sidecar: HOST:PORT or unix:PATH.  "
        "[default: the first of BANDITD_LISTEN, else 127.0.0.1:50051]",
    )
    @click.option("--allow-remote", is_flag=True, help="Drive a sidecar that is not on this machine.")
    @tls_options
    @wraps(command)
    def with_connection(
        *,
        target: str,
        allow_remote: bool,
        security: Security | None,
        **rest: object,
    ) -> None:
        def connect() -> Client:
            return Client(_address(target, allow_remote=allow_remote), security=security)

        command(connect=connect, **rest)

    return with_connection


def _address(target: str, *, allow_remote: bool) -> str:
    try:
        address = parse_address(target)
    except ValueError as error:
        raise click.BadParameter(str(error), param_hint="--target") from None
    if not address.is_local and not allow_remote:
        raise click.BadParameter(
            f"{target} is not on this machine, and it learns what is sent: use a sidecar of your own, or add "
            "--allow-remote",
            param_hint="--target",
        )
    return str(address)


@contextmanager
def driving(client: Client) -> Iterator[None]:
    """Wait for the sidecar, close the client at the end, and turn its refusals into messages."""
    with client:
        try:
            _wait(client)
            yield
        except CallError as error:
            raise DriveError(f"{client.target}: {error}") from None


def _wait(client: Client) -> None:
    """Wait until the sidecar serves; say so once it takes longer than a person expects."""
    try:
        client.wait_ready(QUIET_S)
    except CallError:
        click.echo(f"waiting up to {WAIT_S:.0f} s for a sidecar that serves at {client.target} …", err=True)
        client.wait_ready(WAIT_S)


def output_console(*, as_json: bool) -> Console:
    """Where progress goes: stderr when stdout is for JSON."""
    return Console(stderr=as_json)
