"""Serving the application: gunicorn with gevent workers, or gevent's own server for small
installations.
"""

from __future__ import annotations

import gc
import importlib.util
import os
import sys
import threading
import time
from pathlib import Path
from typing import Any, Literal, NoReturn

from jobresults.web.hub_lag import watch_hub_lag

_LOOK_SECONDS = 0.2


def run(server: Literal["gunicorn", "pywsgi"] = "gunicorn") -> NoReturn:
    """Serve until SIGTERM. The server takes this process over: gevent must patch before anything is
    imported.

    It reads the settings again, from the same sources.
    """
    command = [sys.executable, "-m", "jobresults.web.pywsgi_server"]
    if server == "gunicorn":
        entry = importlib.util.find_spec("wsgi_app")
        assert entry is not None
        assert entry.origin is not None
        configuration = Path(entry.origin).with_name("gunicorn.conf.py")
        command = [sys.executable, "-m", "gunicorn", "--config", str(configuration), "wsgi_app:app"]
    os.execv(sys.executable, command)  # nosec B606  # noqa: S606 - no shell


def begin(worker: Any) -> None:
    """In a gunicorn worker that is about to serve."""
    counts = worker.wsgi.extensions.get("request_counts")
    if counts is not None:
        worker.counts = worker.log.counts = counts
        watch_hub_lag()
    drain_when_stopping(worker)
    gc.freeze()  # else each full collection looks through all modules, while every request waits


def drain_when_stopping(worker: Any) -> None:
    """In a gunicorn worker: when it is told to stop, answer those who wait and say "not ready".

    gunicorn's gevent worker only closes its sockets then, and kills what still waits when its grace
    is over.
    """
    bell = worker.wsgi.extensions["jobresults"].bell

    def watch() -> None:
        while worker.alive:
            time.sleep(_LOOK_SECONDS)
        bell.drain()

    threading.Thread(target=watch, name="drain", daemon=True).start()
