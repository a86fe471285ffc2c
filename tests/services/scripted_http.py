"""An HTTP server in a thread that answers by a script: right, wrong, slowly, or not at all."""

from __future__ import annotations

import socket
import struct
import threading
from collections import deque
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Literal

_DRIP_SECONDS = 0.05


@dataclass(frozen=True)
class Answer:
    """One answer. drip: byte by byte without end; hang: none; reset: the connection is cut."""

    status: int = 200
    body: bytes = b""
    headers: Mapping[str, str] = field(default_factory=dict)
    how: Literal["whole", "drip", "hang", "reset"] = "whole"


@dataclass(frozen=True)
class Request:
    """One request as it came."""

    path: str
    headers: Mapping[str, str]
    body: bytes
    method: str = "GET"


class ScriptedServer:
    """Answers with what `script` holds, then with what `respond` says."""

    def __init__(self) -> None:
        self.script: deque[Answer] = deque()
        self.requests: list[Request] = []
        self.closing = threading.Event()
        self._lock = threading.Lock()
        self._server = _Server(("127.0.0.1", 0), _Handler)
        self._server.owner = self
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.02,))
        self._thread.start()

    @property
    def address(self) -> str:
        """`host:port`."""
        return f"127.0.0.1:{self._server.server_address[1]}"

    def respond(self, request: Request) -> Answer:
        """The answer to a request that the script does not speak of."""
        raise NotImplementedError

    def answer(self, request: Request) -> Answer:
        with self._lock:
            self.requests.append(request)
            return self.script.popleft() if self.script else self.respond(request)

    def close(self) -> None:
        self.closing.set()
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    def __enter__(self) -> Any:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


class _Server(ThreadingHTTPServer):
    owner: ScriptedServer
    daemon_threads = True
    request_queue_size = 128

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A caller that hangs up is part of the play."""


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        owner = self._owner
        request = Request(self.path, dict(self.headers), body, self.command)
        self._play(owner.answer(request), owner.closing)

    do_GET = do_POST

    @property
    def _owner(self) -> ScriptedServer:
        assert isinstance(self.server, _Server)
        return self.server.owner

    def _play(self, answer: Answer, closing: threading.Event) -> None:
        if answer.how == "hang":
            closing.wait()
            self.close_connection = True
            return
        if answer.how == "reset":
            linger = struct.pack("ii", 1, 0)  # so that closing sends RST
            self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
            self.connection.close()
            self.close_connection = True
            return
        self.send_response(answer.status)
        for name, value in answer.headers.items():
            self.send_header(name, value)
        length = 1_000_000 if answer.how == "drip" else len(answer.body)
        self.send_header("Content-Length", str(length))
        self.end_headers()
        if answer.how == "drip":
            with suppress(OSError):
                while not closing.wait(_DRIP_SECONDS):
                    self.wfile.write(b" ")
            self.close_connection = True
            return
        self.wfile.write(answer.body)

    def log_message(self, *_: object) -> None:
        """Nothing is printed."""
