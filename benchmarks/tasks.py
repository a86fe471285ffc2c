"""The job that is measured: it only looks at the clock, so its result tells when it ran."""

from __future__ import annotations

import inspect
import time
from typing import Any

from jobresults import task

HAS_ISOLATION = "isolation" in inspect.signature(task).parameters
_OPTIONS: dict[str, Any] = {"isolation": "process"} if HAS_ISOLATION else {}


@task(name="clock")
def clock() -> float:
    """Seconds since 1970 when this job ran."""
    return time.time()


@task(name="clock_isolated", **_OPTIONS)
def clock_isolated() -> float:
    """The same, in a process of its own."""
    return time.time()
