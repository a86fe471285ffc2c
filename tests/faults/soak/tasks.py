"""The task of the soak, which leaves one line in a file for each time it really ran."""

from __future__ import annotations

import os
import time
import uuid
from pathlib import Path

from jobresults import PermanentError, current_job, task


@task(name="soak", timeout_seconds=30, max_attempts=3)
def soak(key: str, effects: str, seconds: float, failures: int = 0, permanent: bool = False) -> str:
    """Take so long, with the effect in the middle; fail so many attempts, or for good.

    Returns the token of the effect, so that a result can be told from that of another attempt.
    """
    job = current_job()
    time.sleep(seconds / 2)
    token = f"{job.id} {job.attempt} {round(time.time() * 1000)} {uuid.uuid4()}"
    leave_effect(Path(effects), token)
    time.sleep(seconds / 2)
    if permanent:
        raise PermanentError(f"{key} fails for good")
    if job.attempt <= failures:
        raise ValueError(f"{key} fails in attempt {job.attempt}")
    return token


def leave_effect(path: Path, line: str) -> None:
    """Append in one write, on the disk before the task goes on."""
    descriptor = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o644)
    try:
        os.write(descriptor, f"{line}\n".encode())
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
