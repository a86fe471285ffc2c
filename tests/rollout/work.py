"""The task whose jobs run during a rehearsal."""

from __future__ import annotations

import os
import time

from jobresults import current_job, task


@task(name="rehearse", timeout_seconds=60)
def rehearse(value: str, effects: str, seconds: float = 0.0) -> str:
    """Leave a mark that can be counted, take that long, return the value backwards."""
    job = current_job()
    file = os.open(effects, os.O_WRONLY | os.O_APPEND | os.O_CREAT)
    os.write(file, f"{job.id} {job.attempt}\n".encode())
    os.close(file)
    time.sleep(seconds)
    return value[::-1]
