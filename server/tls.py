"""TLS from files: read whole, checked before anything listens or is renewed."""

import os
import ssl
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from server.exit_codes import ExitCode, StartError

ALPN_H2 = "h2"
"""HTTP/2's name in the handshake (RFC 9113 §3.2)."""

CIPHERS_TLS12 = "ECDHE+AESGCM:ECDHE+CHACHA20"
"""Cipher suites for TLS 1.2: those with forward secrecy and authenticated encryption. RFC 9113 §9.2.2 forbids
the others over HTTP/2. TLS 1.3 has no others."""


@dataclass(frozen=True, slots=True)
class TlsFiles:
    """PEM files: a certificate with its chain, its private key, and who signs clients (None: anybody)."""

    cert: Path
    key: Path
    client_ca: Path | None = None


@dataclass(frozen=True, slots=True)
class Tls:
    """The files' content, found to fit together, and from when to when (UTC) the certificate is valid."""

    cert: bytes
    key: bytes
    client_ca: bytes | None
    begins: datetime
    expires: datetime

    def __repr__(self) -> str:
        return f"Tls(expires={self.expires:%Y-%m-%d}, key hidden)"


def load_tls(files: TlsFiles, now: datetime | None = None) -> Tls:
    """Read and check the files. Raises `StartError` naming the file that is wrong.

    `now` (UTC) is when the certificates must be valid; default: the wall clock.
    """
    from server import tls_checks

    moment = now or datetime.now(UTC)
    cert, key = _read(files.cert), _read(files.key)
    begins, expires = tls_checks.check_pair(files.cert, cert, files.key, key, moment)
    client_ca = None
    if files.client_ca is not None:
        client_ca = _read(files.client_ca)
        tls_checks.check_client_ca(files.client_ca, client_ca, moment)
    tls = Tls(cert, key, client_ca, begins, expires)
    try:
        server_context(tls)  # OpenSSL refuses more than what is malformed, as keys that are too short
    except OSError as error:
        raise tls_checks.unfit(files.cert, f"cannot be used ({error.strerror})") from error
    return tls


def server_context(tls: Tls) -> ssl.SSLContext:
    """What a listener needs to speak HTTP/2 over TLS 1.2 or newer with this pair. Raises OSError.

    Make a new one for each renewed pair and give it to new connections; never change one in use, since CAs
    can only be added to it. Sessions are not resumed, so that each connection shows its certificate to the
    CA of today: connections last, handshakes are few.
    """
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.set_ciphers(CIPHERS_TLS12)
    context.set_alpn_protocols([ALPN_H2])
    context.options |= ssl.OP_NO_COMPRESSION | ssl.OP_NO_RENEGOTIATION | ssl.OP_NO_TICKET
    context.num_tickets = 0
    with _readable(tls.cert) as cert, _readable(tls.key) as key:
        context.load_cert_chain(cert, key)
    if tls.client_ca is not None:
        # without what else a bundle holds between its certificates: names in other alphabets
        context.load_verify_locations(cadata=tls.client_ca.decode("ascii", "ignore"))
        # an intermediate CA may stand alone: whom it signed may call, nobody else of its root
        context.verify_flags |= ssl.VERIFY_X509_PARTIAL_CHAIN
        context.verify_mode = ssl.CERT_REQUIRED
    return context


@contextmanager
def _readable(content: bytes) -> Iterator[str]:
    """A path under which `content` can be read once.

    `ssl` loads a key from a path only. To load the original file would be to read what nobody has checked,
    if it changed meanwhile; a pipe keeps the key off every disk, on Linux and macOS alike.
    """
    reading, writing = os.pipe()

    def write() -> None:
        try:
            with os.fdopen(writing, "wb") as pipe:
                pipe.write(content)
        except BrokenPipeError:
            pass  # the reader has seen enough to refuse it, and says so

    writer = threading.Thread(target=write, name="tls", daemon=True)  # a pipe may hold 4 KiB only
    writer.start()
    try:
        yield f"/dev/fd/{reading}"
    finally:
        os.close(reading)
        writer.join()


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise StartError(
            ExitCode.FILES, f"the TLS file {str(path)!r} cannot be read ({error.strerror}); check the path"
        ) from error
