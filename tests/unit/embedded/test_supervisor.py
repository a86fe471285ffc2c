"""Starting, restarting and ending real child processes."""

from __future__ import annotations

import contextlib
import logging
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import psutil
import pytest

from jobresults.embedded.child import Program
from jobresults.embedded.supervisor import StartFailed, Supervisor
from tests.services.process import eventually

Python = Callable[..., Program]

SLEEP = "import time; time.sleep(600)"
# Says so in a file once it would survive SIGTERM.
STUBBORN = """
import pathlib, signal, sys, time
signal.signal(signal.SIGTERM, signal.SIG_IGN)
pathlib.Path(sys.argv[1]).touch()
time.sleep(600)
"""
# Notes its start and its end in one file that all share.
DIARIST = """
import pathlib, signal, sys, time
def note(what):
    with pathlib.Path(sys.argv[1]).open("a") as file:
        file.write(f"{sys.argv[2]} {what}\\n")
def stop(*_):
    note("ended")
    sys.exit()
signal.signal(signal.SIGTERM, stop)
note("started")
time.sleep(600)
"""
# Supervises the command given as its arguments.
SUPERVISE = """
import sys
from jobresults.embedded.child import Program
from jobresults.embedded.supervisor import Supervisor
with Supervisor() as supervisor:
    supervisor.start(Program("child", tuple(sys.argv[1:])))
    supervisor.keep_running()
"""


def children() -> list[psutil.Process]:
    return psutil.Process().children(recursive=True)


def lines(file: Path) -> list[str]:
    return file.read_text().splitlines() if file.exists() else []


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_a_signal_ends_all_children(python: Python, number: signal.Signals) -> None:
    before = set(children())
    with Supervisor() as supervisor:
        supervisor.start(python(SLEEP))
        supervisor.start(python(SLEEP))
        started = set(children()) - before
        signal.raise_signal(number)
        supervisor.keep_running()
    assert len(started) == 2
    assert not any(process.is_running() for process in started)


def test_programs_that_serve_the_others_end_last(python: Python, tmp_path: Path) -> None:
    diary = tmp_path / "diary"
    with Supervisor() as supervisor:
        supervisor.start(python(DIARIST, diary, "redis", last=True))
        supervisor.start(python(DIARIST, diary, "web"))
        assert supervisor.wait_until(lambda: len(lines(diary)) == 2, 20)
    assert lines(diary)[2:] == ["web ended", "redis ended"]


def test_a_second_signal_kills_what_will_not_end(python: Python, tmp_path: Path) -> None:
    mark = tmp_path / "mark"
    with Supervisor() as supervisor:
        supervisor.start(python(STUBBORN, mark))
        assert supervisor.wait_until(mark.exists, 20)
        (process,) = (child for child in children() if str(mark) in child.cmdline())
        signal.raise_signal(signal.SIGINT)
        signal.raise_signal(signal.SIGINT)
    assert not process.is_running()


def test_a_dead_child_is_restarted_and_its_end_logged(
    python: Python,
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("jobresults.embedded.child.FIRST_RESTART_DELAY_SECONDS", 0.01)
    starts = tmp_path / "starts"
    crash_twice = """
import os, pathlib, signal, sys
with (path := pathlib.Path(sys.argv[1])).open("a") as file:
    file.write(f"{os.getpid()}\\n")
count = len(path.read_text().splitlines())
if count == 1:
    sys.exit(3)
if count == 2:
    os.kill(os.getpid(), signal.SIGKILL)
os.kill(os.getppid(), signal.SIGTERM)
signal.pause()
"""
    with caplog.at_level(logging.ERROR), Supervisor() as supervisor:
        supervisor.start(python(crash_twice, starts, name="web"))
        supervisor.keep_running()
    assert len(set(lines(starts))) == 3
    assert "web ended: exit status 3; starting it again in 0.01 s" in caplog.text
    assert "web ended: killed by SIGKILL; starting it again in 0.02 s" in caplog.text


def test_what_a_dead_child_leaves_in_its_group_is_killed(python: Python, tmp_path: Path) -> None:
    orphan = tmp_path / "orphan"
    fork_and_die = f"""
import os, pathlib, sys, time
if os.fork() == 0:
    {SLEEP}
pathlib.Path(sys.argv[1]).write_text(str(os.getpgid(0)))
"""
    with Supervisor() as supervisor:
        supervisor.start(python(fork_and_die, orphan))
        with pytest.raises(StartFailed, match="child did not start: exit status 0"):
            supervisor.wait_until(lambda: False, 20)
        eventually(lambda: not _group_exists(int(orphan.read_text())), "the group is gone")


def test_a_child_that_dies_while_starting_is_an_error(python: Python) -> None:
    with Supervisor() as supervisor:
        supervisor.start(python("raise SystemExit(2)", name="web"))
        with pytest.raises(StartFailed, match="web did not start: exit status 2"):
            supervisor.wait_until(lambda: False, 20)


def test_not_being_ready_in_time_is_an_error(python: Python) -> None:
    with Supervisor() as supervisor:
        supervisor.start(python(SLEEP))
        with pytest.raises(StartFailed, match=r"not ready after 0\.1 s"):
            supervisor.wait_until(lambda: False, 0.1)


def test_a_signal_ends_waiting() -> None:
    with Supervisor() as supervisor:
        signal.raise_signal(signal.SIGTERM)
        assert not supervisor.wait_until(lambda: False, 20)
        assert supervisor.is_stopping


def test_handlers_are_given_back_and_nohup_is_respected() -> None:
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        with Supervisor():
            assert signal.getsignal(signal.SIGHUP) is signal.SIG_IGN
            assert signal.getsignal(signal.SIGTERM) is not signal.SIG_DFL
    finally:
        signal.signal(signal.SIGHUP, before)
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


@pytest.mark.skipif(sys.platform != "linux", reason="PR_SET_PDEATHSIG is Linux'")
def test_killing_the_supervisor_leaves_no_child(tmp_path: Path) -> None:
    mark = tmp_path / "mark"
    command = [sys.executable, "-c", SUPERVISE, sys.executable, "-c", STUBBORN, str(mark)]
    process = subprocess.Popen(command)
    try:
        eventually(mark.exists, "the child runs")
        (child,) = psutil.Process(process.pid).children()
    finally:
        process.kill()
        process.wait()
    eventually(lambda: not _is_alive(child), "the child is dead")


def _group_exists(group: int) -> bool:
    with contextlib.suppress(ProcessLookupError):
        os.killpg(group, 0)
        return True
    return False


def _is_alive(process: psutil.Process) -> bool:
    with contextlib.suppress(psutil.NoSuchProcess):
        return process.status() != psutil.STATUS_ZOMBIE
    return False
