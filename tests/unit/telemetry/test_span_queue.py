"""Spans on their way out: bounded, counted, told of once, and never waited for."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Sequence

import pytest

from jobresults.telemetry import span_queue, trace_context
from jobresults.telemetry.span_queue import BATCH_SPANS, MAX_WAITING, NotTaken, SpanQueue
from jobresults.telemetry.tracing import Kind, Span
from tests.services.process import eventually


def some(count: int) -> list[Span]:
    return [Span(str(number), Kind.CLIENT, trace_context.new_trace()) for number in range(count)]


class Collector:
    """Takes what comes, or hangs, or refuses."""

    def __init__(self) -> None:
        self.names: list[str] = []
        self.sizes: list[int] = []
        self.goes_on = threading.Event()
        self.goes_on.set()
        self.refusal: Exception | None = None

    def __call__(self, spans: Sequence[Span]) -> None:
        self.goes_on.wait()
        if self.refusal is not None:
            raise self.refusal
        self.names += [span.name for span in spans]
        self.sizes.append(len(spans))


@pytest.fixture
def collector() -> Iterator[Collector]:
    made = Collector()
    yield made
    made.goes_on.set()
    for thread in threading.enumerate():
        if thread.name == "spans":
            thread.join(10)


def test_all_are_sent_in_order_in_small_batches(collector: Collector) -> None:
    queue = SpanQueue(collector)
    for span in some(300):
        queue.put(span)
    queue.stop(10)
    assert collector.names == [str(number) for number in range(300)]
    assert max(collector.sizes) <= BATCH_SPANS
    assert queue.dropped == 0


def test_a_queue_that_had_nothing_to_send_starts_and_says_nothing(
    collector: Collector, caplog: pytest.LogCaptureFixture
) -> None:
    SpanQueue(collector).stop(10)
    assert caplog.records == []
    assert not [thread for thread in threading.enumerate() if thread.name == "spans"]


def test_a_collector_that_hangs_costs_spans_and_nothing_else(
    collector: Collector, caplog: pytest.LogCaptureFixture
) -> None:
    collector.goes_on.clear()
    queue = SpanQueue(collector)
    for span in some(MAX_WAITING + BATCH_SPANS + 50):
        queue.put(span)
    assert 50 <= queue.dropped <= BATCH_SPANS + 50
    queue.stop(0.05)  # it hangs still
    first, last = [record.message for record in caplog.records]
    assert (
        first == "spans are dropped until the collector takes them again: the collector is too slow"
    )
    assert "spans that were not sent" in last


@pytest.mark.parametrize("refusal", [NotTaken("503"), ValueError("unforeseen")])
def test_an_outage_is_told_once_and_its_end_with_the_count(
    collector: Collector,
    refusal: Exception,
    caplog: pytest.LogCaptureFixture,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(span_queue, "_MAX_REST_SECONDS", 0.01)
    collector.refusal = refusal
    queue = SpanQueue(collector)
    for count in (2, 3):
        dropped = queue.dropped + count
        for span in some(count):
            queue.put(span)
        eventually(lambda wanted=dropped: queue.dropped == wanted, "they were refused")
    collector.refusal = None
    queue.put(some(1)[0])
    eventually(lambda: collector.names, "it is taken")
    queue.stop(10)
    outage, end = [record.message for record in caplog.records]
    assert str(refusal) in outage
    assert end == "spans are taken again; 5 were dropped"
