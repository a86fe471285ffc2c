"""`/jobs`: the newest jobs and each job's page, with buttons for whoever may press them."""

from __future__ import annotations

import re
import secrets
from dataclasses import replace
from typing import Any
from urllib.parse import urlencode

from flask import Response, request

from jobresults.accounts.principal import Scope
from jobresults.errors import Conflict, InvalidRequest, LedgerUnavailable
from jobresults.jobs import reading
from jobresults.jobs.estimate import Estimate
from jobresults.jobs.reading import JobRecord
from jobresults.jobs.states import State
from jobresults.web import jobs, results, submit
from jobresults.web.bodies import JobsPageQuery, ListQuery, LogQuery
from jobresults.web.document import retry_after_seconds
from jobresults.web.pages import shell
from jobresults.web.pages.job_view import described, listed, told
from jobresults.web.request_body import parse
from jobresults.web.services import principal, read_job, services

_MIN_RELOAD_SECONDS = 2
_LOG_LINES = 1_000  # as many as are kept of an attempt, if nobody has set it otherwise
_ONCE = re.compile(r"[0-9a-f]{32}")


def show_jobs() -> Response:
    """Show the newest jobs."""
    query = parse(JobsPageQuery, dict(request.args))
    wanted = {name: value for name, value in query.model_dump().items() if value}
    if query.state:
        wanted["state"] = [query.state]
    records, next_cursor = jobs.page_of_jobs(ListQuery.model_validate(wanted))
    older = query.model_dump(exclude_defaults=True) | {"cursor": next_cursor}
    return shell.page(
        "jobs.html",
        jobs=[listed(record) for record in records],
        older=None if next_cursor is None else urlencode(older),
        states=list(State),
        wanted=query.state,
        text=query.q,
    )


def show_job(job_id: str) -> Response:
    """Show a job: how it is, what it left, what happened to it and what it said."""
    given = {name: request.args[name] for name in request.args}
    query = parse(LogQuery, {"limit": _LOG_LINES, **given})
    record = read_job(job_id)
    estimate, timeline, logs = _around(record, query)
    more_after = logs[-1]["seq"] if len(logs) == query.limit else None
    return shell.page(
        "job.html",
        job=described(record, estimate, for_operator=principal().is_operator),
        events=None if timeline is None else told(timeline, record.created_at_ms),
        logs=logs,
        after=query.after,
        more_after=more_after,
        may=_may(),
        once=secrets.token_hex(16),
        reload_seconds=None
        if record.done
        else max(_MIN_RELOAD_SECONDS, retry_after_seconds(record, estimate)),
    )


def raw_result(job_id: str) -> Response:
    """Fetch a job's result, byte for byte, with a browser, which keeps no copy."""
    record = read_job(job_id)
    if not record.done:
        raise Conflict(f"the job is {record.state}; there is no result yet", state=record.state)
    question = results.Question(job_id, None, principal(), {"PATH_INFO": request.path})
    response = results.ended_reply(record, question).response()
    response.headers["Cache-Control"] = "no-store"
    return response


def cancel_by_button(job_id: str) -> Response:
    """Cancel a job, and back to its page, which says what became of it."""
    jobs.cancel(job_id)
    return shell.see(f"/jobs/{job_id}")


def rerun_by_button(job_id: str) -> Response:
    """Run an ended job again, and on to the new job's page. However often the button of one page
    is pressed, it is one job.
    """
    submission, once = submit.rerun_of(job_id), request.form.get("once")
    if once is not None:
        if not _ONCE.fullmatch(once):
            raise InvalidRequest("once: the page has another one")
        submission = replace(submission, idempotency_key=f"page-{once}", fingerprint=job_id)
    return shell.see(f"/jobs/{submit.hand_in(submission).job_id}")


def _may() -> dict[str, bool]:
    scopes = principal().scopes
    return {"cancel": Scope.CANCEL in scopes, "rerun": Scope.SUBMIT in scopes}


def _around(
    record: JobRecord, query: LogQuery
) -> tuple[Estimate, list[dict[str, Any]] | None, list[dict[str, Any]]]:
    """When it will be done, its timeline and its log lines. Without the ledger there is no timeline
    (None), but Redis may have had a copy of the job: better than nothing.
    """
    database = services().database
    try:
        estimate = Estimate() if record.done else services().estimator.estimate(record)
        timeline = reading.timeline(database, record.id)
        if record.expired:  # whether or not it has been swept yet
            return estimate, timeline, []
        logs = reading.logs(database, record.id, after=query.after, limit=query.limit)
    except LedgerUnavailable:
        return Estimate(), None, []
    return estimate, timeline, logs
