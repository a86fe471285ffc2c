"""A closed-loop HTTP load: keep-alive connections, each sending its next request on an answer.

`wrk` makes it if it is installed; else this module does so itself, with fewer requests a second.
"""

from __future__ import annotations

import contextlib
import http.client
import itertools
import json
import selectors
import shutil
import socket
import subprocess
import tempfile
import time
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

HAS_WRK = shutil.which("wrk") is not None
_SCRIPT = """
local requests, turn = {}, 0
init = function()
%s
end
request = function()
  turn = turn %% #requests + 1
  return requests[turn]
end
done = function(summary, latency)
  local errors = summary.errors
  io.write(string.format('\\nJSON {"requests": %%d, "microseconds": %%d, "refused": %%d,'
    .. ' "broken": %%d, "p50": %%f, "p99": %%f}\\n',
    summary.requests, summary.duration, errors.status,
    errors.connect + errors.read + errors.write,
    latency:percentile(50), latency:percentile(99)))
end
"""


@dataclass(frozen=True)
class Request:
    """What is sent. Text is ASCII."""

    method: str
    target: str
    headers: Mapping[str, str] = field(default_factory=dict)
    body: str = ""

    def as_bytes(self) -> bytes:
        """As it goes over the wire."""
        lines = [f"{self.method} {self.target} HTTP/1.1", "Host: localhost"]
        lines += [f"{name}: {value}" for name, value in self.headers.items()]
        if self.body:
            lines.append(f"Content-Length: {len(self.body)}")
        return "\r\n".join([*lines, "", self.body]).encode()

    def as_lua(self) -> str:
        """As wrk's script makes it. JSON's strings of ASCII are Lua's."""
        headers = ", ".join(
            f"[{json.dumps(name)}] = {json.dumps(value)}" for name, value in self.headers.items()
        )
        body = json.dumps(self.body) if self.body else "nil"
        arguments = f"{json.dumps(self.method)}, {json.dumps(self.target)}, {{{headers}}}, {body}"
        return f"  requests[#requests + 1] = wrk.format({arguments})"


@dataclass(frozen=True)
class Load:
    """What a load saw. `refused` counts answers of 400 and above, among the requests."""

    requests_per_second: float
    p50_ms: float
    p99_ms: float
    refused: int
    requests: int


def run(port: int, requests: Sequence[Request], *, connections: int, seconds: float) -> Load:
    """Send the requests in turn, for so long.

    Raises:
        RuntimeError: a connection broke.
    """
    make = _with_wrk if HAS_WRK else _by_itself
    return make(port, requests, connections=connections, seconds=seconds)


def status(port: int, target: str) -> int | None:
    """What a plain GET is answered; None if nobody answers yet."""
    with contextlib.suppress(OSError, http.client.HTTPException):
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=5)
        connection.request("GET", target)
        return connection.getresponse().status
    return None


def _with_wrk(port: int, requests: Sequence[Request], *, connections: int, seconds: float) -> Load:
    with tempfile.NamedTemporaryFile("w", suffix=".lua") as script:
        script.write(_SCRIPT % "\n".join(request.as_lua() for request in requests))
        script.flush()
        # Without it what takes longer than 2 s is no answer to wrk.
        words = [
            "--timeout",
            "30s",
            "-t1",
            f"-c{connections}",
            f"-d{max(1, round(seconds))}s",
            "--latency",
        ]
        command = ["wrk", *words, "-s", script.name, f"http://127.0.0.1:{port}"]
        printed = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    line = next(line for line in printed.splitlines() if line.startswith("JSON "))
    seen = json.loads(line.removeprefix("JSON "))
    if seen["broken"]:
        raise RuntimeError(f"{seen['broken']} requests broke off: {printed}")
    return Load(
        seen["requests"] / (seen["microseconds"] / 1e6),
        seen["p50"] / 1000,
        seen["p99"] / 1000,
        seen["refused"],
        seen["requests"],
    )


class _Connection:
    def __init__(self, port: int, requests: Iterator[bytes]) -> None:
        self.socket = socket.create_connection(("127.0.0.1", port))
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._requests = requests
        self._received = b""
        self.sent_at = 0.0

    def send(self) -> None:
        self._received = b""
        self.sent_at = time.perf_counter()
        self.socket.sendall(next(self._requests))

    def receive(self) -> int | None:
        """The status once the whole answer is here."""
        chunk = self.socket.recv(65536)
        if not chunk:
            raise RuntimeError("the server closed a connection")
        self._received += chunk
        return status_of(self._received)


def status_of(received: bytes) -> int | None:
    """The status of an answer with a Content-Length, None while it is not complete."""
    head, separator, body = received.partition(b"\r\n\r\n")
    if not separator:
        return None
    _, found, length = head.lower().partition(b"content-length: ")
    if found and len(body) < int(length.partition(b"\r\n")[0]):
        return None
    return int(head[9:12])


def _by_itself(port: int, requests: Sequence[Request], *, connections: int, seconds: float) -> Load:
    endless = itertools.cycle([request.as_bytes() for request in requests])
    statuses, durations = Counter[int](), []
    with selectors.DefaultSelector() as selector:
        for _ in range(connections):
            connection = _Connection(port, endless)
            selector.register(connection.socket, selectors.EVENT_READ, connection)
            connection.send()
        start = time.perf_counter()
        while (now := time.perf_counter()) < start + seconds:
            for selected, _ in selector.select(1.0):
                status = selected.data.receive()
                if status is not None:
                    durations.append(time.perf_counter() - selected.data.sent_at)
                    statuses[status] += 1
                    selected.data.send()
        for selected in list(selector.get_map().values()):
            selected.data.socket.close()
    durations.sort()
    return Load(
        len(durations) / (now - start),
        durations[len(durations) // 2] * 1000,
        durations[len(durations) * 99 // 100] * 1000,
        sum(count for status, count in statuses.items() if status >= 400),
        len(durations),
    )
