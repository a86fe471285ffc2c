"""A job's trace, from its caller's header to its callback: spans, log lines, headers, alerts."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest
import requests

from tests.services.otlp_receiver import OtlpReceiver, Received
from tests.services.process import eventually
from tests.services.receiver import Receiver, running_receiver
from tests.services.scripted_http import Answer
from tests.services.sentry_server import SentryServer
from tests.services.stack import Shape, Stack
from tests.services.stacks import StartStack

CALLER_SPAN = "00f067aa0ba902b7"
PATH = ("POST /v1/jobs", "enqueue default", "wait default", "run default")
_number = iter(range(1, 1_000))


@pytest.fixture(scope="module")
def receiver() -> Iterator[Receiver]:
    with running_receiver() as running:
        yield running


@pytest.fixture(scope="module")
def sentry() -> Iterator[SentryServer]:
    with SentryServer() as server:
        yield server


@pytest.fixture(scope="module")
def stack(
    start_stack: StartStack,
    otlp_receiver: OtlpReceiver,
    receiver: Receiver,
    sentry: SentryServer,
) -> Stack:
    """A service that sends its spans, its callbacks and its transactions here."""
    settings = {
        "TRACING__OTLP_ENDPOINT": otlp_receiver.endpoint,
        "TRACING__TIMEOUT_SECONDS": "0.5",
        "TRACING__FLUSH_SECONDS": "0.2",
        "SENTRY__DSN": sentry.dsn,
        "SENTRY__TRACES_SAMPLE_RATE": "1",
        "LOGGING__FORMAT": "json",
        "CALLBACKS__ALLOW_HTTP": "true",
        "CALLBACKS__ALLOWED_PORTS": json.dumps([receiver.port]),
        "CALLBACKS__ALLOWED_NETWORKS": '["127.0.0.0/8"]',
        "CALLBACKS__POLL_SECONDS": "0.05",
    }
    started = start_stack(Shape(settings=settings))
    started.request("POST", "/v1/callback-secret")
    return started


@pytest.fixture
def trace_id() -> str:
    return f"{next(_number):032x}"


def submit(stack: Stack, trace_id: str, **members: Any) -> requests.Response:
    """Hand in a job in a trace that is sampled."""
    headers = {"traceparent": f"00-{trace_id}-{CALLER_SPAN}-01", "tracestate": "vendor=7"}
    response = stack.request("POST", "/v1/jobs", json=members, headers=headers)
    assert response.status_code == 202, response.text
    return response


def named(spans: list[Received], name: str) -> Received:
    (found,) = [span for span in spans if span.name == name]
    return found


def lines_of(stack: Stack, process: str, trace_id: str) -> list[dict[str, Any]]:
    """What a process has logged within a trace."""
    lines = stack.processes[process].log(100_000).splitlines()
    parsed = [json.loads(line) for line in lines if line.startswith("{")]
    return [line for line in parsed if line["trace_id"] == trace_id]


def test_the_spans_of_a_job_are_one_trace(
    stack: Stack, otlp_receiver: OtlpReceiver, receiver: Receiver, trace_id: str
) -> None:
    url = receiver.url("/told?token=hunter2")
    response = submit(stack, trace_id, task="echo", params={"value": "hunter2"}, callback_url=url)
    job_id = response.json()["job_id"]
    (callback,) = receiver.wait("/told?token=hunter2")
    spans = otlp_receiver.of_trace(trace_id, *PATH, "POST")
    server, enqueue = named(spans, "POST /v1/jobs"), named(spans, "enqueue default")
    wait, run, call = (named(spans, name) for name in ("wait default", "run default", "POST"))

    assert (server.kind, server.parent_id) == ("SERVER", CALLER_SPAN)
    assert response.headers["traceparent"] == f"00-{trace_id}-{server.span_id}-01"
    assert (enqueue.kind, enqueue.parent_id) == ("PRODUCER", server.span_id)
    assert (wait.kind, wait.parent_id) == ("INTERNAL", enqueue.span_id)
    assert (run.kind, run.parent_id) == ("CONSUMER", enqueue.span_id)
    assert run.links == [(trace_id, enqueue.span_id)]
    assert (call.kind, call.parent_id) == ("CLIENT", enqueue.span_id)
    assert callback.headers["traceparent"] == f"00-{trace_id}-{call.span_id}-01"
    assert callback.headers["tracestate"] == "vendor=7"

    insert = named(spans, "INSERT job")
    push = named(spans, "PIPELINE")
    assert insert.parent_id == push.parent_id == enqueue.span_id
    assert insert.attributes["db.system.name"] == "sqlite"
    assert "INSERT INTO job" in insert.attributes["db.query.text"]
    assert push.attributes["db.system.name"] == "redis"

    assert {span.service for span in (server, enqueue, insert, push)} == {"jobresults-web"}
    assert {span.service for span in (wait, run)} == {"jobresults-worker"}
    assert call.service == "jobresults-maintenance"
    assert all(span.start_ns <= span.end_ns and not span.is_error for span in spans)
    assert run.process_id == stack.processes["worker-1"].pid  # not its executor
    assert {span.state for span in spans} == {"vendor=7"}
    assert run.attributes["messaging.message.id"] == job_id
    assert run.attributes["job.task"] == "echo"
    assert server.attributes["http.response.status_code"] == 202
    assert "hunter2" not in str(spans)


def test_log_lines_alerts_and_sentry_name_the_trace(
    stack: Stack, otlp_receiver: OtlpReceiver, sentry: SentryServer, trace_id: str
) -> None:
    job_id = submit(stack, trace_id, task="fails_and_says_its_trace").json()["job_id"]
    error = stack.ended(job_id)["error"]
    run = named(otlp_receiver.of_trace(trace_id, *PATH), "run default")
    assert (run.is_error, run.attributes["error.type"]) == (True, "task_error")
    # What the task may pass on is its run's own span.
    assert error["detail"].endswith(f"00-{trace_id}-{run.span_id}-01 vendor=7")

    (access,) = lines_of(stack, "web", trace_id)
    assert access["path"] == "/v1/jobs"
    of_worker = {line["logger"] for line in lines_of(stack, "worker-1", trace_id)}
    assert of_worker >= {"jobresults.task", "jobresults.worker.verdicts"}

    def alerted() -> bool:
        alerts = stack.request("GET", "/v1/alerts", key=stack.operator_key).json()["alerts"]
        return any(alert["sample"]["trace_id"] == trace_id for alert in alerts)

    eventually(alerted, "its alert is there")
    (event,) = [event for event in _sent(sentry.events, trace_id, 1) if event]
    assert event["contexts"]["trace"]["span_id"] == run.span_id
    web, worker = sorted(_sent(sentry.transactions, trace_id, 2), key=lambda one: one["timestamp"])
    assert web["transaction"] == "POST /v1/jobs"
    assert worker["transaction"] == "fails_and_says_its_trace"
    assert worker["contexts"]["trace"]["span_id"] == run.span_id
    assert worker["contexts"]["trace"]["status"] == "internal_error"


def _sent(events: list[dict[str, Any]], trace_id: str, count: int) -> list[dict[str, Any]]:
    def found() -> list[dict[str, Any]] | None:
        ours = [event for event in events if event["contexts"]["trace"]["trace_id"] == trace_id]
        return ours if len(ours) >= count else None

    ours = eventually(found, f"{count} events of {trace_id}")
    assert len(ours) == count
    return ours


def test_each_attempt_is_a_run_of_its_own(
    stack: Stack, otlp_receiver: OtlpReceiver, trace_id: str
) -> None:
    members = {"task": "succeeds_at_attempt", "params": {"attempt": 2}}
    stack.ended(submit(stack, trace_id, **members).json()["job_id"])
    spans = otlp_receiver.of_trace(trace_id, *["wait default", "run default"] * 2)
    runs = [span for span in spans if span.name == "run default"]
    assert [run.attributes["job.state"] for run in runs] == ["queued", "succeeded"]
    assert len({run.span_id for run in runs}) == 2
    assert len([span for span in spans if span.name == "wait default"]) == 2


def test_a_killed_executor_leaves_its_run_behind(
    stack: Stack, otlp_receiver: OtlpReceiver, trace_id: str
) -> None:
    job_id = submit(stack, trace_id, task="is_killed", max_attempts=1).json()["job_id"]
    assert stack.ended(job_id)["state"] == "failed"
    run = named(otlp_receiver.of_trace(trace_id, "run default"), "run default")
    assert run.attributes["error.type"] == "executor_killed"


@pytest.mark.parametrize(
    ("path", "route"),
    [("/v1/jobs/{}", "/v1/jobs/<job_id>"), ("/get_result?job_id={}", "/get_result")],
    ids=["flask", "lane"],
)
def test_requests_on_one_connection_have_spans_of_their_own(
    stack: Stack, otlp_receiver: OtlpReceiver, trace_id: str, path: str, route: str
) -> None:
    job_id = stack.run("echo")
    own = {"Authorization": f"Bearer {stack.key}"}
    joined = {**own, "traceparent": f"00-{trace_id}-{CALLER_SPAN}-01"}
    with requests.Session() as session:
        answers = [
            session.get(stack.url + path.format(job_id), headers=headers, timeout=30)
            for headers in (joined, own, joined)
        ]
    first, second, third = (answer.headers["traceparent"].split("-")[1:3] for answer in answers)
    assert first[0] == third[0] == trace_id != second[0]
    sent = otlp_receiver.of_trace(trace_id, *[f"GET {route}"] * 2)
    servers = [span for span in sent if span.kind == "SERVER"]
    assert [span.span_id for span in servers] == [first[1], third[1]]
    assert {span.parent_id for span in servers} == {CALLER_SPAN}
    own_span = named(otlp_receiver.of_trace(second[0], f"GET {route}"), f"GET {route}")
    assert (own_span.span_id, own_span.parent_id) == (second[1], "")


def test_a_trace_that_its_caller_does_not_record_is_not_recorded(
    stack: Stack, otlp_receiver: OtlpReceiver, trace_id: str
) -> None:
    headers = {"traceparent": f"00-{trace_id}-{CALLER_SPAN}-00"}
    response = stack.request("GET", "/v1/tasks", headers=headers)
    assert response.headers["traceparent"].startswith(f"00-{trace_id}-")
    after = stack.request("GET", "/v1/tasks").headers["traceparent"]
    otlp_receiver.of_trace(after.split("-")[1], "GET /v1/tasks")
    assert not [span for span in otlp_receiver.spans if span.trace_id == trace_id]
    probes = [span for span in otlp_receiver.spans if "/status" in span.name]
    assert probes == []


@pytest.mark.parametrize(
    "answer", [Answer(503), Answer(how="hang"), Answer(how="reset")], ids=["503", "hangs", "resets"]
)
def test_a_collector_that_fails_costs_spans_and_nothing_else(
    stack: Stack, otlp_receiver: OtlpReceiver, trace_id: str, answer: Answer
) -> None:
    told = stack.processes["web"].log(100_000).count("spans are dropped")
    otlp_receiver.always = answer
    try:
        for _ in range(3):
            job_id = submit(stack, trace_id, task="echo").json()["job_id"]
            assert stack.ended(job_id)["state"] == "succeeded"
        eventually(
            lambda: stack.processes["web"].log(100_000).count("spans are dropped") == told + 1,
            "what is dropped is told",
        )
    finally:
        otlp_receiver.always = None

    def recovered() -> bool:
        stack.request("GET", "/v1/tasks")
        return stack.processes["web"].log(100_000).count("spans are taken again") == told + 1

    eventually(recovered, "it is told that they are taken again")
    alerts = stack.request("GET", "/v1/alerts", key=stack.operator_key).json()["alerts"]
    assert not [alert for alert in alerts if "span" in alert["sample"]["message"]]
    assert not [alert for alert in alerts if "opentelemetry" in alert["sample"]["logger"]]


def test_processes_end_well_while_the_collector_hangs(
    stack: Stack, otlp_receiver: OtlpReceiver, trace_id: str
) -> None:
    """The last one here: the stack's end asserts that each process leaves by itself, with 0."""
    otlp_receiver.always = Answer(how="hang")
    job_id = submit(stack, trace_id, task="echo").json()["job_id"]
    assert stack.ended(job_id)["state"] == "succeeded"
