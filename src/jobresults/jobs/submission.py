"""Accepting jobs: one commit makes them accepted, then they are handed to Redis.

Requests that come at the same time share the transaction, its fsync and the way to Redis.
"""

from __future__ import annotations

import hashlib
import logging
import time
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field, replace
from typing import TypeVar

import uuid_utils

from jobresults.batching import Batcher
from jobresults.database import Database
from jobresults.errors import (
    IdempotencyInFlight,
    InvalidRequest,
    LedgerUnavailable,
    QuotaExceeded,
    RedisUnavailable,
    RequestError,
)
from jobresults.jobs import reading, turns
from jobresults.jobs.acceptance import Committed, JobsRequest, Key, accept_each, earlier
from jobresults.jobs.catalog import Catalog
from jobresults.jobs.dispatch import Dispatch, dispatch
from jobresults.jobs.new_job import NewJob, Submission, new_job
from jobresults.jobs.quotas import Quotas
from jobresults.jobs.reading import JobRecord
from jobresults.jobs.states import WaitingOn
from jobresults.jobs.visibility import Visibility
from jobresults.redis_store import Client
from jobresults.settings import JobsSettings, LimitsSettings
from jobresults.telemetry.metrics import JOBS_SUBMITTED

logger = logging.getLogger(__name__)

Item = TypeVar("Item")

_MAX_BATCH_REQUESTS = 1_000
# The jobs of one request share their id but for its last digits, which tell their places. So the
# one job that is kept with a key leads to all of them. Room for 4,096.
_PLACE_DIGITS = 3
# Work on a long list lets other requests in so often.
_BREATHE_EVERY = 50


@dataclass(frozen=True)
class Accepted:
    """A committed job; `replayed` if an earlier request with the same Idempotency-Key made it.

    `record` is the job as it was committed, None if it was committed earlier.
    """

    job_id: str
    replayed: bool
    record: JobRecord | None = field(default=None, compare=False, repr=False)


class Submissions:
    """Accepts jobs for one process."""

    def __init__(
        self,
        database: Database,
        redis: Client,
        catalog: Catalog,
        settings: JobsSettings,
        limits: LimitsSettings | None = None,
    ) -> None:
        limits = limits or LimitsSettings()
        self._quotas = Quotas(database, limits)
        self._turn_jobs = limits.turn_jobs
        self._database = database
        self._redis = redis
        self._catalog = catalog
        self._settings = settings
        self._in_flight: set[Key] = set()
        self._batches = Batcher(self._accept, _MAX_BATCH_REQUESTS)

    def submit(self, submission: Submission) -> Accepted:
        """Commit a job to the ledger, then hand it to Redis. Accepted means committed, dispatched
        or not.

        Raises:
            UnknownTask, InvalidRequest: every problem with its path.
            IdempotencyInFlight, IdempotencyMismatch: see the IETF draft "The Idempotency-Key HTTP
                Header Field".
            QuotaExceeded: the client has all it may have. A replay is answered all the same.
            LedgerUnavailable: nothing was accepted.
        """
        new = self._new_job(submission, str(uuid_utils.uuid7()))
        request = _request([new], submission)
        with self._exclusively(request.key):
            committed = self._accept_one(request)
        if committed.earlier is not None:
            return Accepted(committed.earlier, replayed=True)
        return Accepted(new.row["id"], False, committed.records[0])

    def submit_all(
        self, items: Iterable[Submission | InvalidRequest]
    ) -> list[Accepted | RequestError]:
        """Commit the jobs of one request together, then hand them to Redis. Answers in order; what
        is invalid, before or now, is answered by its problem and keeps no other job back. So are
        the last jobs of a client that may not have all of them: by `QuotaExceeded`.

        They have one client, Idempotency-Key and fingerprint. A replay gives the jobs that the
        first request made, as they are now, and makes no new ones.

        Raises:
            IdempotencyInFlight, IdempotencyMismatch, LedgerUnavailable: nothing was accepted.
        """
        items = list(_breathing(items))
        checked = list(self._checked(items, _stem(str(uuid_utils.uuid7()))))
        new = [item for item in checked if isinstance(item, NewJob)]
        first = next((item for item in items if isinstance(item, Submission)), None)
        if not new or first is None:
            return [item for item in checked if isinstance(item, InvalidRequest)]
        request = _request(new, first)
        with self._exclusively(request.key):
            committed, refusal = self._accept_some(request)
        if committed.earlier is not None:
            return self._replayed(checked, first.client, committed.earlier)
        accepted = {record.id: Accepted(record.id, False, record) for record in committed.records}
        answers: list[Accepted | RequestError] = []
        for item in checked:
            answer = accepted.get(item.row["id"], refusal) if isinstance(item, NewJob) else item
            assert answer is not None
            answers.append(answer)
        return answers

    def _accept_one(self, request: JobsRequest) -> Committed:
        _, refusal = self._let_in(request)
        if refusal is None:
            return self._batches(request)
        return self._earlier_or_raise(request, refusal)

    def _accept_some(self, request: JobsRequest) -> tuple[Committed, QuotaExceeded | None]:
        """The first jobs of a request, as many as its client may have."""
        allowed, refusal = self._let_in(request)
        if refusal is not None and request.key is not None:
            with suppress(QuotaExceeded):
                return self._earlier_or_raise(request, refusal), None
        if not allowed:
            return Committed(), refusal
        (committed,) = self._accept([replace(request, jobs=request.jobs[:allowed])])
        if isinstance(committed, Exception):
            raise committed
        return committed, refusal

    def _let_in(self, request: JobsRequest) -> tuple[int, QuotaExceeded | None]:
        sizes_bytes = [new.size_bytes for new in request.jobs]
        return self._quotas.let_in(request.jobs[0].client, sizes_bytes)

    def _earlier_or_raise(self, request: JobsRequest, refusal: QuotaExceeded) -> Committed:
        """What was accepted earlier is answered whatever the client may have now."""
        known = earlier(self._database, request)
        if known is None or isinstance(known, Exception):
            raise known or refusal
        return known

    def _checked(
        self, items: Sequence[Submission | InvalidRequest], stem: str
    ) -> Iterator[NewJob | InvalidRequest]:
        for place, item in enumerate(_breathing(items)):
            if isinstance(item, InvalidRequest):
                yield item
                continue
            try:
                yield self._new_job(item, _in_place(stem, place))
            except InvalidRequest as error:
                yield error

    def _replayed(
        self, checked: Sequence[NewJob | InvalidRequest], client: str, earlier: str
    ) -> list[Accepted | RequestError]:
        ids = [_in_place(_stem(earlier), place) for place in range(len(checked))]
        records, _ = reading.page(
            self._database,
            reading.Filter(Visibility(client), ids=ids),
            before_id=None,
            limit=len(ids),
        )
        jobs = {record.id: Accepted(record.id, True, record) for record in records}
        refused = InvalidRequest(
            "this job was refused, or is forgotten by now; send it with another Idempotency-Key"
        )
        return [
            jobs.get(job_id) or (item if isinstance(item, InvalidRequest) else refused)
            for job_id, item in zip(ids, checked, strict=True)
        ]

    def _new_job(self, submission: Submission, job_id: str) -> NewJob:
        return new_job(submission, job_id, self._catalog, self._settings)

    def _accept(self, requests: Sequence[JobsRequest]) -> list[Committed | Exception]:
        answers = accept_each(
            self._database,
            requests,
            key_ttl_seconds=self._settings.idempotency_ttl_seconds,
            turn_jobs=self._turn_jobs,
        )
        records = [
            record
            for answer in answers
            if isinstance(answer, Committed)
            for record in answer.records
        ]
        for record in records:
            JOBS_SUBMITTED.labels(record.task, record.queue).inc()
        self._dispatch(
            [
                Dispatch(record.id, record.epoch, record.queue)
                for record in records
                if record.dispatched_at_ms is not None
            ]
        )
        self._fill_lists({record.queue for record in records if _is_held(record)})
        return answers

    def _fill_lists(self, queues: Iterable[str]) -> None:
        """PostgreSQL: workers may have taken the jobs for which these were held before they were
        seen. Then nobody would come for them until the next sweep of maintenance.
        """
        if self._database.dialect != "postgresql":
            return
        for queue in queues:
            try:
                with self._database.write() as connection:
                    now_ms = self._database.read_clock_ms(connection)
                    released = turns.release(
                        self._database, connection, queue, self._turn_jobs, now_ms
                    )
            except LedgerUnavailable as error:
                logger.warning("jobs of queue %s wait for maintenance (%s)", queue, error)
            else:
                self._dispatch(released)

    @contextmanager
    def _exclusively(self, key: Key | None) -> Iterator[None]:
        if key is None:
            yield
            return
        if key in self._in_flight:
            raise IdempotencyInFlight(
                "the first request with this Idempotency-Key is still being answered"
            )
        self._in_flight.add(key)
        try:
            yield
        finally:
            self._in_flight.discard(key)

    def _dispatch(self, dispatches: Sequence[Dispatch]) -> None:
        if not dispatches:
            return
        try:
            dispatch(self._redis, dispatches)
        except RedisUnavailable as error:
            logger.warning(
                "%d accepted jobs are not dispatched yet (%s); maintenance will do it",
                len(dispatches),
                error,
            )


def _is_held(record: JobRecord) -> bool:
    return record.dispatched_at_ms is None and record.waiting_on == WaitingOn.WORKER


def fingerprint(*parts: bytes | str | None) -> str:
    """SHA-256 of what makes two requests the same one."""
    digest = hashlib.sha256()
    for part in parts:
        data = part.encode() if isinstance(part, str) else part or b""
        digest.update(len(data).to_bytes(8, "big") + data)
    return digest.hexdigest()


def _request(jobs: Sequence[NewJob], submission: Submission) -> JobsRequest:
    key = submission.idempotency_key
    return JobsRequest(
        jobs, None if key is None else Key(submission.client, key), submission.fingerprint
    )


def _breathing(items: Iterable[Item]) -> Iterator[Item]:
    for place, item in enumerate(items):
        if place % _BREATHE_EVERY == 0:
            time.sleep(0)
        yield item


def _stem(job_id: str) -> str:
    return job_id[:-_PLACE_DIGITS]


def _in_place(stem: str, place: int) -> str:
    return f"{stem}{place:0{_PLACE_DIGITS}x}"
