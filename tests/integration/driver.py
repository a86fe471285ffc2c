"""Moves jobs through a ledger as the processes of the service do, and looks at what is there."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import pytest
from rq.utils import as_text
from sqlalchemy import Row, select, update

from jobresults.database import Database, metadata
from jobresults.jobs import cancellation, claims, lost_workers, outcome, reading, running
from jobresults.jobs.catalog import Catalog, load_catalog
from jobresults.jobs.dispatch import dispatch, queue_key
from jobresults.jobs.model import job
from jobresults.jobs.outcome import Ending, JobError, Recorded
from jobresults.jobs.running import Claimed, Fence, LogLine, Progress
from jobresults.jobs.states import State
from jobresults.jobs.submission import Accepted, Submission, Submissions
from jobresults.jobs.visibility import Visibility
from jobresults.redis_store import Client
from jobresults.settings import JobsSettings
from tests.services.ledger import POSTGRESQL, SQLITE

CATALOG = load_catalog(["tests.support.sample_tasks"])
TASKS = [task.name for task in CATALOG]
SETTINGS = JobsSettings(retry_base_seconds=60)
BOOM = JobError("task_error", "Task failed", "ValueError: boom")
MINE = Visibility("me")
FATAL = replace(BOOM, retryable=False)

on_sqlite = pytest.mark.parametrize("database_url", [SQLITE], indirect=True)
on_postgresql = pytest.mark.parametrize("database_url", [POSTGRESQL], indirect=True)


def make_empty(database: Database) -> None:
    """Forget all jobs."""
    with database.write() as connection:
        for table in reversed(metadata.sorted_tables):
            connection.execute(table.delete())


class Driver:
    """One ledger and one Redis, without processes around them."""

    def __init__(
        self,
        database: Database,
        redis: Client,
        settings: JobsSettings = SETTINGS,
        catalog: Catalog = CATALOG,
    ) -> None:
        self.database, self.redis, self.settings = database, redis, settings
        self.submissions = Submissions(database, redis, catalog, settings)

    def accept(self, task: str = "echo", params: Any = None, **options: Any) -> Accepted:
        """Hand in a job of client `me`."""
        options = {"client": "me", **options}
        return self.submissions.submit(
            Submission(task=task, params_json=json.dumps(params or {}).encode(), **options)
        )

    def submit(self, task: str = "echo", params: Any = None, **options: Any) -> str:
        """The id of a new job."""
        return self.accept(task, params, **options).job_id

    def claim(self, job_id: str, *, worker: str = "w", tasks: Sequence[str] = TASKS) -> Claimed:
        """Start the job, as it is dispatched now."""
        if self.row(job_id).dispatched_at_ms is None:
            self.alter(job_id, dispatched_at_ms=self.now_ms())
        claimed = self.try_claim(job_id, self.row(job_id).epoch, worker=worker, tasks=tasks)
        assert claimed is not None
        return claimed

    def try_claim(
        self, job_id: str, epoch: int, *, worker: str = "w", tasks: Sequence[str] = TASKS
    ) -> Claimed | None:
        """Start the job if that dispatch is still good."""
        claimed = self.claim_all([(job_id, epoch)], worker=worker, tasks=tasks)
        if not claimed:
            self.park([(job_id, epoch)], tasks)
        return claimed[0] if claimed else None

    def claim_all(
        self, fences: Sequence[Fence], *, worker: str = "w", tasks: Sequence[str] = TASKS
    ) -> list[Claimed]:
        """Start those of the dispatches that are still good."""
        with self.database.write() as connection:
            return claims.claim(
                self.database,
                connection,
                fences,
                worker=worker,
                lease_seconds=15,
                tasks=tasks,
                now_ms=self.database.read_clock_ms(connection),
            )

    def park(self, fences: Sequence[Fence], tasks: Sequence[str]) -> list[tuple[str, str]]:
        """Let those wait whose task is not known."""
        with self.database.write() as connection:
            now_ms = self.database.read_clock_ms(connection)
            return running.park_unknown(connection, fences, tasks, now_ms)

    def start(self, task: str = "echo", **options: Any) -> Claimed:
        """A job that runs."""
        return self.claim(self.submit(task, **options))

    def end(self, state: State, **options: Any) -> str:
        """The id of a job that has ended so."""
        claimed = self.start(**options)
        self.end_as(state, claimed)
        return claimed.id

    def end_as(self, state: State, claimed: Claimed) -> None:
        """End a running job so."""
        if state is State.SUCCEEDED:
            self.succeed(claimed)
        elif state is State.FAILED:
            self.fail(claimed, FATAL)
        else:
            self.cancel(claimed.id)
            self.succeed(claimed)

    def succeed(self, claimed: Claimed, result: bytes = b"1") -> State | None:
        return self.record(claimed, Ending(result=result))

    def fail(self, claimed: Claimed, error: JobError = BOOM) -> State | None:
        return self.record(claimed, Ending(error=error, traceback="Traceback"))

    def requeue(self, claimed: Claimed) -> State | None:
        return self.record(claimed, Ending(requeue="shutdown"))

    def record(self, claimed: Claimed, ending: Ending) -> State | None:
        """The state that came of it; None if it was refused."""
        (recorded,) = self.record_all([(claimed, ending)])
        return None if recorded is None else recorded.state

    def record_all(self, endings: Sequence[tuple[Claimed, Ending]]) -> list[Recorded | None]:
        with self.database.write() as connection:
            now_ms = self.database.read_clock_ms(connection)
            return outcome.record(self.database, connection, self.settings, endings, now_ms)

    def give_back(self, *claimed: Claimed) -> None:
        """The worker has begun none of these, and others are to have them."""
        with self.database.write() as connection:
            returned = running.give_back_unstarted(self.database, connection, claimed)
        dispatch(self.redis, returned, at_front=True)

    def report(self, claimed: Claimed, progress: Progress) -> None:
        with self.database.write() as connection:
            running.record_progress(self.database, connection, [(claimed, progress)])

    def log(self, *lines: tuple[Claimed, LogLine]) -> None:
        with self.database.write() as connection:
            running.append_logs(connection, lines)

    def cancel(self, job_id: str) -> State:
        return cancellation.cancel(self.database, job_id)

    def lose_worker(self, job_id: str) -> None:
        """Nothing was heard of the job's worker for too long, and the reconciler has noticed."""
        self.alter(job_id, lease_until_ms=0)
        lost_workers.take_over_expired_leases(self.database, 1_000)

    def alter(self, job_id: str, **columns: Any) -> None:
        """Change the row, as time or an outage would."""
        with self.database.write() as connection:
            connection.execute(update(job).where(job.c.id == job_id).values(**columns))

    def row(self, job_id: str) -> Row[Any]:
        """All that the ledger holds of the job itself."""
        with self.database.read() as connection:
            return connection.execute(select(job).where(job.c.id == job_id)).one()

    def rows(self) -> Sequence[Row[Any]]:
        with self.database.read() as connection:
            return connection.execute(select(job).order_by(job.c.id)).all()

    def now_ms(self) -> int:
        with self.database.read() as connection:
            return int(connection.execute(select(self.database.now_ms())).scalar_one())

    def events(self, job_id: str) -> list[str]:
        """The timeline's words."""
        return [event["event"] for event in reading.timeline(self.database, job_id)]

    def detail(self, job_id: str) -> dict[str, Any]:
        """What the timeline's last line says."""
        detail: dict[str, Any] = reading.timeline(self.database, job_id)[-1]["detail"]
        return detail

    def waiting(self, queue_name: str = "default") -> list[str]:
        """The entries of a queue in Redis, the next one first."""
        entries: Any = self.redis.lrange(queue_key(queue_name), 0, -1)
        return [as_text(entry) for entry in entries]

    def rq_id(self, job_id: str) -> str:
        """The entry of the job as it is dispatched now."""
        return f"{job_id}_{self.row(job_id).epoch}"
