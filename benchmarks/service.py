"""Ours, as an installation runs it: one ledger, one Redis, and its processes when asked for."""

from __future__ import annotations

import contextlib
import http.client
import json
import sys
import threading
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, Literal
from urllib.parse import quote

from sqlalchemy import delete, select

from benchmarks import load, tasks
from benchmarks.machine import Machine
from benchmarks.processes import Process, running, until
from jobresults.accounts.api_keys import issue
from jobresults.configuration import load_settings
from jobresults.database import Database, open_database
from jobresults.embedded.stack import usable_port
from jobresults.jobs.model import job
from jobresults.schema import migrate
from jobresults.settings import WorkerSettings

CLIENT = "benchmark"
_BULK = 500
_THREADS = 8
_CHUNK = 500
_FORGET = 5_000
Role = Literal["web", "worker", "maintenance"]


class Service:
    """One installation. Its processes log warnings and, as always, each request."""

    def __init__(
        self,
        machine: Machine,
        database_url: str,
        *,
        redis_number: int = 0,
        exported: bool = False,
        **changes: str,
    ) -> None:
        """`exported`: each process serves its metrics, at `metrics_ports`."""
        self._machine = machine
        self._exported = exported
        self.metrics_ports: dict[Role, int] = {}
        self.redis = machine.redis(redis_number)
        self.port = usable_port("127.0.0.1", 0)
        self.environ = {
            **machine.environ,
            "JOBRESULTS_REDIS__URL": machine.redis_url(redis_number),
            "JOBRESULTS_DATABASE__URL": database_url,
            "JOBRESULTS_TASKS__MODULES": json.dumps([tasks.__name__, "jobresults.tasks.score"]),
            "JOBRESULTS_WEB__PORT": str(self.port),
            "JOBRESULTS_WEB__WORKERS": "1",
            "JOBRESULTS_WEB__MAX_REQUESTS": "0",
            "JOBRESULTS_LOGGING__LEVEL": "warning",
            **changes,
        }
        if "executors" in WorkerSettings.model_fields:
            self.environ["JOBRESULTS_WORKER__EXECUTORS"] = "1"
        self.settings = load_settings(environ=self.environ)
        migrate(self.settings.database)
        self.database: Database = open_database(self.settings.database)
        self.key = issue(self.database, client=CLIENT)
        self._takes_arrays: bool | None = None

    @contextlib.contextmanager
    def running(self, *roles: Role) -> Iterator[list[Process]]:
        """Processes of ours; a web process serves before the block begins."""
        commands = [self._command(role) for role in roles]
        with running(
            *commands, log_directory=self._machine.directory, environ=self.environ
        ) as processes:
            if "web" in roles:
                web = processes[roles.index("web")]
                until(self._is_ready, "the web process serves", web)
            yield processes

    def _is_ready(self) -> bool:
        return load.status(self.port, "/status/ready") == 200

    def _command(self, role: Role) -> list[str]:
        command = [sys.executable, "-m", "jobresults.cli.main", role]
        if not self._exported:
            return command
        port = self.metrics_ports[role] = usable_port("127.0.0.1", 0)
        return ["env", f"JOBRESULTS_METRICS__PORT={port}", *command]

    @property
    def headers(self) -> dict[str, str]:
        return {"Authorization": f"Bearer {self.key}", "Content-Type": "application/json"}

    def connection(self) -> http.client.HTTPConnection:
        """A keep-alive connection to the web process."""
        return http.client.HTTPConnection("127.0.0.1", self.port, timeout=70)

    def takes_arrays(self) -> bool:
        """Whether `POST /v1/jobs` accepts many jobs at once."""
        if self._takes_arrays is None:
            later = {"task": "clock", "delay_seconds": 86_400}
            self._takes_arrays = _post(self.connection(), self.headers, [later, later])[0] == 207
        return self._takes_arrays

    def submit(self, count: int, **body: Any) -> list[str]:
        """Hand in equal jobs over HTTP and return their ids; a few connections share the work."""
        body = {"task": "clock", **body}
        local = threading.local()

        def some(size: int) -> list[str]:
            if not hasattr(local, "connection"):
                local.connection = self.connection()
            many = [body] * size if self.takes_arrays() else body
            status, answer = _post(local.connection, self.headers, many)
            if status not in (202, 207):
                raise RuntimeError(f"a submission was answered {status}: {answer}")
            found = [entry["job"] for entry in answer["jobs"]] if "jobs" in answer else [answer]
            return [entry["job_id"] for entry in found]

        size = _BULK if self.takes_arrays() else 1
        sizes = [size] * (count // size) + ([count % size] if count % size else [])
        with ThreadPoolExecutor(_THREADS) as pool:
            return [job_id for ids in pool.map(some, sizes) for job_id in ids]

    def results(self, ids: Sequence[str]) -> dict[str, float]:
        """The results that are in the ledger by now, by job."""
        found: dict[str, float] = {}
        for start in range(0, len(ids), _CHUNK):
            query = select(job.c.id, job.c.result).where(
                job.c.id.in_(ids[start : start + _CHUNK]), job.c.result.is_not(None)
            )
            with self.database.read() as connection:
                found |= {row.id: float(row.result) for row in connection.execute(query)}
        return found

    def fetch(self, ids: Sequence[str]) -> list[float]:
        """Results as callers read them, over HTTP."""
        connection = self.connection()
        values = []
        for job_id in ids:
            connection.request("GET", f"/get_result?job_id={job_id}", headers=self.headers)
            response = connection.getresponse()
            body = response.read()
            if response.status != 200:
                raise RuntimeError(f"job {job_id} was answered {response.status}: {body!r}")
            values.append(float(body))
        return values

    def forget_younger(self, job_id: str) -> None:
        """Delete the jobs that came after this one, and all that Redis holds of any."""
        self.redis.flushdb()
        younger = select(job.c.id).where(job.c.id > job_id).limit(_FORGET)
        left = _FORGET
        while left == _FORGET:
            with self.database.write() as connection:
                gone = delete(job).where(job.c.id.in_(younger)).returning(job.c.id)
                left = len(connection.execute(gone).all())

    def run_until_done(
        self, ids: Sequence[str], *workers: Process, within_seconds: float = 120
    ) -> float:
        """The clock when the last of the jobs was readable, asked about a hundred times a second.

        The queue is first in, first out: while its last jobs have no result, all need not be asked.

        Raises:
            NotReady: one of the workers has ended.
            TimeoutError
        """
        deadline = time.monotonic() + within_seconds
        left = list(ids)
        while left:
            tail = left[-64:]
            if len(self.results(tail)) < len(tail):
                if time.monotonic() > deadline:
                    raise TimeoutError(f"{len(left)} jobs have no result yet")
                for worker in workers:
                    worker.check()
                time.sleep(0.01)
                continue
            ended_at = time.time()
            there = self.results(left)
            left = [job_id for job_id in left if job_id not in there]
        return ended_at

    def close(self) -> None:
        self.database.close()


def sqlite_url(machine: Machine, name: str) -> str:
    """A new ledger in a file."""
    path: Path = machine.directory / f"{name}.db"
    return f"sqlite:///{quote(str(path))}"


def _post(
    connection: http.client.HTTPConnection, headers: dict[str, str], body: Any
) -> tuple[int, dict[str, Any]]:
    connection.request("POST", "/v1/jobs", json.dumps(body), headers)
    response = connection.getresponse()
    return response.status, json.loads(response.read())
