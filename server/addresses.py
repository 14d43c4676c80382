"""Where to listen and where to call: `HOST:PORT` or `unix:PATH`."""

import ipaddress
import os
import socket
import stat
from dataclasses import dataclass
from pathlib import Path

from server.exit_codes import ExitCode, StartError

OPERATOR_SOCKET = "operator.sock"
"""The operator's socket in the data directory, unless --operator-listen says otherwise."""

UNIX_PATH_BYTES_MAX = 107
"""Bytes of a Unix socket's path: sockaddr_un holds 108 with the final zero."""

CONNECT_TIMEOUT_S = 1.0
PORT_MAX = 65_535


@dataclass(frozen=True, slots=True)
class Address:
    """A TCP address (`host` without brackets, `port`; 0: any free one) or a Unix socket's `path`."""

    host: str = ""
    port: int = 0
    path: str = ""

    def __str__(self) -> str:
        if self.path:
            return f"unix:{self.path}"
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{host}:{self.port}"

    @property
    def is_local(self) -> bool:
        """Whether only this machine can reach it: a Unix socket or a loopback address."""
        if self.path or self.host == "localhost":
            return True
        try:
            return ipaddress.ip_address(self.host).is_loopback
        except ValueError:
            return False

    @property
    def reachable(self) -> "Address":
        """The address to call for one that is listened on: a wildcard host becomes the loopback."""
        loopback = {"0.0.0.0": "127.0.0.1", "::": "::1"}  # noqa: S104 - it is what we replace
        return Address(loopback.get(self.host, self.host), self.port, self.path)


def parse_address(text: str) -> Address:
    """`HOST:PORT`, `[IPV6]:PORT` or `unix:PATH`. Raises ValueError with what was expected."""
    if text.startswith("unix:"):
        return _unix(text.removeprefix("unix:"))
    host, colon, port = text.rpartition(":")
    bare = host.removeprefix("[").removesuffix("]")
    if not colon or not bare:
        raise ValueError(f"{text!r} is no address: expected HOST:PORT or unix:PATH, as 127.0.0.1:50051")
    if ":" in bare and not (host.startswith("[") and host.endswith("]")):
        raise ValueError(f"{text!r} is no address: put an IPv6 host in brackets, as [::1]:50051")
    if not (port.isascii() and port.isdigit() and int(port) <= PORT_MAX):
        raise ValueError(f"{text!r} has the port {port!r}: expected 0 to {PORT_MAX}")
    return Address(host=bare, port=int(port))


def _unix(path: str) -> Address:
    if not path:
        raise ValueError("'unix:' names no file: expected unix:PATH, as unix:/run/banditd.sock")
    size = len(os.fsencode(path))
    if size > UNIX_PATH_BYTES_MAX:
        raise ValueError(
            f"the socket's path {path!r} has {size} bytes; the system allows {UNIX_PATH_BYTES_MAX}: "
            "use a shorter one"
        )
    return Address(path=path)


def clear_socket_file(path: Path) -> None:
    """Remove a socket file that a dead process left at `path`.

    gRPC would replace a socket that somebody still serves, so we look before it does. Raises `StartError`
    when somebody lives there, or when the file is something else.
    """
    try:
        mode = path.lstat().st_mode
    except FileNotFoundError:
        if not path.parent.is_dir():
            raise StartError(
                ExitCode.LISTEN,
                f"there is no folder {str(path.parent)!r} for the socket {str(path)!r}; make it",
            ) from None
        return
    except OSError as error:
        raise StartError(ExitCode.LISTEN, f"cannot look at {str(path)!r} ({error.strerror})") from error
    if not stat.S_ISSOCK(mode):
        raise StartError(
            ExitCode.LISTEN, f"{str(path)!r} is a file, not a socket; give another path, or move it away"
        )
    if _lives(path):
        raise StartError(
            ExitCode.LISTEN,
            f"another process is listening on {str(path)!r}; stop it, or give another path "
            "(--operator-listen and --data-dir set the operator's)",
        )
    path.unlink(missing_ok=True)


def _lives(path: Path) -> bool:
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as client:
        client.settimeout(CONNECT_TIMEOUT_S)
        try:
            client.connect(str(path))
        except (ConnectionRefusedError, FileNotFoundError):
            return False
        except OSError:
            return True  # not permitted, or its queue is full: somebody is there
        return True
