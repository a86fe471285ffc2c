"""What stands between callers and the application: proxies, time limits, headers of all answers."""

from __future__ import annotations

import http.client
import json
import socket
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing

import pytest
import requests

from tests.services.nginx_server import NginxServer
from tests.services.process import eventually
from tests.services.stack import Shape, Stack, reserved_port
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


@pytest.fixture(scope="module")
def nginx(proxied: Stack, start_nginx: Callable[..., NginxServer]) -> NginxServer:
    """As in `docker-compose.yaml`."""
    return start_nginx(proxied.port)


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


def test_nginx_says_who_calls_and_not_what_callers_say_of_themselves(
    proxied: Stack, nginx: NginxServer
) -> None:
    caller = http.client.HTTPConnection(
        "127.0.0.1", nginx.port, timeout=10, source_address=("127.0.0.2", 0)
    )
    forged = {"X-Forwarded-For": "192.0.2.1", "X-Real-IP": "192.0.2.1", "X-Request-ID": "by-nginx"}
    caller.request("GET", "/status", headers={**forged, "X-Forwarded-Proto": "https"})
    with closing(caller), caller.getresponse() as answer:
        answer.read()
    assert answer.status == 200
    assert answer.getheader("X-Request-ID") == "by-nginx"
    assert answer.getheader("Strict-Transport-Security") is None  # it came by plain HTTP
    assert answer.getheader("Server") == "nginx"
    assert "client_ip=127.0.0.2" in logged(proxied, "by-nginx")
    eventually(lambda: '"request_id":"by-nginx"' in nginx.process.log(), "nginx logs it")


@pytest.mark.parametrize("given", [None, "not an id\u00e9".encode()])
def test_nginx_makes_the_id_of_a_request_that_has_none(
    proxied: Stack, nginx: NginxServer, given: bytes | None
) -> None:
    headers = {} if given is None else {"X-Request-ID": given}
    id_ = requests.get(f"{nginx.url}/status", headers=headers, timeout=10).headers["X-Request-ID"]
    assert logged(proxied, id_)
    eventually(lambda: f'"request_id":"{id_}"' in nginx.process.log(), "nginx logs the same")


def test_a_request_waits_for_its_job_behind_nginx(proxied: Stack, nginx: NginxServer) -> None:
    bearer = {"Authorization": f"Bearer {proxied.key}"}
    jobs = f"{nginx.url}/v1/jobs"
    job = requests.post(jobs, json={"task": "echo"}, headers=bearer, timeout=10).json()["job_id"]

    def wait() -> requests.Response:
        return requests.get(f"{jobs}/{job}?wait=20", headers=bearer, timeout=60)

    with ThreadPoolExecutor() as threads:
        waiting = threads.submit(wait)
        requests.post(f"{jobs}/{job}/cancel", headers=bearer, timeout=10)
        answer = waiting.result()
    assert (answer.status_code, answer.json()["state"]) == (200, "canceled")


def test_a_body_beyond_the_limit_is_refused_by_nginx_as_by_the_service(
    proxied: Stack, nginx: NginxServer
) -> None:
    headers = {"Authorization": f"Bearer {proxied.key}", "Content-Type": "application/json"}
    limit_bytes = 1_048_576
    for server, size in ((nginx.url, limit_bytes + 1), (proxied.url, limit_bytes + 1)):
        refused = requests.post(f"{server}/v1/jobs", b" " * size, headers=headers, timeout=10)
        assert refused.status_code == 413
        assert refused.headers["Content-Type"] == "application/problem+json"
        assert refused.json()["code"] == "payload_too_large"
        assert refused.json()["request_id"] == refused.headers["X-Request-ID"]
    passed = requests.post(f"{nginx.url}/v1/jobs", b" " * limit_bytes, headers=headers, timeout=10)
    assert passed.status_code == 400  # the service's word: blanks are no JSON


def test_what_nginx_itself_refuses_says_when_to_come_back(
    start_nginx: Callable[..., NginxServer],
) -> None:
    with reserved_port() as dead:
        nginx = start_nginx(dead, {"rate=500r/s": "rate=1r/m", "burst=1000": "burst=1"})
        answers = [requests.get(f"{nginx.url}/status", timeout=10) for _ in range(3)]
    for answer in answers:
        assert answer.headers["Content-Type"] == "application/problem+json"
        assert answer.headers["Retry-After"]
        assert answer.json()["status"] == answer.status_code
        assert answer.json()["request_id"] == answer.headers["X-Request-ID"]
    # One request was made when it started, one more may come at once.
    assert [answer.status_code for answer in answers] == [503, 429, 429]


def logged(stack: Stack, request_id: str) -> str:
    """The line of the access log."""

    def found() -> str:
        lines = stack.processes["web"].log(1_000).splitlines()
        return next((line for line in lines if request_id in line), "")

    return eventually(found, "the request is logged")
