"""The whole service as child processes, over a real Redis and a real ledger."""

from __future__ import annotations

import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any, Literal

import requests
from pydantic import SecretStr
from sqlalchemy import func, select

from jobresults.accounts import api_keys
from jobresults.accounts.principal import Scope
from jobresults.database import open_database
from jobresults.jobs.model import job as job_table
from jobresults.settings import DatabaseSettings
from tests.services.api_document import ApiDocument
from tests.services.process import Process, eventually
from tests.services.redis_server import RedisServer
from tests.support.sample_tasks import MAX_RESULT_BYTES

PROJECT = Path(__file__).parents[2]
CLIENT_SCOPES = ("submit", "read", "cancel")
WAIT_CAP_SECONDS = 20
WEBHOOK_SECRET = "a secret that webhooks of tests share"
WEBHOOK_SOURCE = {
    "name": "forge",
    "kind": "github",
    "secrets": [WEBHOOK_SECRET],
    "events": ["push"],
    "match": {"ref": "refs/heads/main"},
    "task": "echo",
    "client": "acme",
    "customer": "customer",
    "params": {"value": "value"},
}

TOKEN_SECRET = "only-tests-sign-tokens-with-this-secret"

# Everything that takes its time in production is quick here.
SETTINGS = {
    "TASKS__MODULES": '["jobresults.tasks.score", "tests.support.sample_tasks"]',
    "JOBS__RETRY_BASE_SECONDS": "0.1",
    "JOBS__MAX_RESULT_BYTES": str(MAX_RESULT_BYTES),
    "WEB__WAIT_CAP_SECONDS": str(WAIT_CAP_SECONDS),
    "WEB__GRACEFUL_TIMEOUT_SECONDS": "5",
    "WORKER__LEASE_SECONDS": "3",
    "WORKER__HEARTBEAT_SECONDS": "1",
    "WORKER__SHUTDOWN_GRACE_SECONDS": "1",
    "WEBHOOKS__SOURCES": json.dumps([WEBHOOK_SOURCE]),
    "MAINTENANCE__SWEEP_SECONDS": "0.6",
    "ACCOUNTS__REGISTRATION": "open",
    "ACCOUNTS__TOKEN_KEYS": json.dumps([{"id": "tests", "secret": TOKEN_SECRET}]),
    "ACCOUNTS__LOGIN_ATTEMPTS_PER_ADDRESS": "10000",  # all tests come from one
    "MAINTENANCE__DISPATCH_LOST_AFTER_SECONDS": "1",
}

# Much may have been logged since a process has said that it is ready.
_WHOLE_LOG = 100_000_000
# What each kind of process prints once it takes signals and work.
_READY = {"web": "", "maintenance": "watches queues", "worker": "serves queues"}


@dataclass(frozen=True)
class Shape:
    """How many processes there are, what runs the web, and which settings differ from ours; those
    `of_process` only for one kind.
    """

    web_workers: int = 1
    workers: int = 1
    server: Literal["gunicorn", "pywsgi"] = "gunicorn"
    settings: Mapping[str, str] = field(default_factory=dict)
    of_process: Mapping[str, Mapping[str, str]] = field(default_factory=dict)


class Stack:
    """The running service, with keys for two clients and an operator."""

    def __init__(
        self, database_url: str, redis: RedisServer, port: int, directory: Path, shape: Shape
    ) -> None:
        self.database_url, self.redis, self.directory = database_url, redis, directory
        self.port, self.url = port, f"http://127.0.0.1:{port}"
        self.processes: dict[str, Process] = {}
        self._of_process = shape.of_process
        self._environ = {
            **os.environ,
            "PYTHONPATH": f"{PROJECT / 'src'}{os.pathsep}{PROJECT}",
            "JOBRESULTS_REDIS__URL": redis.url,
            "JOBRESULTS_DATABASE__URL": database_url,
            "JOBRESULTS_WEB__PORT": str(port),
            "JOBRESULTS_WEB__WORKERS": str(shape.web_workers),
            **{f"JOBRESULTS_{name}": text for name, text in {**SETTINGS, **shape.settings}.items()},
        }
        self.ledger = open_database(DatabaseSettings(url=SecretStr(database_url)))

    def start(self, shape: Shape) -> None:
        """Make the ledger, run every process, and wait until requests are served."""
        self.command("migrate")
        self.key, self.other_key = self.new_key("acme"), self.new_key("other")
        self.operator_key = self.new_key("operations", *Scope)
        self.start_process("web", "--server", shape.server)
        self.start_process("maintenance")
        for number in range(1, shape.workers + 1):
            self.start_process(f"worker-{number}")
        eventually(self.is_ready, "the service is ready", within_seconds=60)
        self.api = ApiDocument(requests.get(f"{self.url}/openapi.json", timeout=10).json())

    def start_process(
        self,
        name: str,
        *arguments: str,
        settings: Mapping[str, str] | None = None,
        environ: Mapping[str, str] | None = None,
    ) -> None:
        """Run `jobresults NAME`, where a number behind a hyphen tells twins apart."""
        kind = name.partition("-")[0]
        command = [sys.executable, "-m", "jobresults.cli.main", kind, *arguments]
        chosen = {**self._of_process.get(kind, {}), **(settings or {})}
        own = {f"JOBRESULTS_{key}": text for key, text in chosen.items()}
        variables = {**self._environ, **own, **(environ or {})}
        self.processes[name] = Process(name, command, self.directory, variables)

    def is_ready(self) -> bool:
        for process in self.processes.values():
            assert process.is_running, f"{process.name} has ended"
        if not all(
            _READY[name.partition("-")[0]] in process.log(_WHOLE_LOG)
            for name, process in self.processes.items()
        ):
            return False
        try:
            return requests.get(f"{self.url}/status/ready", timeout=5).status_code == 200
        except (requests.ConnectionError, requests.Timeout):
            return False

    def request(
        self,
        method: str,
        path: str,
        *,
        key: str | None = "",
        headers: Mapping[str, str | bytes] | None = None,
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

        def waited() -> dict[str, Any] | None:
            job = self.job(job_id, params={"wait": WAIT_CAP_SECONDS}, **options)
            return job if job["done"] else None

        return eventually(waited, f"job {job_id} has ended")

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
        """How many jobs the ledger holds, whoever owns them."""
        with self.ledger.read() as connection:
            return int(connection.execute(select(func.count()).select_from(job_table)).scalar_one())

    def new_key(self, client: str, *scopes: str) -> str:
        return api_keys.issue(self.ledger, client=client, scopes=scopes or CLIENT_SCOPES)

    def log_in(self, name: str, password: str) -> str:
        """A person's token."""
        body = {"name": name, "password": password}
        response = self.request("POST", "/login", key=None, json=body)
        assert response.status_code == 200, response.text
        return str(response.json()["token"])

    def command(self, *arguments: str, environ: Mapping[str, str] | None = None) -> str:
        """What a `jobresults` command prints."""
        command = [sys.executable, "-m", "jobresults.cli.main", *arguments]
        variables = {**self._environ, **(environ or {})}
        done = subprocess.run(
            command, cwd=self.directory, env=variables, capture_output=True, text=True
        )
        assert done.returncode == 0, done.stderr
        return done.stdout

    def logs(self) -> str:
        """The end of what each process has printed."""
        everyone = [*self.processes.values(), self.redis.process]
        return "\n".join(f"--- {process.name}\n{process.log()}" for process in everyone)

    def stop(self) -> dict[str, int | None]:
        """Stop every process, once it takes signals. Their exit statuses; None for one that had to
        be killed.
        """
        self.ledger.close()
        for name, process in self.processes.items():
            eventually(partial(_takes_signals, name, process), f"{name} has started or ended")
            process.send(signal.SIGTERM)
        return {name: process.end() for name, process in self.processes.items()}


def _takes_signals(name: str, process: Process) -> bool:
    return not process.is_running or _READY[name.partition("-")[0]] in process.log(100_000)


@contextmanager
def running_stack(database_url: str, redis: RedisServer, shape: Shape) -> Iterator[Stack]:
    """The service, until the end of the block.

    Raises:
        AssertionError: it did not start, or a process did not end well when it was told to.
    """
    directory = Path(tempfile.mkdtemp(prefix="jr-stack-"))
    with reserved_port() as port:
        stack = Stack(database_url, redis, port, directory, shape)
        try:
            stack.start(shape)
            yield stack
        except BaseException as error:
            error.add_note(stack.logs())
            raise
        finally:
            statuses, logs = stack.stop(), stack.logs()
            shutil.rmtree(directory)
        assert set(statuses.values()) <= {0}, f"{statuses}\n{logs}"


@contextmanager
def reserved_port() -> Iterator[int]:
    """A free port that the kernel gives to nobody else, while whoever names it can listen on it."""
    with socket.socket() as holder:
        holder.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        holder.bind(("127.0.0.1", 0))
        yield int(holder.getsockname()[1])
