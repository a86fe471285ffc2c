"""An RQ worker for which the ledger, not Redis, says what runs and how it ended.

RQ's queues, register and heartbeats are kept, so `rq info` tells the truth. RQ's job execution,
callbacks, results, retries, scheduler, clean-up and remote commands are not used: each of them can
lose or repeat a job.
"""

from __future__ import annotations

import logging
import math
import os
import secrets
import socket
import time
from collections.abc import Callable
from types import FrameType

from redis.client import Pipeline
from redis.exceptions import RedisError
from rq import Queue, Worker
from rq.exceptions import DequeueTimeout
from rq.job import Job as RqJob
from rq.serializers import JSONSerializer
from rq.suspension import is_suspended
from rq.worker import WorkerStatus
from rq.worker_registration import register

from jobresults.database import Database
from jobresults.errors import LedgerUnavailable, RedisUnavailable
from jobresults.jobs import hot, outcome, reading, running
from jobresults.jobs.catalog import Catalog
from jobresults.jobs.dispatch import Dispatch, RefusingJob, discard, forget, parse_rq_id
from jobresults.jobs.running import Claimed
from jobresults.jobs.states import State
from jobresults.redis_store import Client, connect, ring_bell
from jobresults.settings import Settings
from jobresults.telemetry.logging_context import bound
from jobresults.worker.supervision import Attempt, Ending

logger = logging.getLogger(__name__)

_POLL_SECONDS = 1
_MAX_PAUSE_SECONDS = 2.0
_OUTCOME_PATIENCE_SECONDS = 600.0


class LedgerWorker(Worker):
    """Takes one job at a time until it is told to stop."""

    queue_class = Queue
    job_class = RefusingJob

    def __init__(
        self, redis: Client, database: Database, catalog: Catalog, settings: Settings
    ) -> None:
        # A name is never used twice: RQ refuses to restart under the name of a killed worker for
        # minutes.
        name = f"{socket.gethostname()}-{os.getpid()}-{secrets.token_hex(4)}"
        super().__init__(
            list(settings.worker.queues),
            name=name,
            connection=redis,
            serializer=JSONSerializer,
            worker_ttl=30,
            log_job_description=False,
        )
        self._database = database
        self._redis: Client = redis
        # The pop alone may take longer: a Redis that hangs must not hold up leases.
        self._popping = connect(settings.redis, socket_timeout_seconds=_POLL_SECONDS + 4)
        self._catalog = catalog
        self._settings = settings
        self._tasks = [task.name for task in catalog]
        self._stop_at: float | None = None
        self._next_beat = 0.0

    @property
    def dequeue_timeout(self) -> int:
        """Seconds to wait for a job in one request. Short: a signal is only seen between two
        requests.
        """
        return _POLL_SECONDS

    @property
    def connection_timeout(self) -> int:
        """RQ's minimum for the timeout of every request. The pop has a connection of its own."""
        return 0

    def heartbeat(self, timeout: int | None = None, pipeline: Pipeline | None = None) -> None:
        """Stay in RQ's register for one lease more: a dead worker is not counted for minutes."""
        super().heartbeat(math.ceil(self._settings.worker.lease_seconds), pipeline)

    def work_until_stopped(self) -> None:
        """Serve the queues until `request_stop`."""
        logger.info("worker %s serves queues %s", self.name, ", ".join(self.queue_names()))
        pause_seconds = 0.1
        while self._stop_at is None:
            try:
                self._beat()
                taken = None if is_suspended(self.connection, self) else self._take()
                pause_seconds = 0.1
            except RedisError as error:
                logger.warning("Redis does not answer (%s); trying again", error)
                time.sleep(pause_seconds)
                pause_seconds = min(pause_seconds * 2, _MAX_PAUSE_SECONDS)
                continue
            if taken is not None:
                self.execute_job(*taken)
        self._quietly(self.register_death)
        logger.info("worker %s has stopped", self.name)

    def request_stop(self, signum: int, frame: FrameType | None) -> None:
        """A signal handler: finish the job within the grace, then stop; the second time, at once.

        It notes the wish and nothing else: raising here could lose the job that is being taken.
        """
        grace_seconds = (
            0.0 if self._stop_at is not None else self._settings.worker.shutdown_grace_seconds
        )
        self._stop_at = time.monotonic() + grace_seconds

    def execute_job(self, job: RqJob, queue: Queue) -> None:
        """Claim the job in the ledger, run it in an executor, record how it ended. Raises
        nothing.
        """
        if not (isinstance(job, RefusingJob) and job.is_ours):
            logger.error("refused a job in Redis that this service did not put there: %s", job.id)
            self._quietly(lambda: discard(self._redis, queue.name, [job.id]))
            return
        job_id, epoch = parse_rq_id(job.id)
        claimed = self._claim(job_id, epoch)
        if claimed is None:
            self._quietly(lambda: forget(self._redis, [Dispatch(job_id, epoch, queue.name, "")]))
            return
        with bound(
            request_id=claimed.request_id,
            job_id=job_id,
            task=claimed.task,
            customer=claimed.customer,
            client=claimed.client,
            attempt=claimed.attempt,
        ):
            self._quietly(lambda: self._register_start(job))
            ending = Attempt(
                self._database,
                self._settings,
                self._catalog.get(claimed.task),
                claimed,
                must_stop=self._grace_is_over,
                on_heartbeat=lambda: self._quietly(lambda: self._beat_running(job)),
            ).run()
            state = self._record(claimed, ending)
        self._quietly(lambda: self._register_end(job, state, queue))

    def _take(self) -> tuple[RqJob, Queue] | None:
        try:
            return self.queue_class.dequeue_any(
                self._ordered_queues,
                self.dequeue_timeout,
                connection=self._popping,
                job_class=self.job_class,
                serializer=self.serializer,
                death_penalty_class=self.death_penalty_class,
            )
        except DequeueTimeout:
            return None
        except RedisError:
            raise
        except Exception as error:
            logger.exception("refused an entry in Redis that is not a job")
            rq_id, queue = getattr(error, "job_id", None), getattr(error, "queue", None)
            if rq_id is not None and queue is not None:
                self._quietly(lambda: discard(self._redis, queue.name, [rq_id]))
            return None

    def _claim(self, job_id: str, epoch: int) -> Claimed | None:
        try:
            claimed = running.claim(
                self._database,
                job_id,
                epoch,
                worker=self.name,
                lease_seconds=self._settings.worker.lease_seconds,
                tasks=self._tasks,
            )
            if claimed is None:
                unknown = running.unknown_task(self._database, job_id, epoch, self._tasks)
                if unknown is not None:
                    logger.error("job %s waits for a worker that knows task %r", job_id, unknown)
        except LedgerUnavailable as error:
            logger.warning("job %s could not be claimed: %s", job_id, error)
            return None
        return claimed

    def _record(self, job: Claimed, ending: Ending) -> State | None:
        """Write the outcome, as long as it takes: the work is done and must not be lost to an
        outage.
        """
        if ending.fenced:
            logger.warning("job %s went to another worker; its executor was stopped", job.id)
            return None
        give_up_at = time.monotonic() + _OUTCOME_PATIENCE_SECONDS
        pause_seconds = 0.1
        while True:
            try:
                state = self._write(job, ending)
                break
            except LedgerUnavailable as error:
                if time.monotonic() > give_up_at or self._grace_is_over():
                    logger.error(
                        "outcome of job %s is lost, its lease will run out: %s", job.id, error
                    )
                    return None
                logger.warning("outcome of job %s is not recorded yet: %s", job.id, error)
            time.sleep(pause_seconds)
            pause_seconds = min(pause_seconds * 2, _MAX_PAUSE_SECONDS)
        self._tell(job, ending, state)
        return state

    def _write(self, job: Claimed, ending: Ending) -> State | None:
        if ending.requeue:
            return outcome.requeue(self._database, job.id, job.epoch, "shutdown")
        if ending.error is not None:
            return outcome.fail(
                self._database,
                self._settings.jobs,
                job.id,
                job.epoch,
                ending.error,
                ending.traceback,
            )
        assert ending.result is not None
        return outcome.succeed(self._database, job.id, job.epoch, ending.result)

    def _tell(self, job: Claimed, ending: Ending, state: State | None) -> None:
        detail = ending.error.detail if ending.error else "-"
        if state is None:
            logger.warning("job %s: outcome refused, its lease went to another worker", job.id)
        elif state is State.FAILED:
            logger.error("job %s (%s) failed for good: %s", job.id, job.task, detail)
        elif state is State.QUEUED:
            logger.warning("job %s (%s) is queued again: %s", job.id, job.task, detail)
        else:
            logger.info("job %s (%s) %s", job.id, job.task, state)

    def _grace_is_over(self) -> bool:
        return self._stop_at is not None and time.monotonic() >= self._stop_at

    def _beat(self) -> None:
        """Keep this worker in RQ's register, even if Redis was flushed since."""
        if time.monotonic() < self._next_beat:
            return
        self._next_beat = time.monotonic() + self._settings.worker.heartbeat_seconds
        if not self.connection.hexists(self.key, "birth"):
            self.connection.delete(self.key)  # RQ refuses what was written since a flush
            self.register_birth()  # type: ignore[no-untyped-call]
            self.set_state(WorkerStatus.IDLE if self.execution is None else WorkerStatus.BUSY)
        with self.connection.pipeline() as pipeline:
            register(self, pipeline)
            self.heartbeat(pipeline=pipeline)
            pipeline.execute()

    def _beat_running(self, job: RqJob) -> None:
        self._beat()
        if self.execution is not None:
            self.maintain_heartbeats(job)

    def _register_start(self, job: RqJob) -> None:
        self.prepare_execution(job)
        self.prepare_job_execution(job, remove_from_intermediate_queue=True)

    def _register_end(self, job: RqJob, state: State | None, queue: Queue) -> None:
        job_id, epoch = parse_rq_id(job.id)
        if state is not None and state.done:
            ring_bell(self._redis, job_id)
            self._keep_hot_copy(job_id)
        with self.connection.pipeline() as pipeline:
            if state is State.SUCCEEDED:
                self.increment_successful_job_count(pipeline)
            elif state is not None:
                self.increment_failed_job_count(pipeline)
            self.cleanup_execution(job, pipeline)
            self.set_state(WorkerStatus.IDLE, pipeline)
            pipeline.execute()
        forget(self._redis, [Dispatch(job_id, epoch, queue.name, "")])

    def _keep_hot_copy(self, job_id: str) -> None:
        try:
            hot.store(self._redis, reading.get(self._database, job_id, None))
        except LedgerUnavailable as error:
            logger.warning("no hot copy of job %s: %s", job_id, error)

    def _quietly(self, call: Callable[[], object]) -> None:
        """Do something to Redis that only serves onlookers: its failure is logged and nothing
        more.
        """
        try:
            call()
        except (RedisError, RedisUnavailable) as error:
            logger.warning("Redis does not answer (%s); the ledger is right all the same", error)
