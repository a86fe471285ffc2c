"""Log files shared by processes, and a real gunicorn under the dict."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.client import HTTPConnection
from pathlib import Path
from typing import Any

import pytest

ENVIRON = os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)}
WRITERS, LINES_EACH, FILE_BYTES = 8, 250, 8_192

WRITE = """
import logging, os, sys
from logging.config import dictConfig
from jobresults.settings import LoggingSettings, Settings
from jobresults.telemetry.logging_setup import logging_dict

directory, configured, handler_class, writers, lines, file_bytes, backups = sys.argv[1:]
chosen = LoggingSettings(directory=directory, file_max_bytes=file_bytes, file_backups=backups)
config = logging_dict(Settings(environment="production", logging=chosen), "worker")
if handler_class == "standard":
    config["handlers"]["error_file"]["class"] = "logging.handlers.RotatingFileHandler"
    del config["handlers"]["error_file"]["keep_file_open"]
log = logging.getLogger("jobresults.test")

if configured == "before the fork":
    dictConfig(config)
    log.info("parent")
gate, open_gate = os.pipe()
children = []
for writer in range(int(writers)):
    if not (child := os.fork()):
        os.close(open_gate)
        if configured == "in each process":
            dictConfig(config)
        os.read(gate, 1)
        for n in range(int(lines)):
            log.info("%s-%s", writer, n)
        os._exit(0)
    children.append(child)
os.close(open_gate)
assert not any(os.waitpid(child, 0)[1] for child in children)
"""

GUNICORN_CONF = """
from gevent import monkey
monkey.patch_all()
from jobresults.settings import LoggingSettings, Settings
from jobresults.telemetry.logging_setup import logging_dict

logconfig_dict = logging_dict(
    Settings(environment="production", logging=LoggingSettings(directory={directory!r})), "web"
)
"""

APP = """
import logging, os, signal
from jobresults.telemetry.logging_context import bind, bound

def app(environ, start_response):
    request_id = environ.get("HTTP_X_REQUEST_ID")
    with bound(request_id=request_id):
        if environ["PATH_INFO"] == "/boom":
            raise RuntimeError("boom")
        if environ["PATH_INFO"] == "/stuck":
            os.kill(os.getpid(), signal.SIGSTOP)
        if "HTTP_X_CLIENT" in environ:
            bind(client=environ["HTTP_X_CLIENT"])
        logging.getLogger("jobresults.web").info("handling")
        environ["wsgi.errors"].write("through wsgi.errors\\n")
        headers = [("Content-Length", "2"), ("X-Request-ID", request_id or "new")]
        start_response("200 OK", headers)
        return [b"ok"]
"""

GUNICORN_LOGGER = """
import sys
from gunicorn.config import Config
from gunicorn.glogging import Logger
from jobresults.settings import LoggingSettings, Settings
from jobresults.telemetry.logging_setup import logging_dict

config = logging_dict(Settings(logging=LoggingSettings(directory=sys.argv[1])), "web")
if sys.argv[2] == "unnamed":
    del config["loggers"]["gunicorn.error"]
settings = Config()
settings.set("logconfig_dict", config)
Logger(settings).critical("WORKER TIMEOUT (pid:%s)", 7)
"""


def run_python(code: str, *args: object) -> str:
    command = [sys.executable, "-c", code, *map(str, args)]
    done = subprocess.run(command, env=ENVIRON, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    return done.stdout


def records(*texts: str) -> list[dict[str, Any]]:
    return [json.loads(line) for text in texts for line in text.splitlines()]


def messages(*texts: str) -> Counter[str]:
    return Counter(record["message"] for record in records(*texts))


def written_files(directory: Path) -> list[Path]:
    return sorted((directory / "worker").glob("error.log*"))


@pytest.mark.parametrize("configured", ["in each process", "before the fork"])
def test_rotating_under_eight_processes_loses_and_tears_no_line(
    tmp_path: Path, configured: str
) -> None:
    stdout = run_python(
        WRITE, tmp_path, configured, "concurrent", WRITERS, LINES_EACH, FILE_BYTES, 500
    )

    expected = Counter(f"{writer}-{n}" for writer in range(WRITERS) for n in range(LINES_EACH))
    if configured == "before the fork":
        expected["parent"] = 1
    files = written_files(tmp_path)
    assert messages(*(file.read_text() for file in files)) == expected
    assert messages(stdout) == expected
    assert len(files) > 20
    # The line that reaches the limit is the file's last.
    longest_line = max(map(len, stdout.splitlines(keepends=True)))
    assert max(file.stat().st_size for file in files) < FILE_BYTES + longest_line


def test_the_standard_handler_loses_lines_under_the_same_load(tmp_path: Path) -> None:
    stdout = run_python(
        WRITE, tmp_path, "in each process", "standard", WRITERS, LINES_EACH, FILE_BYTES, 500
    )

    kept = sum(len(file.read_text().splitlines()) for file in written_files(tmp_path))
    assert kept < messages(stdout).total() == WRITERS * LINES_EACH


def test_no_more_files_are_kept_than_asked_for(tmp_path: Path) -> None:
    run_python(WRITE, tmp_path, "in each process", "concurrent", 2, 200, FILE_BYTES, 3)

    assert [file.name for file in written_files(tmp_path)] == [
        "error.log",
        "error.log.1",
        "error.log.2",
        "error.log.3",
    ]


class Gunicorn:
    """A running gunicorn with what it has logged so far."""

    def __init__(self, process: subprocess.Popen[bytes], directory: Path) -> None:
        self.process, self.directory = process, directory

    def lines(self, name: str) -> list[dict[str, Any]]:
        file = self.directory / name
        whole = file.read_text().rpartition("\n")[0] if file.exists() else ""
        return records(whole)

    def awaited(self, name: str, wanted: Callable[[dict[str, Any]], bool]) -> dict[str, Any]:
        """The first line that is wanted, once it is there."""
        deadline = time.monotonic() + 30
        while time.monotonic() < deadline and self.process.poll() is None:
            for line in self.lines(name):
                if wanted(line):
                    return line
            time.sleep(0.02)
        raise AssertionError(f"not in {name}: {self.lines(name)}")

    def connect(self) -> HTTPConnection:
        listening = self.awaited("stdout", lambda line: "Listening at" in line["message"])
        port = re.search(r":(\d+) ", listening["message"])
        assert port
        return HTTPConnection("127.0.0.1", int(port[1]), timeout=30)


@contextmanager
def running_gunicorn(tmp_path: Path, *flags: str) -> Iterator[Gunicorn]:
    (tmp_path / "conf.py").write_text(GUNICORN_CONF.format(directory=str(tmp_path)))
    (tmp_path / "tiny_app.py").write_text(APP)
    command = [sys.executable, "-m", "gunicorn", "tiny_app:app", "--config", "conf.py"]
    command += ["--bind", "127.0.0.1:0", "--worker-class", "gevent", "--no-control-socket", *flags]
    with (
        (tmp_path / "stdout").open("wb") as stdout,
        (tmp_path / "stderr").open("wb") as stderr,
        subprocess.Popen(
            command,
            cwd=tmp_path,
            env=ENVIRON,
            stdout=stdout,
            stderr=stderr,
            start_new_session=True,
        ) as process,
    ):
        try:
            yield Gunicorn(process, tmp_path)
            process.terminate()
            process.wait(20)
        finally:
            if process.poll() is None:
                os.killpg(process.pid, signal.SIGKILL)


def test_gunicorn_logs_requests_and_errors_through_the_dict(tmp_path: Path) -> None:
    with running_gunicorn(tmp_path) as gunicorn:
        connection = gunicorn.connect()
        first = {"X-Request-ID": "r1", "X-Client": "acme", "Authorization": "Bearer hunter2"}
        for path, headers in (("/a%0d%0aforged?token=hunter2", first), ("/b", {})):
            connection.request("GET", path, headers=headers)
            assert connection.getresponse().read() == b"ok"
        connection.request("GET", "/boom?token=hunter2", headers={"X-Request-ID": "r3"})
        assert connection.getresponse().status == 500
        connection.close()
        gunicorn.awaited("web/access.log", lambda line: line["path"] == "/boom")

    access = gunicorn.lines("web/access.log")
    assert [(line["path"], line["status"], line["request_id"]) for line in access] == [
        ("/a%0d%0aforged", 200, "r1"),
        ("/b", 200, "new"),
        ("/boom", 500, None),
    ]
    assert access[0]["client_ip"] == "127.0.0.1"
    assert access[0]["bytes"] == 2
    assert access[0]["duration_ms"] >= 0

    # One keep-alive connection is one greenlet: nothing of the first request is on the second.
    handling = [line for line in gunicorn.lines("stdout") if line["message"] == "handling"]
    assert [(line["request_id"], line["client"]) for line in handling] == [
        ("r1", "acme"),
        (None, None),
    ]

    (error,) = (line for line in gunicorn.lines("web/error.log") if line["level"] == "ERROR")
    assert error["logger"] == "gunicorn.error"
    assert error["message"] == "Error handling request GET /boom?[hidden]"
    assert error["exc_info"].endswith("RuntimeError: boom")

    # The console has every line once; the files have the same lines, split in two.
    in_files = [*gunicorn.lines("web/error.log"), *access]
    assert sorted(map(str, gunicorn.lines("stdout"))) == sorted(map(str, in_files))
    everything = (tmp_path / "stdout").read_text() + (tmp_path / "stderr").read_text()
    assert "hunter2" not in everything
    assert (tmp_path / "stderr").read_text() == "through wsgi.errors\n" * 2


def test_a_worker_timeout_reaches_console_and_error_file(tmp_path: Path) -> None:
    with running_gunicorn(tmp_path, "--timeout", "2", "--graceful-timeout", "1") as gunicorn:
        connection = gunicorn.connect()
        connection.request("GET", "/stuck")
        for name in ("stdout", "web/error.log"):
            line = gunicorn.awaited(name, lambda line: "WORKER TIMEOUT" in line["message"])
            assert (line["logger"], line["level"]) == ("gunicorn.error", "CRITICAL")
        connection.close()


@pytest.mark.parametrize(("named", "reaches"), [("named", True), ("unnamed", False)])
def test_gunicorns_errors_reach_the_handlers_only_if_its_logger_is_named(
    tmp_path: Path, named: str, reaches: bool
) -> None:
    run_python(GUNICORN_LOGGER, tmp_path, named)

    file = tmp_path / "web" / "error.log"
    assert (file.exists() and "WORKER TIMEOUT (pid:7)" in file.read_text()) is reaches
