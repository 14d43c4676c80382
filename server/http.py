"""The HTTP port: /metrics for Prometheus, /healthz (alive) and /readyz (fit for traffic). No state changes.

A thread of its own, from the standard library: it answers while the event loop is busy or gone, which is
when its answers matter. Bounded in requests at once and in time, since anyone who can reach it may call it.
"""

import threading
from collections.abc import Callable, Mapping
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from socket import AF_INET, AF_INET6, socket
from typing import NamedTuple

import structlog

from server import limits
from server.addresses import Address
from server.exit_codes import ExitCode, StartError
from server.logs import places


class Page(NamedTuple):
    """An answer."""

    status: HTTPStatus
    content_type: str
    body: bytes


STOP_LOOK_S = 0.05
"""Seconds between two looks of the server's thread at whether to stop."""

Pages = Mapping[str, Callable[[], Page]]
"""What to answer by path. Called in the HTTP threads."""


def text_page(text: str, status: HTTPStatus = HTTPStatus.OK) -> Page:
    """A line of plain text."""
    return Page(status, "text/plain; charset=utf-8", f"{text}\n".encode())


class HttpServer:
    """Serves pages in threads until `stop`. Raises `StartError` when the address cannot be had."""

    def __init__(self, address: Address, pages: Pages) -> None:
        family = AF_INET6 if ":" in address.host else AF_INET

        class Handler(_Handler):
            table = pages

        class Server(_Server):
            address_family = family

        try:
            self._server = Server((address.host, address.port), Handler)
        except OSError as error:
            raise StartError(
                ExitCode.LISTEN,
                f"cannot listen on {address} for HTTP ({error.strerror}); stop the other server, or give "
                "another address with --http",
            ) from error
        self.address = Address(host=address.host, port=self._server.server_address[1])
        self._thread = threading.Thread(
            target=self._server.serve_forever, args=(STOP_LOOK_S,), name="http", daemon=True
        )
        self._thread.start()

    def stop(self) -> None:
        """Close the port."""
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    block_on_close = False  # a slow client must not hold up the stop; its thread ends with its timeout
    allow_reuse_address = True  # a restart need not wait for old connections; a live server still refuses

    def __init__(self, address: tuple[str, int], handler: type[BaseHTTPRequestHandler]) -> None:
        self._room = threading.BoundedSemaphore(limits.HTTP_REQUESTS_MAX)
        super().__init__(address, handler)

    def process_request(self, request: socket | tuple[bytes, socket], client_address: object) -> None:
        if not self._room.acquire(blocking=False):
            self.shutdown_request(request)
            return
        super().process_request(request, client_address)

    def process_request_thread(self, request: socket | tuple[bytes, socket], client_address: object) -> None:
        # the socket's timeout bounds each read; this bounds a client that sends a byte at a time
        end = threading.Timer(limits.HTTP_REQUEST_MAX_S, self.shutdown_request, (request,))
        end.daemon = True
        end.start()
        try:
            super().process_request_thread(request, client_address)
        finally:
            end.cancel()
            self._room.release()

    def handle_error(self, request: socket | tuple[bytes, socket], client_address: object) -> None:
        """Say nothing: a client that hangs up or dawdles is no event of ours."""


class _Handler(BaseHTTPRequestHandler):
    table: Pages
    timeout = limits.HTTP_TIMEOUT_S
    server_version = "banditd"
    sys_version = ""

    def do_GET(self) -> None:
        page = self.table.get(self.path.partition("?")[0])
        if page is None:
            self._send(text_page("not found", HTTPStatus.NOT_FOUND))
            return
        try:
            found = page()
        except Exception as error:  # noqa: BLE001 - whatever it is, the client gets an answer
            structlog.get_logger().error(
                "internal error", path=self.path, error=type(error).__name__, places=places(error)
            )
            found = text_page("internal error", HTTPStatus.INTERNAL_SERVER_ERROR)
        self._send(found)

    do_HEAD = do_GET  # noqa: N815 - http.server looks for this name

    def _send(self, page: Page) -> None:
        self.send_response(page.status)
        self.send_header("Content-Type", page.content_type)
        self.send_header("Content-Length", str(len(page.body)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(page.body)

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - http.server's signature
        """Say nothing: scrapes and probes would fill the log."""
