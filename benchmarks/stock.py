"""RQ's own client and worker, to leave finished jobs behind that others read or weigh."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from redis import Redis
from rq import Queue
from rq.job import Job

from benchmarks import tasks
from benchmarks.machine import Machine
from benchmarks.processes import ROOT

_QUEUE = "stock"


def enqueue(connection: Redis, count: int) -> list[Job]:
    """Hand in equal jobs, one by one, as callers do."""
    queue = Queue(_QUEUE, connection=connection)
    return [queue.enqueue(tasks.clock, result_ttl=86_400) for _ in range(count)]


def work(machine: Machine, redis_number: int) -> None:
    """Run all of them, in another process: RQ's worker would keep this one's signal handlers."""
    program = str(Path(sys.executable).parent / "rq")
    url = machine.redis_url(redis_number)
    words = ["worker", "--burst", "--quiet", "--url", url, "--worker-class", "rq.SimpleWorker"]
    subprocess.run([program, *words, _QUEUE], cwd=ROOT, env=machine.environ, check=True)
