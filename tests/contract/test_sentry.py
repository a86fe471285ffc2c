"""Failures under gunicorn are one event each at Sentry; the id of a job's is for operators."""

from __future__ import annotations

from functools import partial

import requests
from sqlalchemy import update

from jobresults.jobs.model import job
from tests.services.process import eventually
from tests.services.sentry_server import SentryServer
from tests.services.stack import Shape
from tests.services.stacks import StartStack


def test_failures_of_requests_and_jobs_reach_sentry_from_a_running_service(
    start_stack: StartStack, sentry_server: SentryServer
) -> None:
    stack = start_stack(Shape(settings={"SENTRY__DSN": sentry_server.dsn}))
    job_id = stack.run("fails_for_good")
    (failure,) = eventually(lambda: sentry_server.events, "the job's event has come")
    seen = stack.job(job_id, key=stack.operator_key)
    assert seen["sentry_event_id"] == failure["event_id"]
    assert "sentry_event_id" not in stack.job(job_id)
    broken = stack.submit("unserved")
    with stack.ledger.write() as connection:
        connection.execute(update(job).where(job.c.id == broken).values(tags="no JSON"))
    headers = {"Authorization": f"Bearer {stack.key}", "Cookie": "canary=1"}
    for path, route in (
        (f"/v1/jobs/{broken}", "/v1/jobs/<job_id>"),
        (f"/get_result?job_id={broken}", "/get_result"),  # by the fast lane, without Flask
    ):
        seen_before = len(sentry_server.events)
        response = requests.get(stack.url + path, headers=headers, timeout=30)
        assert response.status_code == 500
        eventually(partial(_has_more, sentry_server, seen_before), "the request's event has come")
        (event,) = sentry_server.events[seen_before:]
        assert event["transaction"] == f"GET {route}"
        assert event["tags"]["request_id"] == response.headers["X-Request-ID"]
    said = str(sentry_server.events)
    assert stack.key not in said
    assert "canary=" not in said


def _has_more(server: SentryServer, seen_before: int) -> bool:
    return len(server.events) > seen_before
