"""Executors that are killed, told to stop, or do not end by themselves: their jobs end well, and in
time.
"""

from __future__ import annotations

import re
import signal
from pathlib import Path

import pytest
from pydantic import SecretStr

from jobresults.alerts.groups import list_groups
from jobresults.redis_store import connect
from jobresults.settings import RedisSettings
from tests.faults.conftest import Effects
from tests.faults.workers import (
    at_ms,
    await_heartbeats,
    error_of,
    executor_of,
    is_gone,
    lines_about,
    running_worker,
    story,
)
from tests.services.ledger import SQLITE
from tests.services.process import eventually
from tests.services.stack import Stack

pytestmark = pytest.mark.parametrize("ledger", [SQLITE], indirect=True)

MEBIBYTES = 100
# A lease that cannot be why another worker gets the job.
LONG_LEASE = {"WORKER__LEASE_SECONDS": "600"}


def alerts_about(stack: Stack, job_id: str) -> list[str]:
    """The problems of which this job was the latest to suffer."""
    client = connect(RedisSettings(url=SecretStr(stack.redis.url)))
    samples = [tracked.group.sample for tracked in list_groups(client)]
    client.close()
    return [sample.title for sample in samples if sample.job_id == job_id]


@pytest.mark.parametrize(
    ("task", "code", "detail"),
    [
        (
            "is_killed_with_memory",
            "executor_killed",
            r"was killed by SIGKILL .*; it used (\d+) MiB",
        ),
        ("exceeds_its_address_space", "task_error", r"^MemoryError"),
    ],
)
def test_row_9_executor_killed_or_out_of_memory(
    bare_stack: Stack, effects: Effects, task: str, code: str, detail: str
) -> None:
    """Row 9: tried as often as allowed, then failed with the reason, and one alert.

    Red with RQ's `handle_work_horse_killed`: failed at once, and nothing says why.
    """
    with running_worker(bare_stack) as worker:
        job_id = bare_stack.submit(task, {"path": str(effects.path), "mebibytes": MEBIBYTES})
        error = error_of(bare_stack.ended(job_id))
        found = re.search(detail, error["detail"])
        assert error["code"] == code
        assert found, error
        assert all(int(used) >= MEBIBYTES for used in found.groups())
        assert effects.by_job[job_id] == [1, 2, 3]
        eventually(lambda: alerts_about(bare_stack, job_id), "someone is alerted")
        assert len(alerts_about(bare_stack, job_id)) == 1
        told = [
            line for level in ("WARNING", "ERROR") for line in lines_about(worker, job_id, level)
        ]
        assert len(told) == 3
        assert "failed for good" in told[-1]
        assert bare_stack.job(bare_stack.run("echo"))["state"] == "succeeded"


def test_row_10_sigterm_leaves_a_job_its_grace(
    bare_stack: Stack, effects: Effects, gate: Path
) -> None:
    """Row 10: the running job ends within the grace, and no other is begun.

    Red if `LedgerWorker._grace_is_over` is true at once.
    """
    with running_worker(bare_stack, {"WORKER__SHUTDOWN_GRACE_SECONDS": "60"}) as worker:
        job_id = bare_stack.submit("leaves_a_mark", effects.params(gate))
        eventually(lambda: job_id in effects.by_job, "the job runs")
        next_id = bare_stack.submit("echo")
        worker.send(signal.SIGTERM)
        await_heartbeats(bare_stack, job_id, 2)  # the second is of a worker that knows
        gate.touch()
        assert worker.end() == 0
        assert bare_stack.job(job_id)["state"] == "succeeded"
        assert effects.by_job[job_id] == [1]
        assert bare_stack.job(next_id)["state"] == "queued"
    with running_worker(bare_stack):
        assert bare_stack.ended(next_id)["state"] == "succeeded"


@pytest.mark.parametrize(
    ("grace_seconds", "signals"),
    [("0.5", [signal.SIGTERM]), ("60", [signal.SIGTERM, signal.SIGINT])],
    ids=["the grace is over", "told twice"],
)
def test_row_10_sigterm_gives_a_long_job_back(
    bare_stack: Stack,
    effects: Effects,
    gate: Path,
    grace_seconds: str,
    signals: list[signal.Signals],
) -> None:
    """Row 10: requeued at once, not after the lease; the attempt that was cut short does not count.

    Red without `Ending(requeue=True)`: the job waits for its lease, ten minutes here.
    """
    settings = {**LONG_LEASE, "WORKER__SHUTDOWN_GRACE_SECONDS": grace_seconds}
    with running_worker(bare_stack, settings) as worker:
        job_id = bare_stack.submit("leaves_a_mark", effects.params(gate))
        eventually(lambda: job_id in effects.by_job, "the job runs")
        executor = executor_of(worker)
        for number in signals:
            worker.send(number)
        assert worker.end() == 0
        assert is_gone(executor)
    gate.touch()
    with running_worker(bare_stack):
        assert bare_stack.ended(job_id)["result"] == 1
    assert effects.by_job[job_id] == [1, 1]
    assert story(bare_stack, job_id) == [
        "submitted",
        "started",
        "requeued",
        "dispatched",
        "started",
        "succeeded",
    ]


@pytest.mark.parametrize(
    "task",
    ["computes_for_minutes", "computes_isolated", "swallows_everything", "blocks_signals"],
)
def test_row_24_timeouts_that_are_not_heard_or_swallowed(bare_stack: Stack, task: str) -> None:
    """Row 24: killed by the parent, 3 s after the timeout at the latest.

    Red without the deadline in `Attempt._look_for_reasons_to_stop`; RQ's alarm alone ends such a
    task after minutes or never.
    """
    with running_worker(bare_stack) as worker:
        job_id = bare_stack.submit(task, timeout_seconds=1)
        assert error_of(bare_stack.ended(job_id))["code"] == "timeout"
        took_ms = at_ms(bare_stack, job_id, "failed") - at_ms(bare_stack, job_id, "started")
        assert 1_000 <= took_ms <= 4_000
        assert executor_of(worker).cpu_percent(0.2) < 50, "a fresh one waits for work"


@pytest.mark.parametrize("task", ["computes_for_minutes", "computes_isolated"])
def test_a_running_job_is_canceled_within_2_s(bare_stack: Stack, task: str) -> None:
    """Red without `Attempt._check_cancel`; RQ's stop command needs a subscription that an outage
    of Redis ends.
    """
    with running_worker(bare_stack) as worker:
        job_id = bare_stack.submit(task, timeout_seconds=60)
        executor = executor_of(worker)
        response = bare_stack.request("POST", f"/v1/jobs/{job_id}/cancel")
        assert response.status_code == 202, response.text
        assert bare_stack.ended(job_id)["state"] == "canceled"
        assert is_gone(executor)
        asked_at_ms = at_ms(bare_stack, job_id, "cancel_requested")
        assert at_ms(bare_stack, job_id, "canceled") - asked_at_ms <= 2_000
