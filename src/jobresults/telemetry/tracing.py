"""Traces: which span runs, and who is told of those that have ended.

Ids, headers and log lines know their trace always. Spans are made only if somebody wants them:
`tracing_setup` adds those. A span is data, handed over once it has ended: nothing of a tracing
library has to follow the running code through greenlets, forks and pipes.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager, nullcontext
from contextvars import ContextVar
from dataclasses import dataclass, field
from enum import Enum, auto
from typing import Protocol

from jobresults.telemetry import trace_context
from jobresults.telemetry.trace_context import SAMPLED, TraceContext

Value = str | int | float | bool


class Kind(Enum):
    """What a span is to the spans of others."""

    INTERNAL = auto()
    SERVER = auto()
    CLIENT = auto()
    PRODUCER = auto()
    CONSUMER = auto()


@dataclass(slots=True)
class Span:
    """Something that takes its time, named by OpenTelemetry's semantic conventions. Times in
    nanoseconds since 1970 UTC. `link`: another span it comes from; `error`: what kind of failure
    it ended with.
    """

    name: str
    kind: Kind
    context: TraceContext
    attributes: dict[str, Value] = field(default_factory=dict)
    start_ns: int = field(default_factory=time.time_ns)
    end_ns: int = 0
    link: TraceContext | None = None
    error: str | None = None


class Sink(Protocol):
    """Who wants spans. Neither call waits or fails."""

    def wants(self, trace: TraceContext) -> bool:
        """Whether spans of this trace are to be taken."""
        ...

    def take(self, span: Span) -> None:
        """A span of such a trace has ended."""
        ...


_current: ContextVar[TraceContext | None] = ContextVar("jobresults_trace", default=None)
_sinks: tuple[Sink, ...] = ()
# The part of the traces that begin here and are recorded, of 2^64.
_sampled_below = 0


def add_sink(sink: Sink) -> None:
    """From now on it is told of this process's spans, but not of its forks'."""
    global _sinks
    _sinks = (*_sinks, sink)


def sample(ratio: float) -> None:
    """Let this part of the traces that begin here be sampled."""
    global _sampled_below
    _sampled_below = bound_of(ratio)


def forget() -> None:
    """No span is wanted any more."""
    global _sinks, _sampled_below
    _sinks, _sampled_below = (), 0


def bound_of(ratio: float) -> int:
    """Traces whose `draw_of` is below are this part of all."""
    return round(ratio * 2**64)


def draw_of(trace_id: str) -> int:
    """A number that every process draws alike for a trace."""
    return int(trace_id[16:], 16)


def enter(traceparent: str | None, tracestate: str | None) -> TraceContext:
    """The span of a request that has come: in the caller's trace if its header is valid, else in a
    new one. Whether it is sampled is the caller's decision, too.
    """
    caller = None if traceparent is None else trace_context.parse(traceparent, tracestate)
    if caller is not None:
        return caller.child()
    new = trace_context.new_trace()
    if _sampled_below and draw_of(new.trace_id) < _sampled_below:
        return new._replace(flags=SAMPLED)
    return new


def current() -> TraceContext | None:
    """The span that runs; None outside any."""
    return _current.get()


class within:
    """Let a span be the current one in the block."""

    __slots__ = ("_token", "_trace")

    def __init__(self, trace: TraceContext | None) -> None:
        self._trace = trace

    def __enter__(self) -> None:
        self._token = _current.set(self._trace)

    def __exit__(self, *_: object) -> None:
        _current.reset(self._token)


def is_on() -> bool:
    """Whether anybody takes spans at all."""
    return bool(_sinks)


def is_wanted(trace: TraceContext) -> bool:
    """Whether anybody takes spans of this trace."""
    return bool(_sinks) and any(sink.wants(trace) for sink in _sinks)


def begin(
    name: str, kind: Kind, trace: TraceContext, attributes: Mapping[str, Value]
) -> Span | None:
    """A span that begins now, to be given to `end`; None if nobody wants it."""
    return Span(name, kind, trace, dict(attributes)) if is_wanted(trace) else None


def end(span: Span) -> None:
    """It has ended, now unless it says when."""
    span.end_ns = span.end_ns or time.time_ns()
    for sink in _sinks:
        if sink.wants(span.context):
            sink.take(span)


def around(
    name: str, kind: Kind, attributes: Mapping[str, Value]
) -> AbstractContextManager[Span | None]:
    """A child of the current span that takes as long as the block; None if nobody wants it."""
    running = _current.get() if _sinks else None
    if running is None or not is_wanted(running):
        return _NOTHING
    return _around(Span(name, kind, running.child(), dict(attributes)))


_NOTHING: AbstractContextManager[Span | None] = nullcontext()


@contextmanager
def _around(span: Span) -> Iterator[Span]:
    try:
        with within(span.context):
            yield span
    except BaseException as error:
        span.error = span.error or type(error).__name__
        raise
    finally:
        end(span)
