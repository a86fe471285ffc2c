"""Tasks that end in every way a task can end."""

from __future__ import annotations

import os
import signal
import time
from pathlib import Path
from typing import Any

from pydantic import BaseModel, Field

from jobresults import PermanentError, current_job, task

MAX_RESULT_BYTES = 100_000
ODD_TEXT = "\x00 \ud800"


class Item(BaseModel):
    """An element of a nested parameter."""

    name: str
    count: int = Field(ge=0)


@task(name="echo")
def echo(value: Any = None) -> Any:
    """Return the value."""
    return value


@task(name="typed")
def typed(items: list[Item], ratio: float) -> list[Item]:
    """Return the items."""
    return items


@task(name="short_lived", result_ttl_seconds=1)
def short_lived(value: Any = None, *, fail: bool = False) -> Any:
    """Return a value, or fail; either is kept for one second, and what is printed, too."""
    print("short-lived words")
    if fail:
        raise PermanentError("as asked")
    return value


@task(name="unserved", queue="unserved")
def unserved(value: Any = None) -> Any:
    """Wait for ever: no worker under test serves the queue."""
    return value


@task(name="fails", max_attempts=2)
def fails(message: str = "boom") -> None:
    """Raise."""
    raise ValueError(message)


@task(name="fails_for_good")
def fails_for_good() -> None:
    """Raise what no retry can help."""
    raise PermanentError("the account is closed")


@task(name="fails_and_says_its_trace", max_attempts=1)
def fails_and_says_its_trace() -> None:
    """Log once, then raise what requests to others would carry."""
    job = current_job()
    job.log.info("within a trace")
    raise ValueError(f"{job.traceparent} {job.tracestate}")


@task(name="is_incoherent", max_attempts=1)
def is_incoherent() -> None:
    """Report, log and raise what databases refuse: NUL, half a surrogate pair, huge numbers."""
    job = current_job()
    job.progress(10**30, None, ODD_TEXT)
    job.log.info(ODD_TEXT)
    raise ValueError(ODD_TEXT)


@task(name="succeeds_at_attempt")
def succeeds_at_attempt(attempt: int) -> int:
    """Fail until then."""
    if current_job().attempt < attempt:
        raise ValueError("not yet")
    return attempt


@task(name="is_killed", max_attempts=2)
def is_killed() -> None:
    """Die as if out of memory."""
    os.kill(os.getpid(), signal.SIGKILL)


@task(name="waits_for_file", timeout_seconds=60, max_attempts=1)
def waits_for_file(path: str) -> str:
    """Report and log once, then run until the file is there."""
    job = current_job()
    job.progress(1, 2, "waiting")
    job.log.info("waiting for a file")
    while not Path(path).exists():
        time.sleep(0.02)
    job.log.warning("the file is there")
    job.progress(2, 2, "found")
    return "found"


@task(name="leaves_a_mark", timeout_seconds=60)
def leaves_a_mark(path: str, gate: str | None = None) -> int:
    """Have an effect that tests can count; then run until the gate is there. Returns the
    attempt.
    """
    job = current_job()
    file = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT)
    os.write(file, f"{job.id} {job.attempt}\n".encode())
    os.close(file)
    while gate is not None and not Path(gate).exists():
        time.sleep(0.02)
    return job.attempt


@task(name="never_ends", timeout_seconds=0.3, max_attempts=1)
def never_ends() -> None:
    """Take too long."""
    while True:
        time.sleep(0.02)


@task(name="swallows_its_timeout", timeout_seconds=0.3, max_attempts=1)
def swallows_its_timeout() -> None:
    """Take too long, and not listen."""
    while True:
        try:
            time.sleep(0.02)
        except BaseException:  # noqa: BLE001 - the point
            continue


@task(name="returns_an_object")
def returns_an_object() -> Any:
    """Return what has no JSON form."""
    return object()


@task(name="returns_nan")
def returns_nan() -> float:
    """Return a number that JSON does not have."""
    return float("nan")


@task(name="returns_the_wrong_type")
def returns_the_wrong_type() -> int:
    """Return a text."""
    return "seven"  # type: ignore[return-value]


@task(name="returns_too_much")
def returns_too_much() -> str:
    """Return more than the configured limit."""
    return "x" * MAX_RESULT_BYTES


@task(name="talks")
def talks(lines: int) -> int:
    """Log so many lines."""
    for number in range(1, lines + 1):
        current_job().log.info("line %d", number)
    return lines
