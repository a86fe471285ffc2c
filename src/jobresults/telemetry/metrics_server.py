"""`GET /metrics` on a port of its own, from threads that have nothing else to do; where there is
no other HTTP, the probes `/live` and `/ready` as well.
"""

from __future__ import annotations

import json
import logging
import os
import socket
import threading
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from functools import partial
from http import HTTPStatus
from socketserver import TCPServer, ThreadingMixIn
from typing import TYPE_CHECKING, Any
from wsgiref.simple_server import WSGIRequestHandler, WSGIServer

from prometheus_client import CollectorRegistry, ProcessCollector, make_wsgi_app

from jobresults.errors import ConfigurationError
from jobresults.telemetry.metrics import Process, registry_of
from jobresults.telemetry.pulse import Found, Pulse

if TYPE_CHECKING:
    from jobresults.settings import MetricsSettings  # web's exporter needs none, nor their memory

logger = logging.getLogger(__name__)

PATH, LIVE_PATH, READY_PATH = "/metrics", "/live", "/ready"
_METHODS = ("GET", "HEAD")
# Who scrapes needs one; who keeps connections open must not cost threads.
_MAX_CONNECTIONS = 8
_TIMEOUT_SECONDS = 5
_LOOK_SECONDS = 0.5


def serve(
    settings: MetricsSettings,
    process: Process,
    registry: CollectorRegistry | None = None,
    pulse: Pulse | None = None,
) -> MetricsServer | None:
    """Export this process's metrics from now on, until it ends; None if `metrics.port` is null.
    `registry`: what there is, if that is not just the process's part of the catalogue. `pulse`: of
    the loop that the probes ask for.

    Whoever is forked off inherits neither the thread nor the sockets.

    Raises:
        ConfigurationError: the port cannot be listened on.
    """
    if settings.port is None:
        return None
    listener = listen(settings.host, settings.port)
    registry = registry or registry_of(process)
    ProcessCollector(registry=registry)
    server = MetricsServer(listener, registry, pulse)
    os.register_at_fork(after_in_child=server.forget)
    threading.Thread(
        target=server.serve_forever, args=(_LOOK_SECONDS,), name="metrics", daemon=True
    ).start()
    return server


def listen(host: str, port: int) -> socket.socket:
    """A socket for the endpoint.

    Raises:
        ConfigurationError: the port is taken, not allowed, or the host is not of this machine.
    """
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
        family, kind, protocol, _, address = found[0]
        listener = socket.socket(family, kind, protocol)
        try:
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            listener.bind(address)
            listener.listen()
        except OSError:
            listener.close()
            raise
    except OSError as error:
        raise ConfigurationError(
            f"metrics.port: cannot listen on {host}, port {port}: {error.strerror}; give each"
            " process a free port of its own (JOBRESULTS_METRICS__PORT), or null for no metrics"
        ) from error
    return listener


class MetricsServer(ThreadingMixIn, WSGIServer):
    """Answers `GET` and `HEAD` of `/metrics` and of a pulse's probes, and nothing else. The socket
    is its own from now on.
    """

    daemon_threads = True
    block_on_close = False

    def __init__(
        self, listener: socket.socket, registry: CollectorRegistry, pulse: Pulse | None = None
    ) -> None:
        address = listener.getsockname()
        self.address_family = listener.family
        TCPServer.__init__(self, address, _Handler, bind_and_activate=False)
        self.socket.close()
        self.socket = listener
        # Not HTTPServer.server_bind, which asks the name service for our own name.
        self.server_name, self.server_port = address[:2]
        self.setup_environ()
        self.set_app(_Application(make_wsgi_app(registry), pulse))
        self._free = threading.Semaphore(_MAX_CONNECTIONS)
        self._open: set[Any] = set()

    def process_request(self, request: Any, client_address: Any) -> None:
        """Called for each connection: answer it in a thread, if one is free."""
        if not self._free.acquire(blocking=False):
            self.shutdown_request(request)
            return
        self._open.add(request)
        super().process_request(request, client_address)

    def process_request_thread(self, request: Any, client_address: Any) -> None:
        """Called in that thread."""
        try:
            super().process_request_thread(request, client_address)
        finally:
            self._open.discard(request)
            self._free.release()

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Called when a connection failed: who scrapes sees it, nobody else need hear of it."""
        logger.debug("a connection to %s failed", PATH, exc_info=True)

    def forget(self) -> None:
        """In a forked process: close what belongs to its parent."""
        for inherited in (self.socket, *self._open):
            with suppress(OSError):
                os.close(inherited.detach())


class _Handler(WSGIRequestHandler):
    timeout = _TIMEOUT_SECONDS

    def log_message(self, format: str, *args: object) -> None:
        """Called for each request: a scrape every few seconds is nothing to log."""


class _Application:
    """WSGI: the few paths there are."""

    def __init__(self, exposition: Any, pulse: Pulse | None) -> None:
        self._exposition = exposition
        self._probes: Mapping[str, Callable[[], Found]] = {}
        if pulse is not None:
            self._probes = {LIVE_PATH: pulse.live, READY_PATH: pulse.ready}

    def __call__(self, environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
        path, method = environ["PATH_INFO"], environ["REQUEST_METHOD"]
        probe = self._probes.get(path)
        if probe is None and path != PATH:
            return self._refuse(start_response, HTTPStatus.NOT_FOUND)
        if method not in _METHODS:
            return self._refuse(start_response, HTTPStatus.METHOD_NOT_ALLOWED)
        ask = self._metrics if probe is None else partial(_asked, probe)
        answer = ask(environ, start_response)
        return [] if method == "HEAD" else answer

    def _metrics(self, environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
        try:
            answer: Iterable[bytes] = self._exposition(
                {**environ, "REQUEST_METHOD": "GET"}, start_response
            )
        except Exception:
            logger.exception("metrics could not be gathered")
            return self._refuse(start_response, HTTPStatus.INTERNAL_SERVER_ERROR)
        return answer

    def _refuse(self, start_response: Any, status: HTTPStatus) -> Iterable[bytes]:
        headers = [("Content-Type", "text/plain; charset=utf-8")]
        if status == HTTPStatus.METHOD_NOT_ALLOWED:
            headers.append(("Allow", ", ".join(_METHODS)))
        start_response(f"{status.value} {status.phrase}", headers)
        return [f"{status.phrase}; there is GET {', '.join((PATH, *self._probes))}\n".encode()]


def _asked(
    probe: Callable[[], Found], _environ: dict[str, Any], start_response: Any
) -> Iterable[bytes]:
    is_well, found = probe()
    status = HTTPStatus.OK if is_well else HTTPStatus.SERVICE_UNAVAILABLE
    start_response(f"{status.value} {status.phrase}", [("Content-Type", "application/json")])
    return [json.dumps(found).encode() + b"\n"]
