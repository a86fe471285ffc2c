"""PostgreSQL away, locked or failing: 503 and never 404, and nothing is accepted."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager

import psycopg
import pytest
import requests

from jobresults.jobs import reading
from jobresults.jobs.visibility import EVERYTHING
from tests.services.api_document import check_problem, check_unavailable
from tests.services.postgresql_server import PostgresqlServer
from tests.services.process import eventually
from tests.services.stack import Shape, Stack
from tests.services.stacks import StartStack

pytestmark = pytest.mark.postgresql


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
def stopped(cluster: PostgresqlServer, stack: Stack) -> Iterator[None]:
    cluster.stop()
    try:
        yield
    finally:
        cluster.start()
        eventually(stack.is_ready, "the service is ready again")


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
            check_unavailable(on_cluster.request("GET", path))
        check_unavailable(on_cluster.request("POST", "/v1/jobs", json={"task": "echo"}))
        check_unavailable(on_cluster.request("GET", "/v1/tasks", key=f"jr_{0:012}_{0:043}"))
        # What ended lately is read on from its copy in Redis, by its owner alone.
        assert on_cluster.request("GET", f"/get_result?job_id={done}").content == b"0"
        assert on_cluster.request("GET", f"/v1/jobs/{done}").json()["state"] == "succeeded"
        page = on_cluster.request("GET", f"/jobs/{done}")
        assert (page.status_code, "The database is out of reach" in page.text) == (200, True)
        foreign = on_cluster.request("GET", f"/get_result?job_id={done}", key=on_cluster.other_key)
        check_unavailable(foreign)
    assert on_cluster.count_jobs() == before
    assert on_cluster.request("GET", f"/get_result?job_id={done}").content == b"0"


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


def test_without_database_and_redis_only_what_is_in_memory_is_read(
    on_cluster: Stack, cluster: PostgresqlServer
) -> None:
    read, unread = on_cluster.run("echo", {"value": 0}), on_cluster.submit("echo")
    ledger = on_cluster.ledger  # looked at past the web process
    eventually(lambda: reading.get(ledger, unread, EVERYTHING).done, "the other has ended, too")
    with stopped(cluster, on_cluster), on_cluster.redis.stopped():
        check_unavailable(on_cluster.request("GET", f"/get_result?job_id={unread}&wait=5"))
        # What this process has read once is in its memory, for its owner alone.
        assert on_cluster.request("GET", f"/get_result?job_id={read}").content == b"0"
        foreign = on_cluster.request("GET", f"/get_result?job_id={read}", key=on_cluster.other_key)
        check_unavailable(foreign)
        check_unavailable(on_cluster.request("POST", "/v1/jobs", json={"task": "echo"}))


@pytest.mark.parametrize("path", ["/get_result?job_id={}&wait=10000", "/v1/jobs/{}?wait=10000"])
def test_a_wait_beyond_the_cap_counts_as_the_cap(on_cluster: Stack, path: str) -> None:
    job_id = on_cluster.submit("unserved")
    response = on_cluster.request("GET", path.format(job_id), timeout=15)
    assert response.json()["state"] == "queued"


def test_a_full_pool_is_unavailable(on_cluster: Stack) -> None:
    job_id = on_cluster.submit("unserved")
    url = on_cluster.database_url
    with psycopg.connect(url) as connection, ThreadPoolExecutor(6) as threads:
        connection.execute("LOCK TABLE job IN ACCESS EXCLUSIVE MODE")
        calls = [threads.submit(on_cluster.request, "GET", f"/v1/jobs/{job_id}") for _ in range(6)]
        for call in calls:
            check_unavailable(call.result())
    assert on_cluster.job(job_id)["state"] == "queued"


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
