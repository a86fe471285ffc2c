"""A job as its page shows it: what API callers read of it, in words."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from contextlib import suppress
from typing import Any

from jobresults.jobs.estimate import Estimate
from jobresults.jobs.reading import JobRecord
from jobresults.telemetry.control_characters import escape_in_json
from jobresults.web.document import job_document
from jobresults.web.pages.durations import clock, moment, span

_SHOWN_RESULT_BYTES = 65_536
_WAITS = {
    "worker": "for a worker",
    "retry": "to be tried again",
    "schedule": "for its time",
    "customer_limit": "for the customer's other jobs",
    "task_limit": "for other jobs of the task",
    "queue_paused": "until its queue goes on",
}

Shown = dict[str, Any]


def listed(record: JobRecord) -> Shown:
    """A job as a line of the list."""
    return {
        "id": record.id,
        "task": record.task,
        "customer": record.customer or "",
        "state": record.state,
        "created": moment(record.created_at_ms),
        "took": _took(record),
    }


def described(record: JobRecord, estimate: Estimate, *, for_operator: bool) -> Shown:
    """A job as its page has it."""
    document = job_document(record, estimate, for_operator=for_operator)
    return {
        "id": record.id,
        "task": record.task,
        "state": record.state,
        "done": record.done,
        "expired": record.expired,
        "is_stopping": record.state == "running" and record.cancel_requested_at_ms is not None,
        "now": moment(record.now_ms),
        "facts": [(name, text) for name, text in _facts(record, estimate, document) if text],
        "rerun_of": record.rerun_of,
        "progress": document["progress"],
        "error": document.get("error"),
        "traceback": document.get("error", {}).get("traceback"),
        "sentry_event_id": document.get("sentry_event_id"),
        "result": None if record.result is None or record.expired else _result(record.result),
    }


def told(timeline: Sequence[Shown], since_ms: int) -> list[Shown]:
    """A timeline: each event with the time since the job was handed in."""
    return [
        {
            "at": moment(entry["at_ms"]),
            "clock": clock(entry["at_ms"]),
            "after": span(entry["at_ms"] - since_ms),
            "event": str(entry["event"]).replace("_", " "),
            "attempt": entry["attempt"] or "",
            "detail": ", ".join(_details(entry["detail"])),
        }
        for entry in timeline
    ]


def _facts(
    record: JobRecord, estimate: Estimate, document: Shown
) -> Iterator[tuple[str, str | None]]:
    yield "Customer", record.customer
    yield "Queue", record.queue
    yield "Waits", _waits(record, estimate)
    attempt = f"{record.attempt} of {record.max_attempts}"
    yield "Attempt", attempt if record.attempt else None
    yield "Handed in", moment(record.created_at_ms)
    waited_from_ms = record.created_at_ms if record.attempt == 1 else None
    yield "Started", _after(record.started_at_ms, waited_from_ms, "waited")
    yield "Ended", _after(record.ended_at_ms, record.started_at_ms, "ran")
    yield "Runs for", _runs(record, estimate)
    yield "Kept until", None if record.expires_at_ms is None else moment(record.expires_at_ms)
    yield "Tags", ", ".join(document["tags"])
    yield "Request", record.request_id


def _waits(record: JobRecord, estimate: Estimate) -> str | None:
    if record.waiting_on is None:
        return None
    text = _WAITS.get(record.waiting_on, record.waiting_on)
    if estimate.position is not None:
        text += f", at position {estimate.position:,}"
    return text + _eta(estimate)


def _runs(record: JobRecord, estimate: Estimate) -> str | None:
    if record.done or record.state != "running" or record.started_at_ms is None:
        return None
    return span(record.now_ms - record.started_at_ms) + _eta(estimate)


def _eta(estimate: Estimate) -> str:
    if estimate.eta_seconds is None:
        return ""
    if estimate.eta_seconds == 0:
        return ", longer than most"
    return f", done in about {span(round(estimate.eta_seconds * 1000))}"


def _after(at_ms: int | None, before_ms: int | None, did: str) -> str | None:
    if at_ms is None:
        return None
    return moment(at_ms) + (f", {did} {span(at_ms - before_ms)}" if before_ms is not None else "")


def _took(record: JobRecord) -> str:
    if record.started_at_ms is None:
        return ""
    return span((record.ended_at_ms or record.now_ms) - record.started_at_ms)


def _details(detail: Shown) -> Iterator[str]:
    for name, value in detail.items():
        if name == "error" and isinstance(value, dict):
            yield f"{value.get('title', '')}: {value.get('detail', '')}"
        else:
            text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
            yield f"{name.replace('_', ' ')} {text}"


def _result(stored: bytes) -> Shown:
    """Its beginning if it is large: a page is for reading."""
    if len(stored) <= _SHOWN_RESULT_BYTES:
        return {"text": _indented(stored), "bytes": len(stored), "is_cut": False}
    text = stored[:_SHOWN_RESULT_BYTES].decode("utf-8", "ignore")
    return {"text": escape_in_json(text), "bytes": len(stored), "is_cut": True}


def _indented(stored: bytes) -> str:
    text = stored.decode()
    # A number may be longer than Python reads, nesting deeper: then as it is stored.
    with suppress(ValueError, RecursionError):
        text = json.dumps(json.loads(text), indent=2, ensure_ascii=False)
    return escape_in_json(text)
