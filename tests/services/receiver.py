"""A real HTTP server that callbacks are sent to: it answers by a script and keeps what it got."""

from __future__ import annotations

import json
import ssl
import threading
import time
from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from jobresults import verify_callback


@dataclass(frozen=True)
class Reply:
    """An answer. `hangs`: none comes before the receiver closes. `drips`: a byte now and then."""

    status: int = 204
    headers: Mapping[str, str] = field(default_factory=dict)
    body: bytes = b""
    hangs: bool = False
    drips: bool = False


@dataclass(frozen=True)
class Received:
    """A request as it came."""

    path: str
    headers: Mapping[str, str]
    body: bytes
    at: float

    @property
    def id(self) -> str:
        return self.headers["webhook-id"]

    @property
    def json(self) -> dict[str, Any]:
        return dict(json.loads(self.body))

    def verified(self, *secrets: str) -> dict[str, Any]:
        """What it says, if it is signed with one of the secrets. Raises InvalidCallback."""
        return verify_callback(self.headers, self.body, secrets)


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    receiver: Receiver


class _Handler(BaseHTTPRequestHandler):
    server: _Server

    def do_POST(self) -> None:
        receiver = self.server.receiver
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        reply = receiver.take(Received(self.path, dict(self.headers), body, time.monotonic()))
        if reply.hangs:
            receiver.closes.wait()
            return
        self.send_response(reply.status)
        for name, text in reply.headers.items():
            self.send_header(name, text)
        if reply.drips:
            self.flush_headers()
            self._drip(receiver)
            return
        if reply.status != 204:
            self.send_header("Content-Length", str(len(reply.body)))
        self.end_headers()
        self.wfile.write(reply.body)

    do_GET = do_POST  # what following a redirect would lead to

    def _drip(self, receiver: Receiver) -> None:
        with suppress(OSError):
            while not receiver.closes.wait(0.05):
                self.wfile.write(b"x")

    def log_message(self, *_: Any) -> None:
        pass


class Receiver:
    """Answers each path by its script; the last reply is repeated, without one it is 204."""

    def __init__(self, tls: ssl.SSLContext | None = None) -> None:
        self._scripts: dict[str, deque[Reply]] = {}
        self._received: list[Received] = []
        self._news = threading.Condition()
        self.closes = threading.Event()
        self._server = _Server(("127.0.0.1", 0), _Handler)
        self._server.receiver = self
        if tls is not None:
            self._server.socket = tls.wrap_socket(self._server.socket, server_side=True)
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.02,))
        self._thread.start()

    @property
    def port(self) -> int:
        return int(self._server.server_address[1])

    def url(self, path: str, host: str = "127.0.0.1", scheme: str = "http") -> str:
        return f"{scheme}://{host}:{self.port}{path}"

    def script(self, path: str, *replies: Reply) -> None:
        """What it answers there from now on."""
        with self._news:
            self._scripts[path] = deque(replies)

    def at(self, path: str) -> list[Received]:
        """What has come there."""
        with self._news:
            return [request for request in self._received if request.path == path]

    def wait(self, path: str, count: int = 1, *, within_seconds: float = 30) -> Sequence[Received]:
        """What has come there, once it is so much."""
        with self._news:
            came = self._news.wait_for(
                lambda: sum(request.path == path for request in self._received) >= count,
                within_seconds,
            )
        assert came, f"{count} requests to {path}; came: {self.at(path)}"
        return self.at(path)

    def close(self) -> None:
        self.closes.set()
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    def take(self, request: Received) -> Reply:
        """Keep a request, and tell what to answer."""
        with self._news:
            self._received.append(request)
            self._news.notify_all()
            script = self._scripts.get(request.path)
            if not script:
                return Reply()
            return script.popleft() if len(script) > 1 else script[0]


@contextmanager
def running_receiver(tls: ssl.SSLContext | None = None) -> Iterator[Receiver]:
    receiver = Receiver(tls)
    try:
        yield receiver
    finally:
        receiver.close()
