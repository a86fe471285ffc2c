"""The process that answers `GET /metrics` for a web server: apart from its workers, so that
neither's load is the other's. Its standard input is the listening socket.
"""

from __future__ import annotations

import ctypes
import logging
import os
import signal
import socket
import sys
from pathlib import Path

from prometheus_client import CollectorRegistry
from prometheus_client.multiprocess import MultiProcessCollector

from jobresults.telemetry.metrics_server import MetricsServer
from jobresults.web.process_tree import ProcessTree

_PR_SET_PDEATHSIG = 1
_LOOK_SECONDS = 0.5


class _Server(MetricsServer):
    parent_pid = 0

    def service_actions(self) -> None:
        """Called every half second: end with the master, if the system has no death signal."""
        if os.getppid() != self.parent_pid:
            os._exit(0)


def main(directory: Path, parent_pid: int) -> None:
    """Serve what stands in the directory's files, as long as the parent lives."""
    logging.basicConfig(level=logging.WARNING)
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the master
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    registry = CollectorRegistry()
    MultiProcessCollector(registry, str(directory))  # type: ignore[no-untyped-call]
    registry.register(ProcessTree(parent_pid))
    server = _Server(socket.socket(fileno=0), registry)
    server.parent_pid = parent_pid
    server.serve_forever(_LOOK_SECONDS)


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]))
