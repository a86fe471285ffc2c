"""Many jobs at once: each as it ends, or all their results in the order they were handed in.

One thread and one connection: the first job that has not ended is waited for, the others are looked
at together, up to a hundred by a request.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from itertools import islice
from typing import Any

from jobresults.client.exceptions import (
    ClientError,
    InvalidRequest,
    JobCanceled,
    JobExpired,
    JobFailed,
    JobNotFound,
    JobTimeout,
)
from jobresults.client.job_handle import Job, JobHandle
from jobresults.client.transport import Transport

_BATCH = 100  # as many ids as `GET /v1/jobs` takes
_LOOK_SECONDS = 0.05  # between two looks at the same batch
# How long the first is waited for: short while others end, for they are looked at in between.
_SHORTEST_WAIT_SECONDS = 0.05
_LONGEST_WAIT_SECONDS = 1.0
_LAST_WAIT_SECONDS = 25.0
# Results that nobody has taken yet, for each job in flight: one slow job must not stop the others.
_AHEAD = 10
_OF_ONE_JOB = (JobFailed, JobCanceled, JobExpired, JobNotFound, InvalidRequest)


class Pending:
    """Jobs that are not known to have ended, in the order they came.

    `deadline` is a `time.monotonic()`; None: as long as they take. `on_progress` gets the document
    of each whenever it is looked at.
    """

    def __init__(
        self,
        transport: Transport,
        deadline: float | None,
        on_progress: Callable[[Job], object] | None = None,
    ) -> None:
        self._transport = transport
        self._deadline = deadline
        self._on_progress = on_progress
        self._last_wait_seconds = (
            _LAST_WAIT_SECONDS if on_progress is None else _LONGEST_WAIT_SECONDS
        )
        self._handles: dict[str, JobHandle] = {}
        self._look_at = 0.0
        self._wait_seconds = _SHORTEST_WAIT_SECONDS

    def __len__(self) -> int:
        return len(self._handles)

    def __contains__(self, handle: JobHandle) -> bool:
        return handle.id in self._handles

    def add(self, handle: JobHandle) -> None:
        """Watch one more; twice the same is once."""
        self._handles.setdefault(handle.id, handle)

    def pop_ended(self) -> Iterator[JobHandle]:
        """Those that have ended since; none of them if none did within about a second.

        A job that the service does not know is among them: waiting for it is over.

        Raises:
            JobTimeout: none has ended, and the deadline has passed.
        """
        ended = [handle for handle in self._handles.values() if handle._seen_done]
        if not ended:
            ended = [*self._first(), *self._others()]
        if not ended and self._deadline is not None and time.monotonic() >= self._deadline:
            raise JobTimeout(f"{len(self)} jobs have not ended; they go on")
        for handle in ended:
            yield self._handles.pop(handle.id)

    def _first(self) -> Iterator[JobHandle]:
        handle = next(iter(self._handles.values()))
        wait_seconds = self._wait_seconds if len(self) > 1 else self._last_wait_seconds
        # The service may not hold its answer back: then this is the pause.
        pause_end = time.monotonic() + min(wait_seconds, _LONGEST_WAIT_SECONDS)
        try:
            handle.refresh(wait_seconds, deadline=self._deadline)
        except JobNotFound:
            yield handle
            return
        self._tell(handle)
        if handle._seen_done:
            yield handle
            return
        if self._deadline is not None:
            pause_end = min(pause_end, self._deadline)
        time.sleep(max(0.0, pause_end - time.monotonic()))

    def _others(self) -> list[JobHandle]:
        if len(self) < 2 or time.monotonic() < self._look_at:
            return []
        ended: list[JobHandle] = []
        others = islice(self._handles.values(), 1, None)
        while batch := list(islice(others, _BATCH)):
            ended += self._ended_of(batch)
        self._look_at = time.monotonic() + _LOOK_SECONDS * (1 + len(self) // _BATCH)
        longer = min(2 * self._wait_seconds, _LONGEST_WAIT_SECONDS)
        self._wait_seconds = _SHORTEST_WAIT_SECONDS if ended else longer
        return ended

    def _ended_of(self, batch: list[JobHandle]) -> Iterator[JobHandle]:
        query = {"id": [handle.id for handle in batch]}
        page = self._transport.get("/v1/jobs", query, deadline=self._deadline)
        known = {job["job_id"]: job for job in page.body["jobs"]}
        for handle in batch:
            if handle.id in known:
                handle._see(known[handle.id])
                self._tell(handle)
            if handle.id not in known or handle._seen_done:
                yield handle

    def _tell(self, handle: JobHandle) -> None:
        if self._on_progress is not None:
            self._on_progress(handle.body)


def as_completed(pending: Pending) -> Iterator[JobHandle]:
    """Each job once it has ended.

    Raises:
        JobTimeout: those that are left have not ended by the deadline.
    """
    while len(pending):
        yield from pending.pop_ended()


class InOrder:
    """The results of jobs in the order of the items they are made from; a job is handed in when
    fewer than `max_in_flight` of them have not ended.
    """

    def __init__(
        self,
        submit: Callable[[Any], JobHandle],
        items: Iterable[Any],
        pending: Pending,
        *,
        max_in_flight: int,
        return_exceptions: bool,
    ) -> None:
        self._submit = submit
        self._items = iter(items)
        self._pending = pending
        self._max_in_flight = max_in_flight
        self._return_exceptions = return_exceptions
        self._line: deque[JobHandle | ClientError] = deque()
        self._exhausted = False

    def results(self) -> Iterator[Any]:
        """Each as soon as it is there.

        Raises:
            ClientError: in place of the result of the job it is about.
        """
        self._fill()
        while self._line:
            head = self._line[0]
            if isinstance(head, JobHandle) and head in self._pending:
                for _ in self._pending.pop_ended():
                    pass
            else:
                yield self._outcome(self._line.popleft())
            self._fill()

    def _fill(self) -> None:
        most = self._max_in_flight * _AHEAD
        while (
            not self._exhausted
            and len(self._pending) < self._max_in_flight
            and len(self._line) < most
        ):
            try:
                item = next(self._items)
            except StopIteration:
                self._exhausted = True
                return
            self._line.append(self._handed_in(item))

    def _handed_in(self, item: Any) -> JobHandle | ClientError:
        try:
            handle = self._submit(item)
        except ClientError as error:
            # Told in its place, after the results before it; nothing comes after it.
            self._exhausted = not self._is_returned(error)
            return error
        self._pending.add(handle)
        return handle

    def _outcome(self, head: JobHandle | ClientError) -> Any:
        try:
            if isinstance(head, ClientError):
                raise head
            return head.result()
        except ClientError as error:
            if self._is_returned(error):
                return error
            raise

    def _is_returned(self, error: ClientError) -> bool:
        return self._return_exceptions and isinstance(error, _OF_ONE_JOB)
