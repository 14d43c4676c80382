"""Certificates made for a test: a CA, a server, clients."""

from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import NameOID

PrivateKey = ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey


class Authority:
    """A CA that signs certificates into a folder; valid for a day, as they are."""

    def __init__(
        self,
        folder: Path,
        name: str = "ca",
        valid_until: datetime | None = None,
        above: "Authority | None" = None,
    ) -> None:
        self.folder = folder
        self._key = ec.generate_private_key(ec.SECP256R1())
        self._name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
        self.pem = folder / f"{name}.pem"
        until = valid_until or datetime.now(UTC) + timedelta(days=1)
        cert = (above or self)._sign(self._name, self._key, until, ca=True)
        self.pem.write_bytes(_pem(cert))

    def issue(
        self, name: str, valid_until: datetime | None = None, key: PrivateKey | None = None
    ) -> tuple[Path, Path]:
        """Certificate and key for `name`, also good for localhost and 127.0.0.1."""
        key = key or ec.generate_private_key(ec.SECP256R1())
        subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
        cert = self._sign(subject, key, valid_until or datetime.now(UTC) + timedelta(days=1), ca=False)
        cert_path, key_path = self.folder / f"{name}.pem", self.folder / f"{name}.key"
        cert_path.write_bytes(_pem(cert))
        key_path.write_bytes(_private_pem(key))
        return cert_path, key_path

    def _sign(self, subject: x509.Name, key: PrivateKey, until: datetime, *, ca: bool) -> x509.Certificate:
        names = [x509.DNSName("localhost"), x509.IPAddress(ip_address("127.0.0.1"))]
        return (
            x509.CertificateBuilder()
            .subject_name(subject)
            .issuer_name(self._name)
            .public_key(key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(datetime.now(UTC) - timedelta(days=2))
            .not_valid_after(until)
            .add_extension(x509.BasicConstraints(ca=ca, path_length=None), critical=True)
            .add_extension(x509.SubjectAlternativeName(names), critical=False)
            .sign(self._key, hashes.SHA256())
        )


def _pem(cert: x509.Certificate) -> bytes:
    return cert.public_bytes(Encoding.PEM)


def _private_pem(key: PrivateKey) -> bytes:
    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
