"""What a row has for itself: Redis servers, stock workers, and the effects of its jobs."""

from __future__ import annotations

import shutil
import signal
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from itertools import count
from pathlib import Path
from typing import Any

import psutil
import redis
from rq import Queue
from rq.job import Job

from tests.faults.proxy import FaultProxy, fault_proxy
from tests.faults.stock import tasks
from tests.faults.stock.worker import connect
from tests.services.process import Process, eventually, unmeasured
from tests.services.redis_server import RedisServer
from tests.services.stack import PROJECT


@dataclass(frozen=True)
class Seen:
    """What stock RQ did. `is_bad`: it lost, repeated, stranded, changed or held up something."""

    text: str
    is_bad: bool


class NotPossibleHereError(Exception):
    """The row needs what this machine does not have or allow."""


class Rig:
    """Whatever it starts ends with its row."""

    def __init__(self, directory: Path, program: str, running: ExitStack) -> None:
        self.directory, self._program, self._running = directory, program, running
        self._numbers = count(1)
        self.effects, self._gate = directory / "effects", directory / "gate"

    def redis(self, *options: str, prefix: Sequence[str] = ()) -> RedisServer:
        """One more, with the program's options, run by the command `prefix`."""
        directory = self.directory / f"redis-{next(self._numbers)}"
        directory.mkdir()
        server = RedisServer(self._program, directory, *options, prefix=prefix)
        self._running.callback(self._stop, server)
        return server

    def proxy(self, server: RedisServer) -> FaultProxy:
        return self._running.enter_context(fault_proxy(Path(server.url.removeprefix("unix://"))))

    def queue(self, url: str) -> Queue:
        """The queue `default`, over connections of its own."""
        connection = connect(url)
        self._running.callback(connection.close)
        return Queue(connection=connection)

    def worker(self, url: str, *queues: str, environ: Mapping[str, str] | None = None) -> Process:
        """One more, once it listens to `default` or the queues given."""
        process = self._start(url, "stay", *queues, environ=environ)
        eventually(lambda: "Listening on" in process.log(), "the worker listens")
        return process

    def drain(self, url: str) -> None:
        """Let one more worker run whatever is queued."""
        status = self._start(url, "burst").end(grace_seconds=60)
        assert status == 0, f"the worker ended with {status}"

    def enqueue(self, queue: Queue, *, gated: bool = False, **options: Any) -> Job:
        """A job that leaves a mark. `gated`: it runs until `open_gate` lets its start end."""
        gate = str(self._gate) if gated else None
        return queue.enqueue(tasks.leaves_a_mark, str(self.effects), gate, **options)

    def open_gate(self, start: int = 1) -> None:
        Path(f"{self._gate}{start}").touch()

    def starts(self, job: Job) -> int:
        """How often it has begun."""
        return _times_in(self.effects, job)

    def alerts(self, job: Job) -> int:
        """How often `tasks.alerts` was called for it."""
        return _times_in(Path(f"{self.effects}.alerts"), job)

    def await_start(self, job: Job, start: int = 1) -> None:
        eventually(lambda: self.starts(job) == start, f"start {start} of the job")

    def _start(
        self, url: str, *arguments: str, environ: Mapping[str, str] | None = None
    ) -> Process:
        command = [sys.executable, "-m", "tests.faults.stock.worker", url, *arguments]
        process = Process(
            f"worker-{next(self._numbers)}",
            command,
            self.directory,
            unmeasured(PYTHONPATH=str(PROJECT), **(environ or {})),
        )
        self._running.callback(process.stop, signal.SIGKILL)
        return process

    @staticmethod
    def _stop(server: RedisServer) -> None:
        if server.process.is_running:
            server.process.send(signal.SIGCONT)
        server.stop()


def _times_in(file: Path, job: Job) -> int:
    return file.read_text().split().count(job.id) if file.exists() else 0


@contextmanager
def rig(program: str) -> Iterator[Rig]:
    """`program`: the Redis server's path."""
    # Short: a Unix socket's path has 107 bytes at most.
    directory = Path(tempfile.mkdtemp(prefix="jr-stock-", dir="/tmp"))
    with ExitStack() as running:
        running.callback(shutil.rmtree, directory)
        yield Rig(directory, program, running)


def comes_true(condition: Callable[[], object], within_seconds: float) -> bool:
    """Whether it does, watched that long."""
    deadline = time.monotonic() + within_seconds
    while time.monotonic() < deadline:
        if condition():
            return True
        time.sleep(0.1)
    return False


def seconds_of(action: Callable[[], object]) -> tuple[float, Exception | None]:
    """How long it took, and what it raised."""
    began, raised = time.monotonic(), None
    try:
        action()
    except Exception as error:  # noqa: BLE001 - whatever a caller of RQ would get
        raised = error
    return time.monotonic() - began, raised


def horse_of(worker: Process) -> psutil.Process:
    """The process that runs the worker's job."""
    return eventually(lambda: psutil.Process(worker.pid).children(), "a work horse runs")[0]


def kill_both(worker: Process) -> None:
    """SIGKILL for the worker and its horse, as when their container dies."""
    horse = horse_of(worker)
    psutil.Process(worker.pid).suspend()  # or it would see its horse die
    horse.kill()
    worker.stop(signal.SIGKILL)


def await_pop(connection: redis.Redis) -> None:
    """Until a worker waits in its blocking pop, which it does for 405 s."""

    def waits() -> bool:
        return any("b" in client["flags"] for client in connection.client_list())

    eventually(waits, "a worker waits for work")


def freeze_in_pop(worker: Process, connection: redis.Redis) -> None:
    """SIGSTOP for a worker that waits for work: Redis hands it the next job all the same."""
    await_pop(connection)
    worker.send(signal.SIGSTOP)
    process = psutil.Process(worker.pid)
    eventually(lambda: process.status() == psutil.STATUS_STOPPED, "the worker stands still")


def expire_heartbeats(queue: Queue) -> None:
    """As if the 90 s were over for which a heartbeat vouches for a running job."""
    register = queue.started_job_registry.key
    entries: Any = queue.connection.zrange(register, 0, -1)
    queue.connection.zadd(register, dict.fromkeys(entries, time.time() - 1))


def status_of(job: Job) -> str:
    return str(job.get_status().value)
