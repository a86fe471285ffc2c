"""Thousands of long-polls in one web process: what each weighs, and how soon one is woken.

An event is a job's end written to the ledger and the bell rung, as a worker does, timed from just
before the bell to the caller's answer.
"""

from __future__ import annotations

import contextlib
import resource
import selectors
import socket
import statistics
import time
from typing import Any

import psutil
from sqlalchemy import update

from benchmarks import fill, load
from benchmarks.http import result_requests
from benchmarks.machine import Machine
from benchmarks.processes import NotReady, reason
from benchmarks.service import Service, sqlite_url
from jobresults.jobs.model import job
from jobresults.redis_store import BELL_CHANNEL

COUNTS = (10, 1_000, 5_000)
_WAIT_SECONDS = 60
_WARM_UP = 200


def measure(machine: Machine) -> dict[str, Any]:
    """A fresh web process for each number of waiters."""
    _allow_files(2 * max(COUNTS) + 500)
    figures, missing = [], {}
    for count in COUNTS:
        machine.redis().flushall()
        try:
            figures.append(_with_waiters(machine, count))
        except (NotReady, OSError, RuntimeError, TimeoutError) as error:
            missing[f"{count:,} waiters"] = reason(error)
            continue
        print(f"  {_told(figures[-1])}", flush=True)
    return {"figures": figures, "not_measured": missing}


def _with_waiters(machine: Machine, count: int) -> dict[str, Any]:
    events = machine.pick(200, 50)
    limits: dict[str, Any] = {
        "JOBRESULTS_WEB__WORKER_CONNECTIONS": str(count + 500),
        "JOBRESULTS_WEB__MAX_WAITERS": str(count + 10),
    }
    url = sqlite_url(machine, f"waiters-{count}")
    with (
        contextlib.closing(Service(machine, url, **limits)) as service,
        service.running("web") as (web,),
        contextlib.ExitStack() as stack,
    ):
        filled = fill.scheduled(service.database, count + events + _WARM_UP)
        ids = [filled.id(number) for number in range(1, filled.count + 1)]
        for job_id in ids[count + events :]:  # the process has all its code and buffers
            with _waiting(service, job_id, 0) as connection:
                _answer(connection)
        worker = psutil.Process(web.pid).children()[0]
        rss_before = worker.memory_info().rss
        waiters = [stack.enter_context(_waiting(service, job_id)) for job_id in ids[: count - 1]]
        # Its own requests come after theirs: once one is answered, they have been read.
        latencies = [_event(service, job_id) for job_id in ids[count : count + 5]]
        time.sleep(1)
        rss = worker.memory_info().rss - rss_before
        busy, idle_seconds = _cpu_seconds(worker), machine.pick(5.0, 2.0)
        time.sleep(idle_seconds)
        cpu_percent = (_cpu_seconds(worker) - busy) / idle_seconds * 100
        latencies = [_event(service, job_id) for job_id in ids[count + 5 : count + events]]
        answered = _readable(waiters)
    if answered:
        raise RuntimeError(f"{answered} of {count} waiters were answered before their job ended")
    cuts = statistics.quantiles(latencies, n=100)
    return {
        "waiters": count,
        "rss_kib_each": rss / count / 1024,
        "idle_cpu_percent": cpu_percent,
        "event_p50_ms": cuts[49] * 1000,
        "event_p99_ms": cuts[98] * 1000,
    }


def _told(figure: dict[str, Any]) -> str:
    return ", ".join(f"{name} {value:,.1f}" for name, value in figure.items())


@contextlib.contextmanager
def _waiting(service: Service, job_id: str, seconds: int = _WAIT_SECONDS) -> Any:
    """A connection whose request waits for a job."""
    (request,) = result_requests(service, [job_id])
    message = request.as_bytes().replace(b" HTTP/1.1", b"&wait=%d HTTP/1.1" % seconds, 1)
    with socket.create_connection(("127.0.0.1", service.port), timeout=30) as connection:
        connection.sendall(message)
        yield connection


def _event(service: Service, job_id: str) -> float:
    """Seconds from the bell to the answer of one more waiter."""
    now_ms = service.database.now_ms()
    with _waiting(service, job_id) as connection:
        time.sleep(0.02)  # the request is read and waits
        with service.database.write() as ledger:
            ended = {"state": "succeeded", "waiting_on": None, "result": fill.RESULT}
            times = {"ended_at_ms": now_ms, "expires_at_ms": now_ms + 604_800_000}
            ledger.execute(
                update(job)
                .where(job.c.id == job_id)
                .values(**ended, **times, result_sha256="0" * 64, started_at_ms=now_ms)
            )
        start = time.perf_counter()
        service.redis.publish(BELL_CHANNEL, job_id)
        status = _answer(connection)
        seconds = time.perf_counter() - start
    if status != 200:
        raise RuntimeError(f"a waiter was answered {status} at its job's end")
    return seconds


def _answer(connection: socket.socket) -> int:
    received = b""
    while (status := load.status_of(received)) is None:
        chunk = connection.recv(65536)
        if not chunk:
            raise RuntimeError("the server closed a connection")
        received += chunk
    return status


def _readable(connections: list[socket.socket]) -> int:
    with selectors.DefaultSelector() as selector:
        for connection in connections:
            selector.register(connection, selectors.EVENT_READ)
        return len(selector.select(0))


def _cpu_seconds(process: psutil.Process) -> float:
    times = process.cpu_times()
    return float(times.user + times.system)


def _allow_files(count: int) -> None:
    """Each waiter is an open file here and there; children inherit the limit."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = count if hard == resource.RLIM_INFINITY else min(count, hard)
    if soft < wanted:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
