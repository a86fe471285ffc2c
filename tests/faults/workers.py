"""Workers that come and go, what runs in them, and what the ledger tells of their jobs."""

from __future__ import annotations

import itertools
import signal
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import psutil
from sqlalchemy import select

from jobresults.jobs import reading
from jobresults.jobs.model import job as job_table
from tests.services.process import Process, eventually
from tests.services.stack import Stack

EXECUTOR = "jr-executor"
_numbers = itertools.count(1)


@contextmanager
def running_worker(
    stack: Stack,
    settings: Mapping[str, str] | None = None,
    environ: Mapping[str, str] | None = None,
) -> Iterator[Process]:
    """A worker that takes jobs; killed at the end of the block if it still runs."""
    name = f"worker-{next(_numbers)}-of-test"
    stack.start_process(name, settings=settings, environ=environ)
    process = stack.processes.pop(name)  # the stack does not care how it ends
    try:
        eventually(lambda: "serves queues" in process.log(), "the worker serves")
        yield process
    except BaseException as error:
        error.add_note(f"--- {name}\n{process.log(100)}")
        raise
    finally:
        process.stop(signal.SIGKILL)


def executor_of(worker: Process) -> psutil.Process:
    """The process that runs the worker's jobs."""

    def find() -> psutil.Process | None:
        children = psutil.Process(worker.pid).children()
        return next((child for child in children if child.name() == EXECUTOR), None)

    return eventually(find, "there is an executor")


def is_gone(process: psutil.Process) -> bool:
    """Whether it has ended, waited for by its parent or not."""
    try:
        return not process.is_running() or process.status() == psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return True


def worker_of(stack: Stack, job_id: str) -> str:
    """The name of the worker that runs a job."""
    with stack.ledger.read() as connection:
        found = connection.execute(select(job_table.c.worker).where(job_table.c.id == job_id))
        return str(found.scalar_one())


def waits_for_work(executor: psutil.Process) -> bool:
    """Whether an executor stands at its pipe, with nothing to do."""
    return "pipe" in Path(f"/proc/{executor.pid}/wchan").read_text()


def kill_alone(worker: Process) -> None:
    """SIGKILL for the worker; what becomes of its executor is its own business."""
    worker.send(signal.SIGKILL)
    eventually(lambda: not worker.is_running, "the worker is dead")


def story(stack: Stack, job_id: str) -> list[str]:
    """The words of a job's timeline, but for its progress."""
    words = [event["event"] for event in reading.timeline(stack.ledger, job_id)]
    return [word for word in words if word != "progress"]


def at_ms(stack: Stack, job_id: str, word: str) -> int:
    """When it happened last, by the ledger's clock."""
    events = reading.timeline(stack.ledger, job_id)
    return max(int(event["at_ms"]) for event in events if event["event"] == word)


def lines_about(process: Process, job_id: str, level: str) -> list[str]:
    """What a process has printed of a job at a level."""
    lines = process.log(100_000).splitlines()
    return [line for line in lines if job_id in line and f" {level} " in line]


def error_of(job: Mapping[str, Any]) -> dict[str, Any]:
    """Why a job has failed."""
    assert job["state"] == "failed", job
    return dict(job["error"])


def lease_until_ms(stack: Stack, job_id: str) -> int:
    """When the running job's lease is over, by the ledger's clock."""
    lease = select(job_table.c.lease_until_ms).where(job_table.c.id == job_id)
    with stack.ledger.read() as connection:
        until_ms = connection.execute(lease).scalar_one()
    assert until_ms is not None, "the job runs no more"
    return int(until_ms)


def await_heartbeats(stack: Stack, job_id: str, count: int) -> None:
    """Until the running job's lease was renewed so often."""
    for _ in range(count):
        until_ms = lease_until_ms(stack, job_id)
        eventually(partial(lease_is_beyond, stack, job_id, until_ms), "a heartbeat")


def lease_is_beyond(stack: Stack, job_id: str, until_ms: int) -> bool:
    return lease_until_ms(stack, job_id) > until_ms
