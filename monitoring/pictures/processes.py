"""The service and Prometheus, for as long as a recording takes."""

from __future__ import annotations

import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import requests
import yaml

ROOT = Path(__file__).parents[2]
_SCRAPE = "2s"
_METRICS_PORT = 19100  # and the next ones: docs/metrics.md
_WORKERS = 4
_START_SECONDS = 120


@contextmanager
def service(directory: Path, receiver_port: int) -> Iterator[tuple[str, str]]:
    """`jobresults up` with metrics, alerts and callbacks: its URL and an operator's key."""
    port = _free_port()
    settings = {
        "TASKS__MODULES": json.dumps(["jobresults.tasks.score", "monitoring.pictures.tasks"]),
        "WORKER__QUEUES": json.dumps(["default", "bulk"]),
        "METRICS__PORT": str(_METRICS_PORT),
        "JOBS__RETRY_BASE_SECONDS": "1",
        "ALERTS__GROUP_WAIT_SECONDS": "1",
        "ALERTS__GROUP_INTERVAL_SECONDS": "20",
        "ALERTS__SLACK__WEBHOOK_URL": f"http://127.0.0.1:{receiver_port}/slack",
        "CALLBACKS__ALLOW_HTTP": "true",
        "CALLBACKS__ALLOWED_PORTS": json.dumps([receiver_port]),
        "CALLBACKS__ALLOWED_NETWORKS": json.dumps(["127.0.0.0/8"]),
    }
    environ = {f"JOBRESULTS_{name}": text for name, text in settings.items()}
    environ["PYTHONPATH"] = f"{ROOT}{os.pathsep}{ROOT / 'src'}"
    words = ["up", "--port", str(port), "--workers", str(_WORKERS), "--data-dir", str(directory)]
    command = [sys.executable, "-m", "jobresults.cli.main", *words]
    with _running(command, directory / "up.log", environ):
        url = f"http://127.0.0.1:{port}"
        _until_answered(f"{url}/status/ready")
        yield url, (directory / "api-key").read_text().strip()


@contextmanager
def prometheus(directory: Path) -> Iterator[str]:
    """Prometheus with the rules of this repository, which looks more often than is usual: its URL.

    Raises:
        SystemExit: it is not installed.
    """
    program = shutil.which("prometheus")
    if program is None:
        raise SystemExit("needs prometheus: apt-get install prometheus")
    ports = {"web": [0], "maintenance": [1], "worker": [2 + number for number in range(_WORKERS)]}
    config = {
        "global": {"scrape_interval": _SCRAPE, "evaluation_interval": _SCRAPE},
        "rule_files": [str(ROOT / "monitoring/rules/*.yml")],
        "scrape_configs": [
            {
                "job_name": f"jobresults-{process}",
                "static_configs": [
                    {"targets": [f"127.0.0.1:{_METRICS_PORT + number}" for number in numbers]}
                ],
            }
            for process, numbers in ports.items()
        ],
    }
    file = directory / "prometheus.yml"
    file.write_text(yaml.safe_dump(config))
    address = f"127.0.0.1:{_free_port()}"
    command = [
        program,
        f"--config.file={file}",
        f"--storage.tsdb.path={directory / 'prometheus'}",
        f"--web.listen-address={address}",
    ]
    with _running(command, directory / "prometheus.log"):
        _until_answered(f"http://{address}/-/ready")
        yield f"http://{address}"


@contextmanager
def _running(
    command: Sequence[str], log: Path, environ: dict[str, str] | None = None
) -> Iterator[None]:
    with log.open("wb") as output:
        process = subprocess.Popen(
            command,
            cwd=log.parent,
            env={**os.environ, **(environ or {})},
            stdout=output,
            stderr=subprocess.STDOUT,
        )
        try:
            yield
        except BaseException:
            print(log.read_text(errors="replace")[-4000:], file=sys.stderr)
            raise
        finally:
            process.send_signal(signal.SIGTERM)
            process.wait(60)


def _until_answered(url: str) -> None:
    deadline = time.monotonic() + _START_SECONDS
    while True:
        try:
            if requests.get(url, timeout=2).ok:
                return
        except requests.RequestException:
            pass
        if time.monotonic() > deadline:
            raise TimeoutError(url)
        time.sleep(0.2)


def _free_port() -> int:
    with socket.socket() as holder:
        holder.bind(("127.0.0.1", 0))
        return int(holder.getsockname()[1])
