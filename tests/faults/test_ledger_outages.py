"""The ledger out of reach, and a web process that dies when it has just used it: an answer is true,
and what was accepted ends once.
"""

from __future__ import annotations

import secrets
import signal
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import psutil
import pytest
import requests

from tests.faults.conftest import Effects
from tests.faults.ledgers import Ledger
from tests.faults.workers import kill_alone, lines_about, running_worker, story
from tests.services.process import Process, eventually
from tests.services.stack import Stack

# So long that no one else takes the job over while the ledger is away.
LONG_LEASE = {"WORKER__LEASE_SECONDS": "600"}


def submit(stack: Stack, effects: Effects, key: str) -> requests.Response:
    body = {"task": "leaves_a_mark", "params": effects.params()}
    return stack.request("POST", "/v1/jobs", json=body, headers={"Idempotency-Key": key})


def outcome_waits(worker: Process, job_id: str) -> bool:
    """Whether the worker has an outcome that the ledger did not take."""
    return any("not recorded yet" in line for line in lines_about(worker, job_id, "WARNING"))


@pytest.mark.parametrize("fault", ["locked", "away"])
def test_row_3_ledger_down_or_locked_at_submit(
    bare_stack: Stack, ledger: Ledger, effects: Effects, fault: str
) -> None:
    """Row 3: 503 and nothing accepted; the same key works once the ledger is back.

    Red if the id is given out before the commit. Stock RQ knows no ledger: an outage of its Redis
    is a 500.
    """
    key, before = secrets.token_hex(8), bare_stack.count_jobs()
    with getattr(ledger, fault)():
        response = submit(bare_stack, effects, key)
    assert (response.status_code, response.json()["code"]) == (503, "ledger_unavailable")
    assert int(response.headers["Retry-After"]) >= 1
    assert "job_id" not in response.text
    eventually(bare_stack.is_ready, "the service is ready again")
    assert bare_stack.count_jobs() == before

    accepted = submit(bare_stack, effects, key)
    assert accepted.status_code == 202
    assert "Idempotency-Replayed" not in accepted.headers
    job_id = accepted.json()["job_id"]
    with running_worker(bare_stack):
        assert bare_stack.ended(job_id)["state"] == "succeeded"
    assert bare_stack.count_jobs() == before + 1
    assert effects.by_job == {job_id: [1]}


def test_row_4_web_killed_after_the_commit(bare_stack: Stack, effects: Effects) -> None:
    """Row 4: the caller gets no answer, asks again with the same key, and gets the one job.

    Redis stands still, so that the process is killed between its commit and its answer; then it
    dies, too. Red if the key is not committed with the job (two jobs), or without
    `reconciler.redispatch_lost` (the job waits for ever).
    """
    key, before = secrets.token_hex(8), bare_stack.count_jobs()
    (server,) = psutil.Process(bare_stack.processes["web"].pid).children()
    bare_stack.redis.process.send(signal.SIGSTOP)
    with ThreadPoolExecutor() as threads:
        try:
            call = threads.submit(submit, bare_stack, effects, key)
            eventually(lambda: bare_stack.count_jobs() == before + 1, "the commit is done")
            assert not call.done()
            server.kill()
            with pytest.raises(requests.ConnectionError):
                call.result()
        finally:
            bare_stack.redis.process.stop(signal.SIGKILL)  # and with it a dispatch on its way
            bare_stack.redis.start()
    eventually(bare_stack.is_ready, "another process serves")

    answer = submit(bare_stack, effects, key)
    assert answer.headers["Idempotency-Replayed"] == "true"
    job_id = answer.json()["job_id"]
    with running_worker(bare_stack):
        assert bare_stack.ended(job_id)["state"] == "succeeded"
    assert bare_stack.count_jobs() == before + 1
    assert effects.by_job == {job_id: [1]}


def test_row_13_ledger_down_at_completion(
    bare_stack: Stack, ledger: Ledger, effects: Effects, gate: Path
) -> None:
    """Row 13: the worker keeps the outcome until the ledger takes it.

    Red if `LedgerWorker._record` gives up at its first LedgerUnavailable.
    """
    with running_worker(bare_stack, LONG_LEASE) as worker:
        job_id = bare_stack.submit("leaves_a_mark", effects.params(gate))
        eventually(lambda: job_id in effects.by_job, "the job runs")
        with ledger.away():
            gate.touch()
            eventually(lambda: outcome_waits(worker, job_id), "the outcome waits")
        eventually(bare_stack.is_ready, "the service is ready again")
        assert bare_stack.ended(job_id)["result"] == 1
    assert effects.by_job == {job_id: [1]}
    assert story(bare_stack, job_id) == ["submitted", "started", "succeeded"]


def test_row_13_ledger_down_at_completion_and_the_worker_dies(
    bare_stack: Stack, ledger: Ledger, effects: Effects, gate: Path
) -> None:
    """Row 13: an outcome that dies with its worker is made again when the lease is over.

    Red without `lost_workers.take_over_expired_leases`: running for ever.
    """
    with running_worker(bare_stack) as worker:
        job_id = bare_stack.submit("leaves_a_mark", effects.params(gate))
        eventually(lambda: job_id in effects.by_job, "the job runs")
        with ledger.away():
            gate.touch()
            eventually(lambda: outcome_waits(worker, job_id), "the outcome waits")
            kill_alone(worker)
        eventually(bare_stack.is_ready, "the service is ready again")
    with running_worker(bare_stack):
        assert bare_stack.ended(job_id)["result"] == 2
    assert effects.by_job == {job_id: [1, 2]}
