"""Measure this service beside its yardsticks; write the figures to RESULTS.md (`make bench`)."""

from __future__ import annotations

import contextlib
import os
import platform
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from datetime import datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any

import psutil
import redis
import requests
from rq import Queue

from benchmarks import load
from benchmarks.stock_noop import noop
from jobresults.accounts.api_keys import issue
from jobresults.configuration import load_settings
from jobresults.database import migrate, open_database
from jobresults.embedded.redis import private_redis
from jobresults.embedded.stack import usable_port

ROUNDS = 3
SECONDS = 4.0
CONNECTIONS = 32
JOBS = 300
ROOT = Path(__file__).parent.parent


def main() -> None:
    with tempfile.TemporaryDirectory() as directory, contextlib.ExitStack() as stack:
        settings = load_settings(environ={})
        private = stack.enter_context(private_redis(settings, Path(directory)))
        redis_process = subprocess.Popen(private.command)
        stack.callback(redis_process.wait)
        stack.callback(redis_process.terminate)
        client = redis.Redis.from_url(private.url)
        _until(lambda: _answers(client))
        port, empty_port = usable_port("127.0.0.1", 0), usable_port("127.0.0.1", 0)
        environ = {
            **os.environ,
            "JOBRESULTS_REDIS__URL": private.url,
            "JOBRESULTS_DATABASE__URL": f"sqlite:///{directory}/ledger.db",
            "JOBRESULTS_TASKS__MODULES": '["benchmarks.noop", "jobresults.tasks.score"]',
            "JOBRESULTS_WEB__PORT": str(port),
            "JOBRESULTS_WEB__WORKERS": "1",
            "JOBRESULTS_WEB__MAX_REQUESTS": "0",
            "JOBRESULTS_LOGGING__LEVEL": "warning",
            "PYTHONPATH": str(ROOT),
        }
        settings = load_settings(environ=environ)
        migrate(settings.database)
        key = issue(open_database(settings.database), client="benchmark")
        empty = ["--config", "benchmarks/empty.conf.py", "--bind", f"127.0.0.1:{empty_port}"]
        stack.enter_context(_running(environ, "gunicorn", *empty, "benchmarks.empty_app:app"))
        web, worker, maintenance = (
            stack.enter_context(_running(environ, "jobresults.cli.main", name))
            for name in ("web", "worker", "maintenance")
        )
        _until(lambda: _serves(port, "/status/ready"))
        _until(lambda: _serves(empty_port, "/"))
        session = requests.Session()
        session.headers["Authorization"] = f"Bearer {key}"
        base = f"http://127.0.0.1:{port}"
        job = session.post(
            f"{base}/v1/jobs", json={"task": "noop"}, headers={"Prefer": "wait=20"}
        ).json()
        figures = {
            **_polls(port, empty_port, key, job["job_id"]),
            **_jobs(session, base, client, environ),
            **_submits(port, key),
        }
        sizes = {
            "web: gunicorn's master and one worker": _rss_mib(web),
            "worker, idle": _rss_mib(worker),
            "maintenance": _rss_mib(maintenance),
            "Redis": _rss_mib(redis_process),
        }
    _write(figures, sizes)


def _polls(port: int, empty_port: int, key: str, job_id: str) -> dict[str, list[float]]:
    """Requests a second for a finished job's result, in turn with the empty endpoint's."""
    poll = load.request("GET", f"/get_result?job_id={job_id}", key=key)
    figures: dict[str, list[float]] = {
        "poll": [],
        "empty": [],
        "poll p99 ms": [],
        "empty p99 ms": [],
    }
    for _ in range(ROUNDS):
        for name, at, message in (
            ("empty", empty_port, load.request("GET", "/")),
            ("poll", port, poll),
        ):
            seen = load.run(at, message, expected=b"200", connections=CONNECTIONS, seconds=SECONDS)
            assert not seen.unexpected, f"{name}: {seen}"
            figures[name].append(seen.requests_per_second)
            figures[f"{name} p99 ms"].append(seen.p99_ms)
    return figures


def _submits(port: int, key: str) -> dict[str, list[float]]:
    """Accepted jobs a second. Each is committed to the ledger, with fsync, before its 202."""
    message = load.request(
        "POST", "/v1/jobs", key=key, body=b'{"task": "noop", "delay_seconds": 3600}'
    )
    figures = []
    for _ in range(ROUNDS):
        seen = load.run(port, message, expected=b"202", connections=CONNECTIONS, seconds=SECONDS)
        # Many writers at once may find SQLite locked for longer than they wait.
        assert set(seen.unexpected) <= {b"503"}, seen
        figures.append(seen.requests_per_second - sum(seen.unexpected.values()) / SECONDS)
    return {"submit": figures}


def _jobs(
    session: requests.Session, base: str, client: redis.Redis, environ: dict[str, str]
) -> dict[str, list[float]]:
    """Jobs a second of one worker of ours and one stock rq Worker, results stored, in turn."""
    figures: dict[str, list[float]] = {"jobs": [], "rq jobs": []}
    for _ in range(ROUNDS):
        figures["jobs"].append(_our_jobs_per_second(session, base))
        figures["rq jobs"].append(_rq_jobs_per_second(client, environ))
    return figures


def _our_jobs_per_second(session: requests.Session, base: str) -> float:
    """From the first start to the last end, by the ledger's own times."""
    ids = [
        session.post(f"{base}/v1/jobs", json={"task": "noop", "tags": ["bench"]}).json()["job_id"]
        for _ in range(JOBS)
    ]
    bodies = [session.get(f"{base}/v1/jobs/{job_id}", params={"wait": 60}).json() for job_id in ids]
    assert all(body["state"] == "succeeded" for body in bodies)
    starts = [_seconds(body["started_at"]) for body in bodies]
    # The worker keeps up with submission in part; what counts is its busy stretch.
    return len(ids) / (max(_seconds(body["ended_at"]) for body in bodies) - min(starts))


def _rq_jobs_per_second(client: redis.Redis, environ: dict[str, str]) -> float:
    queue = Queue("stock", connection=client)
    jobs = [queue.enqueue(noop) for _ in range(JOBS)]
    url = environ["JOBRESULTS_REDIS__URL"]
    subprocess.run(
        [sys.executable, "-m", "rq.cli", "worker", "--burst", "--quiet", "--url", url, "stock"],
        env=environ,
        check=True,
        cwd=ROOT,
    )
    for job in jobs:
        job.refresh()
    stretch = max(job.ended_at for job in jobs) - min(job.started_at for job in jobs)
    return JOBS / float(stretch.total_seconds())


def _write(figures: dict[str, list[float]], sizes: dict[str, float]) -> None:
    rows = [
        ("`GET /get_result` of a finished job, requests/s", "poll", "empty"),
        ("an empty Flask endpoint, same gunicorn settings, requests/s", "empty", "empty"),
        ("the same, slowest hundredth of polls, ms", "poll p99 ms", "empty p99 ms"),
        ("`POST /v1/jobs`, committed with fsync before the 202, requests/s", "submit", "empty"),
        ("one worker, a fork per job, outcome in the ledger, jobs/s", "jobs", "rq jobs"),
        ("one stock `rq.Worker`, result in Redis, jobs/s", "rq jobs", "rq jobs"),
    ]
    lines = [
        "# Results",
        "",
        "Made by `make bench`. Machines are noisy: read the ratios, taken in turn within one run.",
        "",
        f"{platform.machine()}, {os.cpu_count()} processors, Python {platform.python_version()}; "
        + ", ".join(
            f"{name} {version(name)}"
            for name in ("flask", "gunicorn", "gevent", "rq", "redis", "SQLAlchemy")
        )
        + f"; SQLite ledger; {CONNECTIONS} connections, {ROUNDS} rounds of {SECONDS:g} s; "
        f"{JOBS} jobs a round; the load comes from the same machine.",
        "",
        "| what | min | median | max | × its yardstick (median) |",
        "|---|---|---|---|---|",
    ]
    for text, name, yardstick in rows:
        values, other = figures[name], statistics.median(figures[yardstick])
        lines.append(
            f"| {text} | {min(values):.0f} | {statistics.median(values):.0f} | {max(values):.0f} "
            f"| {statistics.median(values) / other:.2f} |"
        )
    lines += [
        "",
        "The yardstick is the empty endpoint for HTTP, the stock worker for jobs.",
        "",
        "| process | RSS MiB |",
        "|---|---|",
    ]
    lines += [f"| {name} | {size:.0f} |" for name, size in sizes.items()]
    text = "\n".join(lines) + "\n"
    (ROOT / "benchmarks" / "RESULTS.md").write_text(text)
    print(text)


@contextlib.contextmanager
def _running(environ: dict[str, str], *module: str) -> Iterator[subprocess.Popen[bytes]]:
    process = subprocess.Popen(
        [sys.executable, "-m", *module], env=environ, cwd=ROOT, stdout=subprocess.DEVNULL
    )
    try:
        yield process
    finally:
        process.terminate()
        process.wait(30)


def _rss_mib(process: subprocess.Popen[bytes]) -> float:
    tree = psutil.Process(process.pid)
    return sum(part.memory_info().rss for part in (tree, *tree.children(recursive=True))) / 2**20


def _seconds(text: str) -> float:
    return datetime.fromisoformat(text).timestamp()


def _answers(client: redis.Redis) -> Any:
    with contextlib.suppress(redis.RedisError):
        return client.ping()


def _serves(port: int, path: str) -> bool:
    with contextlib.suppress(requests.RequestException):
        return requests.get(f"http://127.0.0.1:{port}{path}", timeout=2).ok
    return False


def _until(true: Callable[[], Any], seconds: float = 30) -> None:
    deadline = time.monotonic() + seconds
    while not true():
        if time.monotonic() > deadline:
            raise TimeoutError("a process did not become ready")
        time.sleep(0.05)


if __name__ == "__main__":
    main()
