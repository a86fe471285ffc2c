"""From submit to the result in the caller's hands, one job after the other on an idle system."""

from __future__ import annotations

import contextlib
import http.client
import json
import time
from collections.abc import Callable
from typing import Any

from benchmarks.jobs import drive, peer_environ
from benchmarks.machine import NO_POSTGRESQL, Machine
from benchmarks.peers import PEERS, CannotInstall
from benchmarks.processes import NotReady, reason
from benchmarks.service import Service, sqlite_url

_WARM_UP = 20
_POLL_SECONDS = 0.001


def measure(machine: Machine) -> dict[str, Any]:
    """Milliseconds of each job, by system."""
    count = machine.pick(200, 50)
    seconds: dict[str, list[float]] = {}
    missing: dict[str, str] = {}
    ledgers = {"SQLite": sqlite_url(machine, "latency")}
    if machine.postgresql is not None:
        ledgers["PostgreSQL"] = machine.postgresql.new_database()
    for ledger, url in ledgers.items():
        machine.redis().flushall()
        with (
            contextlib.closing(Service(machine, url)) as service,
            service.running("web", "worker", "maintenance"),
        ):
            for way, once in (("long-poll", _waiting), ("poll each ms", _polling)):
                name = f"jobresults over HTTP, {ledger}, {way}"
                seconds[name] = _sequence(service, once, count)
                _tell(name, seconds[name])
    for peer in PEERS:
        try:
            if 1 not in peer.workers:
                continue
            if peer.needs_postgresql and machine.postgresql is None:
                raise CannotInstall(NO_POSTGRESQL)
            seen = drive(machine, peer, peer_environ(machine, peer), "latency", count, 1)
        except (CannotInstall, NotReady) as error:
            missing[peer.name] = reason(error)
            continue
        seconds[peer.name] = seen["seconds"]
        _tell(peer.name, seconds[peer.name])
    return {
        "milliseconds": {name: [each * 1000 for each in seen] for name, seen in seconds.items()},
        "not_measured": missing,
    }


def _tell(name: str, seconds: list[float]) -> None:
    print(f"  {name}: {sorted(seconds)[len(seconds) // 2] * 1000:.2f} ms", flush=True)


def _sequence(service: Service, once: Callable[..., float], count: int) -> list[float]:
    connection = service.connection()
    durations = []
    for _ in range(_WARM_UP + count):
        start = time.perf_counter()
        result = once(connection, service.headers)
        durations.append(time.perf_counter() - start)
        assert isinstance(result, float)
    return durations[_WARM_UP:]


def _waiting(connection: http.client.HTTPConnection, headers: dict[str, str]) -> Any:
    job = _ask(connection, "POST", "/v1/jobs", {**headers, "Prefer": "wait=10"})[1]
    return job["result"]


def _polling(connection: http.client.HTTPConnection, headers: dict[str, str]) -> Any:
    job_id = _ask(connection, "POST", "/v1/jobs", headers)[1]["job_id"]
    while True:
        status, result = _ask(connection, "GET", f"/get_result?job_id={job_id}", headers)
        if status == 200:
            return result
        time.sleep(_POLL_SECONDS)


def _ask(
    connection: http.client.HTTPConnection, method: str, target: str, headers: dict[str, str]
) -> tuple[int, Any]:
    connection.request(method, target, '{"task": "clock"}' if method == "POST" else None, headers)
    response = connection.getresponse()
    return response.status, json.loads(response.read())
