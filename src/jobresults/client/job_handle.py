"""A job as its caller holds it: state, progress, log lines, result, cancel and rerun."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator
from typing import Any, Literal, TypeAlias, overload
from urllib.parse import quote

from jobresults.client.exceptions import JobTimeout
from jobresults.client.transport import Answer, Transport

Job: TypeAlias = dict[str, Any]

# Below the idle timeouts of common proxies and load balancers.
_POLL_SECONDS = 25
_PROGRESS_SECONDS = 1
_FOLLOW_SECONDS = 1.0


class JobHandle:
    """A job of the service by its `id`. Every method but the properties asks the service and may
    raise ClientError.
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
        """The job as last seen, fetched if never seen: the document of `GET /v1/jobs/{id}`."""
        return self._body if self._body is not None else self.refresh()

    @property
    def progress(self) -> dict[str, Any] | None:
        """`{"done", "total", "message"}` as last seen; None if the task reported nothing yet."""
        progress: dict[str, Any] | None = self.body["progress"]
        return progress

    def refresh(self) -> Job:
        """See the job as it is now.

        Raises:
            JobNotFound
        """
        body: Job = self._transport.get(self._path).body
        self._body = body
        return body

    def status(self) -> str:
        """The state now: queued, running, succeeded, failed or canceled.

        Raises:
            JobNotFound
        """
        state: str = self.refresh()["state"]
        return state

    def result(
        self,
        timeout_seconds: float | None = None,
        *,
        on_progress: Callable[[Job], object] | None = None,
    ) -> Any:
        """Wait for the job to end and give what the task returned, be it None, 0 or false.

        Without `timeout_seconds` it waits as long as the job takes, but gives up on a service that
        is out of reach for the client's own `timeout_seconds`. `on_progress` is called about once a
        second with the job's document.

        Raises:
            JobFailed, JobCanceled, JobExpired, JobNotFound
            JobTimeout: not ended by then; the job goes on.
            ServiceUnavailable, RateLimited: not told by then.
        """
        if self._body is not None and "result" in self._body:
            return self._body["result"]
        deadline = None if timeout_seconds is None else time.monotonic() + timeout_seconds
        longest = _POLL_SECONDS if on_progress is None else _PROGRESS_SECONDS
        while True:
            wait = math.ceil(min(longest, _left(deadline)))
            answer = self._transport.get(
                "/get_result",
                {"job_id": self.id, "wait": wait},
                wait_seconds=wait,
                deadline=deadline,
            )
            if answer.status == 200:
                return answer.body
            self._body = answer.body
            if on_progress is not None:
                on_progress(answer.body)
            pause = _pause(answer, wait)
            if pause >= _left(deadline):
                raise JobTimeout(
                    f"job {self.id} is {answer.body['state']}, not ended within {timeout_seconds:g} s"
                )
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
        """Log lines with `seq` above `after`, oldest first: one page of them, or with `follow`
        until the job ends.

        A line is `{"seq", "at", "level", "logger", "message"}`.

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
        events: list[dict[str, Any]] = self._transport.get(f"{self._path}/events").body["events"]
        return events

    def cancel(self) -> Job:
        """Stop the job: at once if it waits, else its task is being stopped when this returns.

        Raises:
            Conflict: it ended otherwise before.
            JobNotFound
        """
        body: Job = self._transport.post(f"{self._path}/cancel").body
        self._body = body
        return body

    def rerun(self) -> JobHandle:
        """Submit the same task and params as a new job.

        Raises:
            JobNotFound
        """
        body = self._transport.post(f"{self._path}/rerun").body
        return JobHandle(self._transport, body["job_id"], body)

    def _log_page(self, after: int | None) -> dict[str, Any]:
        page: dict[str, Any] = self._transport.get(f"{self._path}/logs", {"after": after}).body
        return page

    def _follow(self, after: int | None) -> Iterator[dict[str, Any]]:
        while True:
            page = self._log_page(after)
            yield from page["logs"]
            if page["complete"]:
                return
            after = page["next_after"]
            time.sleep(_FOLLOW_SECONDS)


def _left(deadline: float | None) -> float:
    return math.inf if deadline is None else max(0.0, deadline - time.monotonic())


def _pause(answer: Answer, wait_seconds: int) -> float:
    """A wait the service held out was the pause; one it cut short means: come back after
    Retry-After.
    """
    held = wait_seconds > 0 and answer.elapsed_seconds >= 0.9 * wait_seconds
    return 0.0 if held else answer.retry_after_seconds or _PROGRESS_SECONDS
