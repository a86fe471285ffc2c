"""The spans of a job's way through its queue, as OpenTelemetry's conventions for messaging describe
them: handed in, waiting, run.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from contextlib import AbstractContextManager

from jobresults.jobs.new_job import NewJob
from jobresults.jobs.running import Claimed
from jobresults.telemetry import tracing
from jobresults.telemetry.trace_context import TraceContext
from jobresults.telemetry.tracing import Kind, Span, Value

_SYSTEM: dict[str, Value] = {"messaging.system": "rq"}


def enqueuing() -> AbstractContextManager[Span | None]:
    """Around the hand-over of jobs to the ledger and to Redis. Their runs are linked to it."""
    operation = {"messaging.operation.name": "enqueue", "messaging.operation.type": "send"}
    return tracing.around("enqueue", Kind.PRODUCER, {**_SYSTEM, **operation})


def name_enqueued(span: Span | None, jobs: Sequence[NewJob]) -> None:
    """What is handed over."""
    if span is None:
        return
    queues = {str(new.row["queue"]) for new in jobs}
    if len(queues) == 1:
        (queue,) = queues
        span.name = f"enqueue {queue}"
        span.attributes["messaging.destination.name"] = queue
    if len(jobs) == 1:
        span.attributes["messaging.message.id"] = jobs[0].row["id"]
        span.attributes["job.task"] = jobs[0].row["task"]
    else:
        span.attributes["messaging.batch.message_count"] = len(jobs)


def run_of(job: Claimed) -> TraceContext | None:
    """The span of a claim's run; None if the job has no trace. Its id follows from the claim, so
    that the worker, its executor and whoever reads the log name the same one without a word.
    """
    producer = job.trace
    if producer is None:
        return None
    digest = hashlib.blake2b(f"{job.id}_{job.epoch}".encode(), digest_size=8)
    return producer.child(digest.hexdigest())


def record_run(job: Claimed, *, start_ns: int, end_ns: int, state: str, error: str | None) -> None:
    """A claim's wait, by the ledger's clock, and its run, by this worker's. `state`: what the job
    came to; `error`: the code of the attempt's failure.
    """
    producer, run = job.trace, run_of(job)
    if producer is None or run is None or not tracing.is_wanted(run):
        return
    about: dict[str, Value] = {
        **_SYSTEM,
        "messaging.destination.name": job.queue,
        "messaging.message.id": job.id,
        "job.task": job.task,
        "job.attempt": job.attempt,
    }
    wait = Span(f"wait {job.queue}", Kind.INTERNAL, producer.child(), about)
    wait.start_ns, wait.end_ns = job.due_at_ms * 1_000_000, job.started_at_ms * 1_000_000
    tracing.end(wait)
    attributes: dict[str, Value] = {
        **about,
        "messaging.operation.name": "run",
        "messaging.operation.type": "process",
        "job.state": state,
    }
    span = Span(f"run {job.queue}", Kind.CONSUMER, run, attributes, start_ns, end_ns)
    span.link, span.error = producer, error
    tracing.end(span)
