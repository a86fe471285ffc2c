"""Workers and maintenance as processes of their own, on one ledger and one Redis."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psutil
from pydantic import SecretStr
from sqlalchemy import Row

from jobresults.database import open_database
from jobresults.jobs import reading
from jobresults.jobs.catalog import load_catalog
from jobresults.jobs.states import TERMINAL, State
from jobresults.redis_store import connect
from jobresults.settings import DatabaseSettings, RedisSettings
from tests.integration.driver import Driver
from tests.integration.worker.odd_tasks import announced
from tests.services.process import Process, eventually
from tests.services.redis_server import RedisServer

PROJECT = Path(__file__).parents[3]
MODULES = [
    "tests.support.sample_tasks",
    "tests.integration.worker.odd_tasks",
    "tests.integration.worker.talking_tasks",
    "tests.integration.alerts.alert_tasks",
]
MAX_LOG_LINES = 40
# Everything that takes its time in production is quick here.
SETTINGS = {
    "JOBS__RETRY_BASE_SECONDS": "0.05",
    "JOBS__MAX_LOG_LINES": str(MAX_LOG_LINES),
    "JOBS__MAX_RESULT_BYTES": "2000000",
    "WORKER__LEASE_SECONDS": "2",
    "WORKER__HEARTBEAT_SECONDS": "0.3",
    "WORKER__SHUTDOWN_GRACE_SECONDS": "0.5",
    "MAINTENANCE__SWEEP_SECONDS": "0.1",
    "MAINTENANCE__DISPATCH_LOST_AFTER_SECONDS": "60",  # this machine may be slow
}
SUSPICIOUS = {"MAINTENANCE__DISPATCH_LOST_AFTER_SECONDS": "0.5"}


class Service:
    """Nothing runs until it is started."""

    def __init__(self, database_url: str, redis: RedisServer, directory: Path) -> None:
        self.redis, self.directory = redis, directory
        self.database = open_database(DatabaseSettings(url=SecretStr(database_url)))
        client = connect(RedisSettings(url=SecretStr(redis.url)))
        client.flushall()
        self.driver = Driver(self.database, client, catalog=load_catalog(MODULES))
        self.processes: list[Process] = []
        self._environ = {
            **os.environ,
            "PYTHONPATH": str(PROJECT),
            "JOBRESULTS_DATABASE__URL": database_url,
            "JOBRESULTS_REDIS__URL": redis.url,
            "JOBRESULTS_TASKS__MODULES": json.dumps(MODULES),
        }

    def start(self, command: str, settings: Mapping[str, str] | None = None) -> Process:
        """Run `jobresults worker` or `jobresults maintenance`."""
        chosen = {f"JOBRESULTS_{k}": v for k, v in (SETTINGS | dict(settings or {})).items()}
        words = [sys.executable, "-m", "jobresults.cli.main", command]
        name = f"{command}-{len(self.processes)}"
        self.processes.append(Process(name, words, self.directory, self._environ | chosen))
        return self.processes[-1]

    def submit(self, task: str, **params: Any) -> str:
        """The id of a new job."""
        return self.driver.submit(task, params)

    def row(self, job_id: str) -> Row[Any]:
        return self.driver.row(job_id)

    def reached(self, job_id: str, *states: State) -> Row[Any]:
        """The job once it is in one of these states."""
        eventually(lambda: self.row(job_id).state in states, f"{job_id} is {'/'.join(states)}")
        return self.row(job_id)

    def ended(self, job_id: str) -> Row[Any]:
        return self.reached(job_id, *TERMINAL)

    def run(self, task: str, **params: Any) -> Row[Any]:
        """A job that has ended."""
        return self.ended(self.submit(task, **params))

    def running(self, task: str, **params: Any) -> str:
        """The id of a job that runs."""
        job_id = self.submit(task, **params)
        self.reached(job_id, State.RUNNING)
        return job_id

    def runs_until_told(self, directory: Path) -> str:
        """The id of a job whose first executor is known; it ends after `go`."""
        job_id = self.running("runs_until_told", directory=str(directory))
        eventually(lambda: announced(directory), "the executor runs")
        return job_id

    @property
    def registered_workers(self) -> int:
        """How many workers RQ knows of."""
        return int(self.driver.redis.scard("rq:workers"))

    def logs(self) -> str:
        """The end of what each process has printed."""
        return "\n".join(f"--- {item.name}\n{item.log(100)}" for item in self.processes)

    def close(self) -> None:
        for process in self.processes:
            process.stop(grace_seconds=5)
        self.driver.redis.close()
        self.database.close()


@contextmanager
def running_service(database_url: str, redis: RedisServer, directory: Path) -> Iterator[Service]:
    """Ends all it has started."""
    service = Service(database_url, redis, directory)
    try:
        yield service
    finally:
        service.close()


def error(row: Any) -> dict[str, Any]:
    """Why a job has failed."""
    assert row.state == State.FAILED, row
    return dict(json.loads(row.error))


def alive(directory: Path) -> list[int]:
    """The processes a task has announced that still run."""
    return [
        pid
        for pid in announced(directory)
        if psutil.pid_exists(pid) and psutil.Process(pid).status() != psutil.STATUS_ZOMBIE
    ]


def log_lines(service: Service, job_id: str) -> list[dict[str, Any]]:
    """What the job's task has said."""
    return reading.logs(service.database, job_id, after=0, limit=10_000)


def go(directory: Path) -> None:
    """Let `runs_until_told` end."""
    (directory / "go").touch()


def says(process: Process, words: str) -> None:
    """Wait for a line of a process."""
    eventually(lambda: words in process.log(1_000), f"it says {words!r}")
