"""The fast lane answers as Flask's views do, byte for byte, and by itself."""

from __future__ import annotations

import re
import time
from collections.abc import Callable
from typing import Any

import pytest
from flask import Flask
from sqlalchemy import update
from werkzeug.test import Client

from jobresults.accounts import key_ring
from jobresults.accounts.model import api_key
from jobresults.jobs.states import State
from jobresults.telemetry import trace_context
from jobresults.telemetry.logging_context import current
from tests.integration.driver import Driver, on_sqlite
from tests.integration.web.conftest import Web

pytestmark = on_sqlite

UNKNOWN = "00000000-0000-7000-8000-000000000000"
BY_QUERY, BY_PATH = "/get_result?job_id={}", "/v1/jobs/{}/result"
both_routes = pytest.mark.parametrize("route", [BY_QUERY, BY_PATH], ids=["get_result", "result"])


def expired(driver: Driver) -> str:
    job_id = driver.end(State.SUCCEEDED)
    driver.alter(job_id, expires_at_ms=driver.now_ms() - 1)
    return job_id


JOBS: dict[str, Callable[[Driver], str]] = {
    "queued": lambda driver: driver.submit(),
    "running": lambda driver: driver.start().id,
    "succeeded": lambda driver: driver.end(State.SUCCEEDED),
    "failed": lambda driver: driver.end(State.FAILED),
    "canceled": lambda driver: driver.end(State.CANCELED),
    "expired": expired,
    "unknown": lambda _driver: UNKNOWN,
}
CALLERS: dict[str, tuple[str | None, dict[str, str]]] = {
    "its owner": ("me", {}),
    "its owner, who has it": ("me", {"If-None-Match": "*"}),
    "its owner, who prefers to wait": ("me", {"Prefer": "wait=0"}),
    "another client": ("other", {}),
    "an operator": ("operator", {}),
    "a key without the scope": ("submitter", {}),
    "a key that is none": ("jr_x", {}),
    "nobody": (None, {}),
    "another scheme": (None, {"Authorization": "Basic bWU6bWU="}),
}


def seen(response: Any) -> tuple[str, dict[str, str], bytes]:
    """Status, headers and body; but for the seconds that have passed in between, and the span."""
    headers = dict(response.headers)
    assert trace_context.parse(headers.pop("traceparent")) is not None
    kept = re.sub(r"max-age=\d+", "max-age=?", headers.pop("Cache-Control"))
    return response.status, {**headers, "Cache-Control": kept}, response.data


def closed(app: Flask) -> Flask:
    """An application whose lane leads nowhere: what is answered, the lane has answered."""

    def nowhere(*_: object) -> None:
        raise AssertionError("passed on to Flask")

    app.wsgi_app.__self__._application = nowhere  # type: ignore[attr-defined]
    return app


@both_routes
@pytest.mark.parametrize("caller", CALLERS)
@pytest.mark.parametrize("job", JOBS)
def test_the_lane_answers_as_flask_does(web: Web, route: str, job: str, caller: str) -> None:
    target = route.format(JOBS[job](web.driver))
    key, headers = CALLERS[caller]
    headers = {**headers, "X-Request-ID": "r1"}
    expected = web.get(web.without_lane, target, key, **headers)
    answers = [web.get(closed(web.with_lane), target, key, **headers) for _ in range(2)]
    assert [seen(answer) for answer in answers] == [seen(expected)] * 2
    assert expected.headers["X-Request-ID"] == "r1"


def test_a_result_in_memory_is_answered_without_a_query(web: Web) -> None:
    target = BY_QUERY.format(web.driver.end(State.SUCCEEDED))
    app = closed(web.with_lane)
    assert web.get(app, target).status_code == 200
    services = app.extensions["jobresults"]
    services.database.close()
    services.database.read = services.keys.authenticate = services.reader.get = None
    assert (web.get(app, target).status_code, web.get(app, target).data) == (200, b"1")


@pytest.mark.parametrize("query", ["wait=0", "wait=00"])
@both_routes
def test_a_plain_wait_takes_the_lane(web: Web, route: str, query: str) -> None:
    target = route.format(web.driver.submit())
    target += f"{'&' if '?' in target else '?'}{query}"
    expected = web.get(web.without_lane, target, **{"X-Request-ID": "r1"})
    answer = web.get(closed(web.with_lane), target, **{"X-Request-ID": "r1"})
    assert seen(answer) == seen(expected)


@pytest.mark.parametrize(
    ("target", "status"),
    [
        ("/get_result", 400),
        ("/get_result?job_id=7", 400),
        ("/get_result?job_id={}&wait=soon", 400),
        ("/get_result?job_id={}&wait=-1", 400),
        ("/get_result?job_id={}&wait=0.0", 200),
        ("/get_result?job_id={}&job_id=7", 400),
        ("/get_result?wait=0&job_id={}", 200),
        ("/get_result?job_id={}&more=1", 200),
        ("/get_result/?job_id={}", 404),
        ("/v1/jobs/{}/result?wait=soon", 400),
        ("/v1/jobs/{}/result?job_id=7", 200),
        ("/v1/jobs/7/result", 404),
        ("/v1/jobs/{}/result/", 404),
        ("/v1/jobs/{}", 200),
        ("/status", 200),
    ],
)
def test_what_is_not_plain_is_left_to_flask(web: Web, target: str, status: int) -> None:
    target = target.format(web.driver.end(State.SUCCEEDED))
    headers = {"X-Request-ID": "r1"}
    expected = web.get(web.without_lane, target, **headers)
    assert expected.status_code == status
    answer = web.get(web.with_lane, target, **headers)
    if target != "/status":  # which tells the time
        assert seen(answer) == seen(expected)
    with pytest.raises(AssertionError, match="passed on"):
        web.get(closed(web.with_lane), target)


@pytest.mark.parametrize("method", ["HEAD", "POST", "DELETE", "OPTIONS"])
def test_other_methods_are_left_to_flask(web: Web, method: str) -> None:
    target = BY_QUERY.format(web.driver.end(State.SUCCEEDED))
    with pytest.raises(AssertionError, match="passed on"):
        Client(closed(web.with_lane)).open(target, method=method)


def test_a_revoked_key_is_refused_within_five_seconds(
    web: Web, monkeypatch: pytest.MonkeyPatch
) -> None:
    target = BY_QUERY.format(web.driver.end(State.SUCCEEDED))
    app = closed(web.with_lane)
    assert web.get(app, target).status_code == 200
    with web.driver.database.write() as connection:
        connection.execute(update(api_key).values(revoked_at_ms=web.driver.database.now_ms()))
    later = time.monotonic() + key_ring._CACHE_SECONDS
    monkeypatch.setattr(key_ring.time, "monotonic", lambda: later)
    assert key_ring._CACHE_SECONDS <= 5
    answer = web.get(app, target)
    assert answer.status_code == 401
    assert answer.headers["WWW-Authenticate"].startswith("Bearer")


def test_a_fault_nobody_foresaw_is_told_as_flask_tells_it(
    web: Web, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def broken(*_: object) -> None:
        raise RuntimeError("secret")

    target = BY_QUERY.format(UNKNOWN)
    answers = []
    for app in (web.without_lane, web.with_lane):
        monkeypatch.setattr(app.extensions["jobresults"].reader, "get", broken)
        answers.append(seen(web.get(app, target, **{"X-Request-ID": "r1"})))
    assert answers[0] == answers[1]
    assert answers[0][0].startswith("500")
    assert b"secret" not in answers[0][2]
    assert [record.getMessage() for record in caplog.records if record.exc_info] == [
        "unforeseen error in GET /get_result"
    ] * 2


def test_what_the_lane_logs_tells_client_and_request(
    web: Web, monkeypatch: pytest.MonkeyPatch
) -> None:
    bound: list[tuple[object, object]] = []

    def read(*_: object) -> None:
        bound.append((current("client"), current("request_id")))
        raise RuntimeError

    monkeypatch.setattr(web.with_lane.extensions["jobresults"].reader, "get", read)
    web.get(closed(web.with_lane), BY_QUERY.format(UNKNOWN), **{"X-Request-ID": "r1"})
    assert bound == [("me", "r1")]
    assert (current("client"), current("request_id")) == (None, None)
