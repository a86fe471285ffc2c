"""What we change in gunicorn: less work a request, and not one byte of difference to callers."""

from __future__ import annotations

import logging
import re
from collections.abc import Iterator
from datetime import timedelta
from types import SimpleNamespace
from typing import Any

import pytest
from gunicorn.config import Config
from gunicorn.glogging import Logger
from gunicorn.http.wsgi import Response

from jobresults.telemetry.access_log import FIELDS, AccessFilter
from jobresults.web.gunicorn_worker import AccessLogger, OneWriteResponse


class Socket:
    """Takes up to `room` bytes a call, as a full buffer would make it."""

    def __init__(self, room: int = 1_000_000) -> None:
        self.sent: list[bytes] = []
        self._room = room

    def send(self, data: bytes) -> int:
        self.sent.append(data[: self._room])
        return len(self.sent[-1])

    def sendall(self, data: bytes) -> None:
        self.sent.append(bytes(data))


def answer(
    kind: type[Response],
    status: str,
    headers: list[tuple[str, str]],
    body: list[bytes],
    *,
    method: str = "GET",
    version: tuple[int, int] = (1, 1),
    close: bool = False,
    socket: Socket | None = None,
) -> tuple[Response, list[bytes]]:
    """The answer object, and what it sends."""
    request = SimpleNamespace(method=method, version=version, should_close=lambda: close)
    socket = socket or Socket()
    response = kind(request, socket, Config())
    response.start_response(status, headers)
    for part in body:
        response.write(part)
    response.close()
    return response, socket.sent


def with_length(body: bytes, *more: tuple[str, str]) -> list[tuple[str, str]]:
    return [("Content-Type", "text/plain"), ("Content-Length", str(len(body))), *more]


def undated(sent: list[bytes]) -> bytes:
    return re.sub(rb"\r\nDate: [^\r]+ GMT\r\n", b"\r\nDate: ?\r\n", b"".join(sent))


HELLO, LARGE = b"hello", b"x" * 65_537
ANSWERS: dict[str, dict[str, Any]] = {
    "short": {"status": "200 OK", "headers": with_length(HELLO), "body": [HELLO]},
    "more headers": {
        "status": "202 ACCEPTED",
        "headers": with_length(HELLO, ("ETag", '"é"'), ("Connection", "x"), ("Retry-After", "1")),
        "body": [HELLO],
    },
    "large": {"status": "200 OK", "headers": with_length(LARGE), "body": [LARGE]},
    "in parts": {"status": "200 OK", "headers": with_length(HELLO), "body": [b"he", b"llo"]},
    "too long": {"status": "200 OK", "headers": with_length(HELLO), "body": [b"hello you"]},
    "empty": {"status": "200 OK", "headers": with_length(b""), "body": [b""]},
    "chunked": {"status": "200 OK", "headers": [], "body": [b"he", b"llo"]},
    "unchanged": {"status": "304 NOT MODIFIED", "headers": [("ETag", '"x"')], "body": []},
    "head": {
        "status": "200 OK",
        "headers": with_length(HELLO),
        "body": [],
        "method": "HEAD",
    },
    "last": {"status": "200 OK", "headers": with_length(HELLO), "body": [HELLO], "close": True},
    "old": {
        "status": "200 OK",
        "headers": with_length(HELLO),
        "body": [HELLO],
        "version": (1, 0),
    },
}


@pytest.mark.parametrize("name", ANSWERS)
def test_answers_are_gunicorns_own(name: str) -> None:
    ours, sent = answer(OneWriteResponse, **ANSWERS[name])
    theirs, expected = answer(Response, **ANSWERS[name])
    assert undated(sent) == undated(expected)
    assert (ours.sent, ours.should_close()) == (theirs.sent, theirs.should_close())


def test_a_short_answer_is_sent_at_once() -> None:
    _, sent = answer(OneWriteResponse, **ANSWERS["short"])
    assert len(sent) == 1
    assert re.search(rb"\r\nDate: \w{3}, \d\d \w{3} \d{4} \d\d:\d\d:\d\d GMT\r\n", sent[0])


@pytest.mark.parametrize("room", [1, 50, 150])
def test_what_does_not_fit_at_once_follows(room: int) -> None:
    _, sent = answer(OneWriteResponse, **ANSWERS["short"], socket=Socket(room))
    _, expected = answer(Response, **ANSWERS["short"])
    assert undated(sent) == undated(expected)


@pytest.mark.parametrize("bad", ["a\r\nX: y", "a\nb", "\x00"])
def test_a_header_that_would_start_another_is_refused(bad: str) -> None:
    with pytest.raises(Exception, match="X-Bad"):
        answer(OneWriteResponse, "200 OK", with_length(HELLO, ("X-Bad", bad)), [HELLO])


@pytest.fixture
def logged() -> Iterator[list[logging.LogRecord]]:
    """What reaches the handlers of the access log."""
    records: list[logging.LogRecord] = []

    class Handler(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            records.append(record)

    logger, handler, access_filter = logging.getLogger("test.access"), Handler(), AccessFilter()
    logger.addHandler(handler)
    logger.addFilter(access_filter)
    yield records
    logger.removeHandler(handler)
    logger.removeFilter(access_filter)


def test_what_cannot_be_logged_harms_no_answer(caplog: pytest.LogCaptureFixture) -> None:
    logger = AccessLogger.__new__(AccessLogger)
    logger.error_log = logging.getLogger("test.error")
    response = SimpleNamespace(status=None, sent=0, headers=[])
    logger.access(response, None, {"REQUEST_METHOD": "GET", "RAW_URI": "/"}, timedelta())
    assert [record.message for record in caplog.records] == ["a request could not be logged"]


@pytest.mark.parametrize("headers", [[("X-Request-ID", "r1")], []])
def test_access_lines_are_those_of_gunicorns_own_logger(
    logged: list[logging.LogRecord], headers: list[tuple[str, str]]
) -> None:
    environ = {
        "REQUEST_METHOD": "GET",
        "RAW_URI": "/a%0d?token=hunter2",
        "PATH_INFO": "/a\r",
        "QUERY_STRING": "token=hunter2",
        "SERVER_PROTOCOL": "HTTP/1.1",
        "REMOTE_ADDR": "192.0.2.7",
    }
    response = SimpleNamespace(status="202 ACCEPTED", sent=512, headers=headers)
    request = SimpleNamespace(headers=[("AUTHORIZATION", "Bearer hunter2")])
    for kind in (Logger, AccessLogger):
        logger = kind.__new__(kind)  # not set up: that would take over the test's handlers
        logger.access_log, logger.cfg = logging.getLogger("test.access"), Config()
        logger.access_log.setLevel("INFO")
        logger._access_log_enabled = True
        logger.access(response, request, environ, timedelta(seconds=1, microseconds=2500))
    theirs, ours = (
        {name: getattr(record, name) for name in (*FIELDS, "request_id", "msg", "levelname")}
        for record in logged
    )
    assert ours == theirs
    assert ours["duration_ms"] == 1002.5
    assert "hunter2" not in repr(logged[1].__dict__)
