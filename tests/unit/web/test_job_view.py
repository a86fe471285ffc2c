"""What a job's page says, where it could go wrong."""

from __future__ import annotations

from typing import Any

import pytest

from jobresults.jobs.estimate import Estimate
from jobresults.jobs.reading import JobRecord
from jobresults.web.pages.durations import clock, moment, span
from jobresults.web.pages.job_view import described, told

NOW_MS = 1_795_972_387_123


def record(**given: Any) -> JobRecord:
    fields: dict[str, Any] = dict.fromkeys(JobRecord.__dataclass_fields__)
    fields |= {"id": "j", "task": "t", "queue": "q", "tags": "[]", "state": "succeeded"}
    fields |= {"attempt": 1, "max_attempts": 3, "created_at_ms": NOW_MS - 9_000, "now_ms": NOW_MS}
    return JobRecord(**{**fields, **given})


UNKNOWN = Estimate()


def facts(estimate: Estimate = UNKNOWN, **given: Any) -> dict[str, str]:
    return dict(described(record(**given), estimate, for_operator=True)["facts"])


@pytest.mark.parametrize(
    ("milliseconds", "said"),
    [
        (-5, "0 ms"),
        (40, "40 ms"),
        (400, "0.4 s"),
        (12_300, "12 s"),
        (59_700, "1 min"),
        (303_000, "5 min 3 s"),
        (12_000_000, "3 h 20 min"),
        (187_200_000, "2 d 4 h"),
    ],
)
def test_a_span_has_the_digits_that_matter(milliseconds: int, said: str) -> None:
    assert span(milliseconds) == said


def test_times_are_in_utc() -> None:
    assert (moment(NOW_MS), clock(NOW_MS)) == ("2026-11-29 17:13:07 UTC", "17:13:07.123")


@pytest.mark.parametrize("stored", [b"9" * 5_000, b"[" * 200_000 + b"]" * 200_000])
def test_a_result_that_python_does_not_read_is_shown_as_it_is(stored: bytes) -> None:
    result = described(record(result=stored), Estimate(), for_operator=False)["result"]
    assert result["bytes"] == len(stored)
    assert result["text"] == stored.decode()[:65_536]


def test_characters_that_steer_are_shown() -> None:
    stored = '"\u202e<b>"'.encode()
    result = described(record(result=stored), Estimate(), for_operator=False)["result"]
    assert result["text"] == '"\\u202e<b>"'


def test_a_result_that_is_cut_within_a_character_ends_before_it() -> None:
    stored = b'"' + "ü".encode() * 40_000 + b'"'
    result = described(record(result=stored), Estimate(), for_operator=False)["result"]
    assert result["is_cut"]
    assert set(result["text"][1:]) == {"ü"}


def test_a_queued_job_says_what_it_waits_for() -> None:
    waiting = {"state": "queued", "attempt": 0, "waiting_on": "worker"}
    said = facts(Estimate(position=3, eta_seconds=61.0), **waiting)
    assert said["Waits"] == "for a worker, at position 3, done in about 1 min 1 s"
    assert "Attempt" not in said
    assert facts(state="queued", waiting_on="what is new")["Waits"] == "what is new"


def test_a_running_job_says_for_how_long_and_an_ended_one_how_long_it_ran() -> None:
    started = NOW_MS - 5_000
    running = {"state": "running", "started_at_ms": started}
    assert facts(Estimate(eta_seconds=0.0), **running)["Runs for"] == "5.0 s, longer than most"
    ended = facts(started_at_ms=started, ended_at_ms=NOW_MS)
    assert ended["Started"].endswith("UTC, waited 4.0 s")
    assert ended["Ended"].endswith("UTC, ran 5.0 s")
    # What a second attempt waited for was mostly the first one.
    assert facts(started_at_ms=started, attempt=2)["Started"].endswith("UTC")


def test_the_timeline_says_when_and_why() -> None:
    error = {"title": "Task failed", "detail": "boom", "code": "task_error"}
    entry = {"event": "retried", "attempt": 1, "detail": {"error": error, "in_seconds": 2}}
    (said,) = told([{"at_ms": NOW_MS, **entry}], NOW_MS - 2_000)
    assert said["detail"] == "Task failed: boom, in seconds 2"
    assert (said["after"], said["event"]) == ("2.0 s", "retried")
