"""A closed-loop HTTP load: keep-alive connections, each sending its next request on an answer."""

from __future__ import annotations

import re
import selectors
import socket
import time
from collections import Counter
from dataclasses import dataclass

_LENGTH = re.compile(rb"content-length: (\d+)", re.IGNORECASE)


@dataclass(frozen=True)
class Load:
    """What a load saw: answers a second, and how long the slowest hundredth took."""

    requests_per_second: float
    p50_ms: float
    p99_ms: float
    unexpected: dict[bytes, int]


class _Connection:
    def __init__(self, port: int, request: bytes) -> None:
        self.socket = socket.create_connection(("127.0.0.1", port))
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._request = request
        self._received = b""
        self.sent_at = 0.0

    def send(self) -> None:
        self._received = b""
        self.sent_at = time.perf_counter()
        self.socket.sendall(self._request)

    def receive(self) -> bytes | None:
        """The status line once the whole answer is here."""
        chunk = self.socket.recv(65536)
        if not chunk:
            raise ConnectionError("the server closed a connection")
        self._received += chunk
        head, separator, body = self._received.partition(b"\r\n\r\n")
        if not separator:
            return None
        length = _LENGTH.search(head)
        return head[9:12] if length is None or len(body) >= int(length[1]) else None


def request(method: str, target: str, *, key: str = "", body: bytes = b"") -> bytes:
    """The bytes of a request."""
    lines = [f"{method} {target} HTTP/1.1", "Host: localhost"]
    if key:
        lines.append(f"Authorization: Bearer {key}")
    if body:
        lines += ["Content-Type: application/json", f"Content-Length: {len(body)}"]
    return "\r\n".join([*lines, "", ""]).encode() + body


def run(port: int, message: bytes, *, expected: bytes, connections: int, seconds: float) -> Load:
    """Keep `connections` busy for `seconds`, after a tenth of that as warm-up."""
    with selectors.DefaultSelector() as selector:
        for _ in range(connections):
            connection = _Connection(port, message)
            selector.register(connection.socket, selectors.EVENT_READ, connection)
            connection.send()
        start = time.perf_counter() + seconds / 10
        durations, unexpected = [], Counter[bytes]()
        while (now := time.perf_counter()) < start + seconds:
            for selected, _ in selector.select(1.0):
                connection = selected.data
                status = connection.receive()
                if status is None:
                    continue
                if now >= start:
                    durations.append(time.perf_counter() - connection.sent_at)
                    if status != expected:
                        unexpected[status] += 1
                connection.send()
        for selected in list(selector.get_map().values()):
            selected.data.socket.close()
    durations.sort()
    return Load(
        len(durations) / seconds,
        durations[len(durations) // 2] * 1000,
        durations[len(durations) * 99 // 100] * 1000,
        unexpected,
    )
