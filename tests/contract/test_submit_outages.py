"""The ledger goes away after a job is accepted: the caller is told so, not to try again."""

from __future__ import annotations

import signal
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import pytest

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
    """One web process on a PostgreSQL of its own, without anyone who works."""
    shape = Shape(workers=0, settings={"REDIS__SOCKET_TIMEOUT_SECONDS": "5"})
    return start_stack(shape, database_url=cluster.empty_database())


@pytest.mark.parametrize("headers", [{}, {"Prefer": "wait=1"}])
def test_an_accepted_job_is_never_answered_unavailable(
    on_cluster: Stack, cluster: PostgresqlServer, headers: dict[str, str]
) -> None:
    """Redis stands still, so that the ledger can go away between the commit and the answer.

    Red if the job or its position must be read then: 503, "nothing was accepted", for one that is.
    """
    before = on_cluster.count_jobs()
    on_cluster.redis.process.send(signal.SIGSTOP)
    with ThreadPoolExecutor() as threads:
        body = {"task": "unserved"}
        call = threads.submit(on_cluster.request, "POST", "/v1/jobs", json=body, headers=headers)
        try:
            eventually(lambda: on_cluster.count_jobs() == before + 1, "the commit is done")
            cluster.stop()
            assert not call.done()
            on_cluster.redis.process.send(signal.SIGCONT)
            response = call.result()
        finally:
            on_cluster.redis.process.send(signal.SIGCONT)
            cluster.start()
            eventually(on_cluster.is_ready, "the service is ready again")
    assert response.status_code == 202
    assert on_cluster.job(response.json()["job_id"])["state"] == "queued"
