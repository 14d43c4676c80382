"""TLS of the commands that call a sidecar: one set of options, one check, for all of them.

It imports little: `probe` is called every few seconds.
"""

from collections.abc import Callable
from functools import wraps
from pathlib import Path

import click

from server.channel import Security

_FILE = click.Path(path_type=Path, dir_okay=False, exists=True)


def tls_options(command: Callable[..., None]) -> Callable[..., None]:
    """Add the TLS files to a command, which gets `security` for them; None: plain text."""

    @click.option("--tls-ca", type=_FILE, help="CA of the sidecar's certificate (PEM): use TLS.")
    @click.option(
        "--tls-cert",
        envvar="BANDITD_CLIENT_TLS_CERT",
        allow_from_autoenv=False,  # BANDITD_TLS_CERT is the server's
        type=_FILE,
        help="Own certificate (PEM), where the sidecar asks for one.",
    )
    @click.option(
        "--tls-key",
        envvar="BANDITD_CLIENT_TLS_KEY",
        allow_from_autoenv=False,  # the same
        type=_FILE,
        help="Key of --tls-cert (PEM).",
    )
    @click.option("--tls-server-name", default="", help="Name in the sidecar's certificate, if not the host.")
    @wraps(command)
    def with_security(
        *,
        tls_ca: Path | None,
        tls_cert: Path | None,
        tls_key: Path | None,
        tls_server_name: str,
        **rest: object,
    ) -> None:
        command(security=_security(tls_ca, tls_cert, tls_key, tls_server_name), **rest)

    return with_security


def _security(ca: Path | None, cert: Path | None, key: Path | None, server_name: str) -> Security | None:
    if (cert is None) != (key is None) or (cert is not None and ca is None):
        raise click.UsageError("--tls-cert and --tls-key go together, and with --tls-ca")
    if ca is None:
        return None
    return Security(
        ca.read_bytes(), cert.read_bytes() if cert else None, key.read_bytes() if key else None, server_name
    )
