"""The attempts a worker has claimed: one runs in the executor, the next ones wait there, and those
that have ended wait for the ledger.
"""

from __future__ import annotations

import logging
import time
from collections import deque
from collections.abc import Collection, Iterable
from dataclasses import dataclass, field, replace

from jobresults.alerts import process
from jobresults.jobs import incidents
from jobresults.jobs.catalog import Catalog
from jobresults.jobs.outcome import Ending, JobError
from jobresults.jobs.running import Claimed, LogLine, Progress
from jobresults.settings import Settings
from jobresults.telemetry import sentry
from jobresults.telemetry.sentry import Draft
from jobresults.worker import failures
from jobresults.worker.executor import timed_out
from jobresults.worker.executor_process import ExecutorProcess, Told, killed
from jobresults.worker.guard import Guard

logger = logging.getLogger(__name__)

# How long after its own alarm an executor may go on before it is killed: C code does not see the
# alarm.
_TIMEOUT_GRACE_SECONDS = 2.0
# How long an executor may take from one attempt to the next before something is wrong with it.
_BEGIN_SECONDS = 10.0
# So much work is claimed ahead, by what the last jobs took. What waits behind a longer one is given
# back.
_AHEAD_SECONDS = 0.008
_SHORT_SECONDS = 0.025
_LONG_SECONDS = 0.05
_MAX_AHEAD = 128
_PROGRESS_EVENT_SECONDS = 5.0

_CANCELED = JobError("job_canceled", "Job canceled", "The job was stopped on request.")


@dataclass(eq=False, slots=True)
class Attempt:
    """One run of one job, from its claim to its recorded end."""

    job: Claimed
    number: int = 0
    ran_seconds: float | None = None
    """None until it has ended, and for one that did not begin."""
    ending: Ending | None = None
    ended_at: float = 0.0
    progress: Progress | None = None
    next_progress_event: float = 0.0
    event: Draft | None = None
    """For Sentry, once the ledger says that the job has failed."""


@dataclass
class Words:
    """What tasks have said since it was last written down."""

    lines: list[tuple[Claimed, LogLine]] = field(default_factory=list)
    progress: dict[str, tuple[Claimed, Progress]] = field(default_factory=dict)

    def __bool__(self) -> bool:
        return bool(self.lines or self.progress)


class Attempts:
    """Those of one worker, and its executor. Knows neither the ledger nor Redis."""

    def __init__(self, catalog: Catalog, settings: Settings) -> None:
        self._catalog = catalog
        self._settings = settings
        self._guard = Guard()
        self._executor = ExecutorProcess(catalog, settings, self._guard)
        self._next_number = 1
        self._open: deque[Attempt] = deque()
        self._first_since = time.monotonic()
        self._kill_reason: Ending | None = None
        self._kill_at: float | None = None
        self._run_seconds = 1.0
        self._last_begun = 0
        self._begun: list[Claimed] = []
        self.ended: list[Attempt] = []
        self.words = Words()

    @property
    def is_idle(self) -> bool:
        """Nothing runs, waits to run, or waits to be recorded."""
        return not self._open and not self.ended

    @property
    def is_running(self) -> bool:
        """An attempt runs or waits to run."""
        return bool(self._open)

    @property
    def jobs(self) -> list[Claimed]:
        """Whose leases are ours to extend."""
        return [attempt.job for attempt in (*self._open, *self.ended)]

    @property
    def open_jobs(self) -> list[Claimed]:
        """Those that run or wait to run."""
        return [attempt.job for attempt in self._open]

    @property
    def room(self) -> int:
        """How many more jobs may be claimed: a few milliseconds of work, by what the last ones
        took. At least one beside the running one if that is short, so that the executor need not
        wait for the ledger between two jobs; none beside a long one.
        """
        if self._open and self._running_seconds > _SHORT_SECONDS:
            return 0
        least = 2 if self._run_seconds < _SHORT_SECONDS else 1
        ahead = min(_MAX_AHEAD, max(least, int(_AHEAD_SECONDS / self._run_seconds)))
        return max(0, ahead - len(self._open))

    def begin(self, jobs: Iterable[Claimed]) -> None:
        """Have these run, in their order, after those that wait already."""
        self._send([Attempt(job) for job in jobs])

    def wait(self, seconds: float) -> None:
        """Until the executor has told something, but no longer."""
        self._executor.wait(seconds)

    def collect(self) -> None:
        """Take in what the executor has told, and replace it if it has ended."""
        has_ended = self._executor.has_ended()
        self._take_in()
        if has_ended:
            self._replace_executor()

    def check(self, *, grace_is_over: bool) -> None:
        """Stop what has run for too long, or beyond the worker's grace."""
        now = time.monotonic()
        first = self._running
        if first is not None:
            self._note_begin(first)
        if first is not None and self._kill_reason is None:
            deadline = (
                self._executor.board.begun_at_seconds
                + first.job.timeout_seconds
                + _TIMEOUT_GRACE_SECONDS
            )
            if now >= deadline:
                _tell_overrun(first.job)
                self._stop_first(Ending(error=timed_out(first.job.timeout_seconds)), at=now)
            elif grace_is_over:
                self._stop_first(Ending(requeue="shutdown"), at=now)
        elif first is None and self._open and now - self._first_since > _BEGIN_SECONDS:
            job = self._open[0].job
            extra = incidents.executor_stuck(job.task, job.queue)
            logger.error("the executor does not begin job %s; replacing it", job.id, extra=extra)
            self._replace_executor()
        if self._kill_at is not None and now >= self._kill_at:
            self._replace_executor()
        child = self._executor.board.child_pid
        self._guard.watch((self._executor.pid, child) if child else (self._executor.pid,))

    def take_begun(self) -> list[Claimed]:
        """The jobs that have begun since the last call."""
        begun, self._begun = self._begun, []
        return begun

    def take_back_behind_long(self) -> list[Claimed]:
        """Claims that wait behind a long-running attempt, for other workers to have."""
        if len(self._open) < 2 or self._running_seconds < _LONG_SECONDS:
            return []
        return [attempt.job for attempt in self._take_back()]

    def take_back_waiting(self, queues: Collection[str]) -> list[Claimed]:
        """Claims of these queues that have not begun."""
        running = self._running
        if not any(item.job.queue in queues for item in self._open if item is not running):
            return []
        back = self._take_back()
        self._send([attempt for attempt in back if attempt.job.queue not in queues])
        return [attempt.job for attempt in back if attempt.job.queue in queues]

    def give_up_waiting(self) -> None:
        """The worker is to stop: what has not begun is given back."""
        if len(self._open) > 1 or (self._open and self._running is None):
            for attempt in self._take_back():
                self._end(attempt, Ending(requeue="shutdown"))

    def end(self, unstarted: Iterable[Claimed]) -> None:
        """These were taken back but could not be given back: the ledger knows how they end."""
        for job in unstarted:
            self._end(Attempt(job), Ending(requeue="worker_busy"))

    def cancel(self, ids: Collection[str]) -> None:
        """Stop these: what runs gets a moment to stop by itself, what waits does not begin."""
        first = self._running
        if first is not None and first.job.id in ids and self._kill_reason is None:
            self._executor.board.cancel(first.number)
            grace_seconds = self._settings.worker.cancel_grace_seconds
            self._stop_first(Ending(error=_CANCELED), at=time.monotonic() + grace_seconds)
        self._drop_waiting(ids, Ending(error=_CANCELED))

    def lose(self, ids: Collection[str]) -> None:
        """These went to other workers: stop them, and record nothing."""
        first = self._running
        if first is not None and first.job.id in ids:
            text = "job %s went to another worker; its executor is stopped"
            logger.warning(text, first.job.id, extra=incidents.worker_lost(first.job.queue))
            self._open.popleft()
            self._replace_executor()
        self._drop_waiting(ids, None)

    def take_words(self) -> Words:
        """What is to be written down now; with an event of the timeline now and then."""
        words, self.words = self.words, Words()
        if not words.progress:
            return words
        now = time.monotonic()
        for attempt in (*self._open, *self.ended):
            said = words.progress.get(attempt.job.id)
            if said is not None and now >= attempt.next_progress_event:
                attempt.next_progress_event = now + _PROGRESS_EVENT_SECONDS
                words.progress[attempt.job.id] = (attempt.job, replace(said[1], event=True))
        return words

    def keep_words(self, words: Words) -> None:
        """They could not be written down."""
        self.words.lines[:0] = words.lines
        self.words.progress = {**words.progress, **self.words.progress}

    def close(self) -> None:
        """End the executor."""
        self._executor.end()
        self._executor.close()
        self._guard.dismiss()

    @property
    def _running(self) -> Attempt | None:
        """The attempt that has begun and of which nobody has said how it ended."""
        if self._open and self._executor.board.begun == self._open[0].number:
            return self._open[0]
        return None

    @property
    def _running_seconds(self) -> float:
        if self._running is None:
            return 0.0
        return time.monotonic() - self._executor.board.begun_at_seconds

    def _send(self, attempts: list[Attempt]) -> None:
        if not attempts:
            return
        if not self._open:
            self._first_since = time.monotonic()
        for attempt in attempts:
            attempt.number, self._next_number = self._next_number, self._next_number + 1
            self._open.append(attempt)
        self._executor.send([(attempt.number, attempt.job) for attempt in attempts])

    def _take_back(self) -> list[Attempt]:
        """What has not begun, and will not now."""
        begun = self._executor.board.take_back(self._next_number)
        if begun is None:  # killed in the moment it held the lock
            self._replace_executor()
            begun = self._executor.board.take_back(self._next_number) or 0
        back = [attempt for attempt in self._open if attempt.number > begun]
        self._open = deque(attempt for attempt in self._open if attempt.number <= begun)
        return back

    def _drop_waiting(self, ids: Collection[str], ending: Ending | None) -> None:
        running = self._running
        if not any(item.job.id in ids for item in self._open if item is not running):
            return
        kept = []
        for attempt in self._take_back():
            if attempt.job.id not in ids:
                kept.append(attempt)
            elif ending is not None:
                self._end(attempt, ending)
        self._send(kept)

    def _stop_first(self, reason: Ending, *, at: float) -> None:
        self._kill_reason, self._kill_at = reason, at

    def _note_begin(self, attempt: Attempt) -> None:
        if attempt.number > self._last_begun:
            self._last_begun = attempt.number
            self._begun.append(attempt.job)

    def _end_first(self, ending: Ending, ran_seconds: float) -> None:
        self._kill_reason = self._kill_at = None
        self._first_since = time.monotonic()
        attempt = self._open.popleft()
        attempt.ran_seconds = ran_seconds
        self._note_begin(attempt)
        self._end(attempt, ending)

    def _end(self, attempt: Attempt, ending: Ending) -> None:
        attempt.event = failures.event_of(attempt.job, ending, attempt.event)
        if attempt.event is not None:
            ending = replace(ending, sentry_event_id=attempt.event.event_id)
        attempt.ending, attempt.ended_at = ending, time.monotonic()
        self.ended.append(attempt)

    def _take_in(self) -> None:
        for told in self._executor.receive():
            if isinstance(told.said, list):
                process.alerts.merge(told.said)
            elif isinstance(told.said, bytes):
                sentry.send(told.said)
            elif self._open and told.number == self._open[0].number:
                self._note(self._open[0], told)  # else of one that was given up

    def _note(self, attempt: Attempt, told: Told) -> None:
        if isinstance(told.said, Ending):
            self._run_seconds = max(
                told.ran_seconds, 0.8 * self._run_seconds + 0.2 * told.ran_seconds, 1e-5
            )
            self._end_first(told.said, told.ran_seconds)
        elif isinstance(told.said, Progress):
            attempt.progress = told.said
            self.words.progress[attempt.job.id] = (attempt.job, told.said)
        elif isinstance(told.said, Draft):
            attempt.event = told.said
        elif isinstance(told.said, LogLine):
            self.words.lines.append((attempt.job, told.said))

    def _replace_executor(self) -> None:
        """End the executor and have a fresh one run what has not begun."""
        status, max_rss_kib = self._executor.end()
        self._take_in()  # its last words
        self._executor.close()
        if self._running is not None:
            ending = self._kill_reason or Ending(error=killed(status, max_rss_kib))
            self._end_first(ending, self._running_seconds)
        self._kill_reason = self._kill_at = None
        waiting, self._open = list(self._open), deque()
        self._executor = ExecutorProcess(self._catalog, self._settings, self._guard)
        self._guard.watch((self._executor.pid,))
        self._send(waiting)


def _tell_overrun(job: Claimed) -> None:
    """Its own alarm did not end it: it hangs in C, or is stopped. If this is its last attempt the
    same problem is told once more, as its failure.
    """
    extra = incidents.job_failed(job.task, job.queue, "timeout")
    about = {"job_id": job.id, "task": job.task, "customer": job.customer, "client": job.client}
    text = "job %s does not end at its timeout of %g s; its executor is killed"
    logger.warning(text, job.id, job.timeout_seconds, extra=extra | about | {"alert": True})
