"""A job as its caller holds it: state, progress, log lines, result, cancel and rerun."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from typing import Any, Literal, TypeAlias, overload
from urllib.parse import quote

from jobresults.client.exceptions import JobTimeout
from jobresults.client.transport import Transport

Job: TypeAlias = dict[str, Any]

# Below the idle timeouts of common proxies and load balancers.
_POLL_SECONDS = 25.0
_PROGRESS_SECONDS = 1.0
_DEFAULT_PAUSE_SECONDS = 1.0
_FOLLOW_SECONDS = 1.0
_LOG_LINES = 1_000


class JobHandle:
    """A job by its `id`. Methods ask the service and may raise any ClientError; properties tell
    what was last seen, and ask if nothing was.
    """

    def __init__(self, transport: Transport, job_id: str, body: Job | None = None) -> None:
        self.id = job_id
        self._transport = transport
        self._path = f"/v1/jobs/{quote(job_id, safe='')}"
        self._body = body

    def __repr__(self) -> str:
        return f"<JobHandle {self.id}{' ' + self._body['state'] if self._body else ''}>"

    @property
    def body(self) -> Job:
        """The job's document, as in `GET /v1/jobs/{id}`."""
        return self._body if self._body is not None else self.refresh()

    @property
    def progress(self) -> dict[str, Any] | None:
        """`{"done", "total", "message"}`; None if the task has reported nothing."""
        progress: dict[str, Any] | None = self.body["progress"]
        return progress

    def refresh(self, wait_seconds: float = 0, *, deadline: float | None = None) -> Job:
        """See the job as it is now; with `wait_seconds` as soon as it has ended, at the latest
        after that time.

        `deadline`, a `time.monotonic()`, ends the wait and all retries; by default the client's
        timeout does, counted from the end of the wait.

        Raises:
            JobNotFound
        """
        answer = self._transport.get(self._path, wait_seconds=wait_seconds, deadline=deadline)
        body: Job = answer.body
        self._see(body)
        return body

    def _see(self, body: Job) -> None:
        """Take over the job's document, read elsewhere."""
        self._body = body

    @property
    def _seen_done(self) -> bool:
        """Whether the job was seen to have ended; asks nobody."""
        return self._body is not None and bool(self._body["done"])

    def status(self) -> str:
        """The state now: queued, running, succeeded, failed or canceled.

        Raises:
            JobNotFound
        """
        state: str = self.refresh()["state"]
        return state

    def result(
        self,
        timeout: float | None = None,
        *,
        on_progress: Callable[[Job], object] | None = None,
    ) -> Any:
        """Wait for the job to end and give what the task returned, be it None, 0 or false.

        `job.result(60)` waits at most 60 s. Without `timeout` this lasts as long as the
        job, but for a service out of reach no longer than the client's timeout. `on_progress` gets
        the job's document about once a second.

        Raises:
            JobFailed, JobCanceled, JobExpired, JobNotFound
            JobTimeout: the job has not ended by then; it goes on.
            ServiceUnavailable, RateLimited: nothing is known by then.
        """
        if self._body is not None and "result" in self._body:
            return self._body["result"]
        deadline = None if timeout is None else time.monotonic() + timeout
        longest = _POLL_SECONDS if on_progress is None else _PROGRESS_SECONDS
        while True:
            answer = self._transport.get(
                "/get_result", {"job_id": self.id}, wait_seconds=longest, deadline=deadline
            )
            if answer.status == 200:
                return answer.body
            self._see(answer.body)
            if on_progress is not None:
                on_progress(answer.body)
            pause = 0.0 if answer.held else answer.retry_after_seconds or _DEFAULT_PAUSE_SECONDS
            if deadline is not None and time.monotonic() + pause >= deadline:
                raise JobTimeout(f"job {self.id} is still {answer.body['state']}; it goes on")
            time.sleep(pause)

    @overload
    def logs(
        self, after: int | None = None, *, follow: Literal[False] = False
    ) -> list[dict[str, Any]]: ...

    @overload
    def logs(
        self, after: int | None = None, *, follow: Literal[True]
    ) -> Iterator[dict[str, Any]]: ...

    def logs(
        self, after: int | None = None, *, follow: bool = False
    ) -> list[dict[str, Any]] | Iterator[dict[str, Any]]:
        """Log lines with a `seq` above `after`, oldest first: a page of them, or with `follow` all
        of them as they come, until the job ends.

        A line is `{"seq", "at", "attempt", "level", "logger", "message"}`.

        Raises:
            JobNotFound
        """
        if follow:
            return self._follow(after)
        lines: list[dict[str, Any]] = self._log_page(after)["logs"]
        return lines

    def events(self) -> list[dict[str, Any]]:
        """The timeline, oldest first: submitted, dispatched, started, retried and why, ended.

        Raises:
            JobNotFound
        """
        answer = self._transport.get(f"{self._path}/events")
        events: list[dict[str, Any]] = answer.body["events"]
        return events

    def cancel(self) -> Job:
        """Stop the job: a queued one is canceled at once, a running one within seconds.

        Raises:
            Conflict: it ended otherwise before.
            JobNotFound
        """
        body: Job = self._transport.post(f"{self._path}/cancel").body
        self._see(body)
        return body

    def rerun(self) -> JobHandle:
        """Submit the same task and params as a new job.

        Raises:
            Conflict: the job has not ended yet, or its params are no longer kept.
            JobNotFound
        """
        body = self._transport.post(f"{self._path}/rerun").body
        return JobHandle(self._transport, body["job_id"], body)

    def _log_page(self, after: int | None, limit: int | None = None) -> dict[str, Any]:
        query = {"after": after, "limit": limit}
        page: dict[str, Any] = self._transport.get(f"{self._path}/logs", query).body
        return page

    def _follow(self, after: int | None) -> Iterator[dict[str, Any]]:
        while True:
            page = self._log_page(after, _LOG_LINES)
            yield from page["logs"]
            if page["complete"]:
                return
            after = page["next_after"]
            if len(page["logs"]) < _LOG_LINES:
                time.sleep(_FOLLOW_SECONDS)
