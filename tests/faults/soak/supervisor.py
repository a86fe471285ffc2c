"""Keeps the processes of a stack running, and breaks them as planned."""

from __future__ import annotations

import contextlib
import os
import sched
import signal
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import TypeVar

import psutil
import requests

from jobresults.errors import LedgerUnavailable
from tests.faults.soak.plan import Fault
from tests.faults.workers import EXECUTOR
from tests.services.process import Process, eventually
from tests.services.stack import Stack

T = TypeVar("T")

_WORKERS, _MAINTENANCES = 3, 2
_SIGNALS = {"kill": signal.SIGKILL, "terminate": signal.SIGTERM, "stop": signal.SIGSTOP}
_TICK_SECONDS = 0.02
_LOADING_MS = 10_000


@dataclass(frozen=True)
class Mark:
    """Something done to a process, or seen of it. `pid`: of the lane's process, if it has one."""

    at_ms: int
    lane: str
    event: str
    pid: int = 0


class Supervisor:
    """Runs two web servers, three workers, two of maintenance, one Redis."""

    def __init__(self, stack: Stack, second_port: int) -> None:
        self.urls = (stack.url, f"http://127.0.0.1:{second_port}")
        self.marks: list[Mark] = []
        self.violations: list[str] = []
        self._stack = stack
        self._own_settings = {"web-2": {"WEB__PORT": str(second_port)}}
        self._timers = sched.scheduler(time.monotonic)
        self._away: set[str] = set()  # stopped, told to end, or dead: not to be hit again now
        self._ending: dict[str, float] = {}
        self._sessions: list[int] = []
        for name in self._names():
            if name not in stack.processes:
                self._start(name)
            else:
                self._mark(name, "started", stack.processes[name].pid)
        self._mark("redis", "started")
        eventually(self._all_answer, "every web server is ready")

    def inflict(self, faults: tuple[Fault, ...], goes_on: Callable[[], bool]) -> None:
        """Break things at their times; repair all; return when it does not go on any more."""
        for fault in faults:
            self._timers.enter(fault.at_seconds, 1, self._inflict, (fault,))
        while goes_on() or not self._timers.empty() or self._ending:
            self._timers.run(blocking=False)
            self._look_after()
            time.sleep(_TICK_SECONDS)
        eventually(self._all_answer, "every web server is ready again")
        self._mark("", "healthy")

    def look_for_orphans(self) -> None:
        """Whatever a killed process had started must have ended by itself."""
        for process in psutil.process_iter(["cmdline"]):
            with contextlib.suppress(psutil.NoSuchProcess, ProcessLookupError):
                if os.getsid(process.pid) in self._sessions:
                    self.violations.append(f"left behind: {process.pid} {process.info['cmdline']}")

    def _names(self) -> list[str]:
        workers = [f"worker-{number}" for number in range(1, _WORKERS + 1)]
        maintenances = [f"maintenance-{number}" for number in range(2, _MAINTENANCES + 1)]
        return ["web", "web-2", *workers, "maintenance", *maintenances]

    def _inflict(self, fault: Fault) -> None:
        act = {
            "redis": self._hit_redis,
            "ledger": self._hit_ledger,
            "executor": self._hit_child,
            "web worker": self._hit_child,
        }.get(fault.victim, self._hit_process)
        if not act(fault):  # nothing there to hit: a moment later
            self._timers.enter(0.1, 1, self._inflict, (fault,))

    def _hit_process(self, fault: Fault) -> bool:
        name = self._choose(fault, self._present(fault.victim))
        if name is None:
            return False
        process = self._stack.processes[name]
        process.send(_SIGNALS[fault.action])
        self._mark(name, fault.action, process.pid)
        self._away.add(name)
        if fault.action == "stop":
            self._timers.enter(fault.seconds, 1, self._continue, (name, process.pid))
        elif fault.action == "terminate":
            self._ending[name] = fault.seconds
        else:
            self._sessions.append(process.pid)
            self._timers.enter(fault.seconds, 1, self._start, (name,))
        return True

    def _hit_child(self, fault: Fault) -> bool:
        kind = "worker" if fault.victim == "executor" else "web"
        children = {
            child.pid: name
            for name in self._present(kind)
            for child in _children(self._stack.processes[name])
            if kind == "web" or child.name() == EXECUTOR
        }
        pid = self._choose(fault, sorted(children))
        if pid is None:
            return False
        name = children[pid]
        try:
            os.kill(pid, _SIGNALS[fault.action])
        except ProcessLookupError:  # an executor that has just ended
            return False
        self._mark(name, f"{fault.victim} {fault.action}", self._stack.processes[name].pid)
        if fault.action == "stop":
            self._away.add(name)
            self._timers.enter(fault.seconds, 1, self._continue, (name, pid))
        return True

    def _hit_redis(self, fault: Fault) -> bool:
        server = self._stack.redis
        if "redis" in self._away:
            return False
        if fault.action == "flush":
            with server.client() as client:
                client.flushall()
        else:
            server.process.send(_SIGNALS[fault.action])
            self._away.add("redis")
            again = (
                partial(self._continue, "redis", server.process.pid)
                if fault.action == "stop"
                else self._start_redis
            )
            self._timers.enter(fault.seconds, 1, again)
        self._mark("redis", fault.action)
        return True

    def _hit_ledger(self, _fault: Fault) -> bool:
        """PostgreSQL restarts all of itself when one of its backends is killed."""
        try:
            with self._stack.ledger.read() as connection:
                pid = connection.exec_driver_sql("SELECT pg_backend_pid()").scalar_one()
                os.kill(pid, signal.SIGKILL)
                connection.invalidate()
        except LedgerUnavailable:  # still busy with the last one
            return False
        self._mark("ledger", "kill")
        return True

    def _continue(self, name: str, pid: int) -> None:
        os.kill(pid, signal.SIGCONT)
        self._away.discard(name)
        self._mark(name, "continued")

    def _start(self, name: str) -> None:
        self._stack.start_process(name, settings=self._own_settings.get(name))
        self._away.discard(name)
        self._mark(name, "started", self._stack.processes[name].pid)

    def _start_redis(self) -> None:
        self._stack.redis.process.end()
        self._stack.redis.start()
        self._away.discard("redis")
        self._mark("redis", "started")

    def _look_after(self) -> None:
        for name, process in list(self._stack.processes.items()):
            if process.is_running:
                continue
            if name in self._ending:
                status = process.end()
                self._mark(name, "ended")
                if status not in self._allowed_statuses(name):
                    self.violations.append(f"{name} ended with {status} when told to end")
                self._timers.enter(self._ending.pop(name), 1, self._start, (name,))
            elif name not in self._away:
                self._mark(name, "died")
                self.violations.append(f"{name} died by itself:\n{process.log(15)}")
                self._start(name)

    def _allowed_statuses(self, name: str) -> tuple[int, ...]:
        """Who was told to end while still loading its modules knows no better than to die of it."""
        started_ms, ended_ms = (
            max(mark.at_ms for mark in self.marks if (mark.lane, mark.event) == (name, event))
            for event in ("started", "terminate")
        )
        return (0, -signal.SIGTERM) if ended_ms - started_ms < _LOADING_MS else (0,)

    def _present(self, kind: str) -> list[str]:
        names = (name for name in self._names() if name.partition("-")[0] == kind)
        return [name for name in names if name not in self._away]

    def _choose(self, fault: Fault, candidates: list[T]) -> T | None:
        return candidates[int(fault.choice * len(candidates))] if candidates else None

    def _mark(self, lane: str, event: str, pid: int = 0) -> None:
        self.marks.append(Mark(round(time.time() * 1000), lane, event, pid))

    def _all_answer(self) -> bool:
        try:
            return all(requests.get(f"{url}/status/ready", timeout=5).ok for url in self.urls)
        except requests.RequestException:
            return False


def _children(process: Process) -> list[psutil.Process]:
    try:
        return psutil.Process(process.pid).children()
    except psutil.NoSuchProcess:
        return []
