"""Requests that two servers in a row could understand differently: refused, and nothing that
follows on the connection is read.
"""

from __future__ import annotations

import json
import re
import socket
from collections.abc import Iterator

import pytest

from tests.services.api_document import SECURITY_HEADERS
from tests.services.stack import Stack

JOB = '{"task":"echo"}'
# What an attacker would have the second server take for a request of its own.
SMUGGLED = "POST /v1/jobs HTTP/1.1\r\nHost: x\r\n{credentials}Content-Length: 15\r\n\r\n" + JOB
POST = "POST /v1/jobs HTTP/1.1\r\nHost: x\r\n{credentials}Content-Type: application/json\r\n"
CHUNKED = POST + "Transfer-Encoding: chunked\r\n\r\n"
GET = "GET /status HTTP/1.1\r\nHost: x\r\n"

HEADS = {
    "length and chunks": POST + "Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    "chunks and length": POST + "Transfer-Encoding: chunked\r\nContent-Length: 5\r\n\r\n0\r\n\r\n",
    "two lengths": POST + "Content-Length: 15\r\nContent-Length: 0\r\n\r\n" + JOB,
    "one length twice": POST + "Content-Length: 15\r\nContent-Length: 15\r\n\r\n" + JOB,
    "a list of lengths": POST + "Content-Length: 15, 15\r\n\r\n" + JOB,
    "a signed length": POST + "Content-Length: +15\r\n\r\n" + JOB,
    "a negative length": POST + "Content-Length: -1\r\n\r\n" + JOB,
    "a length with an underscore": POST + "Content-Length: 1_5\r\n\r\n" + JOB,
    "chunked twice": POST + "Transfer-Encoding: chunked, chunked\r\n\r\n0\r\n\r\n",
    "chunked, then identity": POST + "Transfer-Encoding: chunked, identity\r\n\r\n0\r\n\r\n",
    "not chunked at last": POST + "Transfer-Encoding: gzip\r\n\r\n0\r\n\r\n",
    "chunked behind a vertical tab": POST + "Transfer-Encoding: \x0bchunked\r\n\r\n0\r\n\r\n",
    "a space before the colon": POST + "Transfer-Encoding : chunked\r\n\r\n0\r\n\r\n",
    "chunks in HTTP/1.0": CHUNKED.replace("HTTP/1.1", "HTTP/1.0") + "0\r\n\r\n",
    "two hosts": GET + "Host: y\r\n\r\n",
    "no host": "GET /status HTTP/1.1\r\n\r\n",
    "an empty host": "GET /status HTTP/1.1\r\nHost:\r\n\r\n",
    "a host that is none": "GET /status HTTP/1.1\r\nHost: x/y@z\r\n\r\n",
    "two content types": POST + "Content-Type: text/plain\r\nContent-Length: 15\r\n\r\n" + JOB,
    "a bare LF after the request line": "GET /status HTTP/1.1\nHost: x\r\n\r\n",
    "a bare LF in the headers": GET + "X: y\nContent-Length: 5\r\n\r\n",
    "a bare CR in a header": GET + "X: a\rContent-Length: 5\r\n\r\n",
    "a NUL in a header": GET + "X: a\0b\r\n\r\n",
    "a folded header": GET + "X: a\r\n b\r\n\r\n",
    "a space before the first header": "GET /status HTTP/1.1\r\n Host: x\r\n\r\n",
    "a header without a colon": GET + "Content-Length 15\r\n\r\n",
    "contradicting schemes": GET + "X-Forwarded-Proto: https\r\nX-Forwarded-Ssl: off\r\n\r\n",
    "no version": "GET /status\r\n\r\n",
    "HTTP/2 over HTTP/1": "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
    "a target that is no path": "GET status HTTP/1.1\r\nHost: x\r\n\r\n",
}
OTHERS = {
    "an unknown transfer coding": (501, POST + "Transfer-Encoding: xchunked\r\n\r\n0\r\n\r\n"),
    "an unknown expectation": (417, POST + "Expect: 200-maybe\r\n\r\n"),
    "a long target": (414, f"GET /{'a' * 9_000} HTTP/1.1\r\nHost: x\r\n\r\n"),
    "a long header": (431, GET + f"X: {'a' * 9_000}\r\n\r\n"),
    "many headers": (431, GET + "".join(f"X{n}: a\r\n" for n in range(101)) + "\r\n"),
}
CHUNKS = {
    "a negative size": "-1\r\n\r\n",
    "a size with a prefix": f"0xf\r\n{JOB}\r\n0\r\n\r\n",
    "a size that is too small": f"e\r\n{JOB}\r\n0\r\n\r\n",
    "a bare LF in an extension": f"f;a\nb\r\n{JOB}\r\n0\r\n\r\n",
    "a length in the trailer": f"f\r\n{JOB}\r\n0\r\nContent-Length: 5\r\n\r\n",
    "credentials in the trailer": f"f\r\n{JOB}\r\n0\r\n{{credentials}}\r\n",
}


@pytest.fixture(autouse=True)
def nothing_is_accepted(stack: Stack) -> Iterator[None]:
    before = stack.count_jobs()
    yield
    assert stack.count_jobs() == before


def answer(stack: Stack, request: str) -> tuple[int, dict[str, str], bytes]:
    """The one answer to the request and another behind it. Fails unless the connection is closed
    then, as whatever may still come on it cannot be trusted.
    """
    text = (request + SMUGGLED).replace("{credentials}", f"Authorization: Bearer {stack.key}\r\n")
    with socket.create_connection(("127.0.0.1", stack.port), timeout=30) as caller:
        caller.sendall(text.encode("latin-1"))
        received = b"".join(iter(lambda: _receive(caller), b""))
    assert len(re.findall(rb"(?m)^HTTP/1\.1 \d", received)) == 1, received
    head, _, body = received.partition(b"\r\n\r\n")
    status, *lines = head.decode("latin-1").split("\r\n")
    headers = dict(line.split(": ", 1) for line in lines)
    return int(status.split()[1]), headers, body


def _receive(caller: socket.socket) -> bytes:
    try:
        return caller.recv(65_536)
    except ConnectionResetError:  # it was closed with our second request unread
        return b""


@pytest.mark.parametrize("name", HEADS)
def test_an_ambiguous_head_is_refused(stack: Stack, name: str) -> None:
    status, headers, body = answer(stack, HEADS[name])
    assert status == json.loads(body)["status"] == 400
    assert json.loads(body)["code"] == "bad_request"
    assert headers["Content-Type"] == "application/problem+json"
    assert headers["Connection"] == "close"
    assert SECURITY_HEADERS.items() <= headers.items()


@pytest.mark.parametrize("name", OTHERS)
def test_a_head_beyond_what_is_served_is_refused(stack: Stack, name: str) -> None:
    expected, request = OTHERS[name]
    status, headers, body = answer(stack, request)
    assert status == json.loads(body)["status"] == expected
    assert headers["Content-Type"] == "application/problem+json"
    assert headers["Connection"] == "close"


@pytest.mark.parametrize("name", CHUNKS)
def test_malformed_chunks_are_refused(stack: Stack, name: str) -> None:
    status, _, body = answer(stack, CHUNKED + CHUNKS[name])
    assert status == 400, body
    assert "chunks" in json.loads(body)["detail"]
