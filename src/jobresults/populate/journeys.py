"""What callers do with the service: each kind that comes in production, answers checked on the
way.
"""

from __future__ import annotations

import time
from collections.abc import Sequence

from jobresults.client.exceptions import failure_of
from jobresults.populate.asking import Asking, Steps
from jobresults.populate.caller import Reply, Request
from jobresults.populate.checks import Checks, Held
from jobresults.populate.orders import Order
from jobresults.populate.pace import Start

_WAIT_SECONDS = 10
_POLL_SECONDS = 1.0  # if the service says nothing
_LIST_SECONDS = 0.2, 2.0
_DELAY_SECONDS = 60
_CARELESS = 0.5
_READABLE = frozenset({"succeeded", "failed", "canceled"})
_HELD = 0.9  # two clocks measure the wait


class Journeys:
    """All kinds of callers of one run, whose `run_id` no other run shares."""

    def __init__(self, asking: Asking, checks: Checks, run_id: str) -> None:
        self._asking = asking
        self._checks = checks
        self._run_id = run_id
        self._kinds = {
            "wait": self._wait,
            "poll": self._poll,
            "hold": self._hold,
            "bulk": self._bulk,
            "again": self._again,
            "cancel": self._cancel,
        }

    def go(self, start: Start) -> Steps[None]:
        """All that one caller does."""
        return self._kinds[start.kind](start)

    def _wait(self, start: Start) -> Steps[None]:
        """Hand in and wait within the same request (RFC 7240)."""
        request = self._submission(start, {"Prefer": f"wait={_WAIT_SECONDS}"}, _WAIT_SECONDS)
        job = yield from self._accepted("submit and wait", request, start)
        if job is not None:
            yield from self._held(job)
            yield from self._once_more(start, job)

    def _poll(self, start: Start) -> Steps[None]:
        """Hand in and ask again and again, as often as Retry-After says."""
        job = yield from self._accepted("submit", self._submission(start), start)
        if job is None:
            return
        job.operation = "polled result"  # mostly pauses
        due = time.monotonic()
        while True:
            reply = yield from self._asking.ask("poll", _get_result(job), due)
            if self._checks.result(job, reply):
                break
            due = time.monotonic() + (reply.retry_after_seconds or _POLL_SECONDS)
            yield due
        yield from self._once_more(start, job)

    def _hold(self, start: Start) -> Steps[None]:
        """Hand in and wait for the result in a second request."""
        job = yield from self._accepted("submit", self._submission(start), start)
        if job is not None:
            yield from self._held(job)
            yield from self._once_more(start, job)

    def _again(self, start: Start) -> Steps[None]:
        """Hand in twice under one key, as who has lost the answer does."""
        request = self._submission(start)
        job = yield from self._accepted("submit", request, start)
        if job is None:
            return
        reply = yield from self._asking.ask("submit again", request, time.monotonic())
        self._checks.document(job, reply.only(200, 202))
        yield from self._held(job)

    def _bulk(self, start: Start) -> Steps[None]:
        """Hand in an array, ask for all of them at once, then read each."""
        body = b"[" + b",".join(order.as_job() for order in start.orders) + b"]"
        request = Request("POST", "/v1/jobs", body=body, headers=self._headers(start))
        reply = yield from self._asking.ask("bulk", request, start.due)
        jobs = self._accepted_of(start, reply)
        left, (pause, longest) = jobs, _LIST_SECONDS
        while left:
            due = time.monotonic() + pause
            yield due
            query = {"id": [job.id for job in left]}
            reply = yield from self._asking.ask("list", Request("GET", "/v1/jobs", query), due)
            left = self._checks.listed(left, reply.only(200))
            pause = min(pause * 1.5, longest)
        for job in jobs:
            yield from self._read(job)

    def _cancel(self, start: Start) -> Steps[None]:
        """Hand in, think better of it, and have it done after all."""
        delayed = start.chance.random() < _CARELESS
        body = start.order.as_job(**({"delay_seconds": _DELAY_SECONDS} if delayed else {}))
        request = Request("POST", "/v1/jobs", body=body, headers=self._headers(start))
        job = yield from self._accepted("submit", request, start)
        if job is None:
            return
        cancel = Request("POST", f"/v1/jobs/{job.id}/cancel")
        reply = yield from self._asking.ask("cancel", cancel, time.monotonic())
        self._checks.cancel(job, reply)
        yield from self._held(job)
        yield from self._read(job)
        if job.state in _READABLE:
            yield from self._rerun(start, job)

    def _rerun(self, start: Start, job: Held) -> Steps[None]:
        path, due = f"/v1/jobs/{job.id}/rerun", time.monotonic()
        request = Request("POST", path, headers=self._headers(start, "-rerun"))
        reply = yield from self._asking.ask("rerun", request, due)
        again = self._checks.rerun(job, reply.only(200, 202), due)
        if again is not None:
            yield from self._held(again)

    def _once_more(self, start: Start, job: Held) -> Steps[None]:
        """What callers do with a job that has ended: the answer must be the same ever after."""
        if start.chance.random() < _CARELESS:
            yield time.monotonic() + start.chance.random()
        yield from self._read(job)
        if job.etag is not None and start.chance.random() < _CARELESS:
            request = _get_result(job, {"If-None-Match": job.etag})
            reply = yield from self._asking.ask("poll again", request, time.monotonic())
            self._checks.result(job, reply)
        if job.order.truths and job.state == "succeeded" and start.chance.random() < _CARELESS:
            request = Request("GET", "/score", {"cust_id": job.order.customer})
            reply = yield from self._asking.ask("score", request, time.monotonic())
            self._checks.score(job, reply)

    def _accepted(self, operation: str, request: Request, start: Start) -> Steps[Held | None]:
        reply = yield from self._asking.ask(operation, request, start.due)
        return self._checks.accept(reply.only(200, 202), start.order, start.due)

    def _accepted_of(self, start: Start, reply: Reply) -> list[Held]:
        """The jobs of an array that are accepted; those refused for now are counted as errors."""
        document = reply.only(207)
        jobs, refused = self._checks.accept_each(document, start.orders, start.due)
        for item in refused:
            if item["status"] != 429:
                raise failure_of(item["status"], item["problem"], None)
            self._asking.tally.erred(f"429 {item['problem']['code']}")
        return jobs

    def _held(self, job: Held) -> Steps[None]:
        """Wait for the end of a job by requests that the service holds until then."""
        while job.state is None:
            request = _get_result(job, wait_seconds=_WAIT_SECONDS)
            sent = time.monotonic()
            reply = yield from self._asking.ask("hold", request, sent)
            ended = self._checks.result(job, reply)
            if not ended and time.monotonic() - sent < _HELD * _WAIT_SECONDS:
                yield time.monotonic() + (reply.retry_after_seconds or _POLL_SECONDS)

    def _read(self, job: Held) -> Steps[None]:
        """Its result by the job's own address."""
        if job.state in _READABLE:
            request = Request("GET", f"/v1/jobs/{job.id}/result")
            reply = yield from self._asking.ask("read", request, time.monotonic())
            self._checks.result(job, reply)

    def _submission(
        self, start: Start, more: dict[str, str] | None = None, wait_seconds: int = 0
    ) -> Request:
        """By one of the doors that are open to this order."""
        order = start.order
        path, body = start.chance.choice(_doors(order))
        headers = {**self._headers(start), **(more or {})}
        return Request("POST", path, body=body, headers=headers, wait_seconds=wait_seconds)

    def _headers(self, start: Start, suffix: str = "") -> dict[str, str]:
        key = f"populate-{self._run_id}-{start.number}{suffix}"
        return {"Content-Type": "application/json", "Idempotency-Key": key}


def _doors(order: Order) -> Sequence[tuple[str, bytes]]:
    job = ("/v1/jobs", order.as_job())
    if not order.truths:
        return (job,)
    return job, (f"/add/{order.customer}", order.params), ("/userdevicesms", order.as_device_sms())


def _get_result(job: Held, headers: dict[str, str] | None = None, wait_seconds: int = 0) -> Request:
    query = {"job_id": job.id, **({"wait": wait_seconds} if wait_seconds else {})}
    return Request("GET", "/get_result", query, headers=headers or {}, wait_seconds=wait_seconds)
