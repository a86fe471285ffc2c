"""What stock workers run here. They import it in every fork, so it imports little itself."""

from __future__ import annotations

import ctypes
import threading
import time
from pathlib import Path

from redis import Redis
from rq import get_current_job
from rq.job import Job


def leaves_a_mark(path: str, gate: str | None = None) -> int:
    """Have an effect, then run until there is a file named by `gate` and the number of starts.

    Returns that number.
    """
    job = get_current_job()
    assert job is not None
    with Path(path).open("ab", buffering=0) as file:
        file.write(f"{job.id}\n".encode())
    start = Path(path).read_text().split().count(job.id)
    while gate is not None and not Path(f"{gate}{start}").exists():
        time.sleep(0.02)
    return start


def fails(path: str) -> None:
    """Like a task with an error in it."""
    raise ValueError(path)


def alerts(job: Job, _connection: Redis, *_error: object) -> None:
    """What is to be called when a job has failed."""
    with Path(f"{job.args[0]}.alerts").open("ab", buffering=0) as file:
        file.write(f"{job.id}\n".encode())


def waits_in_c() -> None:
    """A call into C that comes back for no signal: the second lock of a mutex."""
    mutex, libc = ctypes.create_string_buffer(128), ctypes.CDLL(None)
    libc.pthread_mutex_lock(mutex)
    libc.pthread_mutex_lock(mutex)


def swallows_exceptions() -> None:
    """Go on, as a loop over items does that must not stop at a bad one."""
    while True:
        try:
            time.sleep(0.02)
        except Exception:  # noqa: BLE001 - the point
            continue


def takes(payload: bytes) -> int:
    """Its size."""
    return len(payload)


def returns_a_lock() -> object:
    """What no serializer can write."""
    return threading.Lock()


def returns_nan() -> float:
    """A number that JSON does not have."""
    return float("nan")
