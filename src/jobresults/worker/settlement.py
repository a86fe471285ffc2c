"""A worker's writes to the ledger, for many jobs in one transaction: what has ended, what was said,
what is given back, what begins.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from jobresults.database import Database
from jobresults.jobs import outcome, running, successes, turns
from jobresults.jobs.dispatch import Dispatch
from jobresults.jobs.outcome import Recorded
from jobresults.jobs.reading import JobRecord
from jobresults.jobs.running import Claimed, Progress
from jobresults.jobs.states import State
from jobresults.settings import Settings
from jobresults.worker.admission import Admission, Admitted
from jobresults.worker.attempts import Attempt, Words


@dataclass
class Settled:
    """What a transaction has come to. `recorded` belongs to the endings it was given, in their
    order.
    """

    now_ms: int = 0
    recorded: list[Recorded | None] = field(default_factory=list)
    returned: list[Dispatch] = field(default_factory=list)
    admitted: Admitted = field(default_factory=Admitted)


class Settlement:
    """One worker's."""

    def __init__(
        self, database: Database, settings: Settings, worker: str, admission: Admission
    ) -> None:
        self._database = database
        self._settings = settings
        self._worker = worker
        self._admission = admission

    def write(
        self,
        *,
        ended: Sequence[Attempt],
        words: Words,
        unstarted: Sequence[Claimed],
        taken: Sequence[Dispatch],
        queues: Sequence[str] = (),
        room: int = 0,
    ) -> Settled:
        """All of it, or nothing. `room`: so many held jobs of these queues may begin besides.

        Raises:
            LedgerUnavailable: try again; repeating is harmless.
        """
        settled = Settled()
        with self._database.write() as connection:
            look = turns.look(self._database, connection)
            settled.now_ms = now_ms = look.now_ms
            running.append_logs(connection, words.lines)
            running.record_progress(self._database, connection, list(words.progress.values()))
            settled.recorded = outcome.record(
                self._database,
                connection,
                self._settings.jobs,
                [(item.job, item.ending) for item in ended if item.ending is not None],
                now_ms,
            )
            if unstarted:
                settled.returned = running.give_back_unstarted(
                    self._database, connection, unstarted
                )
            settled.admitted = self._admission.admit(
                connection,
                taken,
                [item.job for item in ended],
                queues=queues,
                room=room,
                look=look,
            )
        return settled

    def record_of(self, attempt: Attempt, recorded: Recorded, now_ms: int) -> JobRecord:
        """An ended job as the ledger holds it, without asking."""
        job, progress = attempt.job, attempt.progress or Progress(None, None, None)
        succeeded = recorded.state is State.SUCCEEDED
        ended_at_ms = recorded.ended_at_ms or now_ms
        result = attempt.ending.result if succeeded and attempt.ending is not None else None
        return JobRecord(
            id=job.id,
            task=job.task,
            queue=job.queue,
            client=job.client,
            customer=job.customer,
            tags=job.tags,
            state=recorded.state.value,
            waiting_on=None,
            epoch=job.epoch,
            attempt=job.attempt,
            max_attempts=job.max_attempts,
            timeout_seconds=job.timeout_seconds,
            due_at_ms=job.due_at_ms,
            dispatched_at_ms=job.dispatched_at_ms,
            worker=self._worker,
            cancel_requested_at_ms=None,
            progress_done=progress.done,
            progress_total=progress.total,
            progress_message=progress.message,
            result=result,
            result_sha256=None if result is None else successes.digest(result),
            error=recorded.error,
            traceback=attempt.ending.traceback if attempt.ending is not None else None,
            request_id=job.request_id,
            rerun_of=job.rerun_of,
            created_at_ms=job.created_at_ms,
            started_at_ms=job.started_at_ms,
            ended_at_ms=ended_at_ms,
            expires_at_ms=ended_at_ms + job.result_ttl_seconds * 1000,
            expired_at_ms=None,
            now_ms=now_ms,
            sentry_event_id=attempt.ending.sentry_event_id if attempt.ending is not None else None,
        )
