"""Jobs that end: while Redis is away, too late, or with what cannot be kept."""

from __future__ import annotations

import json
import time
from collections.abc import Callable

from rq.defaults import DEFAULT_RESULT_TTL
from rq.job import Job

from tests.faults.stock import tasks
from tests.faults.stock.rig import Rig, Seen, comes_true, status_of
from tests.services.process import eventually

OUTAGE_SECONDS = 20
TIMEOUT_SECONDS, OVERTIME_WATCH_SECONDS = 3, 120


def redis_down_at_completion(rig: Rig) -> Seen:
    """Row 11: for longer than redis-py tries; Redis itself loses nothing (append-only file)."""
    server = rig.redis("--appendonly", "yes", "--appendfsync", "always")
    worker = rig.worker(server.url)
    job = rig.enqueue(rig.queue(server.url), gated=True)
    rig.await_start(job)
    server.stop()
    rig.open_gate()
    time.sleep(OUTAGE_SECONDS)
    server.start()
    gone = comes_true(lambda: not worker.is_running, 30)
    kept = job.return_value(refresh=True) is not None
    exit_status = f", worker exits with {worker.end()}" if gone else ""
    text = "result kept" if kept else f"**result lost**, status still `{status_of(job)}`"
    return Seen(text + exit_status, gone or not kept)


def reply_of_completion_lost(rig: Rig) -> Seen:
    """Row 12: the transaction is repeated."""
    server = rig.redis()
    proxy = rig.proxy(server)
    rig.worker(proxy.redis_url)
    loss = proxy.lose("reply", b"successful_job_count")
    job = rig.enqueue(rig.queue(server.url))
    assert loss.happened.wait(30), "it was lost"
    eventually(lambda: _ended(job), "the job ends")
    twice = comes_true(lambda: len(job.results()) > 1, 10)
    return Seen(f"{len(job.results())} results of {rig.starts(job)} run recorded", twice)


def _ended(job: Job) -> str | None:
    status = status_of(job)
    return status if status in ("finished", "failed") else None


def timeout_in_c(rig: Rig) -> Seen:
    """Row 24: no Python runs that could raise; the worker looks every 30 s, from a minute later."""
    return _overtime(rig, tasks.waits_in_c)


def timeout_swallowed(rig: Rig) -> Seen:
    """Row 24: the timeout is an Exception, raised once."""
    return _overtime(rig, tasks.swallows_exceptions)


def _overtime(rig: Rig, task: Callable[[], None]) -> Seen:
    server = rig.redis()
    rig.worker(server.url)
    job = rig.queue(server.url).enqueue(task, job_timeout=TIMEOUT_SECONDS)
    eventually(lambda: status_of(job) == "started", "the job runs")
    began = time.monotonic()
    ended = comes_true(lambda: _ended(job), OVERTIME_WATCH_SECONDS)
    took_seconds = time.monotonic() - began
    text = f"**ends after {took_seconds:.0f} s**" if ended else f"runs after {took_seconds:.0f} s"
    return Seen(text, took_seconds > 2 * TIMEOUT_SECONDS)


def result_not_serializable(rig: Rig) -> Seen:
    job = _finished(rig, tasks.returns_a_lock)
    value = job.return_value(refresh=True)
    return Seen(f"`{status_of(job)}`, result is the text “{value}”", status_of(job) == "finished")


def result_not_a_number(rig: Rig) -> Seen:
    job = _finished(rig, tasks.returns_nan)
    text = json.dumps(job.return_value(refresh=True))
    return Seen(f"`{status_of(job)}`, as JSON `{text}`, which is not JSON", text == "NaN")


def result_expires(rig: Rig) -> Seen:
    job = _finished(rig, tasks.returns_nan)
    left_seconds = job.connection.ttl(job.key)
    text = f"`result_ttl` {DEFAULT_RESULT_TTL} s (Redis: {left_seconds} s left), then “no such job”"
    return Seen(text, 0 < left_seconds <= DEFAULT_RESULT_TTL)


def _finished(rig: Rig, task: Callable[[], object]) -> Job:
    server = rig.redis()
    job = rig.queue(server.url).enqueue(task)
    rig.drain(server.url)
    assert _ended(job), status_of(job)
    return job
