"""The service as its callers see it: submit jobs, find them, wait for many, read scores."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from datetime import UTC, datetime
from types import TracebackType
from typing import Any, Self
from urllib.parse import quote

import requests

from jobresults.client import credentials, verification
from jobresults.client.answer import Answer
from jobresults.client.callbacks import Callbacks
from jobresults.client.exceptions import InvalidRequest
from jobresults.client.gathering import InOrder, Pending, as_completed
from jobresults.client.installation import Installation
from jobresults.client.job_handle import Job, JobHandle
from jobresults.client.transport import Transport, encode


class Client(Installation):
    """A caller of one service; safe to share between threads, and to use after a fork.

    `base_url` comes from the argument, else JOBRESULTS_URL, else http://127.0.0.1:8000; `token`
    from the argument, else JOBRESULTS_TOKEN, else the file JOBRESULTS_TOKEN_FILE names. Failures
    that may pass (no connection, no answer, 408, 429, 502, 503, 504) are retried, never before
    Retry-After, for at most `timeout` seconds a call. A `session` given serves all threads and is
    not closed here.

    A `timeout` is how long a call may last, in seconds, named as in the standard library; a job's
    own limit is its `timeout_seconds`.

    Raises:
        ClientError: base URL or token cannot be used.
    """

    def __init__(
        self,
        base_url: str | None = None,
        token: str | None = None,
        timeout: float = 30,
        session: requests.Session | None = None,
    ) -> None:
        url, key = credentials.base_url(base_url), credentials.token(token)
        super().__init__(Transport(url, key, timeout, session))
        self.callbacks = Callbacks(self._transport)

    verify_callback = staticmethod(verification.verify_callback)

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

    def jobs(
        self,
        *,
        state: str | Iterable[str] | None = None,
        task: str | None = None,
        customer: str | None = None,
        tag: str | None = None,
        q: str | None = None,
        created_after: datetime | str | None = None,
        created_before: datetime | str | None = None,
        id: str | Iterable[str] | None = None,
        cursor: str | None = None,
        limit: int | None = None,
    ) -> Iterator[Job]:
        """All jobs that match, newest first, without results, fetched page by page as they are
        taken.

        Filters are those of `GET /v1/jobs`: one of the states, of up to 100 ids; `q` is looked for
        in task, customer and error; times are a datetime or RFC 3339. `limit` is the size of a
        page, `cursor` the id of the job to go on behind.

        Raises:
            InvalidRequest
        """
        states, ids = _listed(state), _listed(id)
        if [] in (states, ids):
            return iter(())  # none of none; the service would take it for no filter
        query = {
            "state": states,
            "task": task,
            "customer": customer,
            "tag": tag,
            "q": q,
            "created_after": _time(created_after),
            "created_before": _time(created_before),
            "id": ids,
            "cursor": cursor,
            "limit": limit,
        }
        return self._transport.pages("/v1/jobs", "jobs", query)

    def as_completed(
        self,
        handles: Iterable[JobHandle],
        timeout: float | None = None,
        *,
        on_progress: Callable[[Job], object] | None = None,
    ) -> Iterator[JobHandle]:
        """Each job once it has ended, whatever became of it: its `result()` tells.

        `timeout` counts from this call. `on_progress` gets the document of each, without
        result, about once a second.

        Raises:
            JobTimeout: those that are left have not ended by then; they go on.
        """
        pending = Pending(self._transport, _deadline(timeout), on_progress)
        for handle in handles:
            pending.add(handle)
        return as_completed(pending)

    def map(
        self,
        task: str,
        items: Iterable[Any],
        *,
        max_in_flight: int = 16,
        customer: str | None = None,
        timeout: float | None = None,
        return_exceptions: bool = False,
    ) -> Iterator[Any]:
        """The task's results for each of many params, in their order, each as soon as it is there.

        Nothing is handed in before the first result is asked for, and never more than
        `max_in_flight` jobs that have not ended; `items` are taken as they are needed. Jobs handed
        in go on if the results are not taken. `timeout` is for all of it, and counts from this
        call. With `return_exceptions` the failures of single jobs (JobFailed, JobCanceled,
        JobExpired, JobNotFound, InvalidRequest) stand in their places among the results.

        Raises:
            JobFailed, JobCanceled, InvalidRequest: in the place of a job, unless returned.
            JobTimeout: the next result is not there in time.
            AuthenticationFailed, RateLimited, ServiceUnavailable
        """
        if max_in_flight < 1:
            raise InvalidRequest(f"max_in_flight is {max_in_flight}; it must be at least 1")
        return InOrder(
            lambda params: self.submit(task, params, customer=customer),
            items,
            Pending(self._transport, _deadline(timeout)),
            max_in_flight=max_in_flight,
            return_exceptions=return_exceptions,
        ).results()

    def score(self, cust_id: str, *, timeout: float | None = None) -> Any:
        """The customer's latest finished score; while the first one is under way, waits for it.

        Raises:
            JobNotFound: never scored.
            JobFailed, JobTimeout: the first one, see `JobHandle.result`.
        """
        answer = self._transport.get("/score", {"cust_id": cust_id})
        if answer.status == 202:
            self._handle(answer).result(timeout)
            answer = self._transport.get("/score", {"cust_id": cust_id})
        return answer.body

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


def _time(value: datetime | str | None) -> str | None:
    return _rfc3339(value) if isinstance(value, datetime) else value


def _listed(value: str | Iterable[str] | None) -> list[str] | None:
    if value is None:
        return None
    return [value] if isinstance(value, str) else list(value)


def _deadline(timeout: float | None) -> float | None:
    return None if timeout is None else time.monotonic() + timeout
