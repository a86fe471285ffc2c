"""The whole HTTP surface on one page: every route, who may call it, what it takes and answers."""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterable
from typing import Any

from flask import Flask, Response, redirect, request
from werkzeug.wrappers import Response as BaseResponse

from jobresults.accounts.principal import Scope
from jobresults.errors import RequestError, Unavailable
from jobresults.settings import Settings
from jobresults.telemetry import sentry
from jobresults.telemetry.tracing_setup import start_tracing
from jobresults.web import (
    account_bodies,
    alert_bodies,
    alerts,
    bodies,
    callback_bodies,
    callbacks,
    jobs,
    keys,
    login,
    problems,
    queues,
    reference,
    reference_page,
    results,
    score,
    silence_link,
    silences,
    status,
    submit,
    tasks,
    users,
    webhook,
    whoami,
    workers,
)
from jobresults.web.authentication import authorize
from jobresults.web.fast_lane import FastLane
from jobresults.web.pages import jobs as job_pages
from jobresults.web.pages import runbooks, shell, sign
from jobresults.web.proxies import TrustedProxies
from jobresults.web.query import refuse_repeated
from jobresults.web.request_context import RequestContext
from jobresults.web.request_counts import ROUTE, RequestCounts
from jobresults.web.routing import ANYONE_KNOWN, PUBLIC, Answer, Route
from jobresults.web.security_headers import security_headers
from jobresults.web.services import build

_JOB = Answer("The job", bodies.JobBody)
_ACCEPTED = Answer(
    "Accepted: committed to the ledger", bodies.JobBody, headers=("Location", "Retry-After")
)
_EACH = Answer("An array: what became of each job in it, committed or refused", bodies.BulkBody)
_PENDING = Answer("Not yet: the job as it is", bodies.JobBody, headers=("Retry-After",))
_ENDED = Answer(
    "Ended within the wait: the job with its result or error", bodies.JobBody, headers=("Location",)
)
_ANYTHING = {
    "description": "Any JSON value; GET /v1/tasks has its schema",
    "examples": [{"score": 612}],
}
_RESULT = Answer("What the task returned, byte for byte", schema=_ANYTHING, headers=("ETag",))
_UNCHANGED = Answer("The caller has it already", content_type=None, headers=("ETag",))
_LOGS = Answer("Log lines", bodies.LogPage, also_as=("text/event-stream",))
_CALLBACK = Answer("The callback and its attempts", callback_bodies.CallbackLogBody)
_SECRET = Answer("The new secret", callback_bodies.SecretBody)
_STATUS = Answer("How the process is", bodies.StatusBody)
_USER = Answer("The account", account_bodies.UserBody)
_USERS = Answer("A page of accounts", account_bodies.UserPage)
_TOKEN = Answer("A token", account_bodies.TokenBody)
_KEYS = Answer("A page of keys", account_bodies.KeyPage)
_KEY = Answer("The only sight of the key", account_bodies.IssuedKeyBody)
_DONE = Answer("Done", content_type=None)
_BODY_PROBLEMS = (400, 413, 415)
_TEXT = {"type": "string", "examples": ["…"]}
_SEEN = Answer("A page", None, "text/html", schema=_TEXT)
_SEE_OTHER = Answer("On to a page", content_type=None, headers=("Location",))
_DOCUMENT = Answer("This document", schema={"type": "object", "examples": [{"openapi": "3.1.0"}]})
_PAGE = Answer("This document, to read", None, "text/html", schema=_TEXT)
_ASSET = Answer("A file of the page", None, "text/javascript", also_as=("text/css",), schema=_TEXT)
_SUBMIT_HEADERS = ("Idempotency-Key", "Prefer", "traceparent", "tracestate", "wait")
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
    Route("GET", "/v1/jobs/<job_id>/logs", jobs.job_logs, Scope.READ, {200: _LOGS}, (400, 404, 410),
          parameters=("Last-Event-ID",), query=bodies.LogQuery),
    Route("GET", "/v1/jobs/<job_id>/events", jobs.job_events, Scope.READ,
          {200: Answer("The timeline", bodies.Timeline)}, (404,)),
    # Jobs, in a browser
    Route("GET", "/jobs", job_pages.show_jobs, Scope.READ, {200: _SEEN}, (400,), query=bodies.JobsPageQuery,
          is_page=True),
    Route("GET", "/jobs/<job_id>", job_pages.show_job, Scope.READ, {200: _SEEN}, (400, 404), query=bodies.LogQuery,
          is_page=True),
    Route("GET", "/jobs/<job_id>/result", job_pages.raw_result, Scope.READ, {200: _RESULT},
          (409, *_RESULT_PROBLEMS), is_page=True),
    Route("POST", "/jobs/<job_id>/cancel", job_pages.cancel_by_button, Scope.CANCEL, {303: _SEE_OTHER}, (404,),
          is_page=True),
    Route("POST", "/jobs/<job_id>/rerun", job_pages.rerun_by_button, Scope.SUBMIT, {303: _SEE_OTHER},
          (400, 404, 409, 422), is_page=True),
    # Callbacks
    Route("GET", "/v1/jobs/<job_id>/callbacks", callbacks.job_callbacks, Scope.READ,
          {200: Answer("Callbacks and attempts", callback_bodies.JobCallbacks)}, (404,)),
    Route("GET", "/v1/callbacks", callbacks.list_callbacks, Scope.READ,
          {200: Answer("A page of callbacks", callback_bodies.CallbackPage)}, (400,), query=callback_bodies.CallbackQuery),
    Route("GET", "/v1/callbacks/<callback_id>", callbacks.get_callback, Scope.READ, {200: _CALLBACK}, (404,)),
    Route("POST", "/v1/callbacks/<callback_id>/redeliver", callbacks.redeliver_callback, Scope.SUBMIT,
          {202: _CALLBACK}, (404, 409)),
    Route("GET", "/v1/callback-subscriptions", callbacks.list_subscriptions, Scope.READ,
          {200: Answer("The subscriptions", callback_bodies.SubscriptionList)}),
    Route("POST", "/v1/callback-subscriptions", callbacks.subscribe, Scope.SUBMIT,
          {201: Answer("Subscribed", callback_bodies.NewSubscriptionBody)}, (400, 409, 413, 415),
          body=callback_bodies.SubscribeBody),
    Route("GET", "/v1/callback-subscriptions/<subscription_id>", callbacks.get_subscription, Scope.READ,
          {200: Answer("The subscription", callback_bodies.SubscriptionBody)}, (404,)),
    Route("DELETE", "/v1/callback-subscriptions/<subscription_id>", callbacks.unsubscribe, Scope.SUBMIT,
          {204: Answer("Deleted", content_type=None)}, (404,)),
    Route("POST", "/v1/callback-subscriptions/<subscription_id>/rotate-secret", callbacks.rotate_subscription_secret,
          Scope.SUBMIT, {200: _SECRET}, (404,)),
    Route("POST", "/v1/callback-secret", callbacks.rotate_callback_secret, Scope.SUBMIT, {200: _SECRET}),
    # Webhooks
    Route("POST", "/webhook/<source>", webhook.receive_webhook, PUBLIC,
          {202: Answer("Genuine, and a job", callback_bodies.WebhookAnswer),
           200: Answer("Genuine, but no job: a ping, or another event", callback_bodies.WebhookAnswer)},
          (400, 401, 404, 409, 413, 415, 503), body=callback_bodies.WebhookPayload),
    # Tasks
    Route("GET", "/v1/tasks", tasks.list_tasks, Scope.READ, {200: Answer("The tasks", bodies.TaskList)}),
    # Queues
    Route("GET", "/v1/queues", queues.list_queues, Scope.OPERATE, {200: Answer("The queues", bodies.QueueList)}),
    Route("POST", "/v1/queues/<name>/pause", queues.pause_queue, Scope.OPERATE,
          {200: Answer("The queue, paused", bodies.QueueBody)}, (404,)),
    Route("POST", "/v1/queues/<name>/resume", queues.resume_queue, Scope.OPERATE,
          {200: Answer("The queue", bodies.QueueBody)}, (404,)),
    # Workers
    Route("GET", "/v1/workers", workers.list_workers, Scope.OPERATE, {200: Answer("The workers", bodies.WorkerList)}),
    # Alerts
    Route("GET", "/v1/alerts", alerts.list_alerts, Scope.OPERATE,
          {200: Answer("A page of alerts", alert_bodies.AlertPage)}, (400,), query=alert_bodies.AlertQuery),
    Route("GET", "/v1/alerts/<fingerprint>", alerts.get_alert, Scope.OPERATE,
          {200: Answer("The alert", alert_bodies.AlertBody)}, (404,)),
    Route("GET", "/v1/silences", silences.list_silences, Scope.OPERATE,
          {200: Answer("A page of silences", alert_bodies.SilencePage)}, (400,), query=alert_bodies.SilenceQuery),
    Route("POST", "/v1/silences", silences.create_silence, Scope.OPERATE,
          {201: Answer("In force within 5 s", alert_bodies.SilenceBody)}, (400, 413, 415),
          body=alert_bodies.SilenceRequest),
    Route("DELETE", "/v1/silences/<silence_id>", silences.end_silence, Scope.OPERATE,
          {200: Answer("It is over", alert_bodies.SilenceBody)}, (404,)),
    Route("GET", "/v1/silence-link", silence_link.show_silence_form, PUBLIC,
          {200: Answer("A page that asks", None, "text/html", schema=_TEXT)}, (404,), query=alert_bodies.LinkQuery,
          is_page=True),
    Route("POST", "/v1/silence-link", silence_link.silence_by_link, PUBLIC,
          {200: Answer("A page that says until when", None, "text/html", schema=_TEXT)}, (400, 404, 413, 503),
          body=alert_bodies.SilenceForm, query=alert_bodies.LinkQuery, body_type="application/x-www-form-urlencoded",
          is_page=True),
    # People
    Route("POST", "/register", login.register, PUBLIC, {201: _USER}, (*_BODY_PROBLEMS, 403, 409, 429, 503),
          body=account_bodies.RegisterBody),
    Route("POST", "/login", login.log_in, PUBLIC, {200: _TOKEN}, (*_BODY_PROBLEMS, 401, 404, 429, 503),
          body=account_bodies.LoginBody),
    Route("POST", "/logout", login.log_out, ANYONE_KNOWN, {204: _DONE}, (409,)),
    Route("GET", "/sign-in", sign.show_sign_in, PUBLIC, {200: _SEEN}, is_page=True),
    Route("POST", "/sign-in", sign.sign_in, PUBLIC, {303: _SEE_OTHER}, (401, 403, 404, 429, 503),
          body=account_bodies.SignInForm, body_type="application/x-www-form-urlencoded", is_page=True),
    Route("POST", "/sign-out", sign.sign_out, ANYONE_KNOWN, {303: _SEE_OTHER}, (409,), is_page=True),
    Route("GET", "/v1/whoami", whoami.who_am_i, ANYONE_KNOWN, {200: Answer("Who calls", account_bodies.WhoBody)}),
    Route("GET", "/user/", users.list_users, Scope.ADMIN, {200: _USERS}, (400,), query=account_bodies.UserQuery),
    Route("POST", "/user/", users.create_user, Scope.ADMIN, {201: _USER}, (*_BODY_PROBLEMS, 409, 429),
          body=account_bodies.NewUserBody),
    Route("GET", "/user/<user_id>", users.get_user, ANYONE_KNOWN, {200: _USER}, (404,)),
    Route("PATCH", "/user/<user_id>", users.change_user, ANYONE_KNOWN, {200: _USER}, (*_BODY_PROBLEMS, 404, 409, 429),
          body=account_bodies.UserChangeBody),
    Route("DELETE", "/user/<user_id>", users.delete_user, ANYONE_KNOWN, {204: _DONE}, (404, 409)),
    # API keys
    Route("GET", "/v1/api-keys", keys.list_api_keys, Scope.ADMIN, {200: _KEYS}, (400,), query=account_bodies.KeyQuery),
    Route("POST", "/v1/api-keys", keys.issue_api_key, Scope.ADMIN, {201: _KEY}, _BODY_PROBLEMS,
          body=account_bodies.NewKeyBody),
    Route("DELETE", "/v1/api-keys/<key_id>", keys.revoke_api_key, Scope.ADMIN, {204: _DONE}, (404,)),
    # Probes
    Route("GET", "/status", status.get_status, PUBLIC, {200: _STATUS}),
    Route("GET", "/status/live", status.get_status, PUBLIC, {200: _STATUS}),
    Route("GET", "/status/ready", status.get_readiness, PUBLIC,
          {200: _STATUS, 503: Answer("No traffic, please", bodies.StatusBody)}),
    # Reference
    Route("GET", "/openapi.json", reference.openapi_json, PUBLIC, {200: _DOCUMENT}),
    Route("GET", "/docs", reference_page.docs, PUBLIC, {200: _PAGE}),
    Route("GET", "/docs/runbooks/<page>", runbooks.show_runbook, PUBLIC, {200: _SEEN}, (404,), is_page=True),
    Route("GET", "/docs/<path:asset>", reference_page.asset, PUBLIC, {200: _ASSET},
          (404,)),
)
# fmt: on


def create_app(settings: Settings) -> Flask:
    """The WSGI application of one process; its background threads run from here on, so create it
    after a fork.

    Raises:
        ConfigurationError
    """
    sentry.start(settings)
    start_tracing(settings, "web")
    app = Flask(__name__, static_folder=None)
    app.config["MAX_CONTENT_LENGTH"] = settings.web.max_body_bytes
    app.json.sort_keys = False  # type: ignore[attr-defined]
    problems.install(app)
    install(app, ROUTES)
    app.add_url_rule("/", "home", lambda: redirect("/docs"))
    app.extensions["jobresults"] = services = build(settings)
    app.extensions["openapi"] = functools.cache(
        lambda: reference.document(ROUTES, settings, services.catalog)
    )
    if settings.metrics.port is not None:
        app.extensions["request_counts"] = RequestCounts(ROUTES)
    app.after_request(_with_defaults)
    app.wsgi_app = RequestContext(app.wsgi_app).serve  # type: ignore[method-assign]
    if settings.web.fast_lane:
        app.wsgi_app = FastLane(app.wsgi_app, services).serve  # type: ignore[method-assign]
    if settings.web.trusted_proxies:
        app.wsgi_app = TrustedProxies(app.wsgi_app, settings.web).serve  # type: ignore[method-assign]
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


def _with_defaults(response: Response) -> Response:
    """What a view says nothing else about is of this moment and for this caller."""
    if request.url_rule is not None:
        request.environ[ROUTE] = request.url_rule.rule
    response.headers.setdefault("Cache-Control", "no-store")
    for name, value in security_headers(request.environ):
        response.headers.setdefault(name, value)
    return response


def _guarded(route: Route) -> Callable[..., BaseResponse]:
    @functools.wraps(route.view)
    def view(**arguments: Any) -> BaseResponse:
        authorize(route.scope, by_cookie=route.is_page)
        refuse_repeated(route.once)
        return route.view(**arguments)

    return _readable(view) if route.is_page else view


def _readable(view: Callable[..., BaseResponse]) -> Callable[..., BaseResponse]:
    """A view whose refusals are pages, too, for whoever wants pages."""

    @functools.wraps(view)
    def readable(**arguments: Any) -> BaseResponse:
        try:
            return view(**arguments)
        except (RequestError, Unavailable) as error:
            if not shell.is_wanted():
                raise
            return shell.refusal(error)

    return readable
