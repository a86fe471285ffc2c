"""What a web process and maintenance tell Sentry, and what it costs without a DSN."""

from __future__ import annotations

import json
import subprocess
import time

import pytest

from jobresults.errors import ConfigurationError
from jobresults.settings import Settings
from jobresults.telemetry import sentry
from tests.services.scripted_http import Answer
from tests.services.sentry_server import SentryServer
from tests.unit.telemetry.conftest import RunPython

WEB = """
import logging, sys
from flask import Flask
from jobresults.errors import LedgerUnavailable, NotFound
from jobresults.settings import Settings
from jobresults.telemetry import sentry
from jobresults.telemetry.tracing_setup import start_tracing
from jobresults.web import problems
from jobresults.web.request_context import RequestContext

logging.basicConfig(level=logging.DEBUG, stream=sys.stderr)
options = {"dsn": sys.argv[1], "traces_sample_rate": float(sys.argv[2])}
sentry.start(Settings.model_validate({"sentry": options}))
start_tracing(Settings.model_validate({"sentry": options}), "web")
app = Flask(__name__)
problems.install(app)
app.wsgi_app = RequestContext(app.wsgi_app).serve

@app.get("/raises/<number>")
def raises(number):
    local = "canaryLocal"
    raise ValueError("password=canaryText")

@app.get("/logs-and-raises")
def logs_and_raises():
    try:
        raise KeyError("lost")
    except KeyError as error:
        logging.getLogger("app").exception("%s", error)
        raise

@app.get("/not-found")
def not_found():
    raise NotFound("no such thing")

@app.get("/unavailable")
def unavailable():
    raise LedgerUnavailable("away")

@app.get("/logs")
def logs():
    logging.getLogger("app").error("only logged")
    return "fine"

with app.test_client() as client:
    headers = {"X-Request-ID": "req-1", "Authorization": "Bearer canaryBearer"}
    headers["Cookie"] = "s=canaryCookie"
    for path in ("raises/1", "logs-and-raises", "not-found", "unavailable", "logs"):
        answer = client.get(f"/{path}?token=canaryQuery", headers=headers)
        print(answer.status_code, end=" ")
        answer.close()  # as servers do
"""


def test_each_unforeseen_failure_of_a_request_is_one_event(
    run_python: RunPython, sentry_server: SentryServer
) -> None:
    done = run_python(WEB, sentry_server.dsn, "0")
    assert done.stdout.split() == ["500", "500", "404", "503", "200"]
    raised, logged_too = sentry_server.events
    assert raised["exception"]["values"][-1]["value"] == "password=[hidden]"
    assert raised["tags"]["request_id"] == "req-1"
    assert raised["transaction"] == "GET /raises/<number>"
    assert raised["request"] == {"method": "GET", "url": "/raises/1"}
    assert raised["release"] == "0.1.0"
    assert [value["type"] for value in logged_too["exception"]["values"]] == ["KeyError"]
    assert "canary" not in json.dumps(sentry_server.events)


def test_requests_are_traced_if_that_is_wished_for(
    run_python: RunPython, sentry_server: SentryServer
) -> None:
    run_python(WEB, sentry_server.dsn, "1")
    assert len(sentry_server.transactions) == 5
    assert len(sentry_server.events) == 2
    assert "canary" not in json.dumps(sentry_server.transactions + sentry_server.events)


MAINTENANCE = """
import sys
from jobresults.maintenance.duties import Duty
from jobresults.settings import Settings
from jobresults.telemetry import sentry
from jobresults.telemetry.outages import Outages

sentry.start(Settings.model_validate({"sentry": {"dsn": sys.argv[1]}}))
Duty("dividing", 1.0, lambda: 1 / 0).run_if_due(Outages({}))
"""


def test_a_duty_that_fails_is_one_event_sent_before_the_process_ends(
    run_python: RunPython, sentry_server: SentryServer
) -> None:
    run_python(MAINTENANCE, sentry_server.dsn)
    (event,) = sentry_server.events
    assert event["exception"]["values"][0]["type"] == "ZeroDivisionError"


def test_a_sentry_that_hangs_holds_up_an_exit_no_longer_than_it_may(
    run_python: RunPython, sentry_server: SentryServer
) -> None:
    sentry_server.script.append(Answer(how="hang"))
    began = time.monotonic()
    code = MAINTENANCE.replace("sys.argv[1]}", 'sys.argv[1], "flush_seconds": 0.2}')
    run_python(code, sentry_server.dsn)
    assert time.monotonic() - began < 20
    assert sentry_server.events == []


def test_a_crash_is_one_event(run_python: RunPython, sentry_server: SentryServer) -> None:
    with pytest.raises(subprocess.CalledProcessError):
        run_python(MAINTENANCE + "raise SystemError('the end')", sentry_server.dsn)
    types = [event["exception"]["values"][0]["type"] for event in sentry_server.events]
    assert types == ["ZeroDivisionError", "SystemError"]


def test_without_a_dsn_nothing_of_it_is_loaded(run_python: RunPython) -> None:
    code = """
import sys
from jobresults.settings import Settings
from jobresults.telemetry import sentry
import jobresults.worker.main, jobresults.maintenance.main, jobresults.web.app
sentry.start(Settings())
assert sentry.capture(ValueError("x")) is None and sentry.make("x") is None
sentry.send(b""); sentry.flush(1)
print([name for name in sys.modules if name.startswith("sentry_sdk")])
"""
    assert run_python(code).stdout.strip() == "[]"


def test_a_dsn_that_is_none_is_named_and_not_shown() -> None:
    settings = Settings.model_validate({"sentry": {"dsn": "canary://nonsense"}})
    with pytest.raises(ConfigurationError, match=r"sentry\.dsn: must be https://KEY") as caught:
        sentry.start(settings)
    assert "canary" not in str(caught.value)
    assert sentry.make("x") is None
