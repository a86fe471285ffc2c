"""Jobs a second: ours beside the peers, results stored and read back.

One method for all. Jobs are queued, then the workers start. Each job returns the clock when it ran;
the stretch goes from the first of these to the moment when the last result can be read. So starting
a worker costs nobody anything, and storing results late wins nothing.
"""

from __future__ import annotations

import contextlib
import json
import subprocess
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

from benchmarks import tasks
from benchmarks.machine import NO_POSTGRESQL, Machine
from benchmarks.peers import HERE, PEERS, CannotInstall, Peer
from benchmarks.processes import NotReady, reason, running
from benchmarks.service import Role, Service, sqlite_url

_SECONDS = 3.0
_FEWEST, _MOST = 150, 50_000
_SAMPLE = 100
# Their jobs have ended; some would wait for their connections for long.
_PEERS_GRACE_SECONDS = 1.0


@dataclass(frozen=True)
class System:
    """One line of the table; `measure` gives jobs a second with so many worker processes."""

    name: str
    kind: str
    version: str
    tuning: str
    workers: tuple[int, ...]
    measure: Callable[[int], float]


def measure(machine: Machine) -> dict[str, Any]:
    """All systems in turn, round by round."""
    rates: dict[str, dict[str, list[float]]] = {}
    missing: dict[str, str] = {}
    with contextlib.ExitStack() as stack:
        systems = [*_ours(machine, stack), *_peers(machine, missing)]
        if machine.postgresql is None:
            missing["jobresults, PostgreSQL"] = NO_POSTGRESQL
        turns = [(system, workers) for system in systems for workers in system.workers]
        for system, workers in turns * machine.rounds:
            if system.name in missing:
                continue
            try:
                rate = system.measure(workers)
            except (NotReady, RuntimeError, TimeoutError) as error:
                missing[system.name] = reason(error)
                continue
            print(f"  {system.name}, {workers}: {rate:,.0f} jobs/s", flush=True)
            rates.setdefault(system.name, {}).setdefault(str(workers), []).append(rate)
    described = [
        _description(system, rates[system.name]) for system in systems if system.name in rates
    ]
    return {"systems": described, "not_measured": missing}


def _description(system: System, rates: dict[str, list[float]]) -> dict[str, Any]:
    fields = ("name", "kind", "version", "tuning")
    return {**{name: getattr(system, name) for name in fields}, "jobs_per_second": rates}


def _peers(machine: Machine, missing: dict[str, str]) -> Iterator[System]:
    for peer in PEERS:
        try:
            yield peer_system(machine, peer)
        except CannotInstall as error:
            missing[peer.name] = reason(error)


def _ours(machine: Machine, stack: contextlib.ExitStack) -> Iterator[System]:
    ledgers = {"SQLite": sqlite_url(machine, "jobs")}
    if machine.postgresql is not None:
        ledgers["PostgreSQL"] = machine.postgresql.new_database()
    for ledger, url in ledgers.items():
        service = stack.enter_context(contextlib.closing(Service(machine, url)))
        rate = OurRate(service)
        note = "durable; web and maintenance beside it"
        yield System(f"jobresults, {ledger}", "ours", "", note, (1, 2), rate)
        if ledger == "SQLite":
            note = (
                "a process for each job" if tasks.HAS_ISOLATION else "no such option yet: as above"
            )
            isolated = OurRate(service, task="clock_isolated")
            name = 'jobresults, SQLite, isolation="process"'
            yield System(name, "ours", "", note, (1, 2), isolated)


class OurRate:
    """Jobs a second of ours, with web and maintenance beside the workers as always."""

    def __init__(
        self,
        service: Service,
        *,
        task: str = "clock",
        seconds: float = _SECONDS,
        beside: tuple[Role, ...] = ("web", "maintenance"),
        customers: int = 0,
    ) -> None:
        self._customers = customers
        self._service, self._task, self._seconds = service, task, seconds
        self._beside = beside
        self._counts: dict[int, int] = {}

    def __call__(self, workers: int) -> float:
        """So many jobs that they take some seconds: as the last rate says, else in a few steps."""
        with self._service.running(*self._beside):
            count = self._counts.get(workers, _FEWEST)
            while True:
                rate = self._measure(count, workers)
                wanted = min(_MOST, max(_FEWEST, round(rate * self._seconds)))
                self._counts[workers] = min(wanted, 10 * count)
                if self._counts[workers] < 2 * count:
                    return rate
                count = self._counts[workers]

    def _measure(self, count: int, workers: int) -> float:
        service = self._service
        ids = self._submit(count)
        roles: list[Role] = ["worker"] * workers
        with service.running(*roles) as processes:
            ended_at = service.run_until_done(ids, *processes)
        clocks = service.results(ids)
        assert len(clocks) == count
        some = ids[:: max(1, count // _SAMPLE)]
        assert service.fetch(some) == [clocks[job_id] for job_id in some]
        return count / (max(ended_at, *clocks.values()) - min(clocks.values()))

    def _submit(self, count: int) -> list[str]:
        if not self._customers:
            return self._service.submit(count, task=self._task)
        ids = []
        for number in range(self._customers):
            share = (count + number) // self._customers
            ids += self._service.submit(share, task=self._task, customer=f"customer {number}")
        return ids


def peer_system(machine: Machine, peer: Peer) -> System:
    """A peer as a line of the table.

    Raises:
        CannotInstall: or PostgreSQL is missing.
    """
    if peer.needs_postgresql and machine.postgresql is None:
        raise CannotInstall(NO_POSTGRESQL)
    environ = peer_environ(machine, peer)
    kind = "durable peer" if peer.needs_postgresql else "rq" if peer.package == "rq" else "peer"

    def rate(workers: int) -> float:
        count = machine.pick(peer.jobs, peer.jobs // 3)
        times = drive(machine, peer, environ, "jobs", count, workers)
        return count / float(times["ended_at"] - times["started_at"])

    return System(peer.name, kind, peer.version(), peer.tuning, peer.workers, rate)


def peer_environ(machine: Machine, peer: Peer) -> dict[str, str]:
    """What its module needs to know. Its folder comes first among imports, ours not at all."""
    found = {**machine.environ, "BENCH_REDIS_URL": machine.redis_url(), "PYTHONPATH": str(HERE)}
    if peer.package == "rq":
        found["RQ_REDIS_URL"] = machine.redis_url()
    if peer.needs_postgresql and machine.postgresql is not None:
        found["BENCH_POSTGRESQL_URL"] = machine.postgresql.new_database()
    return found


def drive(
    machine: Machine, peer: Peer, environ: dict[str, str], kind: str, count: int, workers: int
) -> dict[str, Any]:
    """Queue jobs with the peer's own client, then run its workers until all results were read.

    Raises:
        NotReady: it failed; carries what it said.
    """
    machine.redis().flushall()
    driver = subprocess.Popen(
        peer.driver(kind, count),
        cwd=HERE,
        env=environ,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        assert driver.stdout is not None
        if driver.stdout.readline() != "queued\n":
            raise NotReady(driver.communicate()[1])
        with running(
            *peer.commands(workers),
            log_directory=machine.directory,
            environ=environ,
            directory=HERE,
            grace_seconds=_PEERS_GRACE_SECONDS,
        ) as processes:
            answer, complaint = driver.communicate()
            if driver.returncode != 0:
                raise NotReady(complaint[-1000:] + "".join(each.tail() for each in processes))
        return dict(json.loads(answer))
    finally:
        driver.kill()
        driver.wait()
