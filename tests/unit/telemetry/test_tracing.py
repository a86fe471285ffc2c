"""Which spans there are, and who is told of them."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from jobresults.telemetry import trace_context, tracing
from jobresults.telemetry.trace_context import TraceContext
from jobresults.telemetry.tracing import Kind, Span
from tests.unit.telemetry.conftest import RunPython

CALLER = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-0{}"


class Kept:
    """A sink of sampled traces."""

    def __init__(self) -> None:
        self.spans: list[Span] = []

    def wants(self, trace: TraceContext) -> bool:
        return trace.is_sampled

    def take(self, span: Span) -> None:
        self.spans.append(span)


@pytest.fixture
def kept() -> Iterator[Kept]:
    sink = Kept()
    tracing.add_sink(sink)
    yield sink
    tracing.forget()


@pytest.mark.parametrize(("ratio", "sampled"), [(0.0, 0), (0.25, 250), (1.0, 1000)])
def test_a_part_of_the_traces_that_begin_here_is_sampled(ratio: float, sampled: int) -> None:
    tracing.sample(ratio)
    try:
        found = sum(tracing.enter(None, None).is_sampled for _ in range(1000))
    finally:
        tracing.forget()
    assert found == pytest.approx(sampled, abs=100 if 0 < sampled < 1000 else 0)


@pytest.mark.parametrize(("flag", "is_sampled"), [(1, True), (0, False)])
def test_the_callers_flag_decides_for_its_trace(flag: int, is_sampled: bool) -> None:
    tracing.sample(0.0 if is_sampled else 1.0)
    try:
        entered = tracing.enter(CALLER.format(flag), "a=1")
    finally:
        tracing.forget()
    assert (entered.is_sampled, entered.state) == (is_sampled, "a=1")
    assert (entered.trace_id, entered.parent_id) == (CALLER[3:35], CALLER[36:52])


def test_a_block_is_a_child_of_the_span_it_is_in(kept: Kept) -> None:
    request = trace_context.new_trace()._replace(flags=1)
    with tracing.within(request):
        with pytest.raises(KeyError), tracing.around("inner", Kind.PRODUCER, {"a": 1}) as span:
            assert span is not None
            assert tracing.current() == span.context
            raise KeyError
        assert tracing.current() == request
    assert tracing.current() is None
    (inner,) = kept.spans
    assert (inner.context.parent_id, inner.error) == (request.span_id, "KeyError")
    assert 0 < inner.start_ns <= inner.end_ns


@pytest.mark.parametrize("flags", [0, 1])
def test_nothing_is_made_that_nobody_wants(flags: int) -> None:
    trace = trace_context.new_trace()._replace(flags=flags)
    if not flags:
        tracing.add_sink(Kept())
    try:
        with tracing.within(trace), tracing.around("a", Kind.CLIENT, {}) as span:
            assert span is None
            assert tracing.current() == trace
    finally:
        tracing.forget()


WITHOUT_ENDPOINT = """
import sys
from jobresults.settings import Settings
from jobresults.telemetry.tracing_setup import start_tracing
import jobresults.web.app, jobresults.worker.main, jobresults.maintenance.main
start_tracing(Settings(), "web")
# Its metrics are, if the extra is installed: by redis.
loaded = [name for name in sys.modules if name.startswith(("opentelemetry.exporter", "google."))]
assert not loaded, loaded
"""

NOT_INSTALLED = """
import sys
from jobresults.errors import ConfigurationError
from jobresults.settings import Settings
from jobresults.telemetry.tracing_setup import start_tracing
sys.modules["opentelemetry"] = None
try:
    start_tracing(Settings.model_validate({"tracing": {"otlp_endpoint": "http://host"}}), "web")
except ConfigurationError as error:
    print(error.detail)
"""


def test_without_an_endpoint_opentelemetry_is_not_imported(run_python: RunPython) -> None:
    run_python(WITHOUT_ENDPOINT)


def test_an_endpoint_without_the_extra_stops_the_start_and_names_the_remedy(
    run_python: RunPython,
) -> None:
    said = run_python(NOT_INSTALLED).stdout
    assert "pip install 'jobresults[otel]'" in said


FORKS = """
import os
from jobresults.settings import Settings
from jobresults.telemetry import tracing
from jobresults.telemetry.tracing_setup import start_tracing
start_tracing(Settings.model_validate({"tracing": {"otlp_endpoint": "http://127.0.0.1:9"}}), "web")
assert tracing.is_on() and tracing.enter(None, None).is_sampled
pid = os.fork()
if pid == 0:
    os._exit(2 * tracing.is_on() + tracing.enter(None, None).is_sampled)
assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0
"""


def test_what_a_process_forks_records_nothing(run_python: RunPython) -> None:
    run_python(FORKS)
