"""Reading one job after the other: from memory, from the ledger together with all who ask at the
same time, or from hot copies while the ledger is away.
"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import replace

from sqlalchemy import BindParameter, bindparam, case, func, select

from jobresults.batching import Batcher
from jobresults.database import Database
from jobresults.errors import JobResultsError, LedgerUnavailable, NotFound, RedisUnavailable
from jobresults.jobs import hot
from jobresults.jobs.ended import EndedJobs
from jobresults.jobs.model import job
from jobresults.jobs.reading import UUID, JobRecord, select_records
from jobresults.jobs.states import State
from jobresults.jobs.visibility import Visibility
from jobresults.redis_store import Client
from jobresults.telemetry.metrics import RESULT_READS

READ_FROM_MEMORY = RESULT_READS.labels("memory")
_READ_FROM_REDIS = RESULT_READS.labels("redis")
_READ_FROM_LEDGER = RESULT_READS.labels("ledger")
_BATCH = 200
_SMALL_RESULT_BYTES = 262_144

_Asked = tuple[str, Visibility]


class JobReader:
    """Reads for all requests of a process; keeps ended jobs in up to `cache_bytes`."""

    def __init__(self, database: Database, redis: Client, cache_bytes: int) -> None:
        self._database = database
        self._redis = redis
        # Large results come one by one: together they could take longer than a statement may.
        small = case((func.length(job.c.result) <= _SMALL_RESULT_BYTES, job.c.result))
        ids: BindParameter[list[str]] = bindparam("ids", expanding=True)
        self._select = select_records(database, small).where(job.c.id.in_(ids))
        self._ended = EndedJobs(cache_bytes)
        self._read: Batcher[_Asked, JobRecord] = Batcher(self._read_together, _BATCH)

    def get(self, job_id: str, visible: Visibility) -> JobRecord:
        """The job as it is now, result included.

        Raises:
            NotFound: unknown, or not visible.
            LedgerUnavailable: and neither memory nor Redis has a copy of it.
        """
        record = self.remembered(job_id, visible)
        if record is not None:
            READ_FROM_MEMORY.inc()
            return record
        # Another's job goes the way of an unknown one, so that they differ in nothing.
        if not UUID.fullmatch(job_id):
            raise NotFound("no such job")
        return self._read((job_id, visible))

    def remembered(self, job_id: str, visible: Visibility) -> JobRecord | None:
        """The job, if it has ended and is in memory; no query is made."""
        record = self._ended.get(job_id)
        return record if record is not None and visible.shows(record) else None

    def ended(self, job_ids: Sequence[str]) -> list[str]:
        """Those of the jobs that have ended.

        Raises:
            LedgerUnavailable
        """
        query = select(job.c.id).where(job.c.id.in_(job_ids), job.c.ended_at_ms.is_not(None))
        return [row.id for row in self._database.rows(query)]

    def _read_together(self, asked: Sequence[_Asked]) -> list[JobRecord | Exception]:
        read_at = time.monotonic()
        ids = list({job_id for job_id, _ in asked})
        absent: JobResultsError = NotFound("no such job")
        source = _READ_FROM_LEDGER
        try:
            found: Mapping[str, JobRecord] = self._from_ledger(ids)
        except LedgerUnavailable as error:
            found, absent, source = self._hot_copies(ids), error, _READ_FROM_REDIS
        for record in found.values():
            self._ended.put(record, read_at)
        answers: list[JobRecord | Exception] = [
            found[job_id]
            if job_id in found and visible.shows(found[job_id])
            else type(absent)(absent.detail)
            for job_id, visible in asked
        ]
        ended = sum(isinstance(answer, JobRecord) and answer.done for answer in answers)
        source.inc(ended)
        return answers

    def _from_ledger(self, ids: list[str]) -> dict[str, JobRecord]:
        rows = self._database.rows(self._select, {"ids": ids})
        return {record.id: self._complete(record) for record in (JobRecord(*row) for row in rows)}

    def _complete(self, record: JobRecord) -> JobRecord:
        if record.state != State.SUCCEEDED or record.expired or record.result is not None:
            return record
        rows = self._database.rows(select(job.c.result).where(job.c.id == record.id))
        return replace(record, result=rows[0].result if rows else None)

    def _hot_copies(self, ids: Sequence[str]) -> Mapping[str, JobRecord]:
        try:
            return hot.load(self._redis, ids)
        except RedisUnavailable:
            return {}
