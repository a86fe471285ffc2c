"""What the service in the pictures works on: short jobs, long ones, and some that go wrong."""

from __future__ import annotations

import os
import signal
import time

from jobresults import PermanentError, task


@task(name="thumbnail", max_attempts=2)
def thumbnail(seconds: float, fault: str = "") -> dict[str, str]:
    """A short job. `fault`: what goes wrong."""
    time.sleep(seconds)
    if fault == "error":
        raise ValueError("no such image")
    if fault == "refused":
        raise PermanentError("not an image")
    if fault == "killed":
        os.kill(os.getpid(), signal.SIGKILL)
    return {"data": "x" * int(20_000 * seconds)}


@task(name="report", queue="bulk")
def report(seconds: float) -> dict[str, float]:
    """A long one, in a queue of its own."""
    time.sleep(seconds)
    return {"seconds": seconds}
