"""The Python client and the running service."""

from __future__ import annotations

import threading
import uuid
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from jobresults import Client
from jobresults.client import (
    AuthenticationFailed,
    Conflict,
    InvalidRequest,
    JobCanceled,
    JobExpired,
    JobFailed,
    JobNotFound,
    JobTimeout,
)
from tests.services.process import eventually
from tests.services.stack import Stack


@pytest.fixture
def client(stack: Stack, monkeypatch: pytest.MonkeyPatch) -> Iterator[Client]:
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    with Client(stack.url, stack.key) as client:
        yield client


@pytest.fixture
def customer() -> str:
    """Whose jobs nobody else has."""
    return f"customer-{uuid.uuid4()}"


def test_a_job_from_its_submission_to_its_result(client: Client, stack: Stack, gate: Path) -> None:
    handle = client.submit("waits_for_file", {"path": str(gate)}, customer="alice", tags=["t-1"])
    eventually(lambda: handle.status() == "running", "the job runs")
    eventually(lambda: handle.refresh()["progress"], "it has reported")
    assert handle.progress == {"done": 1, "total": 2, "message": "waiting"}
    lines = handle.logs(follow=True)
    assert next(lines)["message"] == "waiting for a file"
    gate.touch()
    assert handle.result(60) == handle.result() == "found"
    assert next(lines)["message"] == "the file is there"
    assert list(lines) == []
    assert handle.refresh()["state"] == "succeeded"
    assert "submitted" in {event["event"] for event in handle.events()}
    again = handle.rerun()
    assert again.result(60) == "found"
    assert again.body["rerun_of"] == handle.id


def test_every_end_of_a_job_has_its_exception_with_the_problem_document(
    client: Client, stack: Stack, gate: Path
) -> None:
    running = client.job(stack.running(gate))
    with pytest.raises(JobTimeout, match="is still running"):
        running.result(timeout=0)
    with pytest.raises(JobCanceled) as canceled:
        running.cancel()
        running.result(60)
    assert canceled.value.code == "job_canceled"
    with pytest.raises(JobFailed, match="the account is closed") as failed:
        client.submit("fails_for_good", {}).result(60)
    assert failed.value.error["detail"].endswith("the account is closed")
    assert failed.value.problem["status"] == 424
    with pytest.raises(Conflict):
        client.job(failed.value.problem["job_id"]).cancel()
    short = client.submit("short_lived", {})
    eventually(lambda: "error" in short.refresh(), "its result has expired")
    with pytest.raises(JobExpired) as expired:
        short.result()
    assert expired.value.problem["final_state"] == "succeeded"
    with pytest.raises(JobNotFound) as unknown:
        client.job(str(uuid.uuid4())).result()
    assert unknown.value.problem["code"] == "not_found"
    with pytest.raises(AuthenticationFailed):
        Client(stack.url, "wrong").tasks()


def test_results_come_in_the_order_of_their_items(client: Client, customer: str) -> None:
    values = [None, 0, "", [], *range(40)]
    items = ({"value": value} for value in values)
    assert list(client.map("echo", items, max_in_flight=8, customer=customer)) == values
    assert len(list(client.jobs(customer=customer, limit=10))) == len(values)


def test_no_more_jobs_are_in_flight_than_allowed(client: Client, customer: str) -> None:
    items = iter([{"value": number} for number in range(10)])
    results = client.map("unserved", items, max_in_flight=3, customer=customer, timeout=0.5)
    with pytest.raises(JobTimeout):
        next(results)
    assert len(list(items)) == 7
    for job in client.jobs(customer=customer):
        client.job(job["job_id"]).cancel()


def test_one_slow_job_does_not_hold_up_the_others(
    client: Client, tmp_path: Path, gate: Path
) -> None:
    marks = tmp_path / "marks"
    items = [{"path": str(marks), "gate": str(gate)}, *[{"path": str(marks)}] * 9]
    results: list[int] = []
    taking = threading.Thread(
        target=lambda: results.extend(client.map("leaves_a_mark", items, max_in_flight=2))
    )
    taking.start()
    eventually(
        lambda: marks.exists() and len(marks.read_text().splitlines()) == 10, "all others have run"
    )
    assert results == []
    gate.touch()
    taking.join(60)
    assert results == [1] * 10


def test_failures_of_single_jobs_stand_in_their_places_if_wanted(
    client: Client, tmp_path: Path
) -> None:
    good = {"path": str(tmp_path / "mark")}
    items = [good, {"path": str(tmp_path)}, {"no such": 1}, good]
    first, failed, refused, last = client.map("leaves_a_mark", items, return_exceptions=True)
    assert (first, last) == (1, 1)
    assert isinstance(failed, JobFailed)
    assert isinstance(refused, InvalidRequest)
    results = client.map("leaves_a_mark", items)
    assert next(results) == 1
    with pytest.raises(JobFailed):
        next(results)


def test_jobs_are_given_as_they_end(client: Client, stack: Stack, gate: Path) -> None:
    slow = client.job(stack.running(gate))
    unserved = client.submit("unserved", {})
    quick = client.submit("echo", {"value": 1})
    unknown = client.job(str(uuid.uuid4()))
    ended = client.as_completed([slow, unserved, quick, unknown], timeout=60)
    assert {next(ended), next(ended)} == {quick, unknown}
    assert quick.result() == 1
    unserved.cancel()
    assert next(ended) is unserved
    gate.touch()
    assert next(ended) is slow
    assert list(ended) == []


def test_filters_choose_jobs(client: Client, customer: str) -> None:
    began = datetime.now(UTC) - timedelta(minutes=1)
    first, second = (
        client.submit("echo", {"value": number}, customer=customer, tags=[f"tag-{number}"])
        for number in (1, 2)
    )
    assert [handle.result(60) for handle in (first, second)] == [1, 2]

    def found(**filters: object) -> list[str]:
        return [job["job_id"] for job in client.jobs(customer=customer, **filters)]  # type: ignore[arg-type]

    assert found(limit=1) == [second.id, first.id]
    assert found(tag="tag-1", task="echo", state=["succeeded", "failed"]) == [first.id]
    assert found(id=first.id) == found(cursor=second.id) == [first.id]
    assert found(created_after=began, q=customer[-8:]) == [second.id, first.id]
    assert found(created_before=began) == found(state=[]) == []
