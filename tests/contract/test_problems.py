"""Errors that no route of its own raises, credentials, and the request's id."""

from __future__ import annotations

from typing import Any

import pytest
import requests
from sqlalchemy import update

from jobresults.accounts.model import api_key
from tests.services.process import eventually
from tests.services.stack import Stack


@pytest.mark.parametrize(
    "path", ["/nope", "/v1", "/v1/jobs/", "/docs/nope", "/docs/../wsgi_app.py"]
)
@pytest.mark.parametrize("key", ["", None])
def test_an_unknown_path_is_not_found(stack: Stack, path: str, key: str | None) -> None:
    response = stack.request("GET", path, key=key)
    assert response.status_code == 404
    assert response.json()["code"] == "not_found"
    assert response.json()["instance"] == path.replace("/docs/..", "")


@pytest.mark.parametrize(
    ("method", "path", "allowed"),
    [
        ("DELETE", "/v1/jobs", {"GET", "HEAD", "POST"}),
        ("OPTIONS", "/v1/jobs", {"GET", "HEAD", "POST"}),
        ("POST", "/get_result", {"GET", "HEAD"}),
        ("GET", "/add/ann", {"POST"}),
        ("PUT", "/status", {"GET", "HEAD"}),
    ],
)
def test_a_method_a_path_does_not_take_is_refused(
    stack: Stack, method: str, path: str, allowed: set[str]
) -> None:
    response = stack.request(method, path)
    assert response.status_code == 405
    assert response.json()["code"] == "method_not_allowed"
    assert set(response.headers["Allow"].split(", ")) == allowed


@pytest.mark.parametrize(
    "credentials",
    [
        None,
        "",
        "Bearer",
        "Bearer ",
        "Basic YWNtZTp4",
        "Bearer jr_unknown_key",
        "Bearer \xff",
        "jr_x",
    ],
)
def test_without_good_credentials_nothing_is_told(stack: Stack, credentials: str | None) -> None:
    headers = {} if credentials is None else {"Authorization": credentials.encode("latin-1")}
    response = stack.request("GET", "/v1/tasks", key=None, headers=headers)
    assert response.status_code == 401
    assert response.headers["WWW-Authenticate"] == 'Bearer realm="jobresults"'
    assert response.json()["code"] == "unauthenticated"


def test_the_scheme_of_credentials_may_be_in_any_case(stack: Stack) -> None:
    headers = {"Authorization": f"bearer {stack.key}"}
    assert stack.request("GET", "/v1/tasks", key=None, headers=headers).status_code == 200


def test_the_secret_of_a_key_must_be_right_too(stack: Stack) -> None:
    wrong = stack.key[:-1] + ("a" if stack.key[-1] != "a" else "b")
    assert stack.request("GET", "/v1/tasks", key=wrong).status_code == 401


def test_a_revoked_key_stops_working(stack: Stack) -> None:
    key = stack.new_key("leaver")
    assert stack.request("GET", "/v1/tasks", key=key).status_code == 200
    with stack.ledger.write() as connection:
        connection.execute(
            update(api_key)
            .where(api_key.c.id == key.split("_")[1])
            .values(revoked_at_ms=stack.ledger.now_ms())
        )
    eventually(
        lambda: stack.request("GET", "/v1/tasks", key=key).status_code == 401,
        "every process has forgotten the key",
    )


@pytest.mark.parametrize("path", ["/status", "/v1/tasks", "/nope"])
def test_a_requests_id_comes_back(stack: Stack, path: str) -> None:
    headers = {"X-Request-ID": "order-7:retry.2"}
    response = stack.request("GET", path, headers=headers)
    assert response.headers["X-Request-ID"] == "order-7:retry.2"


@pytest.mark.parametrize("bad", ["", "two words", "x" * 101, "{json}", "id;drop"])
def test_a_requests_id_is_made_where_none_can_be_taken(stack: Stack, bad: str) -> None:
    made = {
        stack.request("GET", "/status", headers={"X-Request-ID": bad}).headers["X-Request-ID"]
        for _ in range(2)
    }
    assert len(made) == 2
    assert bad not in made


def test_head_answers_as_get_without_the_body(stack: Stack) -> None:
    job_id = stack.run("echo", {"value": 0})
    path = f"{stack.url}/get_result?job_id={job_id}"
    headers = {"Authorization": f"Bearer {stack.key}"}
    got, head = (requests.request(m, path, headers=headers, timeout=10) for m in ("GET", "HEAD"))
    assert (head.status_code, head.content) == (200, b"")
    assert head.headers["ETag"] == got.headers["ETag"]
    assert head.headers["Content-Length"] == "1"


@pytest.mark.parametrize(
    "accept", ["text/html", "application/xml;q=1", "", "application/problem+json"]
)
def test_a_problem_has_one_shape_whatever_is_asked_for(stack: Stack, accept: str) -> None:
    response = stack.request("GET", "/v1/jobs/7", headers={"Accept": accept})
    assert response.status_code == 404
    problem: dict[str, Any] = response.json()
    assert list(problem) == [
        "type",
        "title",
        "status",
        "detail",
        "instance",
        "code",
        "request_id",
        "error",
    ]
    assert problem["instance"] == "/v1/jobs/7"
