"""The peers: how each is installed, and how its workers are started.

Each lives in an environment of its own below `.bench/`, never among our dependencies. To choose
newer versions: `uv pip compile - --universal --python-version 3.11 --generate-hashes --no-header
--no-annotate` with the names on top of the `on_*` modules' imports, into `requirements-<name>.txt`.
"""

# ruff: noqa: E501 - the table of peers reads by line

from __future__ import annotations

import subprocess
import sys
import zlib
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from benchmarks.processes import ROOT

HERE = Path(__file__).parent
_ENVIRONMENTS = ROOT / ".bench" / "peers"


class CannotInstall(RuntimeError):
    """A peer's packages cannot be had here; says why."""


@dataclass(frozen=True)
class Peer:
    """A system beside ours. `command` is completed with the number of worker processes, unless
    `copies` says that it is started once for each.
    """

    name: str
    package: str
    module: str
    command: str
    jobs: int
    copies: bool = False
    workers: tuple[int, ...] = (1, 2)
    needs_postgresql: bool = False
    tuning: str = ""

    @property
    def programs(self) -> Path:
        """The folder of its programs; RQ is one of our own dependencies.

        Raises:
            CannotInstall
        """
        return Path(sys.executable).parent if self.package == "rq" else installed(self.package)

    def commands(self, workers: int) -> list[list[str]]:
        program, *arguments = self.command.format(workers=workers).split()
        return [[str(self.programs / program), *arguments]] * (workers if self.copies else 1)

    def driver(self, kind: str, count: int) -> list[str]:
        return [str(self.programs / "python"), "driver.py", self.module, kind, str(count)]

    def version(self) -> str:
        code = f"from importlib.metadata import version; print(version('{self.package}'))"
        python = str(self.programs / "python")
        return subprocess.run(
            [python, "-c", code], capture_output=True, text=True, check=True
        ).stdout.strip()


PEERS = (
    Peer("rq Worker", "rq", "on_rq", "rq worker --quiet", 300, copies=True,
         tuning="a fork for each job, as it comes"),
    Peer("rq SimpleWorker", "rq", "on_rq", "rq worker --quiet --worker-class rq.SimpleWorker", 1_000,
         copies=True, tuning="no isolation"),
    Peer("rq WorkerPool", "rq", "on_rq", "rq worker-pool --quiet --num-workers {workers}", 300, workers=(2,)),
    Peer("celery", "celery", "on_celery",
         "celery --app on_celery worker --pool prefork --concurrency {workers} --loglevel ERROR"
         " --without-gossip --without-mingle --without-heartbeat", 3_000,
         tuning="prefork, prefetch multiplier 128, no gossip, mingle, heartbeat"),
    Peer("dramatiq", "dramatiq", "on_dramatiq",
         "dramatiq --processes {workers} --threads 8 on_dramatiq", 6_000, tuning="8 threads a process"),
    Peer("huey", "huey", "on_huey",
         "huey_consumer --quiet --workers {workers} --worker-type process --no-periodic on_huey.huey", 6_000,
         tuning="process workers, blocking pops, no periodic tasks"),
    Peer("arq", "arq", "on_arq", "arq on_arq.WorkerSettings", 6_000, copies=True,
         tuning="100 jobs at a time, poll every 2 ms, results not logged"),
    Peer("saq", "saq", "on_saq", "saq --quiet on_saq.settings", 6_000, copies=True,
         tuning="100 jobs at a time"),
    Peer("taskiq", "taskiq-redis", "on_taskiq",
         "taskiq worker --workers {workers} --log-level ERROR on_taskiq:broker", 5_000,
         tuning="list broker, uvloop, orjson, 100 jobs at a time"),
    Peer("procrastinate", "procrastinate", "on_procrastinate",
         "procrastinate --app on_procrastinate.app worker --concurrency 30", 1_500, copies=True,
         needs_postgresql=True, tuning="PostgreSQL, 30 jobs at a time, woken by NOTIFY; keeps no return value"),
)  # fmt: skip


@cache
def installed(package: str) -> Path:
    """Install a peer's packages, unless they are there, and return the folder of its programs.

    Raises:
        CannotInstall
    """
    requirements = HERE / f"requirements-{package}.txt"
    checksum = zlib.crc32(requirements.read_bytes() + sys.version.encode())
    environment = _ENVIRONMENTS / package
    stamp = environment / f"installed-{checksum:08x}"
    programs = environment / "bin"
    if not stamp.exists():
        print(f"installing {package}", flush=True)
        _run([sys.executable, "-m", "venv", "--clear", str(environment)])
        pip = [str(programs / "python"), "-m", "pip", "--disable-pip-version-check", "--no-input"]
        _run([*pip, "install", "--quiet", "--no-deps", "--require-hashes", "-r", str(requirements)])
        stamp.touch()
    return programs


def _run(command: list[str]) -> None:
    try:
        subprocess.run(command, capture_output=True, text=True, check=True)
    except subprocess.CalledProcessError as error:
        lines = [line for line in error.stderr.splitlines() if line.lower().startswith("error")]
        raise CannotInstall((lines or [f"{command[0]} failed"])[-1]) from error
