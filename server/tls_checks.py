"""What is looked at in TLS files before they are served: form, fit, dates, who signed whom."""

from datetime import datetime
from pathlib import Path

from cryptography import x509
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives.serialization import load_pem_private_key

from server.exit_codes import ExitCode, StartError

PEM_CERTIFICATE = b"-----BEGIN CERTIFICATE-----"
"""What a certificate begins with in PEM."""


def check_pair(
    cert_path: Path, cert: bytes, key_path: Path, key: bytes, moment: datetime
) -> tuple[datetime, datetime]:
    """Return from when to when (UTC) the certificate is valid. Raises `StartError` if it cannot serve now.

    That the names in it are right only clients can know, and whether they trust its CA.
    """
    leaf, *others = _certificates(cert_path, cert)
    try:
        # to prove an RSA key's factors prime would hold the interpreter for 0.2 s; it is ours, not a peer's
        private = load_pem_private_key(key, password=None, unsafe_skip_rsa_key_validation=True)
    except (ValueError, TypeError, UnsupportedAlgorithm) as error:
        raise unfit(key_path, "holds no private key in PEM without a password") from error
    if private.public_key() != leaf.public_key():
        raise unfit(key_path, f"is not the key of the certificate in {str(cert_path)!r}")
    if others and not any(_issued(leaf, other) for other in others):
        raise unfit(cert_path, "holds a chain in which no certificate signed the first: is it of another CA?")
    if not _valid(leaf, moment):
        raise unfit(cert_path, f"holds a certificate that is valid {_span(leaf)}, not now")
    return leaf.not_valid_before_utc, leaf.not_valid_after_utc


def check_client_ca(path: Path, pem: bytes, moment: datetime) -> None:
    """Refuse what would turn every client away: nobody in it signs, or nobody any more (`StartError`)."""
    signers = [found for found in _certificates(path, pem) if _may_sign(found)]
    if not signers:
        raise unfit(path, "holds certificates, but none of a CA")
    if not any(_valid(found, moment) for found in signers):
        raise unfit(path, f"holds a CA's certificate that is valid {_span(signers[0])}, not now")


def unfit(path: Path, why: str) -> StartError:
    """Make the error that names a file and what is wrong with it."""
    return StartError(ExitCode.FILES, f"the TLS file {str(path)!r} {why}")


def _certificates(path: Path, pem: bytes) -> list[x509.Certificate]:
    """All certificates of a file. A last one that is cut off would be passed over, so they are counted."""
    try:
        found = x509.load_pem_x509_certificates(pem)
    except ValueError as error:
        raise unfit(path, "holds no certificate in PEM") from error
    if len(found) < pem.count(PEM_CERTIFICATE):
        raise unfit(path, "holds a certificate in PEM that is cut off")
    return found


def _issued(cert: x509.Certificate, by: x509.Certificate) -> bool:
    try:
        cert.verify_directly_issued_by(by)
    except (ValueError, TypeError, InvalidSignature):
        return False
    return True


def _may_sign(cert: x509.Certificate) -> bool:
    """Whether it is a CA's. Those of version 1, without extensions, are if they signed themselves."""
    try:
        return cert.extensions.get_extension_for_class(x509.BasicConstraints).value.ca
    except x509.ExtensionNotFound:
        return cert.issuer == cert.subject


def _valid(cert: x509.Certificate, moment: datetime) -> bool:
    return cert.not_valid_before_utc <= moment <= cert.not_valid_after_utc


def _span(cert: x509.Certificate) -> str:
    return f"from {cert.not_valid_before_utc:%Y-%m-%d} to {cert.not_valid_after_utc:%Y-%m-%d}"
