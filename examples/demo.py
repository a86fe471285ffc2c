"""The main job from end to end: start the service, score sample customers over HTTP, show why.

All of it lives in a temporary directory and is gone at the end. Exit status 0 if all went well.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn
from rich.table import Table

from jobresults import Client
from jobresults.client import ClientError, JobHandle

SAMPLES = sorted(Path(__file__).parent.glob("*.json"))
START_SECONDS = 60
RESULT_SECONDS = 60
STOP_SECONDS = 15

console = Console()


@dataclass
class Scored:
    """A customer's score and the job that computed it."""

    customer: str
    score: dict[str, Any]
    job: dict[str, Any]


def main() -> int:
    """Run the demo; the exit status."""
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # or the service would outlive us
    os.environ["no_proxy"] = "127.0.0.1"
    began = time.monotonic()
    with TemporaryDirectory(prefix="jobresults-demo-") as directory:
        log = Path(directory) / "up.log"
        try:
            with running_service(Path(directory), log) as client:
                started = time.monotonic()
                console.print(f"The service is up after {started - began:.1f} s.")
                scored = score_samples(client)
                ended = time.monotonic()
        except (ClientError, ServiceFailed) as error:
            print(f"The demo failed: {error}\n\nThe service's last words:", file=sys.stderr)
            print(*log.read_text().splitlines()[-15:], sep="\n", file=sys.stderr)
            return 1
    console.print(table_of(scored))
    console.print(
        f"{len(scored)} customers scored in {ended - started:.1f} s, "
        f"all in {time.monotonic() - began:.1f} s. Keep it running with: make up"
    )
    return 0


class ServiceFailed(Exception):
    """The service did not start or did not stop as it should."""


@contextmanager
def running_service(directory: Path, log: Path) -> Iterator[Client]:
    """`jobresults up` on a free port, with none of the settings around here."""
    data = directory / "data"
    command = [sys.executable, "-m", "jobresults.cli.main", "up", "--port", "0"]
    environ = {name: text for name, text in os.environ.items() if "JOBRESULTS_" not in name}
    with log.open("wb") as output:
        process = subprocess.Popen(  # noqa: S603 - our own command
            [*command, "--data-dir", str(data)],
            cwd=directory,
            env=environ,
            stdout=output,
            stderr=subprocess.STDOUT,
        )
    try:
        url = wait_for_url(process, data / "url")
        with Client(url, (data / "api-key").read_text().strip()) as client:
            yield client
    finally:
        status = stop(process)
    if status:
        raise ServiceFailed(f"it ended with exit status {status}")


def stop(process: subprocess.Popen[bytes]) -> int:
    """Stop the service; its exit status."""
    process.terminate()
    try:
        return process.wait(STOP_SECONDS)
    except subprocess.TimeoutExpired:
        process.kill()
        return process.wait()


def wait_for_url(process: subprocess.Popen[bytes], file: Path) -> str:
    """The address, as soon as the service is ready."""
    deadline = time.monotonic() + START_SECONDS
    while not file.exists():
        if process.poll() is not None or time.monotonic() > deadline:
            raise ServiceFailed("the service did not start")
        time.sleep(0.05)
    return file.read_text().strip()


def score_samples(client: Client) -> list[Scored]:
    """Submit every sample customer, then poll for all the results at once."""
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        TextColumn("{task.fields[state]}"),
    )
    with Progress(*columns, console=console) as progress, ThreadPoolExecutor(len(SAMPLES)) as pool:

        def follow(customer: str, handle: JobHandle) -> Scored:
            row = progress.add_task(customer, total=None, state="queued")

            def show(job: dict[str, Any]) -> None:
                done = job["progress"] or {"done": 0, "total": None}
                progress.update(
                    row, completed=done["done"], total=done["total"], state=job["state"]
                )

            score = handle.result(RESULT_SECONDS, on_progress=show)
            messages = score["counts"]["messages_total"]
            progress.update(
                row, completed=1, total=1, state=f"succeeded, {messages:,} messages read"
            )
            return Scored(customer, score, handle.refresh())

        customers = [(file.stem, json.loads(file.read_bytes())) for file in SAMPLES]
        handles = [client.add(customer, messages) for customer, messages in customers]
        names = [customer for customer, _ in customers]
        return list(pool.map(follow, names, handles))


def table_of(scored: list[Scored]) -> Table:
    """Scores with the reasons that cost most points, and how long each job took."""
    table = Table("customer", box=SIMPLE_HEAD, pad_edge=False)
    table.add_column("score", justify="right")
    table.add_column("points lost, and why", ratio=1)
    for heading in ("waited", "ran"):
        table.add_column(heading, justify="right", no_wrap=True)
    for one in scored:
        reasons = [
            f"{reason['points_lost']:3g}  {reason['text']}" for reason in one.score["reasons"][:3]
        ]
        table.add_row(
            one.customer,
            "-" if one.score["score"] is None else str(one.score["score"]),
            "\n".join(reasons),
            f"{seconds_between(one.job['created_at'], one.job['started_at']):.2f} s",
            f"{seconds_between(one.job['started_at'], one.job['ended_at']):.2f} s",
        )
    return table


def seconds_between(start: str, end: str) -> float:
    """The time between two RFC 3339 times."""
    return (datetime.fromisoformat(end) - datetime.fromisoformat(start)).total_seconds()


if __name__ == "__main__":
    sys.exit(main())
