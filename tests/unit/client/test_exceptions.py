from __future__ import annotations

import inspect
import pickle
from typing import Any

import pytest

import jobresults.client
from jobresults import Client
from jobresults.client import (
    AuthenticationFailed,
    ClientError,
    Conflict,
    InvalidRequest,
    JobCanceled,
    JobExpired,
    JobFailed,
    JobNotFound,
    RateLimited,
    ServiceUnavailable,
    exceptions,
)
from tests.unit.client.scripted_service import Reply, ScriptedService

KINDS = [
    kind
    for _, kind in inspect.getmembers(exceptions, inspect.isclass)
    if issubclass(kind, ClientError)
]


@pytest.mark.parametrize(
    ("status", "code", "kind"),
    [
        (400, "invalid_request", InvalidRequest),
        (401, "unauthenticated", AuthenticationFailed),
        (403, "forbidden", AuthenticationFailed),
        (404, "not_found", JobNotFound),
        (405, "method_not_allowed", ClientError),
        (408, "body_too_slow", ServiceUnavailable),
        (409, "conflict", Conflict),
        (410, "result_expired", JobExpired),
        (413, "payload_too_large", InvalidRequest),
        (415, "unsupported_media_type", InvalidRequest),
        (422, "idempotency_key_reused", InvalidRequest),
        (424, "job_canceled", JobCanceled),
        (424, "job_failed", JobFailed),
        (429, "rate_limited", RateLimited),
        (500, "internal_error", ClientError),
        (502, "bad_gateway", ServiceUnavailable),
        (503, "ledger_unavailable", ServiceUnavailable),
        (504, "gateway_timeout", ServiceUnavailable),
    ],
)
def test_every_status_has_its_exception(
    service: ScriptedService, status: int, code: str, kind: type[ClientError]
) -> None:
    problem = {
        "type": f"urn:jobresults:problem:{code}",
        "title": "A title",
        "status": status,
        "detail": "what happened",
        "instance": "/get_result",
        "code": code,
        "request_id": "r-1",
        "error": "what happened",
    }
    service.replies(Reply(status, problem, {"Retry-After": "60"}))
    with Client(service.url, timeout=1) as client, pytest.raises(ClientError) as caught:
        client.job("j1").result()
    failure = caught.value
    assert type(failure) is kind
    assert failure.problem == problem
    assert (failure.status, failure.code) == (status, code)
    assert failure.retry_after_seconds == 60.0
    assert str(failure) == f"what happened (status {status}, request_id r-1)"


@pytest.mark.parametrize(
    ("content", "told"),
    [
        (b"<html>", "Internal Server Error (status 500)"),
        (b"[]", "Internal Server Error (status 500)"),
        (b'{"title": "Oops"}', "Oops (status 500)"),
    ],
)
def test_an_answer_without_a_problem_document_is_told_by_its_status(
    client: Client, service: ScriptedService, content: bytes, told: str
) -> None:
    service.replies(Reply(500, content=content))
    with pytest.raises(ClientError) as caught:
        client.status()
    assert str(caught.value) == told


@pytest.mark.parametrize("status", [404, 410, 424])
def test_what_a_proxy_says_is_nothing_about_a_job(
    client: Client, service: ScriptedService, status: int
) -> None:
    service.replies(Reply(status, content=b"<html>no such place</html>"))
    with pytest.raises(ClientError, match="not from the service") as caught:
        client.job("j1").result()
    assert type(caught.value) is ClientError


def test_a_status_nobody_knows_is_told(client: Client, service: ScriptedService) -> None:
    service.replies(Reply(499, content=b""))
    with pytest.raises(ClientError, match=r"unexpected answer \(status 499\)"):
        client.status()


def test_an_invalid_request_lists_every_problem(client: Client, service: ScriptedService) -> None:
    problems = [
        {"path": "params.messages[3].body", "message": "required"},
        {"path": "queue", "message": "unknown"},
    ]
    service.replies(Reply(400, {"detail": "2 problems", "errors": problems}))
    with pytest.raises(InvalidRequest) as caught:
        client.submit("score", {})
    assert caught.value.problems == problems
    assert str(caught.value).splitlines() == [
        "2 problems (status 400)",
        "  params.messages[3].body: required",
        "  queue: unknown",
    ]


def test_a_failure_without_an_answer_has_no_status() -> None:
    failure = ServiceUnavailable("nobody listens")
    assert (failure.status, failure.code, str(failure)) == (None, None, "nobody listens")
    assert InvalidRequest("not JSON").problems == []


@pytest.mark.parametrize("kind", KINDS)
def test_every_exception_survives_pickling(kind: type[ClientError]) -> None:
    problem: dict[str, Any] = {"status": 400, "errors": [{"path": "x", "message": "bad"}]}
    failure = kind("wrong", problem, 2.0)
    copy = pickle.loads(pickle.dumps(failure))
    assert type(copy) is kind
    assert vars(copy) == vars(failure)
    assert str(copy) == str(failure)


@pytest.mark.parametrize("kind", KINDS)
def test_every_exception_is_exported_and_drawn_in_the_tree(kind: type[ClientError]) -> None:
    assert kind.__name__ in jobresults.client.__all__
    assert kind.__name__ in (exceptions.__doc__ or "")
