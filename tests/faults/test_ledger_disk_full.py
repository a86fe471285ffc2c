"""A full disk: where the logs are nobody cares, where SQLite is nothing is accepted that cannot be
kept.
"""

from __future__ import annotations

import os
import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import psutil
import pytest

from tests.faults.workers import running_worker
from tests.services.process import eventually
from tests.services.redis_server import RedisServer
from tests.services.stack import Shape, Stack, running_stack

PARAMS = {"value": "x" * 50_000}
TALKATIVE = {"message": "x" * 2_000}  # in two lines of the worker's log
ENOUGH = 1_000


class Disk:
    """A small file system of its own."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self._ballast = directory / "ballast"

    def fill(self) -> None:
        """Leave no byte free."""
        for size in (65_536, 1):
            with suppress(OSError), self._ballast.open("ab", buffering=0) as file:
                while file.write(b"\0" * size):
                    pass
        assert os.statvfs(self.directory).f_bavail == 0

    def clear(self) -> None:
        self._ballast.unlink()


@contextmanager
def small_disk(directory: Path, mebibytes: int) -> Iterator[Disk]:
    """A tmpfs. Skips the test where mounting is not allowed; on a build server root must be able
    to.
    """
    directory.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", f"size={mebibytes}m", "tmpfs", str(directory)]
    mounted = subprocess.run(command, capture_output=True, text=True)
    if mounted.returncode:
        missing = pytest.fail if os.environ.get("CI") and os.geteuid() == 0 else pytest.skip
        missing(f"needs root and CAP_SYS_ADMIN to mount a small disk: {mounted.stderr.strip()}")
    try:
        yield Disk(directory)
    finally:
        subprocess.run(["umount", str(directory)], check=True)


def process_ids(stack: Stack) -> set[int]:
    """Every process of the service: one that is started again has another id."""
    parents = [psutil.Process(process.pid) for process in stack.processes.values()]
    return {each.pid for parent in parents for each in (parent, *parent.children())}


def test_row_20_disk_full_under_the_logs(
    tmp_path: Path, empty_database: Callable[[str], str], start_redis: Callable[[], RedisServer]
) -> None:
    """Row 20: jobs are accepted, run and read while no line of log can be written.

    Red if a log handler lets OSError through, as one with its own `emit` easily does.
    """
    with small_disk(tmp_path / "logs", 1) as disk:
        shape = Shape(settings={"LOGGING__DIRECTORY": str(disk.directory)})
        with running_stack(empty_database("sqlite"), start_redis(), shape) as stack:
            stack.run("echo")
            before = process_ids(stack)
            disk.fill()
            for value in range(5):
                job_id = stack.run("echo", {"value": value})
                assert stack.request("GET", f"/get_result?job_id={job_id}").json() == value
                unheard = stack.run("fails", TALKATIVE)
            log = disk.directory / "worker" / "error.log"
            assert unheard not in log.read_text(), "its last page had room"
            assert process_ids(stack) == before
            disk.clear()
            heard = stack.run("fails", TALKATIVE)
            eventually(lambda: heard in log.read_text(), "logs are written again")


def test_row_20_disk_full_under_sqlite(
    tmp_path: Path, start_redis: Callable[[], RedisServer]
) -> None:
    """Row 20: 503 instead of a false 202, and no process dies of it; what was accepted runs.

    Red if "database or disk is full" is not told as LedgerUnavailable: 500, and workers that exit.
    """
    with small_disk(tmp_path / "ledger", 8) as disk:
        url = f"sqlite:///{disk.directory}/ledger.db"
        with running_stack(url, start_redis(), Shape(workers=0)) as stack:
            done = run_one(stack)
            accepted = [stack.submit("echo", PARAMS) for _ in range(5)]
            before = process_ids(stack)
            disk.fill()
            accepted += submit_until_refused(stack)
            assert stack.request("GET", f"/get_result?job_id={done}").status_code == 200
            with running_worker(stack) as worker:
                # SQLite's log may have room for some of them.
                eventually(
                    lambda: "disk is full" in worker.log() or all_ended(stack, accepted),
                    "the worker has met the full disk",
                )
                disk.clear()
                for job_id in (*accepted, stack.submit("echo", PARAMS)):
                    assert stack.ended(job_id)["result"] == PARAMS["value"]
                assert worker.is_running
            assert process_ids(stack) == before


def submit_until_refused(stack: Stack) -> list[str]:
    """The ids of jobs that SQLite's log had room for."""
    accepted: list[str] = []
    for _ in range(ENOUGH):
        response = stack.request("POST", "/v1/jobs", json={"task": "echo", "params": PARAMS})
        if response.status_code != 202:
            assert (response.status_code, response.json()["code"]) == (503, "ledger_unavailable")
            return accepted
        accepted.append(response.json()["job_id"])
    raise AssertionError("the disk is not full")


def all_ended(stack: Stack, job_ids: list[str]) -> bool:
    return all(stack.job(job_id)["done"] for job_id in job_ids)


def run_one(stack: Stack) -> str:
    with running_worker(stack):
        return stack.run("echo")
