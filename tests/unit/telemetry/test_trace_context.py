"""W3C Trace Context as its own test suite wants it read (https://www.w3.org/TR/trace-context/)."""

from __future__ import annotations

import pytest

from jobresults.telemetry import trace_context
from jobresults.telemetry.trace_context import TraceContext, parse

TRACE, SPAN = "4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7"
GOOD = f"00-{TRACE}-{SPAN}-01"
LONG = "l=" + "x" * 200
MANY = [f"k{number}=v" for number in range(33)]


@pytest.mark.parametrize(
    ("header", "flags"),
    [
        (GOOD, 1),
        (f"00-{TRACE}-{SPAN}-00", 0),
        (f"00-{TRACE}-{SPAN}-fe", 2),  # flags that nobody knows yet are not passed on
        (f"cc-{TRACE}-{SPAN}-01", 1),  # a later version is read as far as it is known
        (f"cc-{TRACE}-{SPAN}-01-what-the-future-will-be-like", 1),
    ],
)
def test_a_valid_header_is_continued(header: str, flags: int) -> None:
    assert parse(header) == TraceContext(TRACE, SPAN, flags)


@pytest.mark.parametrize(
    "header",
    [
        None,
        "",
        f"ff-{TRACE}-{SPAN}-01",
        f"00-{TRACE}-{SPAN}-01-",
        f"00-{TRACE}-{SPAN}-01-more",
        f"cc-{TRACE}-{SPAN}-01.more",
        f"00-{'0' * 32}-{SPAN}-01",
        f"00-{TRACE}-{'0' * 16}-01",
        f"00-{TRACE.upper()}-{SPAN}-01",
        f"00-{TRACE}-{SPAN}-1",
        f"{GOOD}\n",
        f"{GOOD},{GOOD}",
    ],
)
def test_what_is_not_valid_is_not_continued(header: str | None) -> None:
    assert parse(header, "a=1") is None


@pytest.mark.parametrize(
    ("state", "passed_on"),
    [
        ("a=1", "a=1"),
        (" a=1 ,\tb=2,, ", "a=1,b=2"),
        ("tenant@system=1,0t@s=2,a-_*/z= v ~", "tenant@system=1,0t@s=2,a-_*/z= v ~"),
        (",".join(MANY[:32]), ",".join(MANY[:32])),
        (",".join(MANY), None),
        ("a=1,a=2", None),
        ("a=b=c", None),
        ("a=\x7f", None),
        ("", None),
        # 512 characters are passed on; long members go first, then those at the end.
        (f"{LONG},a=1,{LONG.replace('l', 'm', 1)},{LONG.replace('l', 'n', 1)}", "a=1"),
        (",".join(f"k{n}={'x' * 100}" for n in range(6)), None),
    ],
)
def test_the_state_is_passed_on_within_its_limits(state: str, passed_on: str | None) -> None:
    found = parse(GOOD, state)
    assert found is not None
    assert found.trace_id == TRACE  # whatever the state is like
    if "x" * 100 in state and passed_on is None:  # a hundred characters each: four fit
        passed_on = ",".join(state.split(",")[:4])
    assert found.state == passed_on


def test_each_hop_has_a_span_of_its_own_in_the_same_trace() -> None:
    first = TraceContext(TRACE, SPAN, 1, "a=1")
    second = first.child()
    assert second == TraceContext(TRACE, second.span_id, 1, "a=1", SPAN)
    assert second.headers == {
        "traceparent": f"00-{TRACE}-{second.span_id}-01",
        "tracestate": "a=1",
    }
    assert parse(second.traceparent) == second._replace(state=None, parent_id=None)


def test_new_traces_are_valid_and_differ() -> None:
    traces = [trace_context.new_trace() for _ in range(100)]
    assert [parse(trace.traceparent) for trace in traces] == traces
    assert len({trace.trace_id for trace in traces} | {trace.span_id for trace in traces}) == 200
