"""Workers and work horses that are killed, frozen, or live at another time."""

from __future__ import annotations

from pathlib import Path

import psutil
from rq import Callback, Retry

from tests.faults.stock import tasks
from tests.faults.stock.rig import (
    NotPossibleHereError,
    Rig,
    Seen,
    comes_true,
    horse_of,
    kill_both,
    status_of,
)
from tests.faults.workers import is_gone, kill_alone
from tests.services.process import eventually

MID_JOB_WATCH_SECONDS = 60
ORPHAN_WATCH_SECONDS = 10
SKEW_SECONDS = 120


def worker_killed_in_mid_job(rig: Rig) -> Seen:
    """Row 7: an idle worker is there, and the job may be retried; nobody looks."""
    server = rig.redis()
    queue = rig.queue(server.url)
    worker = rig.worker(server.url)
    job = rig.enqueue(queue, gated=True, retry=Retry(max=2))
    rig.await_start(job)
    rig.worker(server.url)
    kill_both(worker)
    ran = comes_true(lambda: rig.starts(job) > 1, MID_JOB_WATCH_SECONDS)
    text = f"status `{status_of(job)}`, not run again {MID_JOB_WATCH_SECONDS} s later"
    return Seen("run again" if ran else text, not ran)


def worker_killed_alone(rig: Rig) -> Seen:
    """Row 8."""
    server = rig.redis()
    worker = rig.worker(server.url)
    job = rig.enqueue(rig.queue(server.url), gated=True)
    rig.await_start(job)
    horse = horse_of(worker)
    kill_alone(worker)
    died = comes_true(lambda: is_gone(horse), ORPHAN_WATCH_SECONDS)
    text = f"**orphan works on**, alive {ORPHAN_WATCH_SECONDS} s later"
    return Seen("dies with it" if died else text, not died)


def work_horse_killed(rig: Rig) -> Seen:
    """Row 9: as the kernel does when memory runs out."""
    server = rig.redis()
    queue = rig.queue(server.url)
    worker = rig.worker(server.url)
    on_failure = Callback(tasks.alerts)
    other = queue.enqueue(tasks.fails, str(rig.effects), on_failure=on_failure)
    eventually(lambda: rig.alerts(other) == 1, "an error is alerted")
    job = rig.enqueue(queue, gated=True, on_failure=on_failure)
    rig.await_start(job)
    horse_of(worker).kill()
    failed = comes_true(lambda: status_of(job) == "failed", 30)
    heard = comes_true(lambda: rig.alerts(job) or rig.starts(job) > 1, 5)
    text = f"`{status_of(job)}` after {rig.starts(job)} start, `on_failure` **not called**"
    return Seen(f"{rig.starts(job)} starts, alerted" if heard else text, failed and not heard)


def zombie_worker(rig: Rig) -> Seen:
    """Row 15: a worker and its horse stand still for longer than their heartbeat lasts (90 s)."""
    server = rig.redis()
    queue = rig.queue(server.url)
    sleeper = rig.worker(server.url)
    job = rig.enqueue(queue, gated=True, retry=Retry(max=1))
    rig.await_start(job)
    frozen = [psutil.Process(sleeper.pid), horse_of(sleeper)]
    for process in frozen:
        process.suspend()
    expired = queue.started_job_registry.get_expired_job_ids
    eventually(expired, "the heartbeat is over", within_seconds=100)
    rig.worker(server.url)  # which cleans up when it starts, then every 10 minutes
    rig.await_start(job, 2)
    rig.open_gate(2)
    eventually(lambda: status_of(job) == "finished", "the second run has ended")
    second = job.return_value(refresh=True)
    rig.open_gate(1)
    for process in frozen:
        process.resume()
    changed = comes_true(lambda: job.return_value(refresh=True) != second, 30)
    text = f"result {second} of an ended job **replaced by the zombie's {job.return_value()}**"
    return Seen(text if changed else f"result {second} stays", changed)


def clock_two_minutes_ahead(rig: Rig) -> Seen:
    """Row 23: a worker that starts takes the others' running jobs for abandoned."""
    libfaketime = next(Path("/usr/lib").glob("*/faketime/libfaketimeMT.so.1"), None)
    if libfaketime is None:
        raise NotPossibleHereError("needs libfaketime")
    server = rig.redis()
    job = rig.enqueue(rig.queue(server.url), gated=True, retry=Retry(max=1))
    first = rig.worker(server.url)
    rig.await_start(job)
    skewed = {"LD_PRELOAD": str(libfaketime), "FAKETIME": f"+{SKEW_SECONDS}s"}
    rig.worker(server.url, environ=skewed)
    twice = comes_true(lambda: rig.starts(job) > 1, 30)
    assert not is_gone(horse_of(first)), "the first run goes on"
    text = "live job **run twice**, at the same time" if twice else "run once"
    return Seen(text, twice)
