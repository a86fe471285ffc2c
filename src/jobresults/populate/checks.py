"""Holding answers against what was handed in and what was answered before."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from jobresults.populate.accepted import LOST, Accepted
from jobresults.populate.caller import Reply
from jobresults.populate.findings import Findings, Kind
from jobresults.populate.orders import Answers, Order
from jobresults.populate.tally import Tally

_ENDED = frozenset({"succeeded", "failed", "canceled"})
_UNDER_WAY = frozenset({"queued", "running"})


@dataclass
class Held:
    """An accepted job in its caller's hands, and what is known of it. From `due` on its result is
    waited for, which is counted as `operation`.
    """

    id: str
    order: Order
    place: int
    due: float
    operation: str = "result"
    may_be_canceled: bool = False
    state: str | None = None
    is_read: bool = False
    digest: bytes | None = None
    etag: str | None = None


class Checks:
    """All that an answer is checked for; threads share it."""

    def __init__(self, tally: Tally, findings: Findings, accepted: Accepted) -> None:
        self._tally = tally
        self._findings = findings
        self._accepted = accepted
        self._answers = Answers()

    def accept(
        self, document: Mapping[str, Any], order: Order, due: float, operation: str = "result"
    ) -> Held | None:
        """The job that a submission was answered with; None if it is none."""
        job_id = str(document.get("job_id"))
        try:
            place = self._accepted.add(job_id)
        except ValueError:
            self._findings.add(Kind.WRONG, job_id, "a submission was answered without a job's id")
            return None
        self._tally.accepted()
        job = Held(job_id, order, place, due, operation)
        for name, mine in (("task", order.task), ("customer", order.customer)):
            if document.get(name) != mine:
                self._found(Kind.WRONG, job, f"{name} is {document.get(name)!r}, not {mine!r}")
        self.document(job, document)
        return job

    def accept_each(
        self, document: Mapping[str, Any], orders: Sequence[Order], due: float
    ) -> tuple[list[Held], list[Mapping[str, Any]]]:
        """The jobs that an array was answered with, and what was refused in it."""
        items = document.get("jobs", [])
        if len(items) != len(orders):
            detail = f"an array of {len(orders)} jobs is answered with {len(items)}"
            self._findings.add(Kind.WRONG, "", detail)
        jobs = [
            self.accept(item["job"], order, due, "bulk result")
            for order, item in zip(orders, items, strict=False)
            if "job" in item
        ]
        return [job for job in jobs if job], [item for item in items if "job" not in item]

    def rerun(self, old: Held, document: Mapping[str, Any], due: float) -> Held | None:
        """The job that runs an ended one again."""
        job = self.accept(document, old.order, due)
        if job is not None and document.get("rerun_of") != old.id:
            self._found(Kind.WRONG, job, f"is no rerun of {old.id}, but was answered as one")
        return job

    def document(self, job: Held, document: Any) -> None:
        """A job's document, in whatever state; also what the same submission under the same
        Idempotency-Key is answered.
        """
        known = document if isinstance(document, Mapping) else {}
        if known.get("job_id") != job.id:
            self._found(Kind.REPEATED, job, f"{known.get('job_id')!r} is answered in its place")
            return
        state = known.get("state")
        if state in _ENDED:
            if "result" in known and state == "succeeded":
                self._value(job, known["result"])
            self._end(job, state)
        elif state not in _UNDER_WAY:
            self._found(Kind.WRONG, job, f"its state is {state!r}")
        elif job.state is not None:
            self._found(Kind.CHANGED, job, f"is {state} after it has {job.state}")

    def listed(self, jobs: Sequence[Held], document: Mapping[str, Any]) -> list[Held]:
        """A page asked for by ids: those that have not ended."""
        found = {each["job_id"]: each for each in document.get("jobs", [])}
        for job in jobs:
            if job.id in found:
                self.document(job, found[job.id])
            else:
                self._lose(job, "is not in the list of jobs asked for by id")
        return [job for job in jobs if job.state is None]

    def cancel(self, job: Held, reply: Reply) -> None:
        """The answer to a cancel: canceled, stopping, or too late."""
        job.may_be_canceled = True
        if reply.status == 404:
            self._lose(job, "is unknown to cancel")
        elif reply.status in (200, 202):
            self.document(job, reply.document)
            if reply.status == 200 and job.state is None:
                self._found(Kind.WRONG, job, "is canceled, but not by its own state")
        elif job.state == "canceled":
            self._found(Kind.CHANGED, job, f"cancel answers {reply.status} after it was canceled")

    def result(self, job: Held, reply: Reply) -> bool:
        """The answer of a result route. Whether the job has ended, or is lost."""
        if reply.status == 200:
            self._content(job, reply)
            self._end(job, "succeeded")
        elif reply.status == 202:
            self.document(job, reply.document)
        elif reply.status == 304:
            self._unchanged(job, reply)
        elif reply.status == 410:
            self._end(job, "expired")
        elif reply.status == 424 and reply.code in ("job_failed", "job_canceled"):
            self._end(job, reply.code.removeprefix("job_"))
        elif reply.status == 404:
            self._lose(job, "was accepted and is unknown")
        else:
            self._found(Kind.WRONG, job, f"its result is answered with {reply.status} {reply.code}")
            job.state = job.state or LOST
        return job.state is not None

    def score(self, job: Held, reply: Reply) -> None:
        """`GET /score` of the customer, once one of their scores has been read."""
        if reply.status == 200:
            reasons = [truth.contradiction(reply.document) for truth in job.order.truths]
            if None in reasons:
                self._tally.verified()
            else:
                self._found(self._kind(job, reply.content), job, f"GET /score {reasons[0]}")
        else:
            detail = f"GET /score answers {reply.status} after the customer's score was read"
            self._found(Kind.LOST, job, detail)

    def _content(self, job: Held, reply: Reply) -> None:
        digest = hashlib.blake2b(reply.content, digest_size=16).digest()
        etag = reply.headers.get("ETag")
        if job.digest is not None:
            if (digest, etag) != (job.digest, job.etag):
                self._found(Kind.CHANGED, job, "its result has other bytes or another ETag")
            else:
                self._tally.verified()
            return
        job.digest, job.etag = digest, etag
        reason = _contradiction(job.order, reply.document)
        kind = Kind.WRONG
        if reason is not None:
            kind = self._kind(job, reply.content)
        elif job.order.truths and not self._answers.first(job.order, reply.content):
            reason = "differs from what the same messages were answered before"
        if reason is not None:
            self._found(kind, job, reason)
        else:
            self._tally.verified()
        self._read(job)

    def _value(self, job: Held, value: Any) -> None:
        """A result within a job's document: its bytes are not known."""
        if job.is_read:
            return
        reason = _contradiction(job.order, value)
        if reason is not None:
            self._found(Kind.WRONG, job, reason)
        else:
            self._tally.verified()
        self._read(job)

    def _unchanged(self, job: Held, reply: Reply) -> None:
        if reply.headers.get("ETag") != job.etag:
            self._found(Kind.CHANGED, job, "304 with another ETag than the caller's")
        else:
            self._tally.verified()

    def _kind(self, job: Held, content: bytes) -> Kind:
        """Whether a wrong answer is another's right one."""
        owner = self._answers.owner(content)
        return Kind.WRONG if owner in (None, job.order.name) else Kind.REPEATED

    def _read(self, job: Held) -> None:
        if not job.is_read:
            job.is_read = True
            self._tally.took(job.operation, time.monotonic() - job.due)

    def _end(self, job: Held, state: str) -> None:
        if job.state is None:
            job.state = state
            self._accepted.end(job.place, state)
            self._tally.ended(state)
            if state == "canceled" and not job.may_be_canceled:
                self._found(Kind.WRONG, job, "was canceled, and nobody asked for that")
        elif state not in (job.state, "expired"):
            self._found(Kind.CHANGED, job, f"has {state} after it has {job.state}")

    def _lose(self, job: Held, detail: str) -> None:
        self._found(Kind.LOST, job, detail)
        job.state = LOST
        self._accepted.end(job.place, LOST)

    def _found(self, kind: Kind, job: Held, detail: str) -> None:
        self._findings.add(kind, job.id, detail)


def _contradiction(order: Order, value: Any) -> str | None:
    """Why that cannot be the order's result; None too where nothing is known of it."""
    return order.truths[0].contradiction(value) if order.truths else None
