"""A request to the service: the same in every attempt, but for how long it may wait."""

from __future__ import annotations

import math
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

_CONNECT_SECONDS = 5.0
# Beyond the wait that was asked for. Shorter than a usual deadline: a dead connection leaves time
# to try another.
_ANSWER_SECONDS = 10.0
LEAST_SECONDS = 1.0
_HEADERS = {"User-Agent": "jobresults-client", "Accept": "application/json"}


@dataclass(frozen=True)
class Exchange:
    """What to send; after `deadline`, a `time.monotonic()`, no attempt starts."""

    method: str
    url: str
    deadline: float
    longest_wait_seconds: float
    query: Mapping[str, Any] = field(default_factory=dict)
    content: bytes | None = None
    headers: Mapping[str, str] = field(default_factory=dict)

    def wait_seconds(self) -> float:
        """How long the service may wait from now on; whole seconds, if that is an RFC 7240 wait."""
        wait = max(0.0, min(self.longest_wait_seconds, self.deadline - time.monotonic()))
        return round(wait, 3) if self.method == "GET" else math.floor(wait)

    def arguments(self, wait_seconds: float) -> dict[str, Any]:
        """The request as `requests` takes it."""
        query, headers = dict(self.query), {**_HEADERS, **self.headers}
        if wait_seconds and self.method == "GET":
            query["wait"] = wait_seconds
        elif wait_seconds:
            headers["Prefer"] = f"wait={wait_seconds}"
        return {
            "method": self.method,
            "url": self.url,
            "params": query,
            "data": self.content,
            "headers": headers,
            "timeout": self._timeouts(wait_seconds),
        }

    def _timeouts(self, wait_seconds: float) -> tuple[float, float]:
        """Seconds to connect, and to wait for bytes; the latter always exceeds the wait."""
        left = max(self.deadline - time.monotonic(), LEAST_SECONDS)
        longest = max(left, wait_seconds + LEAST_SECONDS)
        return min(_CONNECT_SECONDS, left), min(wait_seconds + _ANSWER_SECONDS, longest)
