"""An OpenTelemetry collector's HTTP door: takes spans and keeps them."""

from __future__ import annotations

import gzip
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import pytest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.trace.v1.trace_pb2 import Span as Message

from tests.services.process import eventually
from tests.services.scripted_http import Answer, Request, ScriptedServer


@dataclass(frozen=True)
class Received:
    """A span as it came. `links`: the ids of trace and span of each."""

    service: str
    process_id: int
    name: str
    kind: str
    trace_id: str
    span_id: str
    parent_id: str
    state: str
    attributes: dict[str, Any]
    links: list[tuple[str, str]]
    is_error: bool
    start_ns: int
    end_ns: int


class OtlpReceiver(ScriptedServer):
    """`spans`: what was sent, oldest first. `always`: what is answered instead of yes."""

    def __init__(self) -> None:
        super().__init__()
        self.spans: list[Received] = []
        self.always: Answer | None = None
        self.endpoint = f"http://{self.address}"

    def respond(self, request: Request) -> Answer:
        assert request.path == "/v1/traces", request.path
        if self.always is not None:
            return self.always
        body = request.body
        if request.headers.get("Content-Encoding") == "gzip":
            body = gzip.decompress(body)
        message = ExportTraceServiceRequest.FromString(body)
        for group in message.resource_spans:
            resource = _plain(group.resource.attributes)
            for scope in group.scope_spans:
                self.spans += [_received(resource, span) for span in scope.spans]
        return Answer(200, b"", {"Content-Type": "application/x-protobuf"})

    def of_trace(self, trace_id: str, *names: str) -> list[Received]:
        """The spans of a trace, once these are among them; a name may be there twice."""

        def found() -> list[Received] | None:
            spans = [span for span in self.spans if span.trace_id == trace_id]
            return spans if Counter(span.name for span in spans) >= Counter(names) else None

        return eventually(found, f"{names} in {trace_id}")


def _received(resource: dict[str, Any], span: Message) -> Received:
    return Received(
        service=resource["service.name"],
        process_id=resource["process.pid"],
        name=span.name,
        kind=Message.SpanKind.Name(span.kind).removeprefix("SPAN_KIND_"),
        trace_id=span.trace_id.hex(),
        span_id=span.span_id.hex(),
        parent_id=span.parent_span_id.hex(),
        state=span.trace_state,
        attributes=_plain(span.attributes),
        links=[(link.trace_id.hex(), link.span_id.hex()) for link in span.links],
        is_error=span.status.code == 2,
        start_ns=span.start_time_unix_nano,
        end_ns=span.end_time_unix_nano,
    )


def _plain(attributes: Any) -> dict[str, Any]:
    return {
        item.key: getattr(item.value, str(item.value.WhichOneof("value"))) for item in attributes
    }


@pytest.fixture(scope="module")
def otlp_receiver() -> Iterator[OtlpReceiver]:
    with OtlpReceiver() as receiver:
        yield receiver
