"""Many jobs at once, where the service or the items are not as usual; the usual:
tests/contract/test_client.py.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from jobresults import Client
from jobresults.client import InvalidRequest, JobTimeout, ServiceUnavailable
from tests.unit.client.scripted_service import Reply, ScriptedService

Job = dict[str, Any]


@pytest.fixture
def ended(queued: Job) -> Job:
    return {**queued, "state": "succeeded", "done": True, "result": 7}


def page(*jobs: Job) -> Reply:
    return Reply(200, {"jobs": jobs, "next_cursor": None})


def test_jobs_known_to_have_ended_are_not_asked_for(
    client: Client, service: ScriptedService, ended: Job
) -> None:
    service.replies(Reply(200, ended))
    handle = client.submit("score", {})
    assert list(client.as_completed([handle, handle])) == [handle]
    assert len(service.received) == 1


def test_of_no_jobs_none_is_waited_for(client: Client, service: ScriptedService) -> None:
    assert list(client.as_completed([])) == list(client.map("score", [])) == []
    assert service.received == []


def test_the_last_job_is_waited_for_by_the_service(
    client: Client, service: ScriptedService, ended: Job
) -> None:
    service.replies(Reply(200, ended))
    (handle,) = client.as_completed([client.job("j1")])
    assert handle.result() == 7
    (request,) = service.received
    assert (request.path, request.wait_seconds) == ("/v1/jobs/j1", 25.0)


def test_a_hundred_others_are_looked_at_by_one_request(
    client: Client, service: ScriptedService, queued: Job, ended: Job
) -> None:
    names = [f"j{number}" for number in range(1, 150)]
    others = [{**ended, "job_id": name} for name in names]
    service.replies(
        Reply(200, {**queued, "job_id": "j0"}),
        page(*others[:100]),
        page(*others[100:]),
        Reply(200, {**ended, "job_id": "j0"}),
    )
    handles = client.as_completed(client.job(name) for name in ["j0", *names])
    assert [handle.id for handle in handles] == [*names, "j0"]
    assert [len(request.query.get("id", ())) for request in service.received] == [0, 100, 49, 0]


def test_progress_is_told_of_each_job_whenever_it_is_looked_at(
    client: Client, service: ScriptedService, queued: Job, ended: Job
) -> None:
    service.replies(
        Reply(200, {**queued, "job_id": "j1"}),
        page({**ended, "job_id": "j2"}),
        Reply(200, {**ended, "job_id": "j1"}),
    )
    told: list[tuple[str, bool]] = []
    handles = client.as_completed(
        [client.job("j1"), client.job("j2")],
        on_progress=lambda job: told.append((job["job_id"], job["done"])),
    )
    assert [handle.id for handle in handles] == ["j2", "j1"]
    assert told == [("j1", False), ("j2", True), ("j1", True)]
    assert service.received[-1].wait_seconds == 1.0


def test_a_job_nobody_knows_is_not_waited_for(
    client: Client, service: ScriptedService, queued: Job
) -> None:
    service.replies(Reply(200, queued), page(), Reply(404, {"detail": "no such job"}))
    gone = [handle.id for handle in client.as_completed([client.job("j1"), client.job("j2")])]
    assert gone == ["j2", "j1"]


def test_a_service_that_does_not_wait_is_not_hammered(
    client: Client, service: ScriptedService, queued: Job
) -> None:
    service.replies(Reply(200, queued))
    with pytest.raises(JobTimeout, match="1 jobs have not ended; they go on"):
        list(client.as_completed([client.job("j1")], 1.5))
    assert len(service.received) <= 3


def test_patience_counts_from_the_call(
    client: Client, service: ScriptedService, queued: Job
) -> None:
    service.replies(Reply(200, queued))
    with pytest.raises(JobTimeout):
        list(client.as_completed([client.job("j1")], 0))
    results = client.map("score", [{}], timeout=0)
    service.replies(Reply(202, queued))
    with pytest.raises(JobTimeout):
        next(results)


def test_a_failure_to_hand_in_comes_after_the_results_before_it(
    client: Client, service: ScriptedService, ended: Job
) -> None:
    refused = Reply(400, {"detail": "no messages"})
    service.replies(Reply(200, ended), refused, Reply(200, ended))
    results = client.map("score", [{}, {"wrong": 1}, {}])
    assert next(results) == 7
    with pytest.raises(InvalidRequest, match="no messages"):
        next(results)
    assert len(service.received) == 2


def test_an_outage_is_raised_even_if_failures_of_jobs_are_returned(
    service: ScriptedService, ended: Job
) -> None:
    service.replies(Reply(200, ended), Reply(400, {}), Reply(200, ended), Reply(503, {}))
    with Client(service.url, timeout=0) as client:
        results = client.map("score", [{}] * 4, return_exceptions=True)
        first, second, third = (next(results) for _ in range(3))
        assert (first, type(second), third) == (7, InvalidRequest, 7)
        with pytest.raises(ServiceUnavailable):
            next(results)


def test_items_are_taken_as_they_are_needed(
    client: Client, service: ScriptedService, ended: Job
) -> None:
    taken = []

    def items() -> Iterator[Any]:
        for number in range(1_000):
            taken.append(number)
            yield {}

    service.replies(Reply(200, ended))
    results = client.map("score", items(), max_in_flight=2)
    assert taken == []
    assert [next(results) for _ in range(3)] == [7] * 3
    assert len(taken) < 50


def test_none_in_flight_is_refused_at_once(client: Client) -> None:
    with pytest.raises(InvalidRequest, match="max_in_flight is 0"):
        client.map("score", [], max_in_flight=0)
