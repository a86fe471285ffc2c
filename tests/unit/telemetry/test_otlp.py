"""What a collector is sent of a span, and the spans of statements and commands."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from typing import Any

import pytest
import redis
from pydantic import ValidationError
from sqlalchemy import create_engine, text
from sqlalchemy.exc import OperationalError

from jobresults.settings import Settings, TracingSettings
from jobresults.telemetry import trace_context, tracing
from jobresults.telemetry.client_spans import watch_clients
from jobresults.telemetry.otlp import OtlpSink
from jobresults.telemetry.trace_context import TraceContext
from jobresults.telemetry.tracing import Kind, Span
from tests.services.otlp_receiver import OtlpReceiver


@pytest.fixture
def trace() -> TraceContext:
    return trace_context.new_trace(flags=1)


@pytest.fixture
def sink(otlp_receiver: OtlpReceiver) -> Iterator[OtlpSink]:
    options = {"otlp_endpoint": f"{otlp_receiver.endpoint}/", "headers": "x-key=a=b, x-more = c d"}
    made = OtlpSink(Settings.model_validate({"tracing": options}), "web")
    tracing.add_sink(made)
    yield made
    tracing.forget()


def test_a_span_arrives_as_it_was(
    sink: OtlpSink, otlp_receiver: OtlpReceiver, trace: TraceContext
) -> None:
    own = trace.child()._replace(state="a=1")
    span = Span("run", Kind.CONSUMER, own, {"n": 1, "f": 1.5, "b": True, "s": "x"}, 10, 20)
    span.link, span.error = trace, "timeout"
    tracing.end(span)
    sink.stop(10)
    (found,) = otlp_receiver.of_trace(trace.trace_id, "run")
    assert found.attributes == {"n": 1, "f": 1.5, "b": True, "s": "x", "error.type": "timeout"}
    assert (found.span_id, found.parent_id, found.state) == (own.span_id, trace.span_id, "a=1")
    assert found.links == [(trace.trace_id, trace.span_id)]
    assert (found.kind, found.is_error) == ("CONSUMER", True)
    assert (found.start_ns, found.end_ns) == (10, 20)
    headers = {name.lower(): value for name, value in otlp_receiver.requests[-1].headers.items()}
    assert (headers["x-key"], headers["x-more"]) == ("a=b", "c d")


def test_statements_and_commands_are_spans_without_values(
    sink: OtlpSink, otlp_receiver: OtlpReceiver, trace: TraceContext
) -> None:
    watch_clients()
    watch_clients()  # harmless
    engine, nowhere = create_engine("sqlite://"), redis.Redis(port=9, retry=None)
    with engine.begin() as connection, tracing.within(trace):
        connection.execute(text("CREATE TABLE a (b TEXT)"))
        connection.execute(text("INSERT INTO a VALUES (:b)"), [{"b": "canary"}, {"b": "2"}])
        with pytest.raises(OperationalError):
            connection.execute(text("SELECT * FROM missing WHERE b = :b"), {"b": "canary"})
        with suppress(redis.ConnectionError):
            nowhere.set("canary", "canary")
        with suppress(redis.ConnectionError), nowhere.pipeline() as pipeline:
            pipeline.get("canary").get("b").execute()
    with engine.begin() as connection:
        connection.execute(text("SELECT 'outside any span'"))
    engine.dispose()
    sink.stop(10)
    names = ("CREATE", "INSERT a", "SELECT missing", "SET", "PIPELINE")
    spans = otlp_receiver.of_trace(trace.trace_id, *names)
    of: dict[str, Any] = {span.name: span for span in spans}
    assert len(spans) == len(names)
    assert {span.parent_id for span in spans} == {trace.span_id}
    assert of["INSERT a"].attributes["db.operation.batch.size"] == 2
    assert of["SELECT missing"].attributes["error.type"] == "OperationalError"
    assert of["SET"].attributes["error.type"] == "ConnectionError"
    assert of["PIPELINE"].attributes["db.operation.batch.size"] == 2
    assert "canary" not in str(spans)
    assert not [span for span in otlp_receiver.spans if "outside" in str(span)]


@pytest.mark.parametrize(
    "wrong",
    [
        {"otlp_endpoint": "grpc://collector"},
        {"headers": "authorization"},
        {"sample_ratio": 1.5},
    ],
)
def test_settings_that_cannot_work_are_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        TracingSettings(**wrong)
