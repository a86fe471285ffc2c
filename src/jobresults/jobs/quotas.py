"""What a client may have in the ledger: queued jobs and stored bytes.

Checked before the commit against what the ledger held at most a second ago and what this process
has let in since. So a client may exceed a quota by what the other web processes let in within that
second, and by the results of the jobs it has queued; never is it refused for what is over.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass

from sqlalchemy import func, literal, select

from jobresults.database import Database
from jobresults.errors import QuotaExceeded
from jobresults.jobs import stored
from jobresults.jobs.model import QUEUED, job
from jobresults.settings import ClientLimits, LimitsSettings

_FRESH_SECONDS = 1.0
# Before a refusal it is looked again, but not more often than this.
_RECENT_SECONDS = 0.1
_QUEUE_RETRY_SECONDS = 5
_BYTES_RETRY_SECONDS = 30


@dataclass
class _Usage:
    """What the ledger held when it was read, and what was let in since."""

    read_at: float = float("-inf")
    queued_jobs: int = 0
    stored_bytes: int = 0
    let_in_jobs: int = 0
    let_in_bytes: int = 0


class Quotas:
    """Those of all clients, for one process."""

    def __init__(self, database: Database, settings: LimitsSettings) -> None:
        self._database = database
        self._settings = settings
        self._usages: dict[str, _Usage] = {}

    def let_in(self, client: str, sizes_bytes: Sequence[int]) -> tuple[int, QuotaExceeded | None]:
        """How many of these jobs, from the first on, the client may have now, and why not the next
        one. They count as accepted.

        Raises:
            LedgerUnavailable
        """
        limits = self._settings.of(client)
        if limits.max_queued_jobs is None and limits.max_stored_bytes is None:
            return len(sizes_bytes), None
        usage = self._usages.setdefault(client, _Usage())
        self._read_if_older(usage, client, limits, _FRESH_SECONDS)
        allowed, refusal = _fitting(usage, limits, sizes_bytes)
        if refusal is not None and self._read_if_older(usage, client, limits, _RECENT_SECONDS):
            allowed, refusal = _fitting(usage, limits, sizes_bytes)
        usage.let_in_jobs += allowed
        usage.let_in_bytes += sum(sizes_bytes[:allowed])
        return allowed, refusal

    def _read_if_older(
        self, usage: _Usage, client: str, limits: ClientLimits, seconds: float
    ) -> bool:
        now = time.monotonic()
        if now - usage.read_at <= seconds:
            return False
        before, usage.read_at = usage.read_at, now  # the others take the old figures meanwhile
        jobs_before, bytes_before = usage.let_in_jobs, usage.let_in_bytes
        try:
            if limits.max_queued_jobs is not None:
                usage.queued_jobs = self._queued(client, limits.max_queued_jobs)
            if limits.max_stored_bytes is not None:
                usage.stored_bytes = stored.of_client(self._database, client)
        except BaseException:
            usage.read_at = before
            raise
        usage.let_in_jobs -= jobs_before
        usage.let_in_bytes -= bytes_before
        return True

    def _queued(self, client: str, most: int) -> int:
        """How many jobs of the client wait; no more are counted than matter."""
        some = select(literal(1)).where(job.c.client == client, QUEUED).limit(most)
        return int(self._database.rows(select(func.count()).select_from(some.subquery()))[0][0])


def _fitting(
    usage: _Usage, limits: ClientLimits, sizes_bytes: Sequence[int]
) -> tuple[int, QuotaExceeded | None]:
    queued = usage.queued_jobs + usage.let_in_jobs
    stored_bytes = usage.stored_bytes + usage.let_in_bytes
    for place, size_bytes in enumerate(sizes_bytes):
        if limits.max_queued_jobs is not None and queued >= limits.max_queued_jobs:
            return place, _too_many_jobs(limits.max_queued_jobs)
        if limits.max_stored_bytes is not None and (
            stored_bytes + size_bytes > limits.max_stored_bytes
        ):
            return place, _too_many_bytes(limits.max_stored_bytes, stored_bytes, size_bytes)
        queued += 1
        stored_bytes += size_bytes
    return len(sizes_bytes), None


def _too_many_jobs(limit: int) -> QuotaExceeded:
    return QuotaExceeded(
        f"max_queued_jobs: this client may have {limit:,} queued jobs and has them; send it again "
        "once some have begun, or have the operators raise limits.max_queued_jobs",
        _QUEUE_RETRY_SECONDS,
        limit="max_queued_jobs",
        maximum=limit,
    )


def _too_many_bytes(limit: int, now_bytes: int, size_bytes: int) -> QuotaExceeded:
    return QuotaExceeded(
        f"max_stored_bytes: this client may store {limit:,} bytes of params and results, has "
        f"{now_bytes:,} and would add {size_bytes:,}; wait until results expire, have tasks keep "
        "them for a shorter time, or have the operators raise limits.max_stored_bytes",
        _BYTES_RETRY_SECONDS,
        limit="max_stored_bytes",
        maximum=limit,
    )
