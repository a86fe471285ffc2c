"""A real HTTP server that answers what a test wrote down, in that order, and keeps what it got."""

from __future__ import annotations

import json
import threading
import time
from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlsplit


@dataclass(frozen=True)
class Reply:
    """An answer. `content` wins over `body`; a `held` one comes when the wait asked for is over,
    or so many seconds; of a `torn` one only the first half is sent, of a `dropped` one nothing;
    after a `last` one the connection is cut without a word; `piece_seconds` pass after each byte
    of the body, `head_too`: of the header, too.
    """

    status: int = 200
    body: Any = None
    headers: Mapping[str, str] = field(default_factory=dict)
    content: bytes | None = None
    held: bool | float = False
    torn: bool = False
    dropped: bool = False
    last: bool = False
    piece_seconds: float = 0.0
    head_too: bool = False

    def payload(self) -> bytes:
        return json.dumps(self.body).encode() if self.content is None else self.content


@dataclass
class Received:
    """A request as it arrived; times are `time.monotonic()`."""

    method: str
    path: str
    query: dict[str, list[str]]
    headers: Mapping[str, str]
    content: bytes
    connection: tuple[str, int]
    received_at: float
    answered_at: float = 0.0

    @property
    def json(self) -> Any:
        return json.loads(self.content)

    @property
    def wait_seconds(self) -> float:
        return float(self.query.get("wait", ["0"])[0])


class ScriptedService:
    """Answers requests in the order of its script; the last reply is repeated for ever."""

    def __init__(self) -> None:
        self.received: list[Received] = []
        self.reading_seconds = 0.0  # for each 1 MB of a body
        self._script: deque[Reply] = deque()
        self._lock = threading.Lock()
        self.stopping = threading.Event()
        self._server = _Server(self)
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.01,))
        self.url = f"http://127.0.0.1:{self._server.server_address[1]}"

    def __enter__(self) -> ScriptedService:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stopping.set()
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()

    def replies(self, *script: Reply) -> None:
        """What comes next."""
        self._script = deque(script)

    def next_reply(self, request: Received) -> Reply:
        with self._lock:
            self.received.append(request)
            return self._script.popleft() if len(self._script) > 1 else self._script[0]

    def gap_seconds(self, first: int) -> float:
        """From the answer to a request until the next request."""
        return self.received[first + 1].received_at - self.received[first].answered_at


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    timeout = 5.0  # a kept-alive connection must not outlive the test for long
    server: _Server

    def do_GET(self) -> None:
        request = self._request()
        reply = self.server.service.next_reply(request)
        if reply.held:
            longest = request.wait_seconds if reply.held is True else reply.held
            self.server.service.stopping.wait(min(request.wait_seconds, longest))
        request.answered_at = time.monotonic()
        self.close_connection = reply.dropped or reply.torn or reply.last
        if not reply.dropped:
            self._answer(reply)

    do_POST = do_GET

    def log_message(self, *_: object) -> None:
        """Quiet: the script tells it all."""

    def _request(self) -> Received:
        received_at = time.monotonic()
        parts = urlsplit(self.path)
        return Received(
            method=self.command,
            path=parts.path,
            query=parse_qs(parts.query),
            headers=dict(self.headers),
            content=self._content(int(self.headers.get("Content-Length", 0))),
            connection=self.client_address,
            received_at=received_at,
        )

    def _content(self, length: int) -> bytes:
        content = b""
        while len(content) < length:
            self.server.service.stopping.wait(self.server.service.reading_seconds)
            piece = self.rfile.read(min(1_000_000, length - len(content)))
            if not piece:
                break
            content += piece
        return content

    def _answer(self, reply: Reply) -> None:
        payload = reply.payload()
        self.send_response_only(reply.status)
        headers = {
            "Date": self.date_time_string(),
            "Content-Type": "application/json",
            "Content-Length": str(len(payload)),
            **reply.headers,
        }
        for name, value in headers.items():
            self.send_header(name, value)
        sent = payload[: len(payload) // 2] if reply.torn else payload
        if reply.head_too:
            sent = b"".join([*self._headers_buffer, b"\r\n", sent])  # type: ignore[attr-defined]
        else:
            self.end_headers()
        self._send(sent, reply.piece_seconds)

    def _send(self, payload: bytes, piece_seconds: float) -> None:
        size = 1 if piece_seconds else len(payload) or 1
        for start in range(0, len(payload), size):
            if start and self.server.service.stopping.wait(piece_seconds):
                return
            try:
                self.wfile.write(payload[start : start + size])
            except OSError:
                return  # the client has had enough


class _Server(ThreadingHTTPServer):
    def __init__(self, service: ScriptedService) -> None:
        self.service = service
        super().__init__(("127.0.0.1", 0), _Handler)
