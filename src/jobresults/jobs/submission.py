"""Accepting jobs: validation, the one commit that makes a job accepted, idempotency, then
dispatch.
"""

from __future__ import annotations

import hashlib
import json
import logging
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from typing import Any

import uuid_utils
from sqlalchemy import Connection, delete, insert, select
from sqlalchemy.exc import IntegrityError

from jobresults.database import Database
from jobresults.errors import (
    IdempotencyInFlight,
    IdempotencyMismatch,
    InvalidRequest,
    RedisUnavailable,
)
from jobresults.jobs import events
from jobresults.jobs.catalog import Catalog
from jobresults.jobs.dispatch import Dispatch, dispatch
from jobresults.jobs.model import idempotency_key, job, job_tag
from jobresults.jobs.states import Event, State, WaitingOn
from jobresults.redis_store import Client
from jobresults.settings import JobsSettings

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Submission:
    """What a caller hands in. None means the task's or the installation's default.

    `params_json` is a JSON object; `run_at_ms` is absolute and wins over `delay_seconds`.
    """

    task: str
    params_json: bytes
    client: str
    customer: str | None = None
    queue: str | None = None
    delay_seconds: float | None = None
    run_at_ms: int | None = None
    max_attempts: int | None = None
    timeout_seconds: float | None = None
    tags: tuple[str, ...] = ()
    request_id: str | None = None
    traceparent: str | None = None
    rerun_of: str | None = None
    idempotency_key: str | None = None
    fingerprint: str = field(default="", repr=False)


@dataclass(frozen=True)
class Accepted:
    """The committed job; `replayed` if an earlier request with the same Idempotency-Key made it."""

    job_id: str
    replayed: bool


class Submissions:
    """Accepts jobs for one process."""

    def __init__(
        self, database: Database, redis: Client, catalog: Catalog, settings: JobsSettings
    ) -> None:
        self._database = database
        self._redis = redis
        self._catalog = catalog
        self._settings = settings
        self._in_flight: set[tuple[str, str]] = set()

    def submit(self, submission: Submission) -> Accepted:
        """Commit a job to the ledger, then hand it to Redis. Accepted means committed, dispatched
        or not.

        Raises:
            UnknownTask, InvalidRequest: every problem with its path.
            IdempotencyInFlight, IdempotencyMismatch: see the IETF draft "The Idempotency-Key HTTP
                Header Field".
            LedgerUnavailable: nothing was accepted.
        """
        row = self._row(submission)
        with self._exclusively(submission):
            accepted = self._commit(submission, row)
        if not accepted.replayed and row["dispatched_at_ms"] is not None:
            self._dispatch(Dispatch(row["id"], row["epoch"], row["queue"]))
        return accepted

    def _row(self, submission: Submission) -> dict[str, Any]:
        task = self._catalog.get(submission.task)
        task.validate(submission.params_json)
        problems = [
            {"path": name, "message": f"must be at most {limit:g}"}
            for name, limit in (
                ("max_attempts", self._settings.max_attempts_limit),
                ("timeout_seconds", self._settings.max_timeout_seconds),
                ("delay_seconds", self._settings.max_delay_seconds),
            )
            if (getattr(submission, name) or 0) > limit
        ]
        if (submission.run_at_ms or 0) / 1000 - time.time() > self._settings.max_delay_seconds:
            limit = self._settings.max_delay_seconds
            problems.append({"path": "run_at", "message": f"must be at most {limit} s from now"})
        queues = self._catalog.queues
        if submission.queue is not None and submission.queue not in queues:
            problems.append(
                {
                    "path": "queue",
                    "message": f"no task uses it; queues: {', '.join(sorted(queues))}",
                }
            )
        if problems:
            raise InvalidRequest(f"{problems[0]['path']}: {problems[0]['message']}", problems)
        now = self._database.now_ms()
        scheduled = submission.run_at_ms is not None or bool(submission.delay_seconds)
        due: Any = now if submission.run_at_ms is None else submission.run_at_ms
        if submission.run_at_ms is None and submission.delay_seconds:
            due = now + round(submission.delay_seconds * 1000)
        return {
            "id": str(uuid_utils.uuid7()),
            "task": task.name,
            "queue": submission.queue or task.options.queue,
            "client": submission.client,
            "customer": submission.customer,
            "params": submission.params_json,
            "tags": json.dumps(submission.tags),
            "state": State.QUEUED.value,
            "waiting_on": (WaitingOn.SCHEDULE if scheduled else WaitingOn.WORKER).value,
            "epoch": 1,
            "attempt": 0,
            "max_attempts": submission.max_attempts or task.options.max_attempts,
            "timeout_seconds": submission.timeout_seconds
            or task.options.timeout_seconds
            or self._settings.timeout_seconds,
            "result_ttl_seconds": task.options.result_ttl_seconds
            or self._settings.result_ttl_seconds,
            "due_at_ms": due,
            "dispatched_at_ms": None if scheduled else now,
            "request_id": submission.request_id,
            "traceparent": submission.traceparent,
            "rerun_of": submission.rerun_of,
            "created_at_ms": now,
        }

    def _commit(self, submission: Submission, row: dict[str, Any]) -> Accepted:
        for _ in range(2):
            try:
                with self._database.write() as connection:
                    earlier = self._earlier(connection, submission)
                    if earlier is not None:
                        return Accepted(earlier, replayed=True)
                    self._insert(connection, submission, row)
                return Accepted(row["id"], replayed=False)
            except IntegrityError:
                # Another process committed the same key between our look and our insert: look
                # again.
                if submission.idempotency_key is None:
                    raise
        raise IdempotencyInFlight(
            "another request with this Idempotency-Key is being answered; retry in a second"
        )

    def _insert(self, connection: Connection, submission: Submission, row: dict[str, Any]) -> None:
        connection.execute(insert(job).values(row))
        if submission.tags:
            connection.execute(
                insert(job_tag), [{"tag": tag, "job_id": row["id"]} for tag in set(submission.tags)]
            )
        events.append(
            self._database,
            connection,
            [
                events.Entry(
                    row["id"],
                    Event.SUBMITTED,
                    0,
                    {"rerun_of": row["rerun_of"]} if row["rerun_of"] else {},
                )
            ],
        )
        if submission.idempotency_key is not None:
            connection.execute(
                insert(idempotency_key).values(
                    client=submission.client,
                    key=submission.idempotency_key,
                    body_sha256=submission.fingerprint,
                    job_id=row["id"],
                    expires_at_ms=self._database.now_ms()
                    + self._settings.idempotency_ttl_seconds * 1000,
                )
            )

    def _earlier(self, connection: Connection, submission: Submission) -> str | None:
        if submission.idempotency_key is None:
            return None
        key = (
            idempotency_key.c.client == submission.client,
            idempotency_key.c.key == submission.idempotency_key,
        )
        connection.execute(
            delete(idempotency_key).where(
                *key, idempotency_key.c.expires_at_ms <= self._database.now_ms()
            )
        )
        known = connection.execute(select(idempotency_key).where(*key)).first()
        if known is None:
            return None
        if known.body_sha256 != submission.fingerprint:
            raise IdempotencyMismatch(
                "this Idempotency-Key was used with another request; "
                "use a new key for a new request",
                job_id=known.job_id,
            )
        return str(known.job_id)

    @contextmanager
    def _exclusively(self, submission: Submission) -> Iterator[None]:
        if submission.idempotency_key is None:
            yield
            return
        entry = (submission.client, submission.idempotency_key)
        if entry in self._in_flight:
            raise IdempotencyInFlight(
                "the first request with this Idempotency-Key is still being answered"
            )
        self._in_flight.add(entry)
        try:
            yield
        finally:
            self._in_flight.discard(entry)

    def _dispatch(self, item: Dispatch) -> None:
        try:
            dispatch(self._redis, [item])
        except RedisUnavailable as error:
            logger.warning(
                "job %s is accepted but not dispatched yet (%s); maintenance will do it",
                item.job_id,
                error,
            )


def fingerprint(*parts: bytes | str | None) -> str:
    """SHA-256 of what makes two requests the same one."""
    digest = hashlib.sha256()
    for part in parts:
        data = part.encode() if isinstance(part, str) else part or b""
        digest.update(len(data).to_bytes(8, "big") + data)
    return digest.hexdigest()


def with_fingerprint(submission: Submission, route: str, body: bytes) -> Submission:
    """The submission carrying the fingerprint of the request it came from."""
    return replace(submission, fingerprint=fingerprint(route, body))
