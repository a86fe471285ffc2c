"""Ended jobs in memory: bounded, and never beyond their time."""

from __future__ import annotations

import time

import pytest

from jobresults.jobs.ended import _RECORD_BYTES, EndedJobs
from jobresults.jobs.reading import JobRecord

HOUR_MS = 3_600_000


def record(name: str, *, result: bytes = b"1", state: str = "succeeded", ttl_ms: int = HOUR_MS):
    """A job that was read a moment ago."""
    fields = dict.fromkeys(JobRecord.__dataclass_fields__)
    fields |= {"id": name, "state": state, "result": result, "now_ms": 1_000}
    return JobRecord(**{**fields, "expires_at_ms": 1_000 + ttl_ms})  # type: ignore[arg-type]


def kept(jobs: EndedJobs, *names: str) -> list[str]:
    return [name for name in names if jobs.get(name) is not None]


def jobs_for(count: int, *, result_bytes: int = 0) -> EndedJobs:
    """Room for so many jobs."""
    return EndedJobs(count * (_RECORD_BYTES + result_bytes))


@pytest.mark.parametrize("state", ["succeeded", "failed", "canceled"])
def test_an_ended_job_is_kept_with_its_bytes(state: str) -> None:
    jobs = jobs_for(10)
    jobs.put(record("a", result=b"[1]", state=state), time.monotonic())
    found = jobs.get("a")
    assert found is not None
    assert (found.id, found.result, found.state) == ("a", b"[1]", state)
    assert jobs.get("b") is None


@pytest.mark.parametrize("state", ["queued", "running"])
def test_a_job_that_may_change_is_not_kept(state: str) -> None:
    jobs = jobs_for(10)
    jobs.put(record("a", state=state), time.monotonic())
    assert jobs.get("a") is None


def test_who_was_not_asked_for_longest_goes_first() -> None:
    jobs = jobs_for(4, result_bytes=1)
    for name in "abcd":
        jobs.put(record(name), time.monotonic())
    jobs.get("a")
    jobs.put(record("e"), time.monotonic())
    assert kept(jobs, *"abcde") == ["a", "c", "d", "e"]


def test_what_is_kept_never_exceeds_its_bytes() -> None:
    jobs = jobs_for(8)
    for number in range(100):
        jobs.put(record(str(number), result=b"x" * (number * 37 % 2_500)), time.monotonic())
        assert jobs.size_bytes <= jobs._max_bytes
    sizes = [entry.size_bytes for entry in jobs._kept.values()]
    assert 1 < len(sizes) < 8
    assert jobs.size_bytes == sum(sizes)


def test_a_job_that_is_read_twice_counts_once() -> None:
    jobs = jobs_for(8)
    for _ in range(3):
        jobs.put(record("a"), time.monotonic())
    assert jobs.size_bytes == _RECORD_BYTES + 1


def test_a_result_that_would_take_much_of_the_memory_is_not_kept() -> None:
    jobs = jobs_for(8)
    jobs.put(record("small", result=b"x" * _RECORD_BYTES), time.monotonic())
    jobs.put(record("large", result=b"x" * (_RECORD_BYTES + 1)), time.monotonic())
    assert kept(jobs, "small", "large") == ["small"]


def test_without_memory_nothing_is_kept() -> None:
    jobs = EndedJobs(0)
    jobs.put(record("a"), time.monotonic())
    assert jobs.get("a") is None


def test_time_goes_on_for_a_kept_job() -> None:
    jobs = jobs_for(8)
    jobs.put(record("a"), time.monotonic() - 60)
    found = jobs.get("a")
    assert found is not None
    assert found.now_ms >= 61_000
    assert not found.expired


def test_a_job_whose_kept_time_is_over_is_not_answered_and_makes_room() -> None:
    jobs = jobs_for(8)
    jobs.put(record("read before", ttl_ms=59_000), time.monotonic() - 60)
    jobs.put(record("expired when read", ttl_ms=0), time.monotonic())
    assert kept(jobs, "read before", "expired when read") == []
    assert jobs.size_bytes == 0
