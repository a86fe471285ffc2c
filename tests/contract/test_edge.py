"""What stands between callers and the application: proxies, time limits, headers of all answers."""

from __future__ import annotations

import json
import socket

import pytest
import requests

from tests.services.process import eventually
from tests.services.stack import Shape, Stack
from tests.services.stacks import StartStack

UNKNOWN = "00000000-0000-7000-8000-000000000000"
# By Flask, by the fast lane, by nobody.
PATHS = (
    "/status",
    "/v1/tasks",
    f"/get_result?job_id={UNKNOWN}",
    "/nope",
    "/docs",
    "/docs/start.js",
)


@pytest.fixture(scope="module")
def proxied(start_stack: StartStack) -> Stack:
    """Behind one proxy, which is whoever connects from 127.0.0.1."""
    settings = {"WEB__TRUSTED_PROXIES": "1", "WEB__BODY_TIMEOUT_SECONDS": "0.5"}
    return start_stack(Shape(workers=0, settings=settings))


@pytest.mark.parametrize("path", PATHS)
def test_only_answers_over_tls_ask_for_it_from_then_on(stack: Stack, path: str) -> None:
    plain = stack.request("GET", path)
    secure = stack.request("GET", path, headers={"X-Forwarded-Proto": "https"})
    assert "Strict-Transport-Security" not in plain.headers
    assert secure.headers["Strict-Transport-Security"] == "max-age=31536000"


def test_what_is_not_for_all_is_not_stored(stack: Stack) -> None:
    answers = [stack.request("GET", path) for path in PATHS[:4]]
    assert {answer.headers["Cache-Control"] for answer in answers} == {"no-store"}


@pytest.mark.parametrize(
    ("path", "name"),
    [
        (f"/get_result?job_id={UNKNOWN}&job_id={UNKNOWN}", "job_id"),
        (f"/get_result?job_id={UNKNOWN}&wait=1&wait=2", "wait"),
        ("/v1/jobs?limit=1&limit=2", "limit"),
        ("/v1/jobs?state=queued&task=a&task=a", "task"),
        ("/score?cust_id=a&cust_id=b", "cust_id"),
    ],
)
def test_a_parameter_that_is_given_twice_is_refused(stack: Stack, path: str, name: str) -> None:
    response = stack.request("GET", path)
    assert response.status_code == 400
    assert [problem["path"] for problem in response.json()["errors"]] == [name]


def test_a_customer_whose_name_is_not_utf_8_is_refused(stack: Stack) -> None:
    # Both would arrive as the same name.
    for path in ("/add/%ff", "/add/%fe"):
        assert stack.request("POST", path, json={"messages": []}).status_code == 400


def test_the_callers_address_is_the_proxys_word(proxied: Stack) -> None:
    forged = {"X-Forwarded-For": "192.0.2.1, 198.51.100.7", "X-Request-ID": "by-proxy"}
    requests.get(f"{proxied.url}/status", headers=forged, timeout=10)
    line = logged(proxied, "by-proxy")
    assert "client_ip=198.51.100.7" in line  # the last proxy's word, not the caller's own


def test_without_a_configured_proxy_the_address_is_the_connections(stack: Stack) -> None:
    forged = {"X-Forwarded-For": "192.0.2.1", "X-Request-ID": "by-nobody"}
    stack.request("GET", "/status", headers=forged)
    assert "client_ip=127.0.0.1" in logged(stack, "by-nobody")


def test_a_body_that_does_not_come_is_not_waited_for(proxied: Stack) -> None:
    head = f"POST /v1/jobs HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {proxied.key}\r\n"
    with socket.create_connection(("127.0.0.1", proxied.port), timeout=30) as caller:
        caller.sendall(
            f'{head}Content-Type: application/json\r\nContent-Length: 9\r\n\r\n"'.encode()
        )
        answer = b"".join(iter(lambda: caller.recv(65_536), b""))  # until it is closed
    head, _, body = answer.decode().partition("\r\n\r\n")
    assert head.startswith("HTTP/1.1 408 ")
    assert json.loads(body)["code"] == "request_timeout"
    assert proxied.count_jobs() == 0


def test_a_head_that_does_not_come_is_not_waited_for(proxied: Stack) -> None:
    with socket.create_connection(("127.0.0.1", proxied.port), timeout=30) as caller:
        caller.sendall(b"GET /status HTTP/1.1\r\nHost: x\r\n")
        assert caller.recv(65_536) == b""


def logged(stack: Stack, request_id: str) -> str:
    """The line of the access log."""

    def found() -> str:
        lines = stack.processes["web"].log(1_000).splitlines()
        return next((line for line in lines if request_id in line), "")

    return eventually(found, "the request is logged")
