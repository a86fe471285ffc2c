"""A worker's place in RQ's register, so that `rq info` tells the truth.

RQ's queues, register and heartbeats are kept. RQ's job execution, callbacks, results, retries,
scheduler, clean-up and remote commands are not used: each of them can lose or repeat a job.
"""

from __future__ import annotations

import json
import math
import os
import secrets
import socket
import time
from collections.abc import Iterable, Sequence

from redis.client import Pipeline
from rq import Worker
from rq.serializers import JSONSerializer
from rq.suspension import is_suspended
from rq.utils import now
from rq.worker import WorkerStatus
from rq.worker_registration import register

from jobresults.jobs.dispatch import RELEASE_FIELD, TASKS_FIELD, started_key
from jobresults.jobs.running import Claimed
from jobresults.redis_store import Client, guarded
from jobresults.settings import WorkerSettings
from jobresults.telemetry import identity, metrics

_SUSPENSION_SECONDS = 1.0


class Presence(Worker):
    """RQ's worker without its work. Every method that talks to Redis raises RedisUnavailable."""

    def __init__(self, redis: Client, settings: WorkerSettings, tasks: Iterable[str] = ()) -> None:
        # A name is never used twice: RQ refuses to restart under the name of a killed worker for
        # minutes.
        name = f"{socket.gethostname()}-{os.getpid()}-{secrets.token_hex(4)}"
        super().__init__(
            list(settings.queues),
            name=name,
            connection=redis,
            serializer=JSONSerializer,
            worker_ttl=30,
            log_job_description=False,
        )
        self._client = redis
        self._tasks, self._release = json.dumps(sorted(tasks)), identity.version()
        self._beat_seconds = settings.heartbeat_seconds
        self._lease_seconds = math.ceil(settings.lease_seconds)
        self._next_beat = 0.0
        self._suspended = False
        self._suspension_known_until = 0.0
        # The register forgets a silent worker with its lease; only its own word tells for how long.
        metrics.WORKER_HEARTBEAT.set_to_current_time()

    @property
    def connection_timeout(self) -> int:
        """RQ's minimum for the timeout of every request. The pop has a connection of its own."""
        return 0

    def beat(self, running: Sequence[Claimed]) -> None:
        """When it is due, stay in the register for one lease more, even if Redis was flushed since.
        A dead worker is not counted for minutes.
        """
        if time.monotonic() < self._next_beat:
            return
        self._next_beat = time.monotonic() + self._beat_seconds
        with guarded(self._client):
            is_known = self.connection.hexists(self.key, "birth")
            with self.connection.pipeline(transaction=False) as pipeline:
                if not is_known:
                    self._note_birth(pipeline, busy=bool(running))
                register(self, pipeline)
                self.heartbeat(self._lease_seconds, pipeline)
                self.note_started(pipeline, running)
                pipeline.execute()
        metrics.WORKER_HEARTBEAT.set_to_current_time()

    def _note_birth(self, pipeline: Pipeline, *, busy: bool) -> None:
        """As RQ's `register_birth`, but never there for longer than a lease: RQ takes 90 s."""
        self.birth_date = self.last_heartbeat = now()
        ours = {TASKS_FIELD: self._tasks, RELEASE_FIELD: self._release}
        pipeline.hset(self.key, mapping=self.serialize() | ours)
        self.set_state(WorkerStatus.BUSY if busy else WorkerStatus.IDLE, pipeline)

    def note_started(self, pipeline: Pipeline, started: Sequence[Claimed]) -> None:
        """Count jobs as being executed, for one lease."""
        until = time.time() + self._lease_seconds
        for name, members in _by_queue(started).items():
            pipeline.zadd(started_key(name), dict.fromkeys(members, until))

    def note_left(self, pipeline: Pipeline, jobs: Sequence[Claimed]) -> None:
        """Count jobs as being executed no more."""
        for name, members in _by_queue(jobs).items():
            pipeline.zrem(started_key(name), *members)

    def note_counts(self, pipeline: Pipeline, *, succeeded: int, failed: int) -> None:
        """Add to this worker's counts of attempts."""
        if succeeded:
            pipeline.hincrby(self.key, "successful_job_count", succeeded)
        if failed:
            pipeline.hincrby(self.key, "failed_job_count", failed)

    def note_state(self, pipeline: Pipeline, *, busy: bool) -> None:
        """Say whether it works, if that has changed. Whatever was written here or before goes with
        the lease: an entry made anew, after a flush, would stay for ever.
        """
        state = WorkerStatus.BUSY if busy else WorkerStatus.IDLE
        if state != self._state:
            self.set_state(state, pipeline)
        pipeline.expire(self.key, self._lease_seconds)

    def is_suspended(self) -> bool:
        """Whether someone has told RQ's workers to pause (`rq suspend`); seen within a second."""
        if time.monotonic() >= self._suspension_known_until:
            with guarded(self._client):
                # Not for this worker: RQ would keep it in the register for 90 s.
                self._suspended = bool(is_suspended(self.connection))
            self._suspension_known_until = time.monotonic() + _SUSPENSION_SECONDS
        return self._suspended

    def leave(self) -> None:
        """Leave the register."""
        with guarded(self._client):
            self.register_death()  # type: ignore[no-untyped-call]


def _by_queue(jobs: Sequence[Claimed]) -> dict[str, list[str]]:
    """Members of RQ's registers of started jobs: an id, a colon, and what RQ calls an execution."""
    found: dict[str, list[str]] = {}
    for job in jobs:
        found.setdefault(job.queue, []).append(f"{job.id}_{job.epoch}:{job.attempt}")
    return found
