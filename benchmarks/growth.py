"""What an operation costs as the ledger grows, and how fast a flushed Redis is filled again."""

from __future__ import annotations

import contextlib
import json
import time
from collections.abc import Callable, Iterator
from typing import Any

from benchmarks import fill, load
from benchmarks.http import CONNECTIONS, result_requests
from benchmarks.jobs import OurRate
from benchmarks.load import Request
from benchmarks.machine import NO_POSTGRESQL, Machine
from benchmarks.processes import NotReady, reason, until
from benchmarks.service import Service, sqlite_url
from jobresults.maintenance.duties import duties_of
from jobresults.redis_store import connect

_FIRST_REDIS = 3
_READ_JOBS = 1_000
_QUEUED_JOBS = 200
_SWEEPS = 11
_LOAD_SECONDS = 2.0

# Operation → milliseconds.
Costs = dict[str, float]


def measure(machine: Machine) -> dict[str, Any]:
    """Milliseconds of each operation by ledger size, sizes in turn, round by round."""
    sizes = [1_000, 100_000, *([1_000_000] if machine.full else [])]
    costs: dict[str, dict[str, list[float]]] = {}
    missing: dict[str, str] = {}
    with contextlib.ExitStack() as stack:
        ledgers = [
            stack.enter_context(contextlib.closing(_Ledger(machine, size, number)))
            for number, size in enumerate(sizes, _FIRST_REDIS)
        ]
        for _ in range(machine.rounds):
            for ledger in ledgers:
                for operation, milliseconds in ledger.costs(missing):
                    print(f"  {operation}, {ledger.size:,} jobs: {milliseconds:.3f} ms", flush=True)
                    by_size = costs.setdefault(operation, {})
                    by_size.setdefault(str(ledger.size), []).append(milliseconds)
    urls = {"SQLite": sqlite_url(machine, "flushed")}
    if machine.postgresql is None:
        missing["dispatching again, PostgreSQL"] = NO_POSTGRESQL
    else:
        urls["PostgreSQL"] = machine.postgresql.new_database()
    again = {}
    for name, url in urls.items():
        try:
            again[name] = _filled_again(machine, url)
        except NotReady as error:
            missing[f"dispatching again, {name}"] = reason(error)
    return {
        "sizes": sizes,
        "milliseconds": costs,
        "dispatched_again": again,
        "not_measured": missing,
    }


class _Ledger:
    """A ledger of one size, and the service on it."""

    def __init__(self, machine: Machine, size: int, redis_number: int) -> None:
        self.size = size
        url = sqlite_url(machine, f"growth-{size}")
        self._service = Service(machine, url, redis_number=redis_number)
        self._rate = OurRate(self._service, seconds=machine.pick(2.0, 1.0), beside=("maintenance",))
        start = time.monotonic()
        self._filled = fill.ended(self._service.database, size)
        print(f"  {size:,} jobs written in {time.monotonic() - start:.0f} s", flush=True)

    def costs(self, missing: dict[str, str]) -> Iterator[tuple[str, float]]:
        """Each operation once; the ledger is left as it was."""
        operations: dict[str, Callable[[], float]] = {
            "a job: claim, run, outcome": lambda: 1000 / self._rate(1),
            "poll of a finished job": self._poll_finished,
            "poll of a queued job": self._poll_queued,
            "submit": self._submit,
            "a sweep of maintenance": self._sweep,
        }
        with self._service.running("web"):
            for name, operation in operations.items():
                try:
                    yield name, operation()
                except (NotReady, RuntimeError, TimeoutError, AttributeError, TypeError) as error:
                    missing[f"{name}, {self.size:,} jobs"] = reason(error)
                self._service.forget_younger(self._filled.id(self.size))

    def _poll_finished(self) -> float:
        requests = result_requests(self._service, self._filled.some_ids(_READ_JOBS))
        return self._milliseconds(requests)

    def _poll_queued(self) -> float:
        ids = self._service.submit(_QUEUED_JOBS)
        return self._milliseconds(result_requests(self._service, ids))

    def _submit(self) -> float:
        body = json.dumps({"task": "clock", "delay_seconds": 86_400})
        return self._milliseconds([Request("POST", "/v1/jobs", self._service.headers, body)])

    def _milliseconds(self, requests: list[Request]) -> float:
        """How long the web process is busy with one request: it is saturated meanwhile."""
        port = self._service.port
        seen = load.run(port, requests, connections=CONNECTIONS, seconds=_LOAD_SECONDS)
        if seen.refused > seen.requests / 100:
            raise RuntimeError(f"{seen.refused} of {seen.requests} requests were refused")
        return 1000 / seen.requests_per_second

    def _sweep(self) -> float:
        """All duties of maintenance, when there is nothing to do. Its insides are no interface: if
        they have changed, this one figure is missing.
        """
        service = self._service
        make: Callable[..., Any] = duties_of
        queues = list(service.settings.worker.queues)
        duties = make(service.database, connect(service.settings.redis), service.settings, queues)
        times = []
        for _ in range(_SWEEPS):
            start = time.perf_counter()
            for duty in duties:
                duty.run()
            times.append(time.perf_counter() - start)
        return sorted(times)[_SWEEPS // 2] * 1000

    def close(self) -> None:
        self._service.close()


def _filled_again(machine: Machine, url: str) -> dict[str, Any]:
    """Maintenance meets an empty Redis and a ledger full of queued jobs, as after a FLUSHALL."""
    count = machine.pick(100_000, 10_000)
    machine.redis().flushall()
    with contextlib.closing(Service(machine, url)) as service:
        fill.queued(service.database, count)
        start = time.monotonic()
        with service.running("maintenance") as processes:
            until(lambda: _listed(service) > 0, "the first is dispatched", *processes)
            first = time.monotonic()
            until(
                lambda: _listed(service) >= count,
                "all are dispatched",
                *processes,
                within_seconds=300,
            )
        seconds = time.monotonic() - start
    print(f"  {count:,} jobs dispatched again in {seconds:.1f} s", flush=True)
    return {"jobs": count, "seconds": seconds, "until_first_seconds": first - start}


def _listed(service: Service) -> int:
    """How many entries all of Redis' lists hold."""
    lists: Any = service.redis.scan_iter(_type="LIST", count=1_000)
    return sum(int(service.redis.llen(key)) for key in lists)
