"""Looks for what no error tells of: nobody works, jobs wait too long, Redis or the ledger is away,
memory or a disk fills up.

A condition is told again and again while it lasts, so that its alert stays open and closes by
itself. Every look costs the same, however many jobs are stored.
"""

from __future__ import annotations

import logging
import shutil
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from sqlalchemy import make_url

from jobresults.database import Database
from jobresults.errors import LedgerUnavailable, RedisUnavailable
from jobresults.jobs import queues
from jobresults.jobs.backlog import oldest_wait_seconds
from jobresults.jobs.dispatch import count_workers
from jobresults.redis_store import Client, memory_share
from jobresults.settings import Settings

logger = logging.getLogger(__name__)

_LOOK_SECONDS = 5.0
# What is gone at the next look was not worth a call: a restart, a failover.
_SIGHTINGS = 2
# Of a queue with an aim of its own, so many times that.
_PATIENCE = 5


@dataclass(frozen=True)
class Finding:
    """A condition that holds now. `key` tells it from others, `text` says it with its numbers,
    `runbook` is its page of docs/runbooks.
    """

    runbook: str
    key: str
    title: str
    text: str
    level: int = logging.ERROR
    queue: str | None = None


@dataclass
class _Seen:
    sightings: int = 0
    tell_at: float = 0.0


class Watch:
    """Tells what it has found at two looks in a row, then every `alerts.watch.interval_seconds`."""

    def __init__(
        self, database: Database, redis: Client, settings: Settings, queues: list[str]
    ) -> None:
        self._database = database
        self._redis = redis
        self._settings = settings.alerts.watch
        self._start_within_seconds = settings.jobs.queue_start_within_seconds
        self._queues = queues
        self._places = _places(settings)
        self._seen: dict[str, _Seen] = {}

    @property
    def look_seconds(self) -> float:
        """The pause between two looks."""
        return min(_LOOK_SECONDS, self._settings.interval_seconds)

    def look(self) -> None:
        """Look at everything, and log what lasts."""
        now = time.monotonic()
        found = list(self.findings())
        self._seen = {item.key: self._seen.get(item.key, _Seen()) for item in found}
        for item in found:
            seen = self._seen[item.key]
            seen.sightings += 1
            if seen.sightings >= _SIGHTINGS and now >= seen.tell_at:
                seen.tell_at = now + self._settings.interval_seconds
                _tell(item)

    def findings(self) -> Iterator[Finding]:
        """What is wrong at this moment."""
        workers, share, waits = None, None, None
        try:
            workers = {queue: count_workers(self._redis, queue) for queue in self._queues}
            share = memory_share(self._redis)
        except RedisUnavailable as error:
            title = "Redis is down: jobs are dispatched late"
            yield _down("redis-down", "redis_down", title, error.detail)
        try:
            paused = queues.paused(self._database)
            waits = {
                queue: oldest_wait_seconds(self._database, queue)
                for queue in self._queues
                if queue not in paused
            }
        except LedgerUnavailable as error:
            title = "The database is down: no job is accepted"
            yield _down("ledger-down", "database_down", title, error.detail)
        if workers is not None and waits is not None:
            for queue, seconds in waits.items():
                yield from self._queue(queue, workers[queue], seconds)
        if share is not None and share > self._settings.redis_memory_share:
            text = f"Redis uses {share:.0%} of its memory limit"
            title = "Redis runs out of memory"
            yield Finding("redis-memory-high", "condition:redis_memory", title, text)
        for what, path in self._places:
            yield from self._disk(what, path)

    def _queue(self, queue: str, workers: int, waited_seconds: float | None) -> Iterator[Finding]:
        """Too old jobs are no news of their own where nobody works."""
        if waited_seconds is None:
            return
        if workers == 0:
            yield Finding(
                "no-workers",
                f"condition:no_workers:{queue}",
                f"No worker serves queue {queue}, and jobs wait",
                f"no worker serves queue {queue}; its oldest job waits for {waited_seconds:.0f} s",
                logging.CRITICAL,
                queue,
            )
        elif waited_seconds > (limit_seconds := self._oldest_seconds(queue)):
            yield Finding(
                "queue-too-old",
                f"condition:queue_oldest:{queue}",
                f"Jobs of queue {queue} wait too long",
                f"the oldest job of queue {queue} waits for {waited_seconds:.0f} s; "
                f"{limit_seconds:g} s are the limit, {workers} workers serve it",
                queue=queue,
            )

    def _oldest_seconds(self, queue: str) -> float:
        """How long its jobs may wait: longer where it was said that they need not start soon."""
        patience_seconds = _PATIENCE * self._start_within_seconds.get(queue, 0.0)
        return max(self._settings.queue_oldest_seconds, patience_seconds)

    def _disk(self, what: str, path: Path) -> Iterator[Finding]:
        try:
            usage = shutil.disk_usage(path)
        except OSError:
            return  # not there yet
        share = usage.used / (usage.used + usage.free)
        if share > self._settings.disk_share:
            title = f"The disk of the {what} runs full"
            text = f"the disk of the {what} ({path}) is {share:.0%} full"
            yield Finding("disk-full", f"condition:disk:{what}", title, text)


def _places(settings: Settings) -> list[tuple[str, Path]]:
    """What this process can look at that lies on a disk."""
    places = []
    if settings.logging.directory is not None:
        places.append(("logs", Path(settings.logging.directory)))
    if settings.database.url is not None:
        url = make_url(settings.database.url.get_secret_value())
        if url.get_backend_name() == "sqlite" and url.database:
            places.append(("ledger", Path(url.database).parent))
    return places


def _down(runbook: str, name: str, title: str, detail: str) -> Finding:
    return Finding(runbook, f"condition:{name}", title, detail, logging.CRITICAL)


def _tell(finding: Finding) -> None:
    extra = {
        "alert_key": finding.key,
        "alert_title": finding.title,
        "alert_runbook": finding.runbook,
        "queue": finding.queue,
    }
    logger.log(finding.level, "%s", finding.text, extra=extra)
