from __future__ import annotations

import itertools
import time
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime

import pytest

from jobresults.client import RateLimited, ServiceUnavailable
from jobresults.client.retry import pauses, retry_after_seconds


def test_pauses_grow_with_full_jitter() -> None:
    ceilings = itertools.chain([0.5, 1.0, 2.0, 4.0], itertools.repeat(8.0))
    waiting = pauses(time.monotonic() + 1000)
    next(waiting)
    chosen = [waiting.send(ServiceUnavailable("down")) for _ in range(50)]
    assert all(0 <= pause <= ceiling for pause, ceiling in zip(chosen, ceilings, strict=False))
    assert len(set(chosen)) > 40


def test_jitter_comes_on_top_of_retry_after() -> None:
    for _ in range(50):
        waiting = pauses(time.monotonic() + 1000)
        next(waiting)
        assert 7.0 <= waiting.send(RateLimited("slow down", None, 7.0)) <= 7.5


def test_a_retry_after_beyond_the_deadline_ends_the_retries() -> None:
    waiting = pauses(time.monotonic() + 5)
    next(waiting)
    with pytest.raises(StopIteration):
        waiting.send(RateLimited("slow down", None, 7.0))


def test_a_pause_never_reaches_past_the_deadline_and_the_one_that_would_is_the_last() -> None:
    waiting = pauses(time.monotonic() + 0.4)
    next(waiting)
    assert 0 <= waiting.send(ServiceUnavailable("down")) <= 0.4
    with pytest.raises(StopIteration):
        waiting.send(ServiceUnavailable("down"))


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("120", 120.0),
        (" 0 ", 0.0),
        ("-5", 0.0),
        ("1.5", 1.5),
        ("Fri, 02 Jan 2026 10:00:30 GMT", 30.0),
        ("Friday, 02-Jan-26 10:00:30 GMT", 30.0),
        ("Fri Jan  2 10:00:30 2026", 30.0),
        ("Fri, 02 Jan 2026 09:00:00 GMT", 0.0),
        ("", None),
        ("soon", None),
        ("inf", None),
        ("nan", None),
        ("Fri, 99 Jan 2026 10:00:30 GMT", None),
    ],
)
def test_retry_after_is_understood_in_both_forms(text: str, seconds: float | None) -> None:
    headers = {"Retry-After": text, "Date": "Fri, 02 Jan 2026 10:00:00 GMT"}
    assert retry_after_seconds(headers) == seconds


def test_without_retry_after_there_is_none() -> None:
    assert retry_after_seconds({}) is None


@pytest.mark.parametrize("headers", [{}, {"Date": "yesterday"}])
def test_without_the_date_of_the_service_the_local_clock_counts(headers: dict[str, str]) -> None:
    moment = format_datetime(datetime.now(UTC) + timedelta(seconds=100), usegmt=True)
    seconds = retry_after_seconds({**headers, "Retry-After": moment})
    assert seconds is not None
    assert 0 < seconds <= 100
