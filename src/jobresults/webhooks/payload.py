"""What a callback says, made from the ledger when it is sent: an ended job never changes, and what
is forgotten meanwhile is not told any more.
"""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import case, func

from jobresults.database import Database
from jobresults.errors import NotFound
from jobresults.jobs.model import job
from jobresults.jobs.outbox import event_of
from jobresults.jobs.reading import JobRecord, select_records
from jobresults.settings import CallbacksSettings
from jobresults.telemetry import trace_context
from jobresults.telemetry.trace_context import TraceContext


def read_record(
    database: Database, job_id: str, settings: CallbacksSettings
) -> tuple[JobRecord, TraceContext | None]:
    """The job to be told of, and the span that handed it in; a result too large to be told is not
    read.

    Raises:
        NotFound: it is forgotten.
        LedgerUnavailable
    """
    small = case((func.length(job.c.result) <= settings.max_result_bytes, job.c.result))
    records = select_records(database, small).add_columns(job.c.traceparent, job.c.tracestate)
    rows = database.rows(records.where(job.c.id == job_id))
    if not rows:
        raise NotFound("the job is forgotten")
    *record, traceparent, tracestate = rows[0]
    return JobRecord(*record), trace_context.parse(traceparent, tracestate)


def body_of(record: JobRecord, settings: CallbacksSettings) -> bytes:
    """The JSON body: `type`, `timestamp` and `data`. The result stands in `data` as the task
    returned it if it is small, and the error if there is one.
    """
    head = json.dumps(_document(record, settings), ensure_ascii=False).encode()
    result = record.result
    if result is None or record.expired:
        return head
    return head[:-2] + b', "result": ' + result + b"}}"


def _document(record: JobRecord, settings: CallbacksSettings) -> dict[str, Any]:
    base = (settings.base_url or "").rstrip("/")
    data: dict[str, Any] = {
        "job_id": record.id,
        "task": record.task,
        "customer": record.customer,
        "state": record.state,
        "attempt": record.attempt,
        "tags": json.loads(record.tags),
        "created_at": _rfc3339(record.created_at_ms),
        "ended_at": _rfc3339(record.ended_at_ms),
        "job_url": f"{base}/v1/jobs/{record.id}",
        "result_url": f"{base}/get_result?job_id={record.id}",
    }
    if record.error is not None and not record.expired:
        error = json.loads(record.error)
        data["error"] = {**error, "type": f"urn:jobresults:job-error:{error['code']}"}
    # `data` stays last: a result is put at its end.
    return {"type": event_of(record.state), "timestamp": data["ended_at"], "data": data}


def _rfc3339(at_ms: int | None) -> str | None:
    if at_ms is None:
        return None
    text = datetime.fromtimestamp(at_ms / 1000, UTC).isoformat(timespec="milliseconds")
    return text.replace("+00:00", "Z")
