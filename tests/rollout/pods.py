"""A pod: one process of the service, what its probes find, and how it is ended."""

from __future__ import annotations

import signal
import time
from collections.abc import Callable
from dataclasses import dataclass

import requests

from tests.rollout.releases import Release
from tests.rollout.service import HOST
from tests.rollout.times import Times
from tests.services.process import Process
from tests.services.stack import Stack

_PROBE_SECONDS = 2.0
_ALL_LINES = 1_000_000
# What code says that has no probes yet.
_SERVES = {"worker": "serves queues", "maintenance": "watches queues"}
# In a log it means that something was not finished, or not understood.
_WORRYING = ("Traceback", " ERROR ", "graceful timeout", "SIGKILL")


@dataclass(frozen=True)
class Manner:
    """How a rollout goes about it; as it is here, as in a cluster."""

    awaits_readiness: bool = True
    pre_stop: bool = True
    last_word: signal.Signals = signal.SIGTERM


@dataclass
class Pod:
    """Runs from the start on. `port`: what it serves callers or, if it has none, its probes on."""

    kind: str
    release: Release
    port: int
    process: Process
    exit_status: int | None = None
    """Also None if it had to be killed."""
    ending_seconds: float = 0.0
    """From its signal on."""

    @property
    def name(self) -> str:
        return self.process.name

    def probe(self, path: str) -> requests.Response | None:
        """An answer of its own, past the Service."""
        try:
            return requests.get(f"http://{HOST}:{self.port}{path}", timeout=_PROBE_SECONDS)
        except requests.RequestException:
            return None

    @property
    def is_ready(self) -> bool:
        """As its readinessProbe finds it."""
        assert self.process.is_running, f"{self.name} has ended by itself:\n{self.process.log()}"
        if self.kind != "web" and not self.release.has_probes:
            return _SERVES[self.kind] in self.process.log(_ALL_LINES)
        found = self.probe("/status/ready" if self.kind == "web" else "/ready")
        return found is not None and found.status_code == requests.codes.ok

    @property
    def waits_for(self) -> str:
        """Why it is not ready, in its own words."""
        found = self.probe("/status/ready" if self.kind == "web" else "/ready")
        if found is None or found.ok:
            return ""
        return str(found.json()["ledger" if self.kind == "web" else "waits_for"])

    def end(self, times: Times, manner: Manner, leave: Callable[[int], None]) -> None:
        """As kubelet ends it: the grace runs from the begin of the pause on. `leave` is called with
        the port when the Service is to know.
        """
        granted_seconds = times.grace[self.kind]
        if self.kind == "web":
            leave(self.port)
            if manner.pre_stop:
                time.sleep(times.pre_stop)
                granted_seconds -= times.pre_stop
        told_at = time.monotonic()
        self.exit_status = self.process.stop(manner.last_word, grace_seconds=granted_seconds)
        self.ending_seconds = time.monotonic() - told_at

    def worries(self) -> list[str]:
        """Lines of its log that should not be there."""
        lines = self.process.log(_ALL_LINES).splitlines()
        return [f"{self.name}: {line}" for line in lines if any(w in line for w in _WORRYING)]


def start_pod(stack: Stack, kind: str, number: int, release: Release, port: int) -> Pod:
    """One more pod of a kind."""
    settings = {"WEB__PORT": str(port)} if kind == "web" else {}
    if kind != "web" and release.has_probes:
        settings["METRICS__PORT"] = str(port)
    name = f"{kind}-{number}-{release.name.partition(' ')[0]}"
    stack.start_process(name, settings=settings, environ=release.environ)
    return Pod(kind, release, port, stack.processes.pop(name))
