"""Handing jobs to RQ: the only module of the core that knows RQ. Only `<job id>_<epoch>`
travels.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from rq import Queue
from rq.job import Job as RqJob
from rq.serializers import JSONSerializer
from rq.worker_registration import clean_worker_registry

from jobresults.redis_store import Client, guarded

# The one function our workers run; a name that no client can choose. Resolved by a test.
RUNNER = "jobresults.worker.executor.run_dispatched"

_OURS = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}_[0-9]{1,9}")
_OLDEST_REDIS = (6, 2, 0)
_NO_JOB = "00000000-0000-0000-0000-000000000000"


@dataclass(frozen=True)
class Dispatch:
    """One handing-over of a job. The epoch is its fence: an older one is refused by the ledger."""

    job_id: str
    epoch: int
    queue: str
    task: str

    @property
    def rq_id(self) -> str:
        return f"{self.job_id}_{self.epoch}"


def parse_rq_id(rq_id: str) -> tuple[str, int]:
    """The job id and the epoch in an RQ job's id. Anything else gives ids that no job in the ledger
    has.
    """
    job_id, _, epoch = rq_id.rpartition("_")
    return (job_id, int(epoch)) if _OURS.fullmatch(rq_id) else (_NO_JOB, 0)


class RefusingJob(RqJob):
    """An RQ job that never runs anything: whoever can write to Redis must not choose code for our
    workers.
    """

    def perform(self) -> Any:
        raise PermissionError("jobs run in the executor, not through RQ")

    @property
    def is_ours(self) -> bool:
        """Whether it names our runner, without arguments or callbacks."""
        try:
            return (
                self.func_name == RUNNER
                and not self.args
                and not self.kwargs
                and not (
                    self._success_callback_name
                    or self._failure_callback_name
                    or self._stopped_callback_name
                )
            )
        except Exception:  # noqa: BLE001 - whatever a foreign payload raises, it is not ours
            return False


def queue(client: Client, name: str) -> Queue:
    """RQ's queue of that name, with our serializer and job class."""
    rq_queue = Queue(name, connection=client, serializer=JSONSerializer, job_class=RefusingJob)
    rq_queue.redis_server_version = (
        _OLDEST_REDIS  # else RQ asks the server, once for each of these objects
    )
    return rq_queue


def dispatch(client: Client, dispatches: Iterable[Dispatch]) -> None:
    """Put jobs into RQ's queues in one round trip.

    Repeating it is harmless: a second copy of an epoch finds nothing to claim.

    Raises:
        RedisUnavailable: none, some or all arrived; the reconciler finds out.
    """
    with guarded(client), client.pipeline(transaction=False) as pipeline:
        for item in dispatches:
            queue(client, item.queue).enqueue_call(
                RUNNER,
                job_id=item.rq_id,
                timeout=-1,  # the worker's parent process enforces the ledger's timeout
                description=item.task,  # RQ's default would print arguments
                pipeline=pipeline,
            )
        pipeline.execute()


def oldest_waiting(client: Client, queue_name: str) -> str | None:
    """The RQ id at the head of a queue, None if it is empty. O(1).

    Raises:
        RedisUnavailable
    """
    with guarded(client):
        head: Any = client.lindex(queue(client, queue_name).key, 0)
    return None if head is None else bytes(head).decode("utf-8", "surrogateescape")


def drop_waiting(client: Client, queue_name: str, rq_id: str) -> None:
    """Take a superseded or foreign entry from the head of a queue. Cheap only there.

    Raises:
        RedisUnavailable
    """
    with guarded(client):
        client.lrem(queue(client, queue_name).key, 1, _raw(rq_id))
    discard(client, queue_name, [rq_id])


def discard(client: Client, queue_name: str, rq_ids: Iterable[str]) -> None:
    """Remove what RQ keeps of entries that wait no longer, ours or not.

    Raises:
        RedisUnavailable
    """
    with guarded(client), client.pipeline(transaction=False) as pipeline:
        for rq_id in rq_ids:
            raw = _raw(rq_id)
            pipeline.delete(b"rq:job:" + raw, b"rq:executions:" + raw)
            pipeline.lrem(queue(client, queue_name).intermediate_queue_key, 1, raw)
        pipeline.execute()


def forget(client: Client, dispatches: Iterable[Dispatch]) -> None:
    """Remove what RQ keeps of superseded or ended dispatches.

    Raises:
        RedisUnavailable
    """
    by_queue: dict[str, list[str]] = {}
    for item in dispatches:
        by_queue.setdefault(item.queue, []).append(item.rq_id)
    for queue_name, rq_ids in by_queue.items():
        discard(client, queue_name, rq_ids)


def _raw(rq_id: str) -> Any:
    """An entry as Redis holds it: a foreign one may be any bytes."""
    return rq_id.encode("utf-8", "surrogateescape")


def count_workers(client: Client, queue_name: str) -> int:
    """How many workers serve a queue, by RQ's own register. O(1).

    Raises:
        RedisUnavailable
    """
    with guarded(client):
        count: Any = client.scard(f"rq:workers:{queue_name}")
    return int(count)


def drop_abandoned_executions(client: Client, queue_name: str, now_seconds: float) -> None:
    """Empty RQ's register of started jobs from entries whose heartbeat is over.

    RQ's own clean-up would also fail those jobs and run callbacks; the ledger decides that here.

    Raises:
        RedisUnavailable
    """
    with guarded(client):
        client.zremrangebyscore(queue(client, queue_name).started_job_registry.key, 0, now_seconds)


def drop_dead_workers(client: Client, queue_name: str) -> None:
    """Remove workers from RQ's register whose heartbeat is over.

    Raises:
        RedisUnavailable
    """
    with guarded(client):
        clean_worker_registry(queue(client, queue_name))
