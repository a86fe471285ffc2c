"""From a process straight into Redis' groups; and who speaks up while Redis does not answer."""

from __future__ import annotations

import fcntl
import hashlib
import json
import logging
import os
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from jobresults.alerts import process
from jobresults.alerts.counts import Count
from jobresults.alerts.flusher import Batch
from jobresults.alerts.groups import HEARTBEAT_KEY, BatchWriter, GroupStore, overflow_sample
from jobresults.alerts.model import (
    Entry,
    Group,
    Kind,
    Notification,
    Sample,
    Severity,
    Sink,
    SinkError,
)
from jobresults.alerts.routing import links_of, route_of
from jobresults.alerts.sinks import open_sinks
from jobresults.redis_store import connect
from jobresults.settings import Settings
from jobresults.telemetry import identity, metrics

logger = logging.getLogger(__name__)

_SPEAK_AFTER_SECONDS = 10.0
_SPEAK_INTERVAL_SECONDS = 300.0
_MAX_ENTRIES = 20
NOTE = "grouping unavailable: Redis does not answer; only what {pod} has seen itself"


class RedisTransport:
    """For processes that may open Redis: all but executors. Connects anew after a fork."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._groups: GroupStore | None = None
        self.writer = BatchWriter(settings)
        self._failures = process.alerts.failures
        metrics.begin_at_zero(metrics.ALERT_EVENTS, [level.value for level in Severity])
        metrics.begin_at_zero(metrics.ALERT_DROPPED, ["uncounted"])

    def send(self, batch: Batch) -> None:
        """Raises RedisUnavailable."""
        if self.writer.has_new_process() or self._groups is None:
            # What Redis takes later than that is known by its number when it comes again.
            patience = {"socket_timeout_seconds": 0.5, "connect_timeout_seconds": 0.5}
            self._groups = GroupStore(connect(self._settings.redis.model_copy(update=patience)))
        self._groups.merge(self.writer.write(batch))
        self._count(batch)

    def _count(self, batch: Batch) -> None:
        """Here, since only a thread that may wait for a lock comes by."""
        for count in batch.counts:
            if count.key != HEARTBEAT_KEY:
                metrics.ALERT_EVENTS.labels(count.severity).inc(count.count)
        failures, self._failures = process.alerts.failures - self._failures, process.alerts.failures
        metrics.ALERT_DROPPED.labels("uncounted").inc(failures)

    def wait_out(self, pending: Sequence[Count], unavailable_seconds: float) -> None:
        """One process of this machine tells what it has seen, at most every five minutes."""
        if unavailable_seconds >= _SPEAK_AFTER_SECONDS:
            speak_up(self._settings, self.writer, pending)


def speak_up(
    settings: Settings,
    writer: BatchWriter,
    pending: Sequence[Count],
    open_sinks: Callable[[Settings], Iterable[Sink]] = open_sinks,
) -> bool:
    """Send a digest of these counts straight to the first sink that takes it. Whether one did."""
    with _turn(_state_file(settings)) as is_ours:
        if not is_ours:
            return False
        notification = _digest(settings, writer, pending)
        for sink in open_sinks(settings):
            try:
                sink.send(notification)
            except SinkError as error:
                logger.warning("%s did not take an alert: %s", sink.name, error)
            else:
                return True
        return False


@contextmanager
def _turn(file: Path) -> Iterator[bool]:
    """Whether this process is the one to speak now. The file's time is that of the last turn; also
    a vain one counts, or all processes would wait for dead sinks one after the other.
    """
    descriptor = os.open(file, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        os.close(descriptor)
        yield False
        return
    try:
        spoken = os.pread(descriptor, 32, 0)
        is_due = not spoken or time.time() - float(spoken) >= _SPEAK_INTERVAL_SECONDS
        if is_due:
            os.pwrite(descriptor, b"%-31.3f\n" % time.time(), 0)
        yield is_due
    finally:
        os.close(descriptor)


def _state_file(settings: Settings) -> Path:
    url = settings.redis.url.get_secret_value() if settings.redis.url else ""
    whose = f"{settings.alerts.service}|{settings.environment}|{url}"
    digest = hashlib.blake2b(whose.encode(), digest_size=6).hexdigest()
    return Path(tempfile.gettempdir(), f"jobresults-alerts-{os.getuid()}-{digest}")


def _digest(settings: Settings, writer: BatchWriter, pending: Sequence[Count]) -> Notification:
    groups = [_group(settings, writer, count) for count in pending]
    groups.sort(key=lambda group: -group.count)
    entries = []
    for group in groups[:_MAX_ENTRIES]:
        route = route_of(group, settings.alerts)
        links = links_of(group, route, settings.alerts.links)
        entries.append(Entry(group, links, route.owner))
    return Notification(Kind.DIGEST, tuple(entries), note=NOTE.format(pod=identity.pod()))


def _group(settings: Settings, writer: BatchWriter, count: Count) -> Group:
    sample = json.loads(json.dumps(count.sample)) if count.sample else overflow_sample()
    return Group(
        fingerprint=writer.fingerprint(count.key),
        severity=Severity(count.severity),
        service=settings.alerts.service,
        environment=settings.environment,
        count=count.count,
        first_ms=count.first_ms,
        last_ms=count.last_ms,
        sample=Sample(**sample),
        pods={identity.pod(): count.count},
        versions={identity.version(): count.first_ms},
        job_count=len(count.jobs),
        customer_count=len(count.customers),
    )
