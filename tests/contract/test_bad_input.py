"""What is refused, how, and that nothing is accepted then."""

from __future__ import annotations

import gzip
import json
import socket
from collections.abc import Iterator
from typing import Any

import pytest
import requests

from tests.services.stack import Stack

JSON = {"Content-Type": "application/json"}
SUBMIT_ROUTES = ("/v1/jobs", "/add/ann", "/userdevicesms")
MAX_BODY_BYTES = 1_048_576


def echo(value: bytes) -> bytes:
    return b'{"task": "echo", "params": {"value": ' + value + b"}}"


MALFORMED = {
    "form": b"task=echo",
    "cut off": b'{"task": "echo"',
    "two documents": b'{"task": "echo"} {}',
    "single quotes": b"{'task': 'echo'}",
    "trailing comma": b'{"task": "echo",}',
    "not a number": echo(b"NaN"),
    "infinity": echo(b"Infinity"),
    "minus infinity": echo(b"-Infinity"),
    "beyond floats": echo(b"1e999"),
    "below floats": echo(b"-1e999"),
    "duplicate key": b'{"task": "unserved", "task": "echo"}',
    "duplicate key in other words": echo(b'{"a": 1, "\\u0061": 2}'),
    "lone surrogate": echo(b'"\\ud800"'),
    "raw surrogate": echo(b'"\xed\xa0\x80"'),
    "NUL": echo(b'"a\\u0000"'),
    "NUL after a backslash": echo(b'"\\\\\\u0000"'),
    "NUL in a key": echo(b'{"\\u0000": 1}'),
    "raw NUL": echo(b'"\x00"'),
    "not UTF-8": echo(b'"\xff"'),
    "UTF-16": '{"task": "echo"}'.encode("utf-16"),
    "deep": b"[" * 1_000 + b"]" * 1_000,
    "very deep": b'{"a":' * 100_000 + b"1" + b"}" * 100_000,
    "a number of 5,000 digits": echo(b"9" * 5_000),
}


@pytest.fixture(autouse=True)
def nothing_is_accepted(stack: Stack) -> Iterator[None]:
    before = stack.count_jobs()
    yield
    assert stack.count_jobs() == before


def post(stack: Stack, body: Any, path: str = "/v1/jobs") -> requests.Response:
    data = body if isinstance(body, bytes) else json.dumps(body)
    return stack.request("POST", path, data=data, headers=JSON)


def paths(response: requests.Response) -> set[str]:
    assert response.status_code == 400
    assert response.json()["code"] == "invalid_request"
    problems = response.json()["errors"]
    assert all(problem["message"] for problem in problems)
    assert response.json()["detail"].count(problems[0]["path"])
    return {problem["path"] for problem in problems}


@pytest.mark.parametrize("path", SUBMIT_ROUTES)
@pytest.mark.parametrize("body", [b"", b" \r\n\t"])
@pytest.mark.parametrize("headers", [JSON, {}, {"Content-Type": "text/plain"}])
def test_an_empty_body_is_refused(
    stack: Stack, path: str, body: bytes, headers: dict[str, str]
) -> None:
    response = stack.request("POST", path, data=body, headers=headers)
    assert response.status_code == 400
    assert (response.json()["code"], response.json()["error"]) == ("payload_empty", "Payload Empty")


@pytest.mark.parametrize("path", SUBMIT_ROUTES)
@pytest.mark.parametrize("name", MALFORMED)
def test_what_json_readers_could_understand_differently_is_refused(
    stack: Stack, path: str, name: str
) -> None:
    response = post(stack, MALFORMED[name], path)
    assert response.status_code == 400
    assert response.json()["code"] == "invalid_request"
    assert response.json()["detail"].startswith("the body ")  # and not: its members


@pytest.mark.parametrize("path", SUBMIT_ROUTES)
@pytest.mark.parametrize("body", [[], 7, "text", None, True])
def test_a_document_that_is_no_object_is_refused(stack: Stack, path: str, body: Any) -> None:
    assert post(stack, body, path).status_code == 400


def test_an_escaped_backslash_before_u0000_is_no_nul(stack: Stack) -> None:
    # Refused for the unknown task, so the text itself was taken.
    response = post(stack, b'{"task": "nope", "params": {"value": "\\\\u0000"}}')
    assert response.json()["code"] == "unknown_task"


@pytest.mark.parametrize("path", SUBMIT_ROUTES)
@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"Content-Type": "text/plain"},
        {"Content-Type": "application/x-www-form-urlencoded"},
        {"Content-Type": "application/jsonx"},
        {**JSON, "Content-Encoding": "gzip"},
        {**JSON, "Content-Encoding": "br"},
    ],
)
def test_what_is_not_plain_json_is_refused(
    stack: Stack, path: str, headers: dict[str, str]
) -> None:
    packed = headers.get("Content-Encoding") == "gzip"
    body = gzip.compress(b'{"task": "echo"}') if packed else b'{"task": "echo"}'
    response = stack.request("POST", path, data=body, headers=headers)
    assert response.status_code == 415
    assert response.json()["code"] == "unsupported_media_type"


@pytest.mark.parametrize("kind", ["application/json; charset=utf-8", "application/x+json"])
def test_json_by_another_name_is_read(stack: Stack, kind: str) -> None:
    response = stack.request("POST", "/v1/jobs", data=b"[]", headers={"Content-Type": kind})
    assert response.status_code == 400


@pytest.mark.parametrize("path", SUBMIT_ROUTES)
@pytest.mark.parametrize("chunked", [False, True])
def test_a_body_over_the_limit_is_refused(stack: Stack, path: str, chunked: bool) -> None:
    text = b'{"task": "echo", "params": {"value": "' + b"x" * MAX_BODY_BYTES + b'"}}'
    data = (text[start : start + 65_536] for start in range(0, len(text), 65_536))
    response = stack.request("POST", path, data=data if chunked else text, headers=JSON)
    assert response.status_code == 413
    assert response.json()["code"] == "payload_too_large"


@pytest.mark.parametrize("chunked", [False, True])
def test_a_body_at_the_limit_is_read(stack: Stack, chunked: bool) -> None:
    frame = b'{"task": "nope", "params": {"value": ""}}'
    text = frame[:-3] + b"x" * (MAX_BODY_BYTES - len(frame)) + frame[-3:]
    data = iter([text[:1000], text[1000:]]) if chunked else text
    response = stack.request("POST", "/v1/jobs", data=data, headers=JSON)
    assert response.json()["code"] == "unknown_task"


@pytest.mark.parametrize(
    "framing",
    [
        b"Content-Length: 60\r\n\r\n",  # the document is whole, and yet not all that was announced
        b"Transfer-Encoding: chunked\r\n\r\n40\r\n",
    ],
)
def test_a_body_that_is_cut_off_is_refused(stack: Stack, framing: bytes) -> None:
    head = f"POST /v1/jobs HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {stack.key}\r\n".encode()
    with socket.create_connection(("127.0.0.1", int(stack.url.rpartition(":")[2]))) as caller:
        caller.sendall(head + b"Content-Type: application/json\r\n" + framing + echo(b"1"))
        caller.shutdown(socket.SHUT_WR)
        answer = b"".join(iter(lambda: caller.recv(65_536), b""))
    assert b"202" not in answer.partition(b"\r\n")[0]


def test_every_wrong_parameter_is_listed_with_its_path(stack: Stack) -> None:
    params = {
        "items": [{"name": "a", "count": -1}, {"name": 3, "count": 0}, {"count": 1}],
        "ratio": "much",
        "extra": None,
    }
    response = post(stack, {"task": "typed", "params": params})
    assert paths(response) == {
        "params.items[0].count",
        "params.items[1].name",
        "params.items[2].name",
        "params.ratio",
        "params.extra",
    }


@pytest.mark.parametrize("path", ["/add/ann", "/userdevicesms"])
def test_wrong_messages_are_listed_with_their_paths(stack: Stack, path: str) -> None:
    message = {"sender": "AX-BANK", "body": "hello", "received_at": "2026-01-01T00:00:00Z"}
    body = {"messages": [message, {**message, "body": 3}, {**message, "received_at": "now"}]}
    response = post(stack, {**body, "cust_id": "ann"} if path == "/userdevicesms" else body, path)
    assert paths(response) == {"params.messages[1].body", "params.messages[2].received_at"}


def test_every_wrong_member_is_listed(stack: Stack) -> None:
    body = {
        "task": 3,
        "params": [],
        "customer": "",
        "queue": 1,
        "delay_seconds": -1,
        "run_at": "2026-01-01T00:00:00",
        "max_attempts": 0,
        "timeout_seconds": 0,
        "tags": ["ok", "", "x" * 101],
        "bogus": 1,
    }
    assert paths(post(stack, body)) == {*body} - {"tags"} | {"tags.1", "tags.2"}


@pytest.mark.parametrize(
    ("members", "wrong"),
    [
        ({"max_attempts": 26}, {"max_attempts"}),
        ({"max_attempts": 10**30}, {"max_attempts"}),
        ({"timeout_seconds": 86_401}, {"timeout_seconds"}),
        ({"delay_seconds": 365 * 86_400 + 1}, {"delay_seconds"}),
        ({"run_at": "9999-12-31T23:59:59Z"}, {"run_at"}),
        ({"queue": "nowhere"}, {"queue"}),
        ({"max_attempts": 26, "queue": "nowhere"}, {"max_attempts", "queue"}),
        ({"tags": ["x"] * 21}, {"tags"}),
        ({"tags": ["a\nb"]}, {"tags.0"}),
        ({"customer": "a\x7f"}, {"customer"}),
        ({"customer": "x" * 201}, {"customer"}),
    ],
)
def test_a_member_beyond_its_bounds_is_refused(
    stack: Stack, members: dict[str, Any], wrong: set[str]
) -> None:
    assert paths(post(stack, {"task": "echo", **members})) == wrong


def test_a_job_is_delayed_in_one_way_only(stack: Stack) -> None:
    body = {"task": "echo", "delay_seconds": 1, "run_at": "2026-01-01T00:00:00Z"}
    response = post(stack, body)
    assert response.status_code == 400
    assert "not both" in response.json()["detail"]


@pytest.mark.parametrize(
    ("task", "hint"),
    [("ech", "'echo'"), ("Score", "'score'"), ("", "/v1/tasks"), ("os.system", "/v1/tasks")],
)
def test_an_unknown_task_is_refused_with_the_nearest(stack: Stack, task: str, hint: str) -> None:
    response = post(stack, {"task": task})
    assert response.status_code == 400
    assert response.json()["code"] == "unknown_task"
    assert repr(task) in response.json()["detail"]
    assert hint in response.json()["detail"]


@pytest.mark.parametrize("wait", ["soon", "-1", "nan", "inf"])
def test_a_wait_that_is_no_number_is_refused_before_anything_is_accepted(
    stack: Stack, wait: str
) -> None:
    response = post(stack, {"task": "echo"}, f"/v1/jobs?wait={wait}")
    assert paths(response) == {"wait"}
