from __future__ import annotations

from typing import Any

import pytest

from jobresults import Client
from jobresults.client import Conflict, JobCanceled, JobFailed, JobTimeout, answer, job_handle
from tests.unit.client.scripted_service import Reply, ScriptedService

Job = dict[str, Any]


def progress(done: int) -> Job:
    return {"done": done, "total": 2, "message": None}


def test_the_result_is_polled_until_it_is_there(
    client: Client, service: ScriptedService, queued: Job, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(job_handle, "_POLL_SECONDS", 0.2)
    pending = Reply(202, queued, {"Retry-After": "30"}, held=True)
    service.replies(pending, pending, Reply(200, {"score": 612}))
    assert client.job("j1").result() == {"score": 612}
    assert [request.path for request in service.received] == ["/get_result"] * 3
    assert service.received[0].query == {"job_id": ["j1"], "wait": ["0.2"]}


@pytest.mark.parametrize("value", [None, 0, 0.0, False, "", [], {}])
def test_falsy_results_are_results(client: Client, service: ScriptedService, value: Any) -> None:
    service.replies(Reply(200, value))
    result = client.job("j1").result()
    assert result == value
    assert type(result) is type(value)


def test_a_service_that_cannot_wait_is_left_alone_until_retry_after(
    client: Client, service: ScriptedService, queued: Job
) -> None:
    service.replies(Reply(202, queued, {"Retry-After": "1"}), Reply(200, 1))
    assert client.job("j1").result() == 1
    assert service.gap_seconds(0) >= 1.0


def test_progress_is_told_as_it_comes(
    client: Client, service: ScriptedService, queued: Job, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(job_handle, "_PROGRESS_SECONDS", 0.1)
    seen: list[Job] = []
    running = [{**queued, "state": "running", "progress": progress(done)} for done in (1, 2)]
    service.replies(*(Reply(202, body, held=True) for body in running), Reply(200, "fine"))
    handle = client.job("j1")
    assert handle.result(on_progress=seen.append) == "fine"
    assert seen == running
    assert handle.progress == progress(2)


def test_a_job_that_does_not_end_in_time_goes_on(
    client: Client, service: ScriptedService, queued: Job
) -> None:
    service.replies(Reply(202, queued, {"Retry-After": "1"}, held=True))
    with pytest.raises(JobTimeout, match="job j1 is still queued; it goes on"):
        client.job("j1").result(timeout=0.5)
    assert service.received[0].wait_seconds <= 0.5


def test_a_service_that_waits_less_than_it_was_asked_to_is_asked_again_at_once(
    client: Client, service: ScriptedService, queued: Job, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(answer, "_HELD_SECONDS", 0.1)
    service.replies(Reply(202, queued, {"Retry-After": "60"}, held=0.2), Reply(200, 1))
    assert client.job("j1").result(30) == 1


def test_without_patience_the_service_is_asked_once(
    client: Client, service: ScriptedService, queued: Job
) -> None:
    service.replies(Reply(202, queued, {"Retry-After": "1"}))
    with pytest.raises(JobTimeout):
        client.job("j1").result(timeout=0)
    assert [request.query for request in service.received] == [{"job_id": ["j1"]}]


def test_a_retry_after_beyond_the_deadline_is_not_slept_through(
    client: Client, service: ScriptedService, queued: Job
) -> None:
    service.replies(Reply(202, queued, {"Retry-After": "30"}))
    with pytest.raises(JobTimeout):
        client.job("j1").result(timeout=10)
    assert len(service.received) == 1


def test_a_failed_job_says_why(client: Client, service: ScriptedService) -> None:
    error = {"title": "ValueError", "detail": "no messages", "code": "task_error"}
    service.replies(Reply(424, {"code": "job_failed", "detail": "no messages", "job_error": error}))
    with pytest.raises(JobFailed, match="no messages") as failure:
        client.job("j1").result()
    assert failure.value.error == error
    assert len(service.received) == 1


def test_a_canceled_job_has_no_result(client: Client, service: ScriptedService) -> None:
    service.replies(Reply(424, {"code": "job_canceled", "detail": "canceled by its client"}))
    with pytest.raises(JobCanceled):
        client.job("j1").result()


def test_state_and_progress_are_read(client: Client, service: ScriptedService, queued: Job) -> None:
    service.replies(
        Reply(200, {**queued, "progress": progress(1)}),
        Reply(200, {**queued, "state": "running", "progress": progress(2)}),
    )
    handle = client.job("j1")
    assert repr(handle) == "<JobHandle j1>"
    assert handle.progress == progress(1)
    assert handle.status() == "running"
    assert handle.progress == progress(2)
    assert repr(handle) == "<JobHandle j1 running>"
    assert [request.path for request in service.received] == ["/v1/jobs/j1"] * 2


def test_one_page_of_log_lines_is_read(client: Client, service: ScriptedService) -> None:
    service.replies(Reply(200, {"logs": [{"seq": 8}], "next_after": 8, "complete": False}))
    handle = client.job("j1")
    assert handle.logs() == [{"seq": 8}]
    assert handle.logs(after=7) == [{"seq": 8}]
    assert [request.path for request in service.received] == ["/v1/jobs/j1/logs"] * 2
    assert [request.query for request in service.received] == [{}, {"after": ["7"]}]


def test_log_lines_are_followed_until_the_job_ends(
    client: Client, service: ScriptedService, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(job_handle, "_FOLLOW_SECONDS", 0.01)
    service.replies(
        Reply(200, {"logs": [{"seq": 1}, {"seq": 2}], "next_after": 2, "complete": False}),
        Reply(200, {"logs": [], "next_after": 2, "complete": False}),
        Reply(200, {"logs": [{"seq": 3}], "next_after": 3, "complete": True}),
    )
    lines = client.job("j1").logs(follow=True)
    assert [line["seq"] for line in lines] == [1, 2, 3]
    page = {"limit": ["1000"]}
    assert [request.query for request in service.received] == [
        page,
        {**page, "after": ["2"]},
        {**page, "after": ["2"]},
    ]


def test_full_pages_of_log_lines_are_read_without_a_pause(
    client: Client, service: ScriptedService, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(job_handle, "_FOLLOW_SECONDS", 3600)
    lines = [{"seq": number} for number in range(1_000)]
    full = Reply(200, {"logs": lines, "next_after": 1_000, "complete": False})
    service.replies(full, Reply(200, {"logs": [], "next_after": 1_000, "complete": True}))
    assert list(client.job("j1").logs(follow=True)) == lines


def test_the_timeline_is_read(client: Client, service: ScriptedService) -> None:
    service.replies(Reply(200, {"events": [{"event": "submitted"}]}))
    assert client.job("j1").events() == [{"event": "submitted"}]
    assert service.received[0].path == "/v1/jobs/j1/events"


def test_cancel_tells_the_new_state(client: Client, service: ScriptedService, queued: Job) -> None:
    service.replies(Reply(200, {**queued, "state": "canceled"}))
    handle = client.job("j1")
    assert handle.cancel()["state"] == "canceled"
    assert handle.body["state"] == "canceled"
    (request,) = service.received
    assert (request.method, request.path) == ("POST", "/v1/jobs/j1/cancel")


def test_cancel_of_an_ended_job_is_a_conflict(client: Client, service: ScriptedService) -> None:
    service.replies(Reply(409, {"code": "conflict", "detail": "the job has already succeeded"}))
    with pytest.raises(Conflict, match="already succeeded"):
        client.job("j1").cancel()
    assert len(service.received) == 1


def test_rerun_is_a_new_job_even_if_the_first_answer_is_lost(
    client: Client, service: ScriptedService, queued: Job
) -> None:
    service.replies(Reply(dropped=True), Reply(202, {**queued, "job_id": "j2"}))
    assert client.job("j1").rerun().id == "j2"
    first, second = service.received
    assert first.path == second.path == "/v1/jobs/j1/rerun"
    assert first.headers["Idempotency-Key"] == second.headers["Idempotency-Key"]
