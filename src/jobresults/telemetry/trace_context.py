"""W3C Trace Context: reading, continuing and writing `traceparent` and `tracestate`.

https://www.w3.org/TR/trace-context/
"""

from __future__ import annotations

import random
import re
from typing import NamedTuple

SAMPLED = 0x01
# The random flag is of the second level of the standard, which wants it passed on.
_KNOWN_FLAGS = 0x03
MAX_STATE_CHARACTERS = 512
_MAX_MEMBERS = 32
_LONG_MEMBER_CHARACTERS = 128

_PARENT = re.compile(
    r"(?!ff)([0-9a-f]{2})-(?!0{32})([0-9a-f]{32})-(?!0{16})([0-9a-f]{16})-([0-9a-f]{2})(-.*)?"
)
_MEMBER = re.compile(
    r"([a-z][a-z0-9_*/-]{0,255}|[a-z0-9][a-z0-9_*/-]{0,240}@[a-z][a-z0-9_*/-]{0,13})"
    r"=[\x20-\x2b\x2d-\x3c\x3e-\x7e]{0,255}[\x21-\x2b\x2d-\x3c\x3e-\x7e]"
)


class TraceContext(NamedTuple):
    """One span, as others are told of it. `parent_id`: the span it is a child of; None if it is
    the first of its trace, or of another process. `state`: what others keep in `tracestate`.
    """

    trace_id: str
    span_id: str
    flags: int = 0
    state: str | None = None
    parent_id: str | None = None

    @property
    def is_sampled(self) -> bool:
        """Whether the trace is recorded."""
        return bool(self.flags & SAMPLED)

    @property
    def traceparent(self) -> str:
        """The header's value."""
        return f"00-{self.trace_id}-{self.span_id}-0{self.flags}"  # of one digit

    @property
    def headers(self) -> dict[str, str]:
        """What a request to somebody else carries."""
        headers = {"traceparent": self.traceparent}
        if self.state is not None:
            headers["tracestate"] = self.state
        return headers

    def child(self, span_id: str | None = None) -> TraceContext:
        """The next span of the trace: a new one, unless its id is given."""
        return TraceContext(
            self.trace_id, span_id or new_span_id(), self.flags, self.state, self.span_id
        )


def new_trace(flags: int = 0) -> TraceContext:
    """The first span of a trace."""
    # Ids need to differ, and not to be secret; forks reseed this source.
    digits = f"{random.getrandbits(192):048x}"  # nosec B311
    return TraceContext(digits[:32], digits[32:], flags)


def new_span_id() -> str:
    """One that no other span has."""
    return f"{random.getrandbits(64):016x}"  # nosec B311


def parse(traceparent: str | None, tracestate: str | None = None) -> TraceContext | None:
    """The caller's span; None if there is none, or the header is not valid: then a new trace is to
    begin. A version that is not known yet is read as far as it is. A `tracestate` that is not valid
    is dropped, and the trace goes on.
    """
    found = None if traceparent is None else _PARENT.fullmatch(traceparent)
    if found is None:
        return None
    version, trace_id, span_id, flags, more = found.groups()
    if more is not None and version == "00":
        return None
    state = None if tracestate is None else _state(tracestate)
    return TraceContext(trace_id, span_id, int(flags, 16) & _KNOWN_FLAGS, state)


def trace_id_of(traceparent: str | None) -> str | None:
    """The trace that a valid header names, for log lines."""
    return None if traceparent is None else traceparent[3:35]


def _state(header: str) -> str | None:
    members = [member for part in header.split(",") if (member := part.strip(" \t"))]
    if not 0 < len(members) <= _MAX_MEMBERS:
        return None
    keys = set()
    for member in members:
        if not _MEMBER.fullmatch(member):
            return None
        keys.add(member.partition("=")[0])
    if len(keys) < len(members):
        return None
    return _shortened(members)


def _shortened(members: list[str]) -> str | None:
    """At most as long as everybody has to pass on; the long members go first, then the last."""
    if _length(members) > MAX_STATE_CHARACTERS:
        members = [member for member in members if len(member) <= _LONG_MEMBER_CHARACTERS]
    while _length(members) > MAX_STATE_CHARACTERS:
        members.pop()
    return ",".join(members) or None


def _length(members: list[str]) -> int:
    return sum(map(len, members)) + len(members) - 1
