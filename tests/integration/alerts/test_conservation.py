"""Whatever is lost, repeated or killed on the way: each event is counted once, each group told."""

from __future__ import annotations

import logging
from typing import Any

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule, run_state_machine_as_test

from jobresults.alerts.counts import Counts
from jobresults.alerts.flusher import Batch, Flusher
from jobresults.alerts.groups import BatchWriter, GroupStore
from jobresults.alerts.model import SinkError
from jobresults.errors import RedisUnavailable
from jobresults.redis_store import Client
from tests.integration.alerts.conftest import World, a_sample
from tests.support.recording_sink import RecordingSink

PROCESSES, KEYS, SINKS = 2, ("a", "b"), ("slack", "email")
a_process = st.integers(0, PROCESSES - 1)


class Wire:
    """Between a process and Redis: it may lose a batch, or the answer to it."""

    def __init__(self, world: World) -> None:
        self._groups, self._world = GroupStore(world.redis), world
        self._writer = BatchWriter(world.settings)
        self._writer.has_new_process()
        self.loses = "nothing"

    def send(self, batch: Batch) -> None:
        loses, self.loses = self.loses, "nothing"
        if loses == "batch":
            raise RedisUnavailable("refused")
        self._groups.merge(self._writer.write(batch, self._world.now_ms), self._world.now_ms)
        if loses == "answer":
            raise RedisUnavailable("no answer")

    def wait_out(self, *_: object) -> None:
        return None


class Process:
    """Counts errors; flushes when the test says so."""

    def __init__(self, world: World) -> None:
        self.wire = Wire(world)
        self.counts = Counts()
        self.flusher = Flusher(self.counts, self.wire)

    def log(self, key: str, at_ms: int) -> None:
        entry, _ = self.counts.entry(key)
        entry.count("error", at_ms, None, None)
        entry.sample = a_sample()
        self.counts.has_news = True

    def flush(self) -> None:
        self.flusher._flush_once()


class Alerts(RuleBasedStateMachine):
    """The model is a number for each key."""

    redis: Client
    url: str

    def __init__(self) -> None:
        super().__init__()
        self.redis.flushall()
        self.world = World(self.redis, self.url)
        self.processes = [Process(self.world) for _ in range(PROCESSES)]
        self.sinks = {name: RecordingSink(name) for name in SINKS}
        self.logged = dict.fromkeys(KEYS, 0)

    @rule(process=a_process, key=st.sampled_from(KEYS), count=st.integers(1, 30))
    def log(self, process: int, key: str, count: int) -> None:
        for _ in range(count):
            self.processes[process].log(key, self.world.now_ms)
        self.logged[key] += count

    @rule(process=a_process, loses=st.sampled_from(["nothing", "batch", "answer"]))
    def flush(self, process: int, loses: str) -> None:
        self.processes[process].wire.loses = loses
        self.processes[process].flush()

    @rule(seconds=st.integers(1, 200))
    def wait(self, seconds: int) -> None:
        self.world.pass_seconds(seconds)

    @rule(sink=st.sampled_from(SINKS), error=st.sampled_from([None, "503", "killed"]))
    def relay(self, sink: str, error: str | None) -> None:
        """A relay works for a moment, with a sink that may fail; or it claims and dies."""
        if error == "killed":
            self.world.groups.claim(sink, hold_ms=30_000, limit=9, now_ms=self.world.now_ms)
            return
        recorder = self.sinks[sink]
        recorder.error = None if error is None else SinkError(error)
        (other,) = set(SINKS) - {sink}
        self.world.run(self.world.courier(recorder, other), seconds=1)

    @invariant()
    def nothing_is_counted_that_did_not_happen(self) -> None:
        for key, count in self._counted().items():
            assert count <= self.logged[key]

    def teardown(self) -> None:
        """In the end all is counted, and someone was told of all."""
        for process in self.processes:
            while process.flusher._has_work:
                process.flush()
        for sink in self.sinks.values():
            sink.error = None
        # A group that was opened anew begins at 0: only young ones hold all there was.
        if self.world.now_ms - 1_700_000_000_000 < 800_000:
            assert self._counted() == {key: count for key, count in self.logged.items() if count}
        couriers = [self.world.courier(self.sinks[a], b) for a, b in (SINKS, SINKS[::-1])]
        self.world.run(*couriers, seconds=340, tick_seconds=4)
        told: set[str] = set().union(*(sink.counts for sink in self.sinks.values()))
        assert told == {tracked.group.fingerprint for tracked in self._tracked()}

    def _tracked(self) -> list[Any]:
        return self.world.groups.read(self.world.groups.newest(100))

    def _counted(self) -> dict[str, int]:
        keys = {self.world.writer.fingerprint(key): key for key in KEYS}
        return {keys[it.group.fingerprint]: it.group.count for it in self._tracked()}


def test_events_are_conserved(
    redis: Client, redis_url: str, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.CRITICAL)
    machine = type("Machine", (Alerts,), {"redis": redis, "url": redis_url})
    run_state_machine_as_test(  # type: ignore[no-untyped-call]
        machine,
        settings=settings(
            max_examples=25,
            stateful_step_count=20,
            deadline=None,
            suppress_health_check=list(HealthCheck),
        ),
    )
