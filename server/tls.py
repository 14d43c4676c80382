"""TLS from files: read once, checked before anything listens."""

from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from server.exit_codes import ExitCode, StartError


@dataclass(frozen=True, slots=True)
class TlsFiles:
    """PEM files: a certificate with its chain, its private key, and who signs clients (None: anybody)."""

    cert: Path
    key: Path
    client_ca: Path | None = None


@dataclass(frozen=True, slots=True)
class Tls:
    """The files' content, found to fit together, and when the certificate ends."""

    cert: bytes
    key: bytes
    client_ca: bytes | None
    expires: datetime

    def __repr__(self) -> str:
        return f"Tls(expires={self.expires:%Y-%m-%d}, key hidden)"


def load_tls(files: TlsFiles, now: datetime | None = None) -> Tls:
    """Read and check the files. Raises `StartError` naming the file that is wrong.

    `now` (UTC) is when the certificate must be valid; default: the wall clock.
    """
    from cryptography import x509
    from cryptography.hazmat.primitives.serialization import load_pem_private_key

    cert, key = _read(files.cert), _read(files.key)
    client_ca = _read(files.client_ca) if files.client_ca is not None else None
    try:
        leaf = x509.load_pem_x509_certificates(cert)[0]
    except ValueError as error:
        raise _unfit(files.cert, "holds no certificate in PEM") from error
    try:
        private = load_pem_private_key(key, password=None)
    except (ValueError, TypeError) as error:
        raise _unfit(files.key, "holds no private key in PEM without a password") from error
    if private.public_key() != leaf.public_key():
        raise _unfit(files.key, f"is not the key of the certificate in {str(files.cert)!r}")
    if client_ca is not None and files.client_ca is not None:
        try:
            x509.load_pem_x509_certificates(client_ca)
        except ValueError as error:
            raise _unfit(files.client_ca, "holds no certificate in PEM") from error
    moment = now or datetime.now(UTC)
    if not leaf.not_valid_before_utc <= moment <= leaf.not_valid_after_utc:
        raise _unfit(
            files.cert,
            f"holds a certificate that is valid from {leaf.not_valid_before_utc:%Y-%m-%d} to "
            f"{leaf.not_valid_after_utc:%Y-%m-%d}, not now",
        )
    return Tls(cert, key, client_ca, leaf.not_valid_after_utc)


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise StartError(
            ExitCode.FILES, f"the TLS file {str(path)!r} cannot be read ({error.strerror}); check the path"
        ) from error


def _unfit(path: Path, why: str) -> StartError:
    return StartError(ExitCode.FILES, f"the TLS file {str(path)!r} {why}")
