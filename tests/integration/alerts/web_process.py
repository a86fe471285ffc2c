"""A small application under gunicorn, with the alerts of the real one: its requests log errors."""

from __future__ import annotations

import os
import signal
import socket
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psutil
import requests

from tests.services.process import Process, eventually, unmeasured
from tests.services.stack import PROJECT, reserved_port

CONF = """
from gevent import monkey
monkey.patch_all()
from jobresults.alerts.start import start_alerts
from jobresults.configuration import load_settings
from jobresults.telemetry.logging_setup import logging_dict

settings = load_settings()
start_alerts(settings)
logconfig_dict = logging_dict(settings, "web")
"""

APP = """
import logging, os, signal
from jobresults.telemetry.logging_context import bound

log = logging.getLogger("jobresults.of_this_test")

def first(): raise ValueError("one")
def second(): raise KeyError("two")
BUGS = {"first": first, "second": second}

def app(environ, start_response):
    word, _, rest = environ["PATH_INFO"][1:].partition("/")
    if word == "stuck":
        os.kill(os.getpid(), signal.SIGSTOP)
    if word == "log":
        name, _, count = rest.partition("/")
        for number in range(int(count)):
            with bound(request_id=f"r{number}", customer=f"c{number % 5}"):
                try:
                    BUGS[name]()
                except Exception:
                    log.exception("request %s failed", number)
    body = str(os.getpid()).encode()
    start_response("200 OK", [("Content-Length", str(len(body)))])
    return [body]
"""


class Web:
    """The running server."""

    def __init__(self, port: int, process: Process) -> None:
        self.port, self.process = port, process

    def get(self, path: str) -> int:
        """The process that answered; a connection of its own each time."""
        answer = requests.get(f"http://127.0.0.1:{self.port}/{path}", timeout=30)
        return int(answer.text)

    def send(self, path: str) -> None:
        """Ask, and wait for no answer."""
        with socket.create_connection(("127.0.0.1", self.port), timeout=10) as connection:
            connection.sendall(f"GET /{path} HTTP/1.0\r\n\r\n".encode())

    def worker_pids(self) -> list[int]:
        return [child.pid for child in psutil.Process(self.process.pid).children()]


@contextmanager
def running_web(directory: Path, redis_url: str, *flags: str, workers: int = 1) -> Iterator[Web]:
    (directory / "conf.py").write_text(CONF)
    (directory / "tiny_app.py").write_text(APP)
    environ = unmeasured(
        PYTHONPATH=f"{PROJECT / 'src'}{os.pathsep}{PROJECT}{os.pathsep}{directory}",
        JOBRESULTS_REDIS__URL=redis_url,
    )
    command = [sys.executable, "-m", "gunicorn", "tiny_app:app", "--config", f"{directory}/conf.py"]
    command += ["--worker-class", "gevent", "--no-control-socket", "--workers", str(workers)]
    with reserved_port() as port:
        command += ["--bind", f"127.0.0.1:{port}", *flags]
        web = Web(port, Process("web", command, directory, environ))
        try:
            eventually(lambda: _answers(web), "the web answers")
            yield web
        except BaseException as error:
            error.add_note(web.process.log(200))
            raise
        finally:
            for pid in web.worker_pids() if web.process.is_running else []:
                os.kill(pid, signal.SIGCONT)
            web.process.stop(grace_seconds=5)


def _answers(web: Web) -> bool:
    try:
        return bool(web.get("pid"))
    except requests.ConnectionError:
        return False
