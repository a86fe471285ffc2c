from __future__ import annotations

import inspect
from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import pytest

from jobresults import Client, verify_callback
from jobresults.client import InvalidRequest, JobNotFound
from jobresults.web.bodies import ListQuery
from tests.unit.client.scripted_service import Reply, ScriptedService

Job = dict[str, Any]


def test_submit_sends_only_what_was_given(
    client: Client, service: ScriptedService, queued: Job
) -> None:
    service.replies(Reply(202, queued))
    handle = client.submit("score", {"messages": []})
    (request,) = service.received
    assert handle.id == "j1"
    assert (request.method, request.path) == ("POST", "/v1/jobs")
    assert request.headers["Content-Type"] == "application/json"
    assert request.json == {"task": "score", "params": {"messages": []}}
    assert "Prefer" not in request.headers


def test_submit_sends_everything_that_was_given(
    client: Client, service: ScriptedService, queued: Job
) -> None:
    service.replies(Reply(202, queued))
    noon = datetime(2026, 1, 2, 14, tzinfo=timezone(timedelta(hours=2)))
    client.submit(
        "score",
        {},
        customer="c-1",
        queue="slow",
        delay_seconds=0,
        run_at=noon,
        max_attempts=1,
        timeout_seconds=9.5,
        tags=("a", "b"),
        idempotency_key="mine",
    )
    (request,) = service.received
    assert request.headers["Idempotency-Key"] == "mine"
    assert request.json == {
        "task": "score",
        "params": {},
        "customer": "c-1",
        "queue": "slow",
        "delay_seconds": 0,
        "run_at": "2026-01-02T12:00:00+00:00",
        "max_attempts": 1,
        "timeout_seconds": 9.5,
        "tags": ["a", "b"],
    }


def test_each_submit_has_an_idempotency_key_of_its_own(
    client: Client, service: ScriptedService, queued: Job
) -> None:
    service.replies(Reply(202, queued))
    client.submit("score", {})
    client.submit("score", {})
    first, second = (request.headers["Idempotency-Key"] for request in service.received)
    assert first != second


def test_a_job_that_ends_within_the_wait_needs_no_second_request(
    client: Client, service: ScriptedService, queued: Job
) -> None:
    service.replies(Reply(200, {**queued, "state": "succeeded", "done": True, "result": None}))
    assert client.submit("score", {}, wait_seconds=1.2).result() is None
    (request,) = service.received
    assert request.headers["Prefer"] == "wait=2"


@pytest.mark.parametrize("params", [{"x": float("nan")}, {"x": object()}, {"x": {1, 2}}])
def test_params_that_are_not_json_are_never_sent(
    client: Client, service: ScriptedService, params: Any
) -> None:
    with pytest.raises(InvalidRequest, match="not JSON"):
        client.submit("score", params)
    assert service.received == []


def test_add_sends_the_payload_as_the_whole_body(
    client: Client, service: ScriptedService, queued: Job
) -> None:
    service.replies(Reply(202, queued))
    handle = client.add("Ann/a b", [1, "zwölf"], idempotency_key="k")
    (request,) = service.received
    assert (request.method, request.path) == ("POST", "/add/Ann%2Fa%20b")
    assert request.json == [1, "zwölf"]
    assert request.headers["Idempotency-Key"] == "k"
    assert handle.body == queued


def test_a_job_is_looked_up_by_its_id(
    client: Client, service: ScriptedService, queued: Job
) -> None:
    service.replies(Reply(200, queued))
    assert client.get_job("j1") == queued
    assert service.received[0].path == "/v1/jobs/j1"


def test_jobs_are_read_page_by_page_as_they_are_taken(
    client: Client, service: ScriptedService
) -> None:
    service.replies(
        Reply(200, {"jobs": [{"job_id": "c"}, {"job_id": "b"}], "next_cursor": "b"}),
        Reply(200, {"jobs": [{"job_id": "a"}], "next_cursor": None}),
    )
    since = datetime(2026, 1, 2, tzinfo=UTC)
    found = client.jobs(state=["queued", "running"], created_after=since, task=None, limit=2)
    assert [next(found)["job_id"], next(found)["job_id"]] == ["c", "b"]
    assert len(service.received) == 1
    assert [job["job_id"] for job in found] == ["a"]
    first, second = (request.query for request in service.received)
    assert first == {
        "state": ["queued", "running"],
        "created_after": ["2026-01-02T00:00:00+00:00"],
        "limit": ["2"],
    }
    assert second == {**first, "cursor": ["b"]}


def test_every_filter_of_the_list_is_offered() -> None:
    offered = set(inspect.signature(Client.jobs).parameters) - {"self"}
    assert offered == set(ListQuery.model_fields)


@pytest.mark.parametrize("nothing", [{"id": []}, {"state": ()}])
def test_a_choice_of_nothing_finds_nothing(
    client: Client, service: ScriptedService, nothing: dict[str, Any]
) -> None:
    assert list(client.jobs(**nothing)) == []
    assert service.received == []


def test_workers_are_read(client: Client, service: ScriptedService) -> None:
    service.replies(Reply(200, {"workers": [{"name": "w-1"}]}))
    assert client.workers() == [{"name": "w-1"}]
    assert service.received[0].path == "/v1/workers"


def test_a_client_verifies_callbacks_as_the_function_does() -> None:
    assert Client.verify_callback is verify_callback


def test_the_latest_score_is_read(client: Client, service: ScriptedService) -> None:
    service.replies(Reply(200, {"score": 612}))
    assert client.score("c-1") == {"score": 612}
    (request,) = service.received
    assert (request.path, request.query) == ("/score", {"cust_id": ["c-1"]})


def test_the_first_score_is_waited_for(
    client: Client, service: ScriptedService, queued: Job
) -> None:
    service.replies(Reply(202, queued), Reply(200, {"score": 1}), Reply(200, {"score": 2}))
    assert client.score("c-1", timeout=5) == {"score": 2}
    assert [request.path for request in service.received] == ["/score", "/get_result", "/score"]


def test_a_customer_never_scored_is_not_found(client: Client, service: ScriptedService) -> None:
    service.replies(Reply(404, {"detail": "this customer was never scored"}))
    with pytest.raises(JobNotFound, match="never scored"):
        client.score("nobody")


def test_tasks_and_status_are_read(client: Client, service: ScriptedService) -> None:
    service.replies(Reply(200, {"tasks": [{"name": "score"}]}), Reply(200, {"success": "OK"}))
    assert client.tasks() == [{"name": "score"}]
    assert client.status() == {"success": "OK"}
    assert [request.path for request in service.received] == ["/v1/tasks", "/status"]
