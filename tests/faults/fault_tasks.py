"""Tasks that can only be stopped by force, or that show which worker ran them, and when."""

from __future__ import annotations

import hashlib
import os
import resource
import signal
import subprocess
import time
from pathlib import Path

import psutil

from jobresults import current_job, task

MIB = 2**20


def leave_mark(path: str) -> None:
    """As `leaves_a_mark` does."""
    job = current_job()
    with Path(path).open("ab", buffering=0) as file:
        file.write(f"{job.id} {job.attempt}\n".encode())


@task(name="waits_at_its_gate", timeout_seconds=60)
def waits_at_its_gate(path: str, gate: str) -> int:
    """Run until there is a gate of that name with the attempt's number. Returns the attempt."""
    leave_mark(path)
    attempt = current_job().attempt
    while not Path(f"{gate}{attempt}").exists():
        time.sleep(0.02)
    return attempt


@task(name="is_killed_with_memory", max_attempts=3)
def is_killed_with_memory(path: str, mebibytes: int) -> None:
    """Hold that much memory, and die as by the kernel's hand."""
    leave_mark(path)
    held = b"x" * (mebibytes * MIB)
    os.kill(os.getpid(), signal.SIGKILL)
    del held


@task(name="exceeds_its_address_space", max_attempts=3, isolation="process")
def exceeds_its_address_space(path: str, mebibytes: int) -> int:
    """Ask for that much memory where there is less."""
    leave_mark(path)
    limit = psutil.Process().memory_info().vms + mebibytes // 2 * MIB
    resource.setrlimit(resource.RLIMIT_AS, (limit, limit))
    return len(b"x" * (mebibytes * MIB))


@task(name="is_killed_isolated", max_attempts=3, isolation="process")
def is_killed_isolated(path: str, mebibytes: int) -> None:
    """The same in a process of its own."""
    is_killed_with_memory(path, mebibytes)


@task(name="starts_a_program")
def starts_a_program(told: str) -> None:
    """Start something that runs for minutes, and tell its process."""
    with subprocess.Popen(["sleep", "600"]) as program:
        Path(told).write_text(str(program.pid))
        program.wait()


@task(name="starts_a_program_isolated", isolation="process")
def starts_a_program_isolated(told: str) -> None:
    """The same in a process of its own."""
    starts_a_program(told)


@task(name="computes_for_minutes", max_attempts=1)
def computes_for_minutes() -> str:
    """One call into C, which sees no signal."""
    return hashlib.pbkdf2_hmac("sha512", b"password", b"salt", 2**31 - 1).hex()


@task(name="computes_isolated", max_attempts=1, isolation="process")
def computes_isolated() -> str:
    """The same in a process of its own."""
    return computes_for_minutes()


@task(name="swallows_everything", max_attempts=1)
def swallows_everything() -> None:
    """Go on, whatever is raised."""
    while True:
        try:
            time.sleep(0.02)
        except BaseException:  # noqa: BLE001 - the point
            continue


@task(name="blocks_signals", max_attempts=1)
def blocks_signals() -> None:
    """Hear no signal that can be blocked."""
    signal.pthread_sigmask(signal.SIG_BLOCK, signal.valid_signals())
    while True:
        time.sleep(0.02)


@task(name="tells_the_time")
def tells_the_time() -> float:
    """The clock of the worker's machine, in seconds since 1970-01-01 UTC."""
    return time.time()
