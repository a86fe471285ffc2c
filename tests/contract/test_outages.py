"""Redis away, the ledger locked, too many waiting: no job is lost, and nothing false is told."""

from __future__ import annotations

import itertools
import secrets
import socket
import sqlite3
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor, as_completed
from contextlib import contextmanager
from pathlib import Path

import pytest
import requests

from tests.services.api_document import check_unavailable
from tests.services.process import eventually
from tests.services.stack import Shape, Stack
from tests.services.stacks import StartStack


@pytest.fixture(scope="module", params=["true", "false"], ids=["lane", "without-lane"])
def fragile(start_stack: StartStack, request: pytest.FixtureRequest) -> Stack:
    """One web process on SQLite, in which one request at a time may wait."""
    settings = {"WEB__MAX_WAITERS": "1", "WEB__FAST_LANE": request.param}
    return start_stack(Shape(settings=settings))


@contextmanager
def locked(stack: Stack) -> Iterator[None]:
    """Hold SQLite's one write lock."""
    path = stack.database_url.removeprefix("sqlite:///")
    connection = sqlite3.connect(path, isolation_level=None)
    try:
        connection.execute("BEGIN IMMEDIATE")
        yield
    finally:
        connection.close()


def test_a_locked_ledger_accepts_nothing(fragile: Stack) -> None:
    queued = fragile.submit("unserved")
    before = fragile.count_jobs()
    with ThreadPoolExecutor() as threads, locked(fragile):
        writing = [
            threads.submit(fragile.request, "POST", "/v1/jobs", json={"task": "echo"}),
            threads.submit(fragile.request, "POST", f"/v1/jobs/{queued}/cancel"),
        ]
        assert fragile.job(queued)["state"] == "queued"  # readers do not wait for writers
        for call in writing:
            check_unavailable(call.result())
    assert fragile.job(queued)["state"] == "queued"
    assert fragile.count_jobs() == before
    assert fragile.ended(fragile.submit("echo"))["state"] == "succeeded"


def test_a_second_request_with_a_key_is_refused_while_the_first_is_in_flight(
    fragile: Stack,
) -> None:
    tag = secrets.token_hex(6)

    def submit() -> requests.Response:
        body = {"task": "unserved", "tags": [tag]}
        return fragile.request("POST", "/v1/jobs", json=body, headers={"Idempotency-Key": tag})

    with ThreadPoolExecutor() as threads, locked(fragile):
        requests_in_flight = [threads.submit(submit) for _ in range(2)]
        refused = next(as_completed(requests_in_flight)).result()
        assert refused.status_code == 409
        assert refused.json()["code"] == "idempotency_in_flight"
        assert refused.headers["Retry-After"] == "1"
    first = next(call for call in requests_in_flight if call.result() is not refused).result()
    assert first.status_code == 202
    assert submit().json()["job_id"] == first.json()["job_id"]


def test_without_redis_jobs_are_accepted_and_run_later(fragile: Stack) -> None:
    with fragile.redis.stopped():
        response = fragile.request("POST", "/v1/jobs", json={"task": "echo"})
        assert response.status_code == 202
        job_id = response.json()["job_id"]
        assert fragile.job(job_id)["state"] == "queued"
        assert fragile.request("GET", f"/get_result?job_id={job_id}").status_code == 202
    eventually(lambda: fragile.job(job_id)["state"] == "succeeded", "the job has run")


def test_without_redis_results_are_read_and_waited_for(fragile: Stack, gate: Path) -> None:
    done, running = fragile.run("echo", {"value": 0}), fragile.running(gate)
    with fragile.redis.stopped():
        assert fragile.request("GET", f"/get_result?job_id={done}").content == b"0"
        with ThreadPoolExecutor() as threads:
            waiting = threads.submit(
                fragile.request, "GET", f"/get_result?job_id={running}&wait=20"
            )
            gate.touch()
            assert waiting.result().content == b'"found"'


def test_without_redis_a_process_is_alive_and_ready(fragile: Stack) -> None:
    def told() -> bool:
        response = fragile.request("GET", "/status/ready", key=None)
        assert response.status_code == 200
        return bool(response.json()["redis"] == "unreachable")

    with fragile.redis.stopped():
        eventually(told, "the status tells of Redis")


def test_a_wait_beyond_the_limit_of_waiters_is_answered_at_once(fragile: Stack, gate: Path) -> None:
    job_id = fragile.running(gate)
    path = f"/get_result?job_id={job_id}&wait=20"
    with ThreadPoolExecutor() as threads:
        calls = [threads.submit(fragile.request, "GET", path) for _ in range(2)]
        assert next(as_completed(calls)).result().status_code == 202
        gate.touch()
        assert sorted(call.result().status_code for call in calls) == [200, 202]


def test_a_caller_who_hangs_up_makes_room_for_another(fragile: Stack, tmp_path: Path) -> None:
    gates = (tmp_path / str(number) for number in itertools.count())
    first = fragile.submit("unserved")
    with pytest.raises(requests.ReadTimeout):
        fragile.request("GET", f"/get_result?job_id={first}&wait=20", timeout=0.5)

    def may_wait() -> bool:
        """Whether a request for a job that goes on for a while is held until the job ends."""
        gate = next(gates)
        job_id = fragile.submit("waits_for_file", {"path": str(gate)})
        with ThreadPoolExecutor() as threads:
            call = threads.submit(fragile.request, "GET", f"/get_result?job_id={job_id}&wait=20")
            try:
                return call.result(timeout=0.5).status_code == 200
            except TimeoutError:
                return True
            finally:
                gate.touch()

    eventually(may_wait, "there is room for another")


def test_a_connection_that_is_always_busy_leaves_turns_to_others(fragile: Stack) -> None:
    count = 2_000
    port = int(fragile.url.rpartition(":")[2])
    request = b"GET /status/live HTTP/1.1\r\nHost: localhost\r\n\r\n"
    with (
        socket.create_connection(("127.0.0.1", port)) as busy,
        socket.create_connection(("127.0.0.1", port)) as other,
        ThreadPoolExecutor(1) as threads,
    ):
        answered = 0

        def read_all() -> int:
            nonlocal answered
            while answered < count and (received := busy.recv(65_536)):
                answered += received.count(b"HTTP/1.1 200 OK")
            return answered

        reading = threads.submit(read_all)
        busy.sendall(request * count)
        other.sendall(request)
        assert other.recv(65_536).startswith(b"HTTP/1.1 200 OK")
        assert answered < count
        assert reading.result(60) >= count - 1  # one may be cut in two by a read
