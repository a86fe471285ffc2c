"""Requests are counted under labels that callers cannot make up."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest
from prometheus_client import generate_latest
from prometheus_client.parser import text_string_to_metric_families

from jobresults.telemetry.metrics import registry_of
from jobresults.web.app import ROUTES
from jobresults.web.request_counts import HELD, ROUTE, RequestCounts

NAME = "jobresults_http_requests_total"
DURATIONS = "jobresults_http_request_duration_seconds_count"


def series(name: str = NAME, last: str = "status") -> dict[tuple[str, str, str], float]:
    text = generate_latest(registry_of("web")).decode()
    return {
        (sample.labels["method"], sample.labels["route"], sample.labels[last]): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
        if sample.name == name
    }


@pytest.fixture
def counts() -> RequestCounts:
    return RequestCounts(ROUTES)


@pytest.fixture
def grown(counts: RequestCounts) -> Iterator[Callable[[], dict[tuple[str, str, str], float]]]:
    """What has been counted since."""
    before = series()

    def since() -> dict[tuple[str, str, str], float]:
        return {
            key: value - before.get(key, 0)
            for key, value in series().items()
            if value != before.get(key, 0)
        }

    yield since


def environ(method: str, path: str = "/", rule: str | None = None) -> dict[str, Any]:
    known = {} if rule is None else {ROUTE: rule}
    return {"REQUEST_METHOD": method, "PATH_INFO": path, **known}


def test_every_declared_answer_of_every_route_begins_at_zero(counts: RequestCounts) -> None:
    known = series().keys()
    for route in ROUTES:
        for status in (*route.answers, *route.all_problems, 500):
            assert (route.method, route.path, str(status)) in known


def test_a_request_counts_for_its_rule(counts: RequestCounts, grown: Any) -> None:
    counts.answered(environ("GET", "/v1/jobs/123", "/v1/jobs/<job_id>"), "404", 0.1)
    assert grown() == {("GET", "/v1/jobs/<job_id>", "404"): 1}


def test_how_long_a_request_took_is_told_apart_from_how_long_it_was_held(
    counts: RequestCounts,
) -> None:
    before = series(DURATIONS, "held")
    for held in (False, True, False):
        asked = environ("GET", "/v1/jobs/123", "/v1/jobs/<job_id>")
        counts.answered(asked | {HELD: True} if held else asked, "200", 0.1)
    rule = "/v1/jobs/<job_id>"
    for held, times in (("false", 2), ("true", 1)):
        key = ("GET", rule, held)
        assert series(DURATIONS, "held")[key] - before.get(key, 0) == times


def test_what_callers_make_up_makes_no_series(counts: RequestCounts, grown: Any) -> None:
    for number in range(50):
        counts.answered(environ(f"X{number}", f"/{number}"), "404", 0.1)
        counts.answered(environ("GET", f"/{number}"), "404", 0.1)
    assert grown() == {
        ("other", "unmatched", "404"): 50,
        ("GET", "unmatched", "404"): 50,
    }
