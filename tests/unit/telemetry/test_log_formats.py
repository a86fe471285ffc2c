"""The two formats of a record."""

from __future__ import annotations

import logging
import re
import sys
from collections.abc import Callable
from typing import Any

import jiter
import pytest
from hypothesis import given
from hypothesis import strategies as st

from jobresults.telemetry import logging_context
from jobresults.telemetry.log_formats import JsonFormatter, TextFormatter

MakeRecord = Callable[..., logging.LogRecord]
FORGED = "2026-01-01 00:00:00.000 ERROR    jobresults: forged"


def raised(message: str) -> Any:
    try:
        raise ValueError(message)
    except ValueError:
        return sys.exc_info()


def as_json(record: logging.LogRecord) -> dict[str, Any]:
    logging_context.ContextFilter().filter(record)
    line = JsonFormatter().format(record)
    assert line.isprintable()
    parsed = jiter.from_json(line.encode(), allow_inf_nan=False, catch_duplicate_keys=True)
    assert isinstance(parsed, dict)
    return parsed


def test_a_text_line_is_short_and_names_request_job_and_trace(make_record: MakeRecord) -> None:
    trace_id = "4bf92f3577b34da6a3ce929d0e0e4736"
    context = {"request_id": "r1", "job_id": "j1", "trace_id": trace_id}
    record = make_record("%s jobs", 3, **context, customer="c1", task=None)

    assert re.fullmatch(
        r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d\.\d{3} INFO     "
        r"jobresults\.test: 3 jobs request_id=r1 job_id=j1 "
        rf"trace_id={trace_id}",
        TextFormatter().format(record),
    )


def test_text_without_context_shows_none(make_record: MakeRecord) -> None:
    line = TextFormatter().format(make_record(request_id=None, job_id=None, trace_id=None))

    assert line.endswith("jobresults.test: hello")


@pytest.mark.parametrize("line_break", ["\n", "\r\n", "\x0b", "\x85", "\u2028"])
def test_a_message_cannot_forge_a_text_line(make_record: MakeRecord, line_break: str) -> None:
    text = TextFormatter().format(make_record("GET %s", f"/a{line_break}{FORGED}"))

    assert len(text.splitlines()) == 1


def test_an_exception_cannot_forge_a_text_line(make_record: MakeRecord) -> None:
    record = make_record(exc_info=raised(f"a\n{FORGED}\r{FORGED}\x1b[2J"), stack_info="Stack:\nx")

    first, *others = TextFormatter().format(record).splitlines()

    assert first.endswith("hello")
    assert others[0] == "  Traceback (most recent call last):"
    assert others[-2:] == ["  Stack:", "  x"]
    assert all(line.startswith("  ") and line.isprintable() for line in others)


def test_text_leaves_the_record_to_other_handlers_as_it_was(make_record: MakeRecord) -> None:
    record = make_record(exc_info=raised("a\nb"))
    before = dict(record.__dict__)

    TextFormatter().format(record)

    assert {name: record.__dict__[name] for name in before} == before


def test_a_json_line_has_its_members_and_no_others(
    make_record: MakeRecord, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOSTNAME", "web-7f")
    record = make_record("%s jobs", 3, job_id="j1", attempt=2, arguments="hunter2")
    record.created = 1_700_000_000.25

    parsed = as_json(record)

    assert parsed.pop("version")
    assert parsed == {
        "timestamp": "2023-11-14T22:13:20.250Z",
        "level": "INFO",
        "logger": "jobresults.test",
        "message": "3 jobs",
        "request_id": None,
        "job_id": "j1",
        "task": None,
        "customer": None,
        "client": None,
        "trace_id": None,
        "attempt": 2,
        "pod": "web-7f",
    }


def test_json_holds_an_exception_as_one_string(make_record: MakeRecord) -> None:
    parsed = as_json(make_record(exc_info=raised("a\nb"), stack_info="Stack:\nx"))

    assert parsed["exc_info"].startswith("Traceback (most recent call last):\n")
    assert parsed["exc_info"].endswith("ValueError: a\nb")
    assert parsed["stack_info"] == "Stack:\nx"


def test_json_holds_an_access_record_as_members(make_record: MakeRecord) -> None:
    access = {
        "method": "GET",
        "path": "/a",
        "status": 200,
        "bytes": 2,
        "duration_ms": 0.5,
        "client_ip": "192.0.2.7",
    }

    assert as_json(make_record(**access)).items() >= access.items()


def test_a_dict_logged_as_message_replaces_no_member(make_record: MakeRecord) -> None:
    parsed = as_json(make_record({"level": "CRITICAL", "job_id": "forged"}))

    assert parsed["level"] == "INFO"
    assert parsed["job_id"] is None
    assert parsed["message"] == "{'level': 'CRITICAL', 'job_id': 'forged'}"


@given(st.text(st.characters()))
def test_any_message_is_a_line_strict_parsers_read(message: str) -> None:
    record = logging.LogRecord("jobresults", logging.INFO, "", 1, message, None, None)
    encodable = message.encode("utf-8", "backslashreplace").decode()

    assert as_json(record)["message"] == encodable
    assert len(TextFormatter().format(record).encode().splitlines()) == 1
