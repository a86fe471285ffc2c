"""The Deployments of the service: so many pods of each kind, and how others take their place."""

from __future__ import annotations

import itertools
import time
from collections.abc import Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack
from functools import partial

from tests.rollout.pods import Manner, Pod, start_pod
from tests.rollout.releases import Release
from tests.rollout.service import Service
from tests.rollout.times import Times
from tests.services.stack import Stack, reserved_port

AS_IN_A_CLUSTER = Manner()
_START_SECONDS = 60


class Deployments:
    """Each with one pod more than wanted during a rollout, and none fewer."""

    def __init__(self, stack: Stack, service: Service, times: Times) -> None:
        self._stack, self._service, self._times = stack, service, times
        self._numbers = itertools.count(1)
        self._ports = ExitStack()
        self._threads = ThreadPoolExecutor(16)
        self._endings: list[Future[None]] = []
        self.pods: dict[str, list[Pod]] = {}
        self.starting: dict[str, Pod] = {}
        self.ended: list[Pod] = []

    def run(self, counts: Mapping[str, int], release: Release) -> None:
        """The first pods."""
        for kind, count in counts.items():
            self.pods[kind] = [self._start(kind, release) for _ in range(count)]
        for pod in [pod for pods in self.pods.values() for pod in pods]:
            self._await_readiness(pod)
            self._announce(pod)

    def roll_out(self, release: Release) -> None:
        """Replace every pod, all kinds side by side; returns once the old ones have ended."""
        kinds = [self._threads.submit(self.replace, kind, release) for kind in self.pods]
        for kind in kinds:
            kind.result()
        self.await_endings()

    def replace(
        self,
        kind: str,
        release: Release,
        manner: Manner = AS_IN_A_CLUSTER,
        count: int | None = None,
    ) -> None:
        """One pod after the other, all or so many: a new one, once it is ready an old one less."""
        for old in self.pods[kind][:count]:
            new = self.starting[kind] = self._start(kind, release)
            if manner.awaits_readiness:
                self._await_readiness(new)
            self._announce(new)
            self.pods[kind] = [*self.pods[kind][1:], new]
            end = partial(old.end, self._times, manner, self._service.remove)
            self._endings.append(self._threads.submit(end))
            self.ended.append(old)

    def await_endings(self) -> None:
        """Until every pod that was told to go has gone."""
        for ending in self._endings:
            ending.result()
        self._endings.clear()

    def close(self) -> None:
        """End all that is left, without ceremony."""
        self.await_endings()
        for pods in self.pods.values():
            for pod in pods:
                pod.process.stop(grace_seconds=10)
        self._threads.shutdown()
        self._ports.close()

    def _start(self, kind: str, release: Release) -> Pod:
        port = self._ports.enter_context(reserved_port())
        return start_pod(self._stack, kind, next(self._numbers), release, port)

    def _await_readiness(self, pod: Pod) -> None:
        """Asked as often as its probe asks."""
        deadline = time.monotonic() + _START_SECONDS
        while not pod.is_ready:
            assert time.monotonic() < deadline, f"{pod.name} is not ready:\n{pod.process.log()}"
            time.sleep(self._times.probe_period[pod.kind])

    def _announce(self, pod: Pod) -> None:
        if pod.kind == "web":
            self._service.add(pod.port)
