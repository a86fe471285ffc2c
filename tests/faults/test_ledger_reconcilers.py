"""Several maintenance processes and workers on one ledger: each duty is done once."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from tests.faults.conftest import Effects
from tests.faults.ledgers import Ledger
from tests.faults.workers import kill_alone, running_worker, story
from tests.services.process import eventually
from tests.services.stack import Shape, Stack
from tests.services.stacks import StartStack

JOBS = 30
WORKERS = 3


@pytest.fixture(scope="module")
def crowd(ledger: Ledger, start_stack: StartStack) -> Iterator[Stack]:
    """Two maintenance processes that look very often, and forgive a slow machine."""
    settings = {
        "MAINTENANCE__SWEEP_SECONDS": "0.05",
        "MAINTENANCE__DISPATCH_LOST_AFTER_SECONDS": "4",
        "WORKER__LEASE_SECONDS": "6",
    }
    stack = start_stack(Shape(workers=0, settings=settings), database_url=ledger.url)
    stack.start_process("maintenance-2")
    eventually(stack.is_ready, "both maintenance processes watch")
    yield stack


def test_row_25_two_reconcilers_three_workers(crowd: Stack, effects: Effects) -> None:
    """Row 25: jobs that come due, and jobs that Redis lost, are dispatched once and run once.

    Red if `reconciler._dispatch_where` selects first and updates by id: two dispatches.
    """
    lost = [crowd.submit("leaves_a_mark", effects.params()) for _ in range(JOBS)]
    due = [crowd.submit("leaves_a_mark", effects.params(), delay_seconds=2) for _ in range(JOBS)]
    with crowd.redis.client() as client:
        client.flushall()
    with ExitStack() as workers:
        for _ in range(WORKERS):
            workers.enter_context(running_worker(crowd))
        for job_id in (*due, *lost):
            assert crowd.ended(job_id)["state"] == "succeeded"
    assert effects.by_job == {job_id: [1] for job_id in (*due, *lost)}
    for job_id in (*due, *lost):
        assert story(crowd, job_id) == ["submitted", "dispatched", "started", "succeeded"]


def test_row_25_two_reconcilers_and_expired_leases(
    crowd: Stack, effects: Effects, gate: Path
) -> None:
    """Row 25: jobs of dead workers are taken over once.

    Red if `lost_workers.take_over_expired_leases` updates by id alone: two epochs, two timelines.
    """
    with ExitStack() as workers:
        dying = [workers.enter_context(running_worker(crowd)) for _ in range(WORKERS)]
        job_ids = [crowd.submit("leaves_a_mark", effects.params(gate)) for _ in range(WORKERS)]
        eventually(lambda: set(effects.by_job) == set(job_ids), "each worker has a job")
        for worker in dying:
            kill_alone(worker)
    gate.touch()
    with ExitStack() as workers:
        for _ in range(WORKERS):
            workers.enter_context(running_worker(crowd))
        for job_id in job_ids:
            assert crowd.ended(job_id)["result"] == 2
    assert effects.by_job == {job_id: [1, 2] for job_id in job_ids}
    for job_id in job_ids:
        assert story(crowd, job_id) == [
            "submitted",
            "started",
            "requeued",
            "dispatched",
            "started",
            "succeeded",
        ]
