"""Counting requests, at a few microseconds each: what a server calls around each of them."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from http import HTTPMethod, HTTPStatus
from typing import Any, Final, NamedTuple

from jobresults.telemetry.metrics import (
    HTTP_REQUEST_DURATION,
    HTTP_REQUESTS,
    HTTP_REQUESTS_IN_PROGRESS,
)
from jobresults.web.routing import Route

# Where whoever answers a request leaves the rule of its route, and that it waited as asked.
ROUTE: Final = "jr.route"
HELD: Final = "jr.held"
_UNMATCHED = "unmatched"
_OTHER = "other"
_METHODS = frozenset(HTTPMethod)


class _Counters(NamedTuple):
    add_one: Callable[[], None]
    observe: Callable[[float], None]


class RequestCounts:
    """Counts the requests of one process. Labels are closed sets: whatever callers make up is
    `unmatched`, or the method `other`.
    """

    def __init__(self, routes: Iterable[Route]) -> None:
        self._known: dict[tuple[str, str, str, bool], _Counters] = {}
        self.begin = HTTP_REQUESTS_IN_PROGRESS.inc
        self.end = HTTP_REQUESTS_IN_PROGRESS.dec
        for route in routes:
            statuses = {*route.answers, *route.all_problems, HTTPStatus.INTERNAL_SERVER_ERROR}
            for status in statuses:  # `increase()` sees no first event of a series that is new
                HTTP_REQUESTS.labels(route.method, route.path, int(status))

    def answered(self, environ: dict[str, Any], status: str, seconds: float) -> None:
        """A request was answered, with this status code, to its end."""
        rule = environ.get(ROUTE, _UNMATCHED)
        key = (environ["REQUEST_METHOD"], rule, status, HELD in environ)
        counters = self._known.get(key)
        if counters is None:
            counters = self._counters(*key)
            if key[0] in _METHODS:
                self._known[key] = counters
        counters.add_one()
        counters.observe(seconds)

    def _counters(self, method: str, rule: str, status: str, held: bool) -> _Counters:
        if method not in _METHODS:
            method = _OTHER
        return _Counters(
            HTTP_REQUESTS.labels(method, rule, status).inc,
            HTTP_REQUEST_DURATION.labels(method, rule, "true" if held else "false").observe,
        )
