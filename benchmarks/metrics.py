"""What metrics cost a request and a job, and how long a scrape takes beside 10^6 stored jobs."""

from __future__ import annotations

import contextlib
import http.client
import time
from collections.abc import Callable
from typing import Any

from benchmarks import fill, load
from benchmarks.http import CONNECTIONS, result_requests
from benchmarks.jobs import OurRate
from benchmarks.load import Request
from benchmarks.machine import Machine
from benchmarks.processes import NotReady, reason, until
from benchmarks.service import Role, Service, sqlite_url

_KINDS = {"without metrics": False, "with metrics": True}
_READ_JOBS = 200
_SCRAPES = 21
_ROLES: tuple[Role, ...] = ("web", "maintenance", "worker")

# What is asked → without or with metrics → figures, one a round.
Costs = dict[str, dict[str, list[float]]]


def measure(machine: Machine) -> dict[str, Any]:
    """Microseconds with and without metrics in turn, round by round; milliseconds of a scrape."""
    missing: dict[str, str] = {}
    return {
        "microseconds": _costs(machine),
        "stored_jobs": _stored(machine),
        "scrape_ms": _scrapes(machine, missing),
        "not_measured": missing,
    }


def _costs(machine: Machine) -> Costs:
    costs: Costs = {}
    with contextlib.ExitStack() as stack:
        operations: dict[str, dict[str, Callable[[], float]]] = {}
        for words, exported in _KINDS.items():
            url = sqlite_url(machine, f"metrics-{words.partition(' ')[0]}")
            service = Service(machine, url, exported=exported)
            stack.enter_context(contextlib.closing(service))
            stack.enter_context(service.running("web"))
            for name, operation in _operations(machine, service).items():
                operations.setdefault(name, {})[words] = operation
        for _ in range(machine.rounds):
            for name, of_kinds in operations.items():
                for words, operation in of_kinds.items():
                    cost = operation()
                    print(f"  {name}, {words}: {cost:.1f} µs", flush=True)
                    costs.setdefault(name, {}).setdefault(words, []).append(cost)
    return costs


def _operations(machine: Machine, service: Service) -> dict[str, Callable[[], float]]:
    with service.running("worker") as processes:
        ids = service.submit(_READ_JOBS)
        service.run_until_done(ids, *processes)
    rate = OurRate(service, seconds=machine.pick(3.0, 1.0), beside=())
    headers = {"Authorization": f"Bearer {service.key}"}
    jobs = [Request("GET", f"/v1/jobs/{job_id}", headers) for job_id in ids]

    def busy_us(requests: list[Request]) -> float:
        """How long the one web worker is busy with a request: it is saturated meanwhile."""
        seconds = machine.pick(4.0, 2.0)
        seen = load.run(service.port, requests, connections=CONNECTIONS, seconds=seconds)
        if seen.refused:
            raise RuntimeError(f"{seen.refused} of {seen.requests} requests were refused")
        return 1e6 / seen.requests_per_second

    return {
        "poll of a finished job, in front of Flask": lambda: busy_us(result_requests(service, ids)),
        "GET /v1/jobs/<job_id>, through Flask": lambda: busy_us(jobs),
        "a job: claim, run, outcome": lambda: 1e6 / rate(1),
    }


def _stored(machine: Machine) -> int:
    return 1_000_000 if machine.full else 10_000


def _scrapes(machine: Machine, missing: dict[str, str]) -> dict[str, list[float]]:
    found: dict[str, list[float]] = {}
    url = sqlite_url(machine, "metrics-stored")
    with contextlib.closing(Service(machine, url, exported=True)) as service:
        fill.ended(service.database, _stored(machine))
        with service.running(*_ROLES) as processes:
            for role, process in zip(_ROLES, processes, strict=True):
                port = service.metrics_ports[role]
                try:
                    until(lambda: load.status(port, "/metrics") == 200, f"{role} exports", process)  # noqa: B023
                except NotReady as error:
                    missing[f"a scrape of {role}"] = reason(error)
                    continue
                found[role] = [_scrape_ms(port) for _ in range(_SCRAPES)]
                print(f"  a scrape of {role}: {sorted(found[role])[_SCRAPES // 2]:.1f} ms")
    return found


def _scrape_ms(port: int) -> float:
    start = time.perf_counter()
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
    connection.request("GET", "/metrics")
    connection.getresponse().read()
    return (time.perf_counter() - start) * 1000
