"""Ended jobs in this process's memory: since they never change, none need be read twice."""

from __future__ import annotations

import threading
import time
from collections import OrderedDict
from contextlib import suppress
from dataclasses import dataclass

from jobresults.jobs.reading import JobRecord

# What a record takes besides its texts.
_RECORD_BYTES = 3_000
# A larger part of the memory would be taken from too many others.
_LARGEST_SHARE = 1 / 4


@dataclass(frozen=True, slots=True)
class _Kept:
    record: JobRecord
    read_at: float
    size_bytes: int


class EndedJobs:
    """Bounded by bytes: who was not asked for longest goes first."""

    def __init__(self, max_bytes: int) -> None:
        self._max_bytes = max_bytes
        self._kept: OrderedDict[str, _Kept] = OrderedDict()
        self._lock = threading.Lock()
        self.size_bytes = 0

    def get(self, job_id: str) -> JobRecord | None:
        """The job as it is now, whoever owns it; None if it is not kept, or no longer to be."""
        kept = self._kept.get(job_id)
        if kept is None:
            return None
        elapsed_ms = round((time.monotonic() - kept.read_at) * 1000)
        record = kept.record.as_of(kept.record.now_ms + elapsed_ms)
        if record.expired:
            with self._lock:
                self._forget(job_id)
            return None
        with suppress(KeyError):  # another thread has just forgotten it
            self._kept.move_to_end(job_id)
        return record

    def put(self, record: JobRecord, read_at: float) -> None:
        """Keep a job, if it has ended and is not too large. `read_at`: by the monotonic clock, not
        after the ledger told its time.
        """
        texts = (record.result, record.error, record.traceback, record.progress_message)
        size_bytes = _RECORD_BYTES + sum(map(len, filter(None, texts)))
        if not record.done or record.expired or size_bytes > self._max_bytes * _LARGEST_SHARE:
            return
        with self._lock:
            self._forget(record.id)
            self._kept[record.id] = _Kept(record, read_at, size_bytes)
            self.size_bytes += size_bytes
            while self.size_bytes > self._max_bytes:
                self._forget(next(iter(self._kept)))

    def _forget(self, job_id: str) -> None:
        kept = self._kept.pop(job_id, None)
        if kept is not None:
            self.size_bytes -= kept.size_bytes
