"""A child process and its restarts."""

from __future__ import annotations

import itertools

import pytest

from jobresults.embedded.child import next_delay


def test_restart_delays_double_up_to_thirty_seconds() -> None:
    delays = itertools.accumulate(range(6), lambda delay, _: next_delay(delay, 0.1), initial=0.0)
    assert list(delays)[1:] == [1.0, 2.0, 4.0, 8.0, 16.0, 30.0]


@pytest.mark.parametrize(("lived_seconds", "delay_seconds"), [(59.9, 30.0), (60.0, 1.0)])
def test_whoever_lived_a_minute_starts_again_with_the_first_delay(
    lived_seconds: float, delay_seconds: float
) -> None:
    assert next_delay(30.0, lived_seconds) == delay_seconds
