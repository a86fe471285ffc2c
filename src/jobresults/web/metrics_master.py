"""The web server's metrics as its master keeps them: the directory with their files, the slots of
the workers, and the exporter. The lower half are gunicorn's hooks.
"""

from __future__ import annotations

import atexit
import logging
import os
import shutil
import signal
import sys
import tempfile
import time
from contextlib import suppress
from pathlib import Path
from socket import socket
from typing import Any

from jobresults.configuration import load_settings
from jobresults.errors import ConfigurationError
from jobresults.settings import MetricsSettings
from jobresults.telemetry.log_counts import LogCounter
from jobresults.telemetry.metrics import WORKER_TIMEOUTS, tell_build
from jobresults.telemetry.metrics_server import listen
from jobresults.web import metric_files

logger = logging.getLogger(__name__)

_SHARED_MEMORY = Path("/dev/shm")  # nosec B108  # noqa: S108
_RESTART_SECONDS = 1.0
WRONG_SETTING = 2  # the exit status, as the command line has it


class WebMetrics:
    """One web server's, from its start to its end."""

    def __init__(self, settings: MetricsSettings) -> None:
        """Listen, make the directory, start the exporter.

        Raises:
            ConfigurationError: the port cannot be listened on.
        """
        assert settings.port is not None
        self._listener: socket = listen(settings.host, settings.port)
        self.directory = _new_directory(settings)
        self._pid = os.getpid()
        metric_files.open_slot(self.directory, metric_files.MASTER)
        tell_build("web")
        self._exporter = self._spawn()
        atexit.register(self.close)

    def keep_exporting(self) -> None:
        """To be called about every second: start the exporter again if it has died."""
        if _is_running(self._exporter) or time.monotonic() < self._started_at + _RESTART_SECONDS:
            return
        logger.error("the metrics' exporter ended; starting it again")
        self._exporter = self._spawn()

    def enter_worker(self, slot: str) -> None:
        """In a forked worker: count into its slot, and let go of what is the master's."""
        self._listener.close()
        metric_files.open_slot(self.directory, slot)

    def close(self) -> None:
        """End the exporter and remove the files. Does nothing in a forked process."""
        if os.getpid() != self._pid:
            return
        with suppress(ProcessLookupError, ChildProcessError):
            os.kill(self._exporter, signal.SIGKILL)
            os.waitpid(self._exporter, 0)
        self._listener.close()
        shutil.rmtree(self.directory, ignore_errors=True)

    def _spawn(self) -> int:
        """A new program and not a fork: it shares neither memory nor locks nor greenlets."""
        self._started_at = time.monotonic()
        arguments = ("-m", "jobresults.web.metrics_exporter", str(self.directory), str(os.getpid()))
        return os.posix_spawn(
            sys.executable,
            (sys.executable, *arguments),
            os.environ,
            file_actions=[(os.POSIX_SPAWN_DUP2, self._listener.fileno(), 0)],
        )


def start(settings: MetricsSettings) -> WebMetrics | None:
    """None if `metrics.port` is null: then numbers are kept in memory, and nobody sees them.

    Raises:
        ConfigurationError: the port cannot be listened on.
    """
    return None if settings.port is None else WebMetrics(settings)


def _new_directory(settings: MetricsSettings) -> Path:
    """An empty one for us alone. What was left behind by servers that were killed is removed: the
    port is ours, so they are gone.
    """
    parent = _SHARED_MEMORY if _SHARED_MEMORY.is_dir() else Path(tempfile.gettempdir())
    address = settings.host.replace("/", "").replace(":", "-")
    prefix = f"jobresults-metrics-{address}-{settings.port}-"
    for left in parent.glob(f"{prefix}*"):
        with suppress(OSError):
            if left.lstat().st_uid == os.geteuid():
                shutil.rmtree(left)
    return Path(tempfile.mkdtemp(prefix=prefix, dir=parent))


def _is_running(pid: int) -> bool:
    try:
        return os.waitpid(pid, os.WNOHANG) == (0, 0)
    except ChildProcessError:  # gunicorn has noticed before us
        return False


def on_starting(server: Any) -> None:
    """Called in gunicorn's master, once, before it listens."""
    try:
        server.metrics = start(load_settings().metrics)
    except ConfigurationError as error:
        server.log.critical("%s", error.detail)
        sys.exit(WRONG_SETTING)


def when_ready(server: Any) -> None:
    """Called before the first workers are forked. gunicorn has no hook for other children, but
    looks after its own about every second.
    """
    if server.metrics is None:
        return
    manage_workers = server.manage_workers

    def manage_all() -> None:
        server.metrics.keep_exporting()
        manage_workers()

    server.manage_workers = manage_all


def pre_fork(server: Any, worker: Any) -> None:
    """Called in the master: give the worker the first slot that no living one has."""
    taken = {other.slot for other in server.WORKERS.values()}
    worker.slot = next(slot for slot in range(len(taken) + 1) if slot not in taken)


def post_fork(server: Any, worker: Any) -> None:
    """Called in the worker, before its application is loaded."""
    LogCounter.counting = True
    if server.metrics is not None:
        server.metrics.enter_worker(str(worker.slot))


def child_exit(server: Any, worker: Any) -> None:
    """Called in the master once a worker has ended, however it did."""
    if worker.aborted:
        WORKER_TIMEOUTS.inc()
    if server.metrics is not None:
        metric_files.release_slot(server.metrics.directory, str(worker.slot))
