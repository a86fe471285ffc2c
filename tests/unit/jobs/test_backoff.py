"""Pauses between attempts."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from jobresults.jobs.outcome import backoff_seconds
from jobresults.settings import JobsSettings

SETTINGS = JobsSettings(retry_base_seconds=2, retry_max_seconds=300)


@settings(deadline=None)
@given(st.integers(1, 25))
def test_a_pause_doubles_up_to_the_maximum_and_scatters_in_its_upper_half(attempt: int) -> None:
    ceiling = min(2.0**attempt, 300)
    assert ceiling / 2 <= backoff_seconds(SETTINGS, attempt) <= ceiling


def test_jobs_that_fail_together_are_not_tried_together() -> None:
    assert len({backoff_seconds(SETTINGS, 8) for _ in range(10)}) == 10
