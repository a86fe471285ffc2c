"""This process's alerts, from its first line on: what was counted, and who takes it further."""

from __future__ import annotations

import logging
import math
import os
import time
from collections.abc import Iterable

from jobresults.alerts import fingerprint, sample
from jobresults.alerts.counts import Count, Counts
from jobresults.alerts.flusher import Flusher, Transport
from jobresults.alerts.model import Severity

SHUTDOWN_SECONDS = 1.0
_SAMPLES_PER_SECOND = 10


class ProcessAlerts:
    """Counting works from the start; nothing leaves the process before there is a transport."""

    def __init__(self) -> None:
        self.failures = 0
        """Records that could not be counted."""
        self.in_app = frozenset({"jobresults"})
        self._transport: Transport | None = None
        self._tells_first_at_once = False
        self._closed_at = -math.inf
        self._begin()
        os.register_at_fork(after_in_child=self._begin)

    def _begin(self) -> None:
        """In a fork's child: what was counted before is its parent's."""
        self._counts = Counts()
        self._flusher = Flusher(self._counts, self._transport)

    def send_through(
        self,
        transport: Transport | None,
        *,
        in_app: Iterable[str] = (),
        first_at_once: bool = False,
    ) -> None:
        """From now on, in this process and those it forks. `in_app`: modules whose functions tell
        bugs apart. `first_at_once`: a first event is handed over before its log call returns.
        """
        self.in_app |= {name.partition(".")[0] for name in in_app}
        self._transport, self._tells_first_at_once = transport, first_at_once
        self._flusher.transport = transport
        self._flusher.wake_up()

    def count(self, record: logging.LogRecord) -> None:
        """One event."""
        entry, is_new = self._counts.entry(self._key(record))
        attributes = record.__dict__
        at_ms = int(record.created * 1000)
        job, customer = _id(attributes.get("job_id")), _id(attributes.get("customer"))
        entry.count(_severity(record.levelno), at_ms, job, customer)
        if entry.wants_sample(at_ms // 1000, _SAMPLES_PER_SECOND):
            entry.sample = sample.describe(record)
        self._counts.has_news = True
        if is_new and self._tells_first_at_once:
            self._flusher.flush(SHUTDOWN_SECONDS)
        else:
            self._flusher.wake_up(urgent=is_new or record.levelno >= logging.CRITICAL)

    def merge(self, counts: Iterable[Count]) -> None:
        """Events that a process without a transport of its own has counted."""
        for count in counts:
            entry, is_new = self._counts.entry(count.key)
            count.key = entry.key
            entry.merge(count)
            self._counts.has_news = True
            self._flusher.wake_up(urgent=is_new)

    def close(self) -> None:
        """Hand over what was counted, within a second, however many handlers ask for it."""
        now = time.monotonic()
        if now - self._closed_at > 2 * SHUTDOWN_SECONDS:
            self._closed_at = now
            self.flush(SHUTDOWN_SECONDS)

    @property
    def is_flushing(self) -> bool:
        """Whether something is being handed over, which must not be interrupted."""
        return self._flusher.is_busy

    def flush(self, seconds: float) -> bool:
        """Hand over what was counted, within so many seconds. Whether all of it was taken."""
        return self._flusher.flush(seconds)

    def _key(self, record: logging.LogRecord) -> str:
        key = record.__dict__.get("alert_key")
        if key is not None:
            return str(key)
        if record.exc_info and record.exc_info[1] is not None:
            error, trace = record.exc_info[1:]
            return fingerprint.exception_key(error, trace, self.in_app)
        return fingerprint.message_key(record.name, record.msg)


def _id(value: object) -> str | None:
    if value is None:
        return None
    text = value if type(value) is str else str(value)
    return text if text.isascii() else text.encode("utf-8", "replace").decode()


def _severity(level: int) -> str:
    if level >= logging.CRITICAL:
        return Severity.CRITICAL.value
    return Severity.ERROR.value if level >= logging.ERROR else Severity.WARNING.value


alerts = ProcessAlerts()
