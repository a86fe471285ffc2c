"""Jobs as such: one, a page of them, canceling, the timeline and the log lines."""

from __future__ import annotations

import json
import re
import time
from collections.abc import Iterator
from typing import Any

from flask import Response, jsonify, request, stream_with_context

from jobresults.errors import Conflict
from jobresults.jobs import cancellation, reading
from jobresults.jobs.reading import JobRecord
from jobresults.jobs.states import State
from jobresults.web.bodies import ListQuery, LogQuery
from jobresults.web.document import job_document, job_json, rfc3339
from jobresults.web.preferences import wait_seconds
from jobresults.web.request_body import parse
from jobresults.web.request_counts import HELD
from jobresults.web.results import require_kept
from jobresults.web.services import principal, read_job, services, visible, wait_for

_EVENT_ID = re.compile(r"[0-9]{1,18}")
_FOLLOW_SECONDS = 0.5
_FOLLOW_AT_MOST_SECONDS = 600.0


def get_job(job_id: str) -> Response:
    """Read a job, its result or error included; 200 for every known job."""
    record = wait_for(job_id, wait_seconds())
    estimate = None if record.done else services().estimator.estimate(record)
    return _json(job_json(record, estimate, for_operator=principal().is_operator))


def list_jobs() -> Response:
    """List jobs, newest first, without their results."""
    records, next_cursor = page_of_jobs(
        parse(ListQuery, {name: _query_value(name) for name in request.args})
    )
    operator = principal().is_operator
    return jsonify(
        jobs=[job_document(record, for_operator=operator) for record in records],
        next_cursor=next_cursor,
    )


def page_of_jobs(query: ListQuery) -> tuple[list[JobRecord], str | None]:
    """The jobs a list shows, newest first, and the id to continue before; None on the last page.

    Raises:
        LedgerUnavailable
    """
    return reading.page(
        services().database,
        reading.Filter(
            visible=visible(),
            ids=query.id,
            state=query.state,
            task=query.task,
            customer=query.customer,
            tag=query.tag,
            text=query.q,
            created_after_ms=None
            if query.created_after is None
            else round(query.created_after.timestamp() * 1000),
            created_before_ms=None
            if query.created_before is None
            else round(query.created_before.timestamp() * 1000),
        ),
        before_id=query.cursor,
        limit=query.limit if not query.id else len(query.id),
    )


def cancel_job(job_id: str) -> Response:
    """Cancel a job: a queued one at once, a running one within 2 s."""
    state = cancel(job_id)
    if state in (State.SUCCEEDED, State.FAILED):
        raise Conflict(f"the job has already {state}", state=state)
    record = read_job(job_id)
    return _json(
        job_json(record, for_operator=principal().is_operator),
        200 if state is State.CANCELED else 202,
    )


def cancel(job_id: str) -> State:
    """Cancel a job that the running request may see; the state it has then. An ended one stays.

    Raises:
        NotFound, LedgerUnavailable
    """
    read_job(job_id)
    state = cancellation.cancel(services().database, job_id)
    if state is State.CANCELED:
        services().bell.ring(job_id)
    return state


def job_events(job_id: str) -> Response:
    """Read a job's timeline."""
    record = read_job(job_id)
    return jsonify(
        events=[
            {"at": rfc3339(entry.pop("at_ms")), **entry}
            for entry in reading.timeline(services().database, record.id)
        ]
    )


def job_logs(job_id: str) -> Response:
    """Read what the task logged and printed; with `Accept: text/event-stream` follow it as
    server-sent events.
    """
    query = parse(LogQuery, {name: request.args[name] for name in request.args})
    require_kept(read_job(job_id))
    if (
        request.accept_mimetypes.best_match(["application/json", "text/event-stream"])
        == "text/event-stream"
    ):
        # How a browser's EventSource says where it was cut off.
        last = request.headers.get("Last-Event-ID", "")
        after = int(last) if _EVENT_ID.fullmatch(last) else query.after
        request.environ[HELD] = True
        response = Response(
            stream_with_context(_follow(job_id, after)), mimetype="text/event-stream"
        )
        response.headers["X-Accel-Buffering"] = "no"  # nginx would hold the events back
        return response
    return jsonify(_log_page(job_id, query.after, query.limit))


def _log_page(job_id: str, after: int, limit: int) -> dict[str, Any]:
    done = read_job(job_id).done  # before the lines: none can come after the end
    lines = reading.logs(services().database, job_id, after=after, limit=limit)
    return {
        "logs": [{"at": rfc3339(line.pop("at_ms")), **line} for line in lines],
        "next_after": lines[-1]["seq"] if lines else after,
        "complete": done and len(lines) < limit,
    }


def _follow(job_id: str, after: int) -> Iterator[str]:
    """Server-sent events: `log` with each line, `end` once the job has ended. `id` is what `after`
    takes.
    """
    until = time.monotonic() + _FOLLOW_AT_MOST_SECONDS
    while time.monotonic() < until and not services().bell.draining:
        page = _log_page(job_id, after, 500)
        for line in page["logs"]:
            yield f"id: {line['seq']}\nevent: log\ndata: {json.dumps(line)}\n\n"
        after = page["next_after"]
        if page["complete"]:
            yield f"id: {after}\nevent: end\ndata: {{}}\n\n"
            return
        if not page["logs"]:
            yield ": still there\n\n"
            time.sleep(_FOLLOW_SECONDS)


def _query_value(name: str) -> Any:
    """The parameter as its model wants it: a list where it may be repeated."""
    values = request.args.getlist(name)
    return values if name in ("id", "state") else values[-1]


def _json(body: bytes, status: int = 200) -> Response:
    return Response(body, status, mimetype="application/json")
