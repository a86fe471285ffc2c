"""Groups in a real Redis, under a clock that the test sets."""

from __future__ import annotations

import itertools
from typing import Any

import pytest
from pydantic import SecretStr

from jobresults.alerts.counts import Count
from jobresults.alerts.courier import Courier
from jobresults.alerts.delivery import BoundedSink
from jobresults.alerts.flusher import Batch
from jobresults.alerts.groups import BatchWriter, GroupStore, Tracked
from jobresults.redis_store import Client
from jobresults.settings import AlertsSettings, RedisSettings, Settings
from tests.support.recording_sink import RecordingSink

START_MS = 1_700_000_000_000
_numbers = itertools.count(1)


def a_sample(**members: Any) -> dict[str, Any]:
    return {"title": "ValueError: boom", "message": "boom", "logger": "jobresults.t", **members}


class World:
    """Processes that count errors, sinks that are told, and one clock for all."""

    def __init__(self, redis: Client, url: str) -> None:
        self.redis, self.groups = redis, GroupStore(redis)
        self.url = url
        self.now_ms = START_MS
        self.use(AlertsSettings())
        self.silences: Any = None

    def use(self, alerts: AlertsSettings) -> None:
        self.settings = Settings(redis=RedisSettings(url=SecretStr(self.url)), alerts=alerts)
        self.writer = BatchWriter(self.settings)
        self.writer.has_new_process()

    def pass_seconds(self, seconds: float) -> None:
        self.now_ms += round(seconds * 1000)

    def log(self, key: str = "boom", count: int = 1, **options: Any) -> str:
        """So many errors now. Returns their fingerprint."""
        members = {
            "severity": "error",
            "first_ms": self.now_ms,
            "last_ms": self.now_ms,
            "sample": a_sample(**options.pop("sample", {})),
            **options,
        }
        version, pod = members.pop("version", "1"), members.pop("pod", "pod-1")
        batch = Batch(next(_numbers), [Count(key, count=count, **members)])
        written = self.writer.write(batch, self.now_ms) | {"version": version, "pod": pod}
        assert self.groups.merge(written, self.now_ms)
        return self.writer.fingerprint(key)

    def courier(self, sink: RecordingSink, *others: str, deadline_seconds: float = 5.0) -> Courier:
        return Courier(
            BoundedSink(sink, deadline_seconds),
            [sink.name, *others],
            self.redis,
            self.settings,
            silences=self.silences,
            clock_ms=lambda: self.now_ms,
        )

    def run(self, *couriers: Courier, seconds: float = 0, tick_seconds: float = 1) -> None:
        """Let couriers work for so long, and at the end of it."""
        until_ms = self.now_ms + round(seconds * 1000)
        while True:
            self.redis.delete(*(f"jr:alerts:turn:{courier.name}" for courier in couriers))
            for courier in couriers:
                courier.step()
            if self.now_ms >= until_ms:
                return
            self.now_ms = min(until_ms, self.now_ms + round(tick_seconds * 1000))

    def tracked(self, fingerprint: str) -> Tracked:
        (found,) = self.groups.read([fingerprint])
        return found


@pytest.fixture
def world(redis: Client, redis_url: str) -> World:
    return World(redis, redis_url)
