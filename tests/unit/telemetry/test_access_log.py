"""gunicorn's records, made by gunicorn's own logger."""

from __future__ import annotations

import logging
from datetime import timedelta
from types import SimpleNamespace
from typing import Any

import pytest
from gunicorn.glogging import Logger

from jobresults.telemetry.access_log import FIELDS, AccessFilter, QueryFilter

ENVIRON = {
    "REQUEST_METHOD": "GET",
    "RAW_URI": "/a%0d%0aERROR%20forged?token=hunter2",
    "PATH_INFO": "/a\r\nERROR forged",
    "QUERY_STRING": "token=hunter2",
    "SERVER_PROTOCOL": "HTTP/1.1",
    "REMOTE_ADDR": "192.0.2.7",
    "HTTP_AUTHORIZATION": "Bearer hunter2",
}


@pytest.fixture
def access_record(request: pytest.FixtureRequest) -> logging.LogRecord:
    """What gunicorn logs for a request, through the filter; parameter: the answer's headers."""
    answer = SimpleNamespace(
        status="202 ACCEPTED", sent=512, headers=getattr(request, "param", [("X-Request-ID", "r1")])
    )
    question = SimpleNamespace(headers=[("AUTHORIZATION", "Bearer hunter2")])
    gunicorn = Logger.__new__(Logger)  # not set up: that would take over the test's handlers
    atoms = gunicorn.atoms_wrapper_class(
        gunicorn.atoms(answer, question, ENVIRON, timedelta(seconds=1, microseconds=2500))
    )
    record = logging.LogRecord("gunicorn.access", logging.INFO, "", 1, "%(r)s", (atoms,), None)
    assert AccessFilter().filter(record)
    return record


def test_an_access_record_has_its_fields(access_record: logging.LogRecord) -> None:
    assert {name: getattr(access_record, name) for name in (*FIELDS, "request_id")} == {
        "method": "GET",
        "path": "/a%0d%0aERROR%20forged",
        "status": 202,
        "bytes": 512,
        "duration_ms": 1002.5,
        "client_ip": "192.0.2.7",
        "request_id": "r1",
    }
    assert access_record.getMessage() == "GET /a%0d%0aERROR%20forged 202"


def test_an_access_record_holds_neither_query_nor_headers(
    access_record: logging.LogRecord,
) -> None:
    assert "hunter2" not in repr(access_record.__dict__)


@pytest.mark.parametrize("access_record", [[]], indirect=True)
def test_an_answer_without_request_id_has_none(access_record: logging.LogRecord) -> None:
    assert access_record.__dict__["request_id"] is None


def test_other_records_of_the_access_logger_pass_unchanged() -> None:
    record = logging.LogRecord("gunicorn.access", logging.INFO, "", 1, "%s?", ("why",), None)

    assert AccessFilter().filter(record)
    assert record.getMessage() == "why?"


@pytest.mark.parametrize(
    ("message", "args", "shown"),
    [
        ("Error handling request %s %s", ("GET", "/a?token=x"), "GET /a?[hidden]"),
        ("Invalid request line: 'GET /a?token=x HTTP/9'", (), "'GET /a?[hidden] HTTP/9'"),
        ("No colon: %s", ("Authorization Bearer hunter2hunter2",), "Authorization Bearer [hidden]"),
        ("Is %d enough? Hardly.", (3,), "Is 3 enough? Hardly."),
        ({"a": "mapping"}, (), "{'a': 'mapping'}"),
    ],
)
def test_queries_are_hidden_in_error_messages(
    message: Any, args: tuple[object, ...], shown: str
) -> None:
    record = logging.LogRecord("gunicorn.error", logging.ERROR, "", 1, message, args, None)

    assert QueryFilter().filter(record)
    assert record.getMessage().endswith(shown)
