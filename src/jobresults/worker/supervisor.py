"""The worker's loop: takes dispatches from Redis, claims them in the ledger, has its executor run
them, records how they ended.

Everything that waits for the ledger or for Redis is done for many jobs at once: one transaction for
what has ended and what begins, then one round trip to Redis. Nothing is begun, and nobody is told,
before the commit.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Sequence
from types import FrameType

from jobresults.database import Database
from jobresults.errors import LedgerUnavailable
from jobresults.jobs import incidents, queues, running
from jobresults.jobs.catalog import Catalog
from jobresults.jobs.concurrency import Concurrency
from jobresults.jobs.dispatch import Dispatch, Foreign
from jobresults.jobs.running import Claimed
from jobresults.jobs.states import State
from jobresults.redis_store import Client
from jobresults.settings import Settings
from jobresults.telemetry import sentry
from jobresults.telemetry.pulse import Pulse
from jobresults.worker import attempt_spans, verdicts
from jobresults.worker.admission import Admission
from jobresults.worker.attempts import Attempt, Attempts
from jobresults.worker.exchange import Exchange, News
from jobresults.worker.settlement import Settled, Settlement
from jobresults.worker.tally import Tally

logger = logging.getLogger(__name__)

_TICK_SECONDS = 0.1
_CANCEL_CHECK_SECONDS = 0.75
_PAUSE_CHECK_SECONDS = 0.5
_WORDS_SECONDS = 0.5
_MAX_PAUSE_SECONDS = 2.0
_OUTCOME_PATIENCE_SECONDS = 600.0


class Supervisor:
    """Serves the queues with one executor until it is told to stop."""

    def __init__(
        self,
        redis: Client,
        database: Database,
        catalog: Catalog,
        settings: Settings,
        pulse: Pulse,
    ) -> None:
        self._database = database
        self._pulse = pulse
        self._settings = settings.worker
        tasks = frozenset(task.name for task in catalog)
        self._exchange = Exchange(redis, settings, tasks)
        self.name = self._exchange.presence.name
        limits = Concurrency.of(settings.limits, catalog)
        self._admission = Admission(database, settings, self.name, tasks, limits)
        self._settlement = Settlement(database, settings, self.name, self._admission)
        self._attempts = Attempts(catalog, settings)
        self._tally = Tally(catalog, settings.jobs)
        self._taken: list[Dispatch] = []
        self._unstarted: list[Claimed] = []
        self._news = News()
        self._stop_at: float | None = None
        self._next_beat = self._next_cancel_check = self._next_words = 0.0
        self._next_pause_check = 0.0
        self._room_for_held = 0
        self._ledger_again_at = 0.0
        self._ledger_pause_seconds = 0.1

    def work_until_stopped(self) -> None:
        """Serve the queues until `request_stop`."""
        logger.info("worker %s serves queues %s", self.name, ", ".join(self._settings.queues))
        self._pulse.waits_for = None
        while self._stop_at is None or self._has_work:
            self._pulse.beat()
            self._wait()
            self._attempts.collect()
            self._watch()
            self._settle()
            self._attempts.collect()  # what has ended meanwhile makes room for more
            self._trade()
        self._attempts.close()
        self._exchange.leave()
        logger.info("worker %s has stopped", self.name)

    def request_stop(self, signum: int, frame: FrameType | None) -> None:
        """A signal handler: finish the job within the grace, then stop; the second time, at once.

        It notes the wish and nothing else: raising here could lose the job that is being taken.
        """
        grace_seconds = 0.0 if self._stop_at is not None else self._settings.shutdown_grace_seconds
        self._stop_at = time.monotonic() + grace_seconds

    @property
    def _has_work(self) -> bool:
        return bool(self._taken or self._unstarted or not self._attempts.is_idle)

    @property
    def _grace_is_over(self) -> bool:
        return self._stop_at is not None and time.monotonic() >= self._stop_at

    @property
    def _ledger_rests(self) -> bool:
        return time.monotonic() < self._ledger_again_at

    def _wait(self) -> None:
        """For the executor if something runs, else for a dispatch; not if there is work at hand."""
        at_hand = self._taken or self._attempts.ended or self._unstarted or self._room_for_held
        if at_hand and not self._ledger_rests:
            return
        if self._has_work:
            self._attempts.wait(_TICK_SECONDS)
            if not self._attempts.is_running:
                time.sleep(_TICK_SECONDS)  # its outcome waits for the ledger
        elif self._stop_at is None:
            if self._ledger_rests:
                time.sleep(_TICK_SECONDS)
            self._receive(self._exchange.wait())

    def _watch(self) -> None:
        """Keep leases, look for wishes to cancel, stop what has to be stopped."""
        attempts, now = self._attempts, time.monotonic()
        attempts.check(grace_is_over=self._grace_is_over)
        self._tally.begun(attempts.take_begun())
        if self._stop_at is not None:
            attempts.give_up_waiting()
        self._unstarted += attempts.take_back_behind_long()
        if now >= self._next_pause_check and not self._ledger_rests:
            self._next_pause_check = now + _PAUSE_CHECK_SECONDS
            self._look_for_pauses()
        if attempts.is_idle:
            self._next_beat = now + self._settings.heartbeat_seconds
            self._next_cancel_check = now + _CANCEL_CHECK_SECONDS
            return
        if now >= self._next_beat:
            self._next_beat = now + self._settings.heartbeat_seconds
            self._extend_leases()
        if now >= self._next_cancel_check and attempts.is_running:
            self._next_cancel_check = now + _CANCEL_CHECK_SECONDS
            self._look_for_cancel_requests()

    def _extend_leases(self) -> None:
        fences = [job.fence for job in (*self._attempts.jobs, *self._unstarted)]
        try:
            running.extend_leases(self._database, fences, self._settings.lease_seconds)
        except LedgerUnavailable as error:
            logger.warning("heartbeat missed: %s", error)
        self._exchange.beat(self._attempts.jobs)  # last: Redis may hang

    def _look_for_cancel_requests(self) -> None:
        ours = self._attempts.open_jobs
        try:
            requests = running.cancel_requests(self._database, [job.fence for job in ours])
        except LedgerUnavailable:
            return
        lost = {job.id for job in ours if job.id not in requests}
        self._tally.lost(len(lost))
        self._attempts.lose(lost)
        self._attempts.cancel({job_id for job_id, wanted in requests.items() if wanted})

    def _look_for_pauses(self) -> None:
        """What was taken or claimed of a paused queue and has not begun goes back to its head."""
        try:
            paused = queues.paused(self._database)
        except LedgerUnavailable:
            return
        self._exchange.paused = paused
        if paused:
            self._unstarted += self._attempts.take_back_waiting(paused)
            self._news.returned += [item for item in self._taken if item.queue in paused]
            self._taken = [item for item in self._taken if item.queue not in paused]

    def _settle(self) -> None:
        """Write to the ledger whatever there is to write, unless it did not answer a moment ago."""
        attempts, now = self._attempts, time.monotonic()
        has_words = bool(attempts.words) and now >= self._next_words
        if self._ledger_rests or not (
            self._taken or attempts.ended or self._unstarted or has_words or self._room_for_held
        ):
            return
        taken, self._taken = self._taken, []
        room, self._room_for_held = self._room_for_held, 0
        ended, words = list(attempts.ended), attempts.take_words()
        try:
            settled = self._settlement.write(
                ended=ended,
                words=words,
                unstarted=self._unstarted,
                taken=taken,
                queues=self._exchange.queues,
                room=room,
            )
        except LedgerUnavailable as error:
            attempts.keep_words(words)
            self._miss_ledger(error, taken)
            return
        self._ledger_pause_seconds, self._next_words = 0.1, now + _WORDS_SECONDS
        del attempts.ended[: len(ended)]
        self._tally.settled(ended, settled)
        self._note(ended, settled, taken)
        attempts.begin(settled.admitted.begun)

    def _note(self, ended: Sequence[Attempt], settled: Settled, taken: Sequence[Dispatch]) -> None:
        """What the log and Redis are to be told of a transaction."""
        for attempt, recorded in zip(ended, settled.recorded, strict=True):
            verdicts.tell(attempt, recorded)
            attempt_spans.record(attempt, recorded)
            if recorded is not None and recorded.state is State.FAILED and attempt.event:
                sentry.send(attempt.event.envelope)
            if recorded is not None and recorded.state.done:
                record = self._settlement.record_of(attempt, recorded, settled.now_ms)
                self._news.ended.append(record)
            self._news.left.append(attempt.job)
            self._news.failures += attempt.ending is not None and attempt.ending.error is not None
        for job_id, task in settled.admitted.parked:
            extra = incidents.unknown_task(task) | {"job_id": job_id}
            logger.error("job %s waits for a worker that knows task %r", job_id, task, extra=extra)
        returned = {item.job_id for item in settled.returned}
        self._news.returned += settled.returned
        self._news.left += [job for job in self._unstarted if job.id in returned]
        # One that is to be canceled was not given back, but is to end so.
        self._attempts.end([job for job in self._unstarted if job.id not in returned])
        self._unstarted = []
        begun = {job.id for job in settled.admitted.begun}
        self._news.started += settled.admitted.begun
        self._news.released += settled.admitted.released
        self._news.superseded += [entry for entry in taken if entry.job_id not in begun]

    def _miss_ledger(self, error: LedgerUnavailable, taken: Sequence[Dispatch]) -> None:
        """Keep what has ended for later: the work is done and must not be lost to an outage."""
        self._ledger_again_at = time.monotonic() + self._ledger_pause_seconds
        self._ledger_pause_seconds = min(self._ledger_pause_seconds * 2, _MAX_PAUSE_SECONDS)
        for entry in taken:
            logger.warning("job %s could not be claimed: %s", entry.job_id, error)
        kept = []
        for attempt in self._attempts.ended:
            patience_is_over = time.monotonic() - attempt.ended_at > _OUTCOME_PATIENCE_SECONDS
            if self._grace_is_over or patience_is_over:
                logger.error(
                    "outcome of job %s is lost, its lease will run out: %s",
                    attempt.job.id,
                    error,
                    extra=incidents.outcome_lost()
                    | {**attempt.job.about, "queue": attempt.job.queue},
                )
            else:
                text = "outcome of job %s is not recorded yet: %s"
                logger.warning(text, attempt.job.id, error, extra=attempt.job.about)
                kept.append(attempt)
        self._attempts.ended = kept
        if self._grace_is_over:
            self._unstarted = []

    def _trade(self) -> None:
        """Tell Redis what is new, and take what there is room for."""
        may_take = self._stop_at is None and not self._ledger_rests and not self._taken
        news, self._news = self._news, News()
        want = self._attempts.room if may_take and (self._attempts.is_running or news) else 0
        if news or want:
            busy, backlog = self._attempts.is_running, self._admission.backlog
            self._receive(self._exchange.trade(news, want=want, busy=busy, backlog=backlog))
            if not backlog.isdisjoint(self._exchange.queues):
                self._room_for_held = self._exchange.unmet

    def _receive(self, entries: Sequence[Dispatch | Foreign]) -> None:
        for entry in entries:
            if isinstance(entry, Foreign):
                logger.error(
                    "refused an entry in queue %s that this service did not put there: %.100r",
                    entry.queue,
                    entry.raw,
                )
                self._news.refused.append(entry)
            else:
                self._taken.append(entry)
