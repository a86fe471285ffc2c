"""The whole service as child processes: web, workers and maintenance over a real Redis and ledger."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import pytest
import requests
from pydantic import SecretStr

from jobresults.accounts import api_keys
from jobresults.database import Database, open_database
from jobresults.settings import DatabaseSettings
from tests.services.api_document import ApiDocument
from tests.services.ledger import POSTGRESQL, SQLITE
from tests.services.postgresql_server import PostgresqlServer
from tests.services.process import Process, eventually
from tests.services.redis_server import RedisServer
from tests.support.sample_tasks import MAX_RESULT_BYTES

PROJECT = Path(__file__).parents[2]
CLIENT_SCOPES = ("submit", "read", "cancel")
LOCK_TIMEOUT_SECONDS = 1.5
WAIT_CAP_SECONDS = 20

# Everything that takes its time in production is quick here.
SETTINGS = {
    "TASKS__MODULES": '["jobresults.tasks.score", "tests.support.sample_tasks"]',
    "JOBS__RETRY_BASE_SECONDS": "0.1",
    "JOBS__MAX_RESULT_BYTES": str(MAX_RESULT_BYTES),
    "DATABASE__LOCK_TIMEOUT_SECONDS": str(LOCK_TIMEOUT_SECONDS),
    "WEB__WAIT_CAP_SECONDS": str(WAIT_CAP_SECONDS),
    "WEB__GRACEFUL_TIMEOUT_SECONDS": "5",
    "WORKER__LEASE_SECONDS": "3",
    "WORKER__HEARTBEAT_SECONDS": "1",
    "WORKER__SHUTDOWN_GRACE_SECONDS": "1",
    "MAINTENANCE__SWEEP_SECONDS": "0.3",
    "MAINTENANCE__DISPATCH_LOST_AFTER_SECONDS": "1",
}


@dataclass(frozen=True)
class Shape:
    """How many processes there are, and what runs the web."""

    web_workers: int = 1
    workers: int = 1
    server: Literal["gunicorn", "pywsgi"] = "gunicorn"
    settings: Mapping[str, str] = field(default_factory=dict)


class Stack:
    """The running service, with keys for two clients and an operator."""

    def __init__(self, database_url: str, redis: RedisServer, shape: Shape) -> None:
        self.database_url, self.redis = database_url, redis
        self.directory = Path(tempfile.mkdtemp(prefix="jr-stack-"))
        self._held = ExitStack()
        port = self._held.enter_context(_reserved_port())
        self.url = f"http://127.0.0.1:{port}"
        self.environ = {
            **os.environ,
            "PYTHONPATH": str(PROJECT),
            "JOBRESULTS_REDIS__URL": redis.url,
            "JOBRESULTS_DATABASE__URL": database_url,
            "JOBRESULTS_WEB__PORT": str(port),
            "JOBRESULTS_WEB__WORKERS": str(shape.web_workers),
            **{f"JOBRESULTS_{name}": text for name, text in (SETTINGS | shape.settings).items()},
        }
        self.command("migrate")
        self.ledger = open_ledger(database_url)
        self.key = self.new_key("acme")
        self.other_key = self.new_key("other")
        self.operator_key = self.new_key("operations", *api_keys.Scope)
        self.processes = {
            name: self._start(name, *arguments)
            for name, *arguments in (
                ("web", "--server", shape.server),
                ("maintenance",),
                *((f"worker-{number}",) for number in range(1, shape.workers + 1)),
            )
        }
        eventually(self._is_ready, "the service is ready")
        self.api = ApiDocument(requests.get(f"{self.url}/openapi.json", timeout=10).json())

    def request(
        self,
        method: str,
        path: str,
        *,
        key: str | None = "",
        headers: Mapping[str, str] | None = None,
        **options: Any,
    ) -> requests.Response:
        """An answer, already held against the OpenAPI document. `key` None: no credentials."""
        bearer = {} if key is None else {"Authorization": f"Bearer {key or self.key}"}
        options = {"timeout": 60, "allow_redirects": False, **options}
        response = requests.request(
            method, self.url + path, headers={**bearer, **(headers or {})}, **options
        )
        self.api.check(response)
        return response

    def submit(self, task: str, params: dict[str, Any] | None = None, **members: Any) -> str:
        """The id of a new job."""
        body = {"task": task, "params": params or {}, **members}
        response = self.request("POST", "/v1/jobs", json=body)
        assert response.status_code == 202, response.text
        return str(response.json()["job_id"])

    def job(self, job_id: str, **options: Any) -> dict[str, Any]:
        """The job as it is."""
        response = self.request("GET", f"/v1/jobs/{job_id}", **options)
        assert response.status_code == 200, response.text
        return dict(response.json())

    def ended(self, job_id: str, **options: Any) -> dict[str, Any]:
        """The job once it has ended."""
        job = self.job(job_id, params={"wait": WAIT_CAP_SECONDS}, **options)
        assert job["done"], job
        return job

    def run(self, task: str, params: dict[str, Any] | None = None, **members: Any) -> str:
        """The id of a job that has ended."""
        job_id = self.submit(task, params, **members)
        self.ended(job_id)
        return job_id

    def running(self, path: Path, **members: Any) -> str:
        """The id of a job that runs until something is at `path`."""
        job_id = self.submit("waits_for_file", {"path": str(path)}, **members)
        eventually(lambda: self.job(job_id)["state"] == "running", "the job runs")
        return job_id

    def count_jobs(self) -> int:
        """How many jobs the ledger holds."""
        from sqlalchemy import func, select

        from jobresults.jobs.model import job

        with self.ledger.read() as connection:
            return int(connection.execute(select(func.count()).select_from(job)).scalar_one())

    def new_key(self, client: str, *scopes: str) -> str:
        return api_keys.issue(self.ledger, client=client, scopes=scopes or CLIENT_SCOPES)

    def command(self, *arguments: str) -> str:
        """What a `jobresults` command prints."""
        command = [sys.executable, "-m", "jobresults.cli.main", *arguments]
        done = subprocess.run(
            command, cwd=self.directory, env=self.environ, capture_output=True, text=True
        )
        assert done.returncode == 0, done.stderr
        return done.stdout

    def logs(self) -> str:
        """The end of what each process has printed."""
        everyone = [*self.processes.values(), self.redis.process]
        return "\n".join(f"--- {process.name}\n{process.log()}" for process in everyone)

    def stop(self) -> dict[str, int | None]:
        """Stop every process. Their exit statuses; None for one that had to be killed."""
        for process in self.processes.values():
            process.signal(_TERM)
        statuses = {name: process.stop() for name, process in self.processes.items()}
        self.ledger.close()
        self._held.close()
        return statuses

    def _start(self, name: str, *arguments: str) -> Process:
        command = [sys.executable, "-m", "jobresults.cli.main", name.partition("-")[0], *arguments]
        return Process(name, command, self.directory, self.environ)

    def _is_ready(self) -> bool:
        for process in self.processes.values():
            assert process.is_running, f"{process.name} ended:\n{process.log()}"
        try:
            return requests.get(f"{self.url}/status/ready", timeout=5).status_code == 200
        except requests.ConnectionError:
            return False
