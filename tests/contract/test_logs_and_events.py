"""`GET /v1/jobs/{id}/logs`, as JSON and as server-sent events, and `/events`."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import requests

from tests.services.process import eventually
from tests.services.stack import Stack
from tests.services.stacks import on_both_databases

pytestmark = on_both_databases


def logs(stack: Stack, job_id: str, **query: Any) -> dict[str, Any]:
    response = stack.request("GET", f"/v1/jobs/{job_id}/logs", params=query)
    assert response.status_code == 200
    return dict(response.json())


def messages(page: dict[str, Any]) -> list[str]:
    return [line["message"] for line in page["logs"]]


def follow(stack: Stack, job_id: str, **query: Any) -> requests.Response:
    headers = {"Accept": "text/event-stream"}
    return stack.request(
        "GET", f"/v1/jobs/{job_id}/logs", params=query, headers=headers, stream=True
    )


def parsed(stream: requests.Response) -> list[tuple[str, str, Any]]:
    """The id, the name and the data of each event up to the stream's end, without comments."""
    with stream:
        blocks = stream.content.decode().strip().split("\n\n")
    fields = [
        dict(line.split(": ", 1) for line in block.splitlines())
        for block in blocks
        if not block.startswith(":")
    ]
    return [(event["id"], event["event"], json.loads(event["data"])) for event in fields]


def test_log_lines_come_in_order_with_their_circumstances(stack: Stack) -> None:
    page = logs(stack, stack.run("talks", {"lines": 3}))

    assert messages(page) == ["line 1", "line 2", "line 3"]
    assert page["complete"]
    numbers = [line["seq"] for line in page["logs"]]
    assert numbers == sorted(set(numbers))
    assert page["next_after"] == numbers[-1]
    assert {line["level"] for line in page["logs"]} == {"INFO"}
    assert {line["logger"] for line in page["logs"]} == {"jobresults.task"}
    assert {line["attempt"] for line in page["logs"]} == {1}


def test_log_lines_come_in_pages(stack: Stack) -> None:
    job_id = stack.run("talks", {"lines": 5})

    first = logs(stack, job_id, limit=3)
    assert messages(first) == ["line 1", "line 2", "line 3"]
    assert not first["complete"]
    rest = logs(stack, job_id, after=first["next_after"])
    assert messages(rest) == ["line 4", "line 5"]
    assert rest["complete"]
    nothing = logs(stack, job_id, after=rest["next_after"])
    assert nothing == {"logs": [], "next_after": rest["next_after"], "complete": True}


def test_a_job_that_has_not_run_has_no_lines_yet(stack: Stack) -> None:
    page = logs(stack, stack.submit("unserved"))
    assert page == {"logs": [], "next_after": 0, "complete": False}


def test_lines_of_a_running_job_can_be_read(stack: Stack, gate: Path) -> None:
    job_id = stack.running(gate)
    page = eventually(lambda: read_lines(stack, job_id), "the line is recorded")
    assert messages(page) == ["waiting for a file"]
    assert not page["complete"]
    gate.touch()
    stack.ended(job_id)


def read_lines(stack: Stack, job_id: str) -> dict[str, Any]:
    page = logs(stack, job_id)
    return page if page["logs"] else {}


@pytest.mark.parametrize("accept", ["*/*", "application/json", "text/html, */*;q=0.1"])
def test_lines_are_json_unless_events_are_asked_for(stack: Stack, accept: str) -> None:
    job_id = stack.run("talks", {"lines": 1})
    response = stack.request("GET", f"/v1/jobs/{job_id}/logs", headers={"Accept": accept})
    assert response.headers["Content-Type"] == "application/json"


def test_lines_of_an_ended_job_come_as_events_too(stack: Stack) -> None:
    job_id = stack.run("talks", {"lines": 3})
    page = logs(stack, job_id)

    stream = follow(stack, job_id)
    assert stream.headers["Content-Type"] == "text/event-stream; charset=utf-8"
    assert stream.headers["Cache-Control"] == "no-store"
    expected = [(str(line["seq"]), "log", line) for line in page["logs"]]
    assert parsed(stream) == [*expected, (str(page["next_after"]), "end", {})]


def test_a_stream_of_events_can_be_resumed(stack: Stack) -> None:
    job_id = stack.run("talks", {"lines": 3})
    (first, _, _), *_ = parsed(follow(stack, job_id))

    events = parsed(follow(stack, job_id, after=first))
    assert [name for _, name, _ in events] == ["log", "log", "end"]


def test_a_stream_follows_a_running_job_to_its_end(stack: Stack, gate: Path) -> None:
    job_id = stack.running(gate)
    eventually(lambda: read_lines(stack, job_id), "the line is recorded")

    stream = follow(stack, job_id)  # its headers are here, so it has begun
    gate.touch()
    events = parsed(stream)
    assert [name for _, name, _ in events] == ["log", "log", "end"]
    assert [data["level"] for _, name, data in events if name == "log"] == ["INFO", "WARNING"]


def timeline(stack: Stack, job_id: str) -> list[dict[str, Any]]:
    response = stack.request("GET", f"/v1/jobs/{job_id}/events")
    assert response.status_code == 200
    return list(response.json()["events"])


def test_the_timeline_of_a_job_that_needs_a_second_attempt(stack: Stack) -> None:
    events = timeline(stack, stack.run("succeeds_at_attempt", {"attempt": 2}))

    assert [(event["event"], event["attempt"]) for event in events] == [
        ("submitted", 0),
        ("started", 1),
        ("retried", 1),
        ("dispatched", 1),
        ("started", 2),
        ("succeeded", 2),
    ]
    assert [event["at"] for event in events] == sorted(event["at"] for event in events)
    retried = events[2]["detail"]
    assert retried["error"]["code"] == "task_error"
    assert 0 < retried["in_seconds"] <= 0.1


def test_the_timeline_tells_progress(stack: Stack, gate: Path) -> None:
    gate.touch()
    job_id = stack.run("waits_for_file", {"path": str(gate)})
    (progress,) = (event for event in timeline(stack, job_id) if event["event"] == "progress")
    assert progress["detail"]["total"] == 2


def test_the_timeline_of_a_stopped_job(stack: Stack, gate: Path) -> None:
    job_id = stack.running(gate)
    stack.request("POST", f"/v1/jobs/{job_id}/cancel")
    stack.ended(job_id)

    names = [event["event"] for event in timeline(stack, job_id) if event["event"] != "progress"]
    assert names == ["submitted", "started", "cancel_requested", "canceled"]


def test_the_timeline_names_the_job_a_rerun_repeats(stack: Stack) -> None:
    job_id = stack.run("echo")
    new = stack.request("POST", f"/v1/jobs/{job_id}/rerun").json()["job_id"]
    assert timeline(stack, new)[0]["detail"] == {"rerun_of": job_id}
    stack.ended(new)
