"""Handing jobs to RQ's queues: the only module of the core that knows RQ. Only `<job id>_<epoch>`
travels: a dispatch is an entry in the list of a queue, and nothing else.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from redis.client import Pipeline
from rq import Queue, Worker
from rq.registry import StartedJobRegistry
from rq.utils import utcparse
from rq.worker import WorkerStatus
from rq.worker_registration import (
    REDIS_WORKER_KEYS,
    WORKERS_BY_QUEUE_KEY,
    clean_worker_registry,
)

from jobresults.redis_store import Client, guarded

# Where a worker's entry in RQ's register names the tasks it knows, and its release of this package.
TASKS_FIELD = "jobresults_tasks"
RELEASE_FIELD = "jobresults_release"
_FIELDS = ("birth", "last_heartbeat", "state", "hostname", "queues", TASKS_FIELD, RELEASE_FIELD)

_OURS = re.compile(r"([0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12})_([0-9]{1,9})")


@dataclass(frozen=True)
class Dispatch:
    """One handing-over of a job. The epoch is its fence: an older one is refused by the ledger."""

    job_id: str
    epoch: int
    queue: str

    @property
    def rq_id(self) -> str:
        return f"{self.job_id}_{self.epoch}"


@dataclass(frozen=True)
class Foreign:
    """An entry of a queue that this service did not put there."""

    raw: bytes
    queue: str


@dataclass(frozen=True)
class RegisteredWorker:
    """A worker as RQ's register tells of it, times by its own clock. `tasks`, `release`: None if it
    is no worker of ours.
    """

    name: str
    host: str
    release: str | None
    is_busy: bool
    queues: tuple[str, ...]
    tasks: frozenset[str] | None
    started_at_ms: int
    last_seen_at_ms: int


def parse_rq_id(rq_id: str) -> tuple[str, int] | None:
    """The job id and the epoch in an entry; None if it is not one of ours."""
    found = _OURS.fullmatch(rq_id)
    return None if found is None else (found[1], int(found[2]))


def parse_entry(raw: bytes, queue_name: str) -> Dispatch | Foreign:
    """What an entry of a queue hands over. Whoever can write to Redis can put anything there."""
    found = parse_rq_id(raw.decode("ascii", "replace"))
    return Foreign(raw, queue_name) if found is None else Dispatch(*found, queue_name)


def queue_key(name: str) -> str:
    """The list that holds the entries of a queue."""
    return f"{Queue.redis_queue_namespace_prefix}{name}"


def started_key(name: str) -> str:
    """RQ's register of the started jobs of a queue."""
    return StartedJobRegistry.key_template.format(name)


def dispatch(client: Client, dispatches: Iterable[Dispatch], *, at_front: bool = False) -> None:
    """Put jobs into RQ's queues in one round trip, in their order; at the front those that were
    taken from there.

    Repeating it is harmless: a second copy of an epoch finds nothing to claim.

    Raises:
        RedisUnavailable: none, some or all arrived; the reconciler finds out.
    """
    by_queue: dict[str, list[str]] = {}
    for item in dispatches:
        by_queue.setdefault(item.queue, []).append(item.rq_id)
    if not by_queue:
        return
    with guarded(client), client.pipeline(transaction=False) as pipeline:
        pipeline.sadd(Queue.redis_queues_keys, *map(queue_key, by_queue))
        for name, rq_ids in by_queue.items():
            if at_front:
                pipeline.lpush(queue_key(name), *reversed(rq_ids))
            else:
                pipeline.rpush(queue_key(name), *rq_ids)
        pipeline.execute()


def wait_for_one(
    client: Client, queues: Sequence[str], timeout_seconds: int
) -> Dispatch | Foreign | None:
    """Take the next entry of the first queue that has one; None if none comes in time.

    Raises:
        RedisUnavailable
    """
    names = {queue_key(name): name for name in queues}
    with guarded(client):
        found: Any = client.blpop(list(names), timeout=timeout_seconds)
    return None if found is None else parse_entry(found[1], names[bytes(found[0]).decode()])


def oldest_waiting(client: Client, queue_name: str) -> str | None:
    """The entry at the head of a queue, None if it is empty. O(1).

    Raises:
        RedisUnavailable
    """
    with guarded(client):
        head: Any = client.lindex(queue_key(queue_name), 0)
    return None if head is None else bytes(head).decode("utf-8", "surrogateescape")


def drop_waiting(client: Client, queue_name: str, rq_id: str) -> None:
    """Take a superseded or foreign entry from the head of a queue. Cheap only there.

    Raises:
        RedisUnavailable
    """
    raw = rq_id.encode("utf-8", "surrogateescape")
    with guarded(client), client.pipeline(transaction=False) as pipeline:
        pipeline.lrem(queue_key(queue_name), 1, raw)  # type: ignore[arg-type]
        forget_strangers(pipeline, [raw])
        pipeline.execute()


def forget_strangers(pipeline: Pipeline, entries: Iterable[bytes]) -> None:
    """Remove what a stock `enqueue` has stored beside its entry; ours store nothing."""
    keys = [b"rq:job:" + raw for raw in entries]
    if keys:
        pipeline.delete(*keys)


def count_workers(client: Client, queue_name: str) -> int:
    """How many workers serve a queue, by RQ's own register. O(1).

    Raises:
        RedisUnavailable
    """
    with guarded(client):
        count: Any = client.scard(WORKERS_BY_QUEUE_KEY % queue_name)
    return int(count)


def registered_workers(client: Client) -> list[RegisteredWorker]:
    """The workers there are, by RQ's own register; those whose lease is over are none. Nothing is
    cleaned up on the way.

    Raises:
        RedisUnavailable
    """
    with guarded(client):
        register: Any = client.smembers(REDIS_WORKER_KEYS)
        keys = sorted(register)
        with client.pipeline(transaction=False) as pipeline:
            for key in keys:
                pipeline.hmget(key, *_FIELDS)
            found: list[Any] = pipeline.execute()
    entries = [
        (key.decode(), dict(zip(_FIELDS, values, strict=True)))
        for key, values in zip(keys, found, strict=True)
    ]
    return [
        _registered(key, entry)
        for key, entry in entries
        if entry["birth"] is not None and entry["last_heartbeat"] is not None
    ]


def _registered(key: str, entry: dict[str, bytes | None]) -> RegisteredWorker:
    text = {name: None if value is None else value.decode() for name, value in entry.items()}
    tasks = text[TASKS_FIELD]
    return RegisteredWorker(
        name=key.removeprefix(Worker.redis_worker_namespace_prefix),
        host=text["hostname"] or "",
        release=text[RELEASE_FIELD],
        is_busy=text["state"] == WorkerStatus.BUSY.value,
        queues=tuple((text["queues"] or "").split(",")),
        tasks=None if tasks is None else frozenset(json.loads(tasks)),
        started_at_ms=_milliseconds(text["birth"] or ""),
        last_seen_at_ms=_milliseconds(text["last_heartbeat"] or ""),
    )


def _milliseconds(text: str) -> int:
    return round(utcparse(text).timestamp() * 1000)


def drop_abandoned_executions(client: Client, queue_name: str, now_seconds: float) -> None:
    """Empty RQ's register of started jobs from entries whose heartbeat is over.

    RQ's own clean-up would also fail those jobs and run callbacks; the ledger decides that here.

    Raises:
        RedisUnavailable
    """
    with guarded(client):
        client.zremrangebyscore(started_key(queue_name), 0, now_seconds)


def drop_dead_workers(client: Client, queue_name: str) -> None:
    """Remove workers from RQ's register whose heartbeat is over.

    Raises:
        RedisUnavailable
    """
    with guarded(client):
        clean_worker_registry(Queue(queue_name, connection=client))
