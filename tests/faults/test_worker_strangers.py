"""Dispatches of what a worker does not know: parked if the service knows it, refused if not."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from rq import Queue
from rq.serializers import JSONSerializer
from sqlalchemy import select, update

from jobresults.jobs.model import job as job_table
from tests.faults.conftest import MODULES
from tests.faults.workers import lines_about, running_worker, story
from tests.services.ledger import SQLITE
from tests.services.process import eventually
from tests.services.stack import Stack

pytestmark = pytest.mark.parametrize("ledger", [SQLITE], indirect=True)


def test_row_28_rolling_deploy(bare_stack: Stack) -> None:
    """Row 28: an old worker parks a job whose task it does not know, and alerts; a new one runs it.

    Red with the stock worker: the job fails at import. Red without `job.task IN tasks` in
    `claims.claim`: a KeyError in the worker, and the job comes back to it with each lease.
    """
    old_modules = {"TASKS__MODULES": json.dumps(MODULES[:-1])}
    with running_worker(bare_stack, old_modules) as old:
        job_id = bare_stack.submit("tells_the_time")
        eventually(lambda: lines_about(old, job_id, "ERROR"), "someone is alerted")
        assert "tells_the_time" in lines_about(old, job_id, "ERROR")[0]
        assert bare_stack.job(bare_stack.run("echo"))["state"] == "succeeded"
        parked = select(
            job_table.c.due_at_ms - bare_stack.ledger.now_ms(), job_table.c.attempt
        ).where(job_table.c.id == job_id, job_table.c.dispatched_at_ms.is_(None))
        with bare_stack.ledger.read() as connection:
            due_in_ms, attempt = connection.execute(parked).one()
        assert 20_000 < due_in_ms <= 30_000
        assert attempt == 0
        assert old.stop() == 0
    with running_worker(bare_stack):
        with bare_stack.ledger.write() as connection:  # as if those 30 s were over
            connection.execute(
                update(job_table).where(job_table.c.id == job_id).values(due_at_ms=1)
            )
        assert bare_stack.ended(job_id)["state"] == "succeeded"
    assert story(bare_stack, job_id) == ["submitted", "dispatched", "started", "succeeded"]


def test_a_function_that_is_not_ours_is_refused_and_alerted(
    bare_stack: Stack, tmp_path: Path
) -> None:
    """Red with the stock worker, which runs whatever Redis names."""
    with running_worker(bare_stack) as worker, bare_stack.redis.client() as client:
        foreign = Queue(connection=client, serializer=JSONSerializer)
        entry = foreign.enqueue("os.mkdir", str(tmp_path / "made"))
        eventually(lambda: lines_about(worker, entry.id, "ERROR"), "someone is alerted")
        assert bare_stack.job(bare_stack.run("echo"))["state"] == "succeeded"
        assert not (tmp_path / "made").exists()
