"""The whole HTTP surface on one page: every route, who may call it, what it takes and answers."""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterable
from typing import Any

from flask import Flask, Response, redirect
from werkzeug.wrappers import Response as BaseResponse

from jobresults.accounts.api_keys import Scope
from jobresults.settings import Settings
from jobresults.web import (
    bodies,
    jobs,
    problems,
    queues,
    reference,
    results,
    score,
    status,
    submit,
    tasks,
)
from jobresults.web.authentication import authorize
from jobresults.web.fast_lane import FastLane
from jobresults.web.request_context import RequestContext
from jobresults.web.routing import PUBLIC, Answer, Route
from jobresults.web.services import build

_JOB = Answer("The job", bodies.JobBody)
_ACCEPTED = Answer("Accepted: committed to the ledger", bodies.JobBody)
_EACH = Answer("An array: what became of each job in it, committed or refused", bodies.BulkBody)
_PENDING = Answer("Not yet: the job as it is", bodies.JobBody)
_ENDED = Answer("Ended within the wait: the job with its result or error", bodies.JobBody)
_RESULT = Answer("What the task returned, byte for byte")
_UNCHANGED = Answer("The caller has it already", content_type=None)
_LOGS = Answer("Log lines", bodies.LogPage, also_as="text/event-stream")
_STATUS = Answer("How the process is", bodies.StatusBody)
_SUBMIT_HEADERS = ("Idempotency-Key", "Prefer", "traceparent", "wait")
_SUBMIT_PROBLEMS = (400, 409, 413, 415, 422)
_RESULT_PROBLEMS = (404, 410, 424)

# fmt: off
ROUTES = (
    # Submit
    Route("POST", "/v1/jobs", submit.submit_job, Scope.SUBMIT, {202: _ACCEPTED, 200: _ENDED, 207: _EACH},
          _SUBMIT_PROBLEMS, body=bodies.SubmitRequest, parameters=_SUBMIT_HEADERS),
    Route("POST", "/add/<customer>", submit.add_for_customer, Scope.SUBMIT, {202: _ACCEPTED, 200: _ENDED},
          _SUBMIT_PROBLEMS, body=bodies.TaskParams, parameters=_SUBMIT_HEADERS),
    Route("POST", "/userdevicesms", submit.add_device_sms, Scope.SUBMIT, {202: _ACCEPTED, 200: _ENDED},
          _SUBMIT_PROBLEMS, body=bodies.DeviceSmsBody, parameters=_SUBMIT_HEADERS),
    # Results
    Route("GET", "/get_result", results.get_result, Scope.READ, {200: _RESULT, 202: _PENDING, 304: _UNCHANGED},
          (400, *_RESULT_PROBLEMS), parameters=("job_id", "wait", "Prefer", "If-None-Match")),
    Route("GET", "/v1/jobs/<job_id>/result", results.job_result, Scope.READ,
          {200: _RESULT, 202: _PENDING, 304: _UNCHANGED}, (400, *_RESULT_PROBLEMS),
          parameters=("wait", "Prefer", "If-None-Match")),
    Route("GET", "/score", score.get_score, Scope.READ, {200: _RESULT, 202: _PENDING, 304: _UNCHANGED}, (400, 404),
          parameters=("cust_id", "If-None-Match")),
    # Jobs
    Route("GET", "/v1/jobs", jobs.list_jobs, Scope.READ, {200: Answer("A page of jobs", bodies.JobPage)}, (400,),
          query=bodies.ListQuery),
    Route("GET", "/v1/jobs/<job_id>", jobs.get_job, Scope.READ, {200: _JOB}, (400, 404),
          parameters=("wait", "Prefer")),
    Route("POST", "/v1/jobs/<job_id>/cancel", jobs.cancel_job, Scope.CANCEL,
          {200: Answer("Canceled", bodies.JobBody), 202: Answer("Stopping", bodies.JobBody)}, (404, 409)),
    Route("POST", "/v1/jobs/<job_id>/rerun", submit.rerun_job, Scope.SUBMIT, {202: _ACCEPTED, 200: _ENDED},
          (400, 404, 409, 422), parameters=_SUBMIT_HEADERS),
    Route("GET", "/v1/jobs/<job_id>/logs", jobs.job_logs, Scope.READ, {200: _LOGS}, (400, 404),
          query=bodies.LogQuery),
    Route("GET", "/v1/jobs/<job_id>/events", jobs.job_events, Scope.READ,
          {200: Answer("The timeline", bodies.Timeline)}, (404,)),
    # Tasks
    Route("GET", "/v1/tasks", tasks.list_tasks, Scope.READ, {200: Answer("The tasks", bodies.TaskList)}),
    # Queues
    Route("GET", "/v1/queues", queues.list_queues, Scope.OPERATE, {200: Answer("The queues", bodies.QueueList)}),
    Route("POST", "/v1/queues/<name>/pause", queues.pause_queue, Scope.OPERATE,
          {200: Answer("The queue, paused", bodies.QueueBody)}, (404,)),
    Route("POST", "/v1/queues/<name>/resume", queues.resume_queue, Scope.OPERATE,
          {200: Answer("The queue", bodies.QueueBody)}, (404,)),
    # Probes
    Route("GET", "/status", status.get_status, PUBLIC, {200: _STATUS}),
    Route("GET", "/status/live", status.get_status, PUBLIC, {200: _STATUS}),
    Route("GET", "/status/ready", status.get_readiness, PUBLIC,
          {200: _STATUS, 503: Answer("No traffic, please", bodies.StatusBody)}),
    # Reference
    Route("GET", "/openapi.json", reference.openapi_json, PUBLIC, {200: Answer("This document")}),
    Route("GET", "/docs", reference.docs, PUBLIC, {200: Answer("This document, to read", None, "text/html")}),
    Route("GET", "/docs/<path:asset>", reference.asset, PUBLIC, {200: Answer("A file of the page", None, "*/*")},
          (404,)),
)
# fmt: on


def create_app(settings: Settings) -> Flask:
    """The WSGI application of one process; its background threads run from here on, so create it
    after a fork.

    Raises:
        ConfigurationError
    """
    app = Flask(__name__, static_folder=None)
    app.config["MAX_CONTENT_LENGTH"] = settings.web.max_body_bytes
    app.json.sort_keys = False  # type: ignore[attr-defined]
    problems.install(app)
    install(app, ROUTES)
    app.add_url_rule("/", "home", lambda: redirect("/docs"))
    app.extensions["openapi"] = functools.cache(lambda: reference.document(ROUTES, settings))
    app.extensions["jobresults"] = services = build(settings)
    app.after_request(_not_stored)
    app.wsgi_app = RequestContext(app.wsgi_app).serve  # type: ignore[method-assign]
    if settings.web.fast_lane:
        app.wsgi_app = FastLane(app.wsgi_app, services).serve  # type: ignore[method-assign]
    services.start()
    return app


def install(app: Flask, routes: Iterable[Route]) -> None:
    """Register routes; each view runs only if its route's scope lets the caller in."""
    for route in routes:
        app.add_url_rule(
            route.path,
            f"{route.method} {route.path}",
            _guarded(route),
            methods=[route.method],
            provide_automatic_options=False,
        )


def _not_stored(response: Response) -> Response:
    """What a view says nothing else about is of this moment and for this caller."""
    response.headers.setdefault("Cache-Control", "no-store")
    return response


def _guarded(route: Route) -> Callable[..., BaseResponse]:
    @functools.wraps(route.view)
    def view(**arguments: Any) -> Response:
        authorize(route.scope)
        return route.view(**arguments)

    return view
