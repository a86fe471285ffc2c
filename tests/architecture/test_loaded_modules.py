"""What the processes of the service do not load, for memory's sake: each module here was drawn in
by something once, and weighs one to ten MiB in every process.
"""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from tests.services.process import unmeasured

PROJECT = Path(__file__).parents[2]
# redis-py would count with OpenTelemetry and psutil; partial indexes ask for both dialects.
NOT_NEEDED = {
    "alembic",
    "opentelemetry",
    "psutil",
    "pydantic_settings",
    "sentry_sdk",
    "sqlalchemy.dialects.postgresql",
    "sqlalchemy.orm",
}
ONLY_IN_WEB = {"flask", "gevent", "gunicorn", "jinja2", "jwt", "werkzeug"}
WEB = """
import runpy, sys
runpy.run_path("gunicorn.conf.py")  # in the master
print(*sys.modules)
import wsgi_app  # in a worker
"""
# Told to stop as soon as it says something: then it has all it needs.
OTHERS = """
import logging, os, signal, sys
from jobresults.cli.main import main

make = logging.getLogRecordFactory()
def stop(name, *arguments, **more):
    if name == "jobresults.{role}.main":
        os.kill(os.getpid(), signal.SIGTERM)
    return make(name, *arguments, **more)

logging.setLogRecordFactory(stop)
main(["{role}"], standalone_mode=False)
"""


def run(program: str, directory: Path) -> list[set[str]]:
    """What the program printed, words by line, in a process over an SQLite ledger; the last line:
    the modules loaded at its end.
    """
    at_end = "import atexit, sys; atexit.register(lambda: print(*sys.modules))\n"
    environ = unmeasured(
        JOBRESULTS_DATABASE__URL=f"sqlite:///{directory}/ledger.db",
        JOBRESULTS_REDIS__URL=f"unix://{directory}/nobody-listens",
    )
    done = subprocess.run(
        [sys.executable, "-c", at_end + program],
        cwd=PROJECT,
        env=environ,
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.returncode == 0, done.stderr
    return [set(line.split()) for line in done.stdout.splitlines()]


@pytest.mark.parametrize("role", ["worker", "maintenance"])
def test_the_background_processes_load_nothing_of_the_web_and_nothing_unused(
    role: str, tmp_path: Path
) -> None:
    loaded = run(OTHERS.format(role=role), tmp_path)[-1]
    assert {f"jobresults.{role}.main", "sqlalchemy.dialects.sqlite"} <= loaded
    assert loaded & (NOT_NEEDED | ONLY_IN_WEB) == set()


def test_web_loads_nothing_unused_and_workers_share_it_with_their_master(tmp_path: Path) -> None:
    in_master, loaded = run(WEB, tmp_path)[-2:]
    assert {"jobresults.web.services", "sqlalchemy.dialects.sqlite"} <= loaded
    assert loaded & NOT_NEEDED == set()
    own = loaded - in_master
    assert {"wsgi_app", "jobresults.tasks.score"} <= own  # each knows the tasks by itself
    assert [name for name in own if name.startswith(("flask", "jobresults.web", "redis"))] == []
