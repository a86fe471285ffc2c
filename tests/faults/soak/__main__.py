"""`make soak`. Arguments: SOAK_JOBS, SOAK_KILLS, SOAK_SEED, SOAK_REPORT, and SOAK_DATABASE (sqlite,
postgresql).
"""

from __future__ import annotations

import os
import random
import shutil
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.faults.soak.plan import make_plan
from tests.faults.soak.soak import SHAPE, run
from tests.faults.soak.timeline import page
from tests.services.postgresql_server import PostgresqlServer, find_programs
from tests.services.redis_server import CHOICE, RedisServer, find_program
from tests.services.stack import running_stack

AOF = ("--appendonly", "yes", "--appendfsync", "everysec")


def main() -> int:
    """Exit status: 0 if every promise was kept."""
    jobs, kills = int(os.environ.get("SOAK_JOBS", "1000")), int(os.environ.get("SOAK_KILLS", "50"))
    seed = int(os.environ.get("SOAK_SEED") or random.randrange(1_000_000))
    kind = os.environ.get("SOAK_DATABASE", "sqlite")
    report = Path(os.environ.get("SOAK_REPORT", "soak-report.html"))
    plan = make_plan(jobs, kills, seed, ledger_dies=kind == "postgresql")
    print(f"soak      SOAK_DATABASE={kind} SOAK_JOBS={jobs} SOAK_KILLS={kills} SOAK_SEED={seed}")
    with _redis() as redis, _database_url(kind) as url, running_stack(url, redis, SHAPE) as stack:
        verdict = run(stack, plan)
        report.write_text(page(verdict, kind))
        if verdict.violations:
            logs = report.with_suffix(".logs")
            shutil.copytree(stack.directory, logs, dirs_exist_ok=True)
            print(f"logs      {logs}")
    print(verdict.summary())
    print(f"report    {report}")
    return 1 if verdict.violations else 0


@contextmanager
def _directory() -> Iterator[Path]:
    # Short and not below a private one: for the path of a socket, and for PostgreSQL's own user.
    directory = Path(tempfile.mkdtemp(prefix="jr-soak-", dir="/tmp"))
    try:
        yield directory
    finally:
        shutil.rmtree(directory)


@contextmanager
def _redis() -> Iterator[RedisServer]:
    program = find_program(os.environ.pop(CHOICE, None))
    if program is None:
        sys.exit("error: needs Redis: make install, or apt-get install redis-server")
    with _directory() as directory:
        server = RedisServer(program, directory, *AOF)
        try:
            yield server
        finally:
            server.stop()


@contextmanager
def _database_url(kind: str) -> Iterator[str]:
    with _directory() as directory:
        if kind != "postgresql":
            yield f"sqlite:///{directory}/ledger.db"
            return
        programs = find_programs()
        if programs is None:
            sys.exit("error: needs PostgreSQL's programs: apt-get install postgresql")
        server = PostgresqlServer(programs, directory)
        try:
            yield server.empty_database()
        finally:
            server.stop()


if __name__ == "__main__":
    sys.exit(main())
