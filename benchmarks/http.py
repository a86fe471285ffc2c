"""Requests a second of one gunicorn worker: ours beside endpoints that do less or promise less.

The load shares the machine with what it measures. Reads go round 200 jobs, so that no single one is
hot; queued jobs stay queued, for no worker runs.
"""

from __future__ import annotations

import contextlib
import json
import sys
from dataclasses import dataclass
from functools import partial
from typing import Any

from rq.job import Job

from benchmarks import load, stock
from benchmarks.load import Request
from benchmarks.machine import Machine
from benchmarks.processes import running, until
from benchmarks.service import Service, sqlite_url
from jobresults.embedded.stack import usable_port

CONNECTIONS = 64
_BULK_CONNECTIONS = 8
_BULK_JOBS = 100
_JOBS = 200
_NAIVE_REDIS = 2
ENDPOINTS = ("empty_flask", "raw_wsgi", "naive")


@dataclass(frozen=True)
class Target:
    """One line of the table; `jobs` is how many jobs each request carries."""

    name: str
    port: int
    requests: list[Request]
    connections: int = CONNECTIONS
    jobs: int = 1


def measure(machine: Machine) -> dict[str, Any]:
    """All targets in turn, round by round."""
    with contextlib.ExitStack() as stack:
        targets, missing = _yardsticks(machine, stack), {}
        ledgers = {"SQLite": sqlite_url(machine, "http")}
        if machine.postgresql is not None:
            ledgers["PostgreSQL"] = machine.postgresql.new_database()
        for number, (ledger, url) in enumerate(ledgers.items()):
            service = stack.enter_context(
                contextlib.closing(Service(machine, url, redis_number=number))
            )
            stack.enter_context(service.running("web"))
            targets += _ours(service, ledger)
            if not service.takes_arrays():
                missing[f"jobresults, {ledger}: bulk submit"] = "the service takes no arrays yet"
        seen: dict[str, list[load.Load]] = {}
        for _ in range(machine.rounds):
            for target in targets:
                found = load.run(
                    target.port,
                    target.requests,
                    connections=target.connections,
                    seconds=machine.pick(4.0, 2.0),
                )
                print(f"  {target.name}: {found.requests_per_second:,.0f} requests/s", flush=True)
                seen.setdefault(target.name, []).append(found)
    return {
        "generator": "wrk" if load.HAS_WRK else "benchmarks.load",
        "connections": CONNECTIONS,
        "targets": [_summary(target, seen[target.name]) for target in targets],
        "not_measured": missing,
    }


def _summary(target: Target, loads: list[load.Load]) -> dict[str, Any]:
    refused, requests = sum(each.refused for each in loads), sum(each.requests for each in loads)
    return {
        "name": target.name,
        "jobs_per_request": target.jobs,
        "connections": target.connections,
        "requests_per_second": [each.requests_per_second for each in loads],
        "p50_ms": [each.p50_ms for each in loads],
        "p99_ms": [each.p99_ms for each in loads],
        "refused": refused / requests,
    }


def _yardsticks(machine: Machine, stack: contextlib.ExitStack) -> list[Target]:
    environ = {
        **machine.environ,
        "BENCH_REDIS_URL": machine.redis_url(_NAIVE_REDIS),
        "JOBRESULTS_WEB__WORKERS": "1",
        "JOBRESULTS_WEB__MAX_REQUESTS": "0",
        "JOBRESULTS_LOGGING__LEVEL": "warning",
    }
    ports = {name: usable_port("127.0.0.1", 0) for name in ENDPOINTS}
    for name, port in ports.items():
        words = ["--config", "benchmarks/endpoints/gunicorn.conf.py", "--bind", f"127.0.0.1:{port}"]
        command = [sys.executable, "-m", "gunicorn", *words, f"benchmarks.endpoints.{name}:app"]
        processes = stack.enter_context(
            running(command, log_directory=machine.directory, environ=environ)
        )
        until(partial(load.status, port, "/"), f"{name} serves", *processes)
    reads = [Request("GET", f"/result?job_id={job.id}") for job in _finished_by_rq(machine)]
    return [
        Target("raw WSGI callable that does nothing", ports["raw_wsgi"], [Request("GET", "/")]),
        Target("empty Flask endpoint", ports["empty_flask"], [Request("GET", "/")]),
        Target("naive: Job.fetch and jsonify", ports["naive"], reads),
        Target("naive: queue.enqueue", ports["naive"], [Request("POST", "/enqueue")]),
    ]


def _finished_by_rq(machine: Machine) -> list[Job]:
    jobs = stock.enqueue(machine.redis(_NAIVE_REDIS), _JOBS)
    stock.work(machine, _NAIVE_REDIS)
    return jobs


def _ours(service: Service, ledger: str) -> list[Target]:
    with service.running("worker") as processes:
        finished = service.submit(_JOBS)
        service.run_until_done(finished, *processes)
    queued = service.submit(_JOBS)
    service.fetch(finished[:10])
    job = {"task": "clock"}
    many = json.dumps([job] * _BULK_JOBS)
    targets = [
        Target("poll of a finished job", service.port, result_requests(service, finished)),
        Target("poll of a queued job", service.port, result_requests(service, queued)),
        Target("submit", service.port, [_submit(service, json.dumps(job))]),
    ]
    if service.takes_arrays():
        requests = [_submit(service, many)]
        targets.append(Target("bulk submit", service.port, requests, _BULK_CONNECTIONS, _BULK_JOBS))
    return [
        Target(f"jobresults, {ledger}: {each.name}", *list(vars(each).values())[1:])
        for each in targets
    ]


def result_requests(service: Service, ids: list[str]) -> list[Request]:
    """Polls of these jobs, one after the other."""
    headers = {"Authorization": f"Bearer {service.key}"}
    return [Request("GET", f"/get_result?job_id={job_id}", headers) for job_id in ids]


def _submit(service: Service, body: str) -> Request:
    return Request("POST", "/v1/jobs", service.headers, body)
