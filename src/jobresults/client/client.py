"""The service as its callers see it: submit jobs, find them, read scores and tasks."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from types import TracebackType
from typing import Any, Self
from urllib.parse import quote

import requests

from jobresults.client import credentials
from jobresults.client.answer import Answer
from jobresults.client.callbacks import Callbacks
from jobresults.client.job_handle import Job, JobHandle
from jobresults.client.transport import Transport, encode


class Client:
    """A caller of one service; safe to share between threads.

    `base_url` comes from the argument, else JOBRESULTS_URL, else http://127.0.0.1:8000; `token`
    from the argument, else JOBRESULTS_TOKEN, else the file JOBRESULTS_TOKEN_FILE names. Failures
    that may pass (no connection, no answer, 429, 502, 503, 504) are retried, never before
    Retry-After, for at most `timeout_seconds` a call. A `session` given serves all threads and is
    not closed here.

    Raises:
        ClientError: base URL or token cannot be used.
    """

    def __init__(
        self,
        base_url: str | None = None,
        token: str | None = None,
        timeout_seconds: float = 30,
        session: requests.Session | None = None,
    ) -> None:
        self._transport = Transport(
            credentials.base_url(base_url), credentials.token(token), timeout_seconds, session
        )
        self.callbacks = Callbacks(self._transport)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        """Close the connections of this thread."""
        self._transport.close()

    def submit(
        self,
        task: str,
        params: Any,
        *,
        customer: str | None = None,
        queue: str | None = None,
        delay_seconds: float | None = None,
        run_at: datetime | None = None,
        max_attempts: int | None = None,
        timeout_seconds: float | None = None,
        tags: Sequence[str] | None = None,
        callback_url: str | None = None,
        idempotency_key: str | None = None,
        wait_seconds: float = 0,
    ) -> JobHandle:
        """Hand in a job. Once this returns it is accepted for good, and once, however often it had
        to be sent.

        None means the task's own default; a time without zone is local. With `wait_seconds` the
        service answers when the job ends, at the latest after that time.

        Raises:
            InvalidRequest: unknown task or wrong params, every problem listed.
            AuthenticationFailed, RateLimited, ServiceUnavailable
        """
        members = {
            "task": task,
            "params": params,
            "customer": customer,
            "queue": queue,
            "delay_seconds": delay_seconds,
            "run_at": run_at and _rfc3339(run_at),
            "max_attempts": max_attempts,
            "timeout_seconds": timeout_seconds,
            "tags": None if tags is None else list(tags),
            "callback_url": callback_url,
        }
        given = {name: value for name, value in members.items() if value is not None}
        return self._submit("/v1/jobs", given, idempotency_key, wait_seconds)

    def add(
        self,
        customer: str,
        payload: Any,
        *,
        idempotency_key: str | None = None,
        wait_seconds: float = 0,
    ) -> JobHandle:
        """Hand in a customer's data to the task the service is configured to run on it.

        Raises:
            InvalidRequest: the payload is empty or wrong, every problem listed.
            AuthenticationFailed, RateLimited, ServiceUnavailable
        """
        return self._submit(
            f"/add/{quote(customer, safe='')}", payload, idempotency_key, wait_seconds
        )

    def get_job(self, job_id: str) -> Job:
        """The job's document, whatever its state.

        Raises:
            JobNotFound
        """
        return self.job(job_id).refresh()

    def job(self, job_id: str) -> JobHandle:
        """The handle of a job handed in earlier, not looked up yet."""
        return JobHandle(self._transport, job_id)

    def jobs(self, **filters: Any) -> Iterator[Job]:
        """All jobs that match, newest first, fetched page by page as they are taken.

        Filters are those of `GET /v1/jobs`: state and id (lists too), task, customer, tag, q,
        created_after and created_before (a datetime or RFC 3339); `limit` is the size of a page.

        Raises:
            InvalidRequest
        """
        query = {
            name: _rfc3339(value) if isinstance(value, datetime) else value
            for name, value in filters.items()
        }
        while True:
            page = self._transport.get("/v1/jobs", query).body
            yield from page["jobs"]
            if page["next_cursor"] is None:
                return
            query["cursor"] = page["next_cursor"]

    def score(self, cust_id: str, *, timeout_seconds: float | None = None) -> Any:
        """The customer's latest finished score; while the first one is under way, waits for it.

        Raises:
            JobNotFound: never scored.
            JobFailed, JobTimeout: the first one, see `JobHandle.result`.
        """
        answer = self._transport.get("/score", {"cust_id": cust_id})
        if answer.status == 202:
            self._handle(answer).result(timeout_seconds)
            answer = self._transport.get("/score", {"cust_id": cust_id})
        return answer.body

    def tasks(self) -> list[dict[str, Any]]:
        """The tasks the service runs, with the JSON Schemas of their params and results."""
        tasks: list[dict[str, Any]] = self._transport.get("/v1/tasks").body["tasks"]
        return tasks

    def queues(self) -> list[dict[str, Any]]:
        """What each queue holds, and whether it is paused. Needs an operator's token."""
        queues: list[dict[str, Any]] = self._transport.get("/v1/queues").body["queues"]
        return queues

    def pause_queue(self, name: str) -> dict[str, Any]:
        """Start no more jobs of a queue until it is resumed. Needs an operator's token.

        Raises:
            JobNotFound: there is no such queue.
        """
        return self._on_queue(name, "pause")

    def resume_queue(self, name: str) -> dict[str, Any]:
        """Start jobs of a queue again. Needs an operator's token.

        Raises:
            JobNotFound: there is no such queue.
        """
        return self._on_queue(name, "resume")

    def workers(self) -> list[dict[str, Any]]:
        """The workers and the jobs they hold. Needs an operator's token."""
        workers: list[dict[str, Any]] = self._transport.get("/v1/workers").body["workers"]
        return workers

    def whoami(self) -> dict[str, Any]:
        """Whose the token is, and what it allows."""
        whoami: dict[str, Any] = self._transport.get("/v1/whoami").body
        return whoami

    def status(self) -> dict[str, Any]:
        """How the service says it is; needs no token."""
        status: dict[str, Any] = self._transport.get("/status").body
        return status

    def _on_queue(self, name: str, action: str) -> dict[str, Any]:
        path = f"/v1/queues/{quote(name, safe='')}/{action}"
        queue: dict[str, Any] = self._transport.post(path).body
        return queue

    def _submit(
        self, path: str, document: object, idempotency_key: str | None, wait_seconds: float
    ) -> JobHandle:
        answer = self._transport.post(
            path,
            encode(document),
            idempotency_key=idempotency_key,
            wait_seconds=math.ceil(wait_seconds),  # RFC 7240 knows whole seconds only
        )
        return self._handle(answer)

    def _handle(self, answer: Answer) -> JobHandle:
        return JobHandle(self._transport, answer.body["job_id"], answer.body)


def _rfc3339(moment: datetime) -> str:
    return moment.astimezone(UTC).isoformat()
