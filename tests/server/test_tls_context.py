"""What a handshake with our own engine's TLS context ends in, without a socket."""

import ssl
from contextlib import suppress
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric import rsa

from server.exit_codes import StartError
from server.tls import Tls, TlsFiles, load_tls, server_context
from tests.server.certificates import Authority


def shake(server: ssl.SSLContext, client: ssl.SSLContext) -> ssl.SSLObject:
    """The server's side of a finished handshake. Raises what refused it."""
    up, down = ssl.MemoryBIO(), ssl.MemoryBIO()
    ours = server.wrap_bio(up, down, server_side=True)
    theirs = client.wrap_bio(down, up, server_hostname="localhost")
    for _ in range(4):
        for side in (theirs, ours):
            with suppress(ssl.SSLWantReadError):
                side.do_handshake()
    assert ours.version() is not None
    return ours


def client_context(ca: Path, own: tuple[Path, Path] | None = None) -> ssl.SSLContext:
    """A client that trusts `ca`, with its own certificate or none."""
    context = ssl.create_default_context(cafile=str(ca))
    context.set_alpn_protocols(["h2"])
    if own is not None:
        context.load_cert_chain(*own)
    return context


def loaded(authority: Authority, client_ca: Path | None = None) -> Tls:
    """A checked pair of the authority."""
    return load_tls(TlsFiles(*authority.issue("server"), client_ca))


def test_http2_is_agreed_on(tmp_path: Path) -> None:
    """ALPN says h2; a client that offers something else alone has agreed on nothing."""
    authority = Authority(tmp_path)
    context = server_context(loaded(authority))
    client = client_context(authority.pem)
    assert shake(context, client).selected_alpn_protocol() == "h2"
    client.set_alpn_protocols(["http/1.1"])
    assert shake(context, client).selected_alpn_protocol() is None


def test_tls_1_2_takes_suites_that_http2_allows(tmp_path: Path) -> None:
    """Authenticated encryption with forward secrecy (RFC 9113, 9.2.2); CBC is refused."""
    authority = Authority(tmp_path)
    context = server_context(loaded(authority))
    client = client_context(authority.pem)
    client.maximum_version = ssl.TLSVersion.TLSv1_2
    side = shake(context, client)
    assert (side.version(), side.compression()) == ("TLSv1.2", None)
    client.set_ciphers("ECDHE-ECDSA-AES128-SHA256")
    with pytest.raises(ssl.SSLError, match="NO_SHARED_CIPHER"):
        shake(context, client)


def test_older_versions_are_refused(tmp_path: Path) -> None:
    """TLS 1.1 is not spoken."""
    assert server_context(loaded(Authority(tmp_path))).minimum_version is ssl.TLSVersion.TLSv1_2


def test_clients_show_a_certificate_of_the_client_ca(tmp_path: Path) -> None:
    """None at all, and one of another CA, end the handshake."""
    authority = Authority(tmp_path)
    stranger = Authority(tmp_path, "stranger").issue("intruder")
    context = server_context(loaded(authority, authority.pem))
    peer = shake(context, client_context(authority.pem, authority.issue("client"))).getpeercert()
    assert peer is not None
    for own in (None, stranger):
        with pytest.raises(ssl.SSLError, match=r"PEER_DID_NOT_RETURN_A_CERTIFICATE|CERTIFICATE_VERIFY"):
            shake(context, client_context(authority.pem, own))


def test_a_client_ca_bundle_may_hold_remarks(tmp_path: Path) -> None:
    """Names in other alphabets between the certificates are skipped."""
    authority = Authority(tmp_path)
    bundle = tmp_path / "bundle.pem"
    bundle.write_bytes("# Žluťoučký kůň\n".encode() + authority.pem.read_bytes())
    context = server_context(loaded(authority, bundle))
    assert shake(context, client_context(authority.pem, authority.issue("client"))).getpeercert()


def test_sessions_are_not_resumed(tmp_path: Path) -> None:
    """A client whose CA was withdrawn cannot come back on a session from before."""
    authority = Authority(tmp_path)
    context = server_context(loaded(authority))
    assert context.num_tickets == 0
    assert ssl.OP_NO_TICKET in context.options


def test_long_and_unfit_files_leave_nothing_open(tmp_path: Path) -> None:
    """A chain longer than any pipe holds is read; one that is none is refused; no descriptor stays."""
    tls = loaded(Authority(tmp_path))
    server_context(Tls(tls.cert + b"# padding\n" * 50_000, tls.key, None, tls.begins, tls.expires))
    descriptors = len(list(Path("/dev/fd").iterdir()))
    for cert, key in ((b"x" * 500_000, b"y" * 500_000), (tls.cert, b"y")):
        with pytest.raises(OSError, match=r"PEM lib|Illegal seek"):
            server_context(Tls(cert, key, None, tls.begins, tls.expires))
    assert len(list(Path("/dev/fd").iterdir())) == descriptors


def test_a_key_too_short_for_openssl_is_refused(tmp_path: Path) -> None:
    """What parses and fits, and yet cannot serve, is found when it is loaded."""
    key = rsa.generate_private_key(65537, 1024)  # noqa: S505 - that is the point
    files = TlsFiles(*Authority(tmp_path).issue("server", key=key))
    with pytest.raises(StartError, match=r"cannot be used .*KEY_TOO_SMALL"):
        load_tls(files)
