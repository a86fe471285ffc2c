"""Which jobs a worker may begin: those it took from Redis as limits allow and, once the lists are
empty, those that wait for their turns in the ledger.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass, field

from sqlalchemy import Connection

from jobresults.database import Database
from jobresults.jobs import claims, concurrency, running, turns
from jobresults.jobs.concurrency import Concurrency
from jobresults.jobs.dispatch import Dispatch
from jobresults.jobs.running import Claimed, Fence
from jobresults.settings import Settings


@dataclass
class Admitted:
    """`released` are held jobs whose turn has come, or whose limit has room: for any worker.
    `parked` are ids and tasks that nobody here knows; `superseded` counts dispatches of jobs that
    had begun or ended elsewhere, or were dispatched anew.
    """

    begun: list[Claimed] = field(default_factory=list)
    released: list[Dispatch] = field(default_factory=list)
    parked: list[tuple[str, str]] = field(default_factory=list)
    superseded: int = 0


class Admission:
    """One worker's."""

    def __init__(
        self,
        database: Database,
        settings: Settings,
        worker: str,
        tasks: Collection[str],
        limits: Concurrency,
    ) -> None:
        self._database = database
        self._settings = settings
        self._worker = worker
        self._tasks = tasks
        self._limits = limits
        self.backlog: set[str] = set()
        """Queues that held jobs when this worker looked last."""

    def admit(
        self,
        connection: Connection,
        taken: Sequence[Dispatch],
        left: Sequence[Claimed],
        *,
        queues: Sequence[str],
        room: int,
        look: turns.Look,
    ) -> Admitted:
        """Within the caller's transaction: claim what was taken and, of these queues, up to `room`
        jobs that are held; let others go for those that begin and those that have left.
        """
        admitted, now_ms = Admitted(), look.now_ms
        entries = [*taken, *self._held(connection, queues, room)]
        if entries:
            self._begin(
                connection, admitted, [(item.job_id, item.epoch) for item in entries], now_ms
            )
        if self._limits:
            slots = Counter(
                key for job in left for key in self._limits.keys(job.customer, job.task)
            )
            admitted.released += concurrency.release(self._database, connection, slots, now_ms)
        begun = {job.id for job in admitted.begun}
        # On PostgreSQL a job may have been held for those that began here before it was seen;
        # SQLite has one writer at a time.
        moved = admitted.begun if self._database.dialect == "sqlite" else (*admitted.begun, *left)
        # Without a customer, too, it may have kept those of others waiting.
        touched = {job.queue for job in moved if look.held or job.customer is not None}
        touched |= {entry.queue for entry in taken if entry.job_id not in begun}
        self._fill(connection, admitted, touched | self.backlog, now_ms)
        return admitted

    def _held(self, connection: Connection, queues: Sequence[str], room: int) -> list[Dispatch]:
        wanted = [queue for queue in queues if queue in self.backlog]
        if not room or not wanted:
            return []
        found = turns.next_held(connection, wanted, room)
        if len(found) < room:
            self.backlog.difference_update(wanted)
        return found

    def _begin(
        self, connection: Connection, admitted: Admitted, fences: list[Fence], now_ms: int
    ) -> None:
        allowed: Collection[Fence] = fences
        if self._limits:
            allowed = concurrency.sift(self._database, connection, self._limits, fences, now_ms)
        if not allowed:
            return
        admitted.begun = claims.claim(
            self._database,
            connection,
            list(allowed),
            worker=self._worker,
            lease_seconds=self._settings.worker.lease_seconds,
            tasks=self._tasks,
            now_ms=now_ms,
        )
        missing = set(allowed) - {job.fence for job in admitted.begun}
        if missing:
            admitted.parked = running.park_unknown(connection, missing, self._tasks, now_ms)
            admitted.superseded = len(missing) - len(admitted.parked)

    def _fill(
        self, connection: Connection, admitted: Admitted, queues: Iterable[str], now_ms: int
    ) -> None:
        list_jobs = self._settings.limits.turn_jobs
        for queue in sorted(queues) if list_jobs else ():
            released = turns.release(self._database, connection, queue, list_jobs, now_ms)
            if released:
                self.backlog.add(queue)
                admitted.released += released
