"""Redis or the ledger out of reach: accepted jobs are not lost, and nothing false is told."""

from __future__ import annotations

import secrets
import sqlite3
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor, as_completed
from contextlib import contextmanager
from pathlib import Path

import psycopg
import pytest
import requests

from tests.services.api_document import check_problem
from tests.services.postgresql_server import PostgresqlServer
from tests.services.process import eventually
from tests.services.stack import Shape, Stack
from tests.services.stacks import StartStack


@pytest.fixture(scope="module")
def fragile(start_stack: StartStack) -> Stack:
    """One web process on SQLite, in which one request at a time may wait."""
    return start_stack(Shape(settings={"WEB__MAX_WAITERS": "1"}))


@pytest.fixture(scope="module")
def cluster(start_postgresql: Callable[[], PostgresqlServer]) -> PostgresqlServer:
    return start_postgresql()


@pytest.fixture(scope="module")
def on_cluster(start_stack: StartStack, cluster: PostgresqlServer) -> Stack:
    """One web process on a PostgreSQL of its own, with few connections and little patience."""
    settings = {
        "WEB__WAIT_CAP_SECONDS": "0.5",
        "DATABASE__POOL_SIZE": "2",
        "DATABASE__POOL_TIMEOUT_SECONDS": "0.5",
        "DATABASE__LOCK_TIMEOUT_SECONDS": "1",
    }
    return start_stack(Shape(settings=settings), database_url=cluster.empty_database())


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


@contextmanager
def without_redis(stack: Stack) -> Iterator[None]:
    stack.redis.stop()
    try:
        yield
    finally:
        stack.redis.start()


@contextmanager
def stopped(cluster: PostgresqlServer, stack: Stack) -> Iterator[None]:
    cluster.stop()
    try:
        yield
    finally:
        cluster.start()
        eventually(stack.is_ready, "the service is ready again")


def assert_unavailable(response: requests.Response) -> None:
    assert response.status_code == 503
    assert response.json()["code"] == "ledger_unavailable"
    assert int(response.headers["Retry-After"]) >= 1
    assert response.headers["Cache-Control"] == "no-store"
    assert "job_id" not in response.text


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
            assert_unavailable(call.result())
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
    with without_redis(fragile):
        response = fragile.request("POST", "/v1/jobs", json={"task": "echo"})
        assert response.status_code == 202
        job_id = response.json()["job_id"]
        assert fragile.job(job_id)["state"] == "queued"
        assert fragile.request("GET", f"/get_result?job_id={job_id}").status_code == 202
    eventually(lambda: fragile.job(job_id)["state"] == "succeeded", "the job has run")


def test_without_redis_results_are_read_and_waited_for(fragile: Stack, gate: Path) -> None:
    done, running = fragile.run("echo", {"value": 0}), fragile.running(gate)
    with without_redis(fragile):
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

    with without_redis(fragile):
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
    gates = (tmp_path / str(number) for number in range(100))
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


@pytest.mark.postgresql
def test_a_stopped_database_is_never_an_unknown_job(
    on_cluster: Stack, cluster: PostgresqlServer
) -> None:
    done = on_cluster.run("echo", {"value": 0})
    queued = on_cluster.submit("unserved")
    eventually(lambda: on_cluster.redis.client().exists(f"jr:job:{done}"), "a hot copy is kept")
    before = on_cluster.count_jobs()
    on_cluster.request("GET", "/v1/tasks", key=on_cluster.other_key)  # known from now on
    with stopped(cluster, on_cluster):
        for path in (f"/get_result?job_id={queued}", "/v1/jobs", "/score?cust_id=a"):
            assert_unavailable(on_cluster.request("GET", path))
        assert_unavailable(on_cluster.request("POST", "/v1/jobs", json={"task": "echo"}))
        assert_unavailable(on_cluster.request("GET", "/v1/tasks", key=f"jr_{0:012}_{0:043}"))
        # What ended lately is read on from its copy in Redis, by its owner alone.
        assert on_cluster.request("GET", f"/get_result?job_id={done}").content == b"0"
        assert on_cluster.request("GET", f"/v1/jobs/{done}").json()["state"] == "succeeded"
        foreign = on_cluster.request("GET", f"/get_result?job_id={done}", key=on_cluster.other_key)
        assert_unavailable(foreign)
    assert on_cluster.count_jobs() == before
    assert on_cluster.request("GET", f"/get_result?job_id={done}").content == b"0"


@pytest.mark.postgresql
def test_a_process_whose_database_is_stopped_is_alive_but_not_ready(
    on_cluster: Stack, cluster: PostgresqlServer
) -> None:
    def refused() -> bool:
        response = on_cluster.request("GET", "/status/ready", key=None)
        return response.status_code == 503 and response.json()["ledger"] == "unreachable"

    with stopped(cluster, on_cluster):
        eventually(refused, "no more traffic is wanted")
        alive = on_cluster.request("GET", "/status/live", key=None)
        assert (alive.status_code, alive.json()["success"]) == (200, "OK")


@pytest.mark.postgresql
def test_without_database_and_redis_reads_are_unavailable(
    on_cluster: Stack, cluster: PostgresqlServer
) -> None:
    done = on_cluster.run("echo")
    with stopped(cluster, on_cluster), without_redis(on_cluster):
        assert_unavailable(on_cluster.request("GET", f"/get_result?job_id={done}&wait=5"))
        assert_unavailable(on_cluster.request("POST", "/v1/jobs", json={"task": "echo"}))


@pytest.mark.postgresql
@pytest.mark.parametrize("path", ["/get_result?job_id={}&wait=10000", "/v1/jobs/{}?wait=10000"])
def test_a_wait_beyond_the_cap_counts_as_the_cap(on_cluster: Stack, path: str) -> None:
    job_id = on_cluster.submit("unserved")
    response = on_cluster.request("GET", path.format(job_id), timeout=15)
    assert response.json()["state"] == "queued"


@pytest.mark.postgresql
def test_a_full_pool_is_unavailable(on_cluster: Stack) -> None:
    job_id = on_cluster.submit("unserved")
    url = on_cluster.database_url
    with psycopg.connect(url) as connection, ThreadPoolExecutor(6) as threads:
        connection.execute("LOCK TABLE job IN ACCESS EXCLUSIVE MODE")
        calls = [threads.submit(on_cluster.request, "GET", f"/v1/jobs/{job_id}") for _ in range(6)]
        for call in calls:
            assert_unavailable(call.result())
    assert on_cluster.job(job_id)["state"] == "queued"


@pytest.mark.postgresql
def test_an_unforeseen_error_tells_nothing_of_the_inside(on_cluster: Stack) -> None:
    job_id = on_cluster.submit("unserved")
    with psycopg.connect(on_cluster.database_url, autocommit=True) as connection:
        connection.execute("ALTER TABLE job_event RENAME TO elsewhere")
        response = requests.get(
            f"{on_cluster.url}/v1/jobs/{job_id}/events",
            headers={"Authorization": f"Bearer {on_cluster.key}"},
            timeout=10,
        )
        connection.execute("ALTER TABLE elsewhere RENAME TO job_event")
    assert response.status_code == 500
    check_problem(response)
    assert response.json()["code"] == "internal_error"
    assert "job_event" not in response.text
    assert on_cluster.request("GET", f"/v1/jobs/{job_id}/events").status_code == 200
