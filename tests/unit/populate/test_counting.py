"""Histogram, timeline and ids: right within bounded memory."""

from __future__ import annotations

import math
import random
import uuid

import pytest

from jobresults.populate.accepted import Accepted
from jobresults.populate.histogram import Histogram
from jobresults.populate.timeline import Timeline


def test_quantiles_are_at_most_2_percent_too_high_whatever_the_magnitude() -> None:
    chance = random.Random(1)
    durations = sorted(10 ** chance.uniform(-5, 3) for _ in range(5_000))
    histogram = Histogram()
    for seconds in durations:
        histogram.record(seconds)
    for share in (0.001, 0.5, 0.95, 0.99, 0.999, 1.0):
        exact = durations[math.ceil(share * len(durations)) - 1]
        found = histogram.quantile(share)
        assert found is not None
        assert exact <= found * 1.000001
        assert found <= exact * 1.023
    assert sum(count for _, _, count in histogram.coarse()) == 5_000
    assert histogram.copy().quantile(0.5) == histogram.quantile(0.5)


def test_a_histogram_takes_whatever_a_clock_says() -> None:
    histogram = Histogram()
    assert histogram.quantile(0.5) is None
    assert histogram.coarse() == []
    for seconds in (0.0, -1e-9, 1e9):
        histogram.record(seconds)
    assert histogram.quantile(0.5) is not None
    assert histogram.quantile(1) == histogram.longest_seconds == 86_400.0


def test_a_histogram_grows_no_further() -> None:
    histogram = Histogram()
    chance = random.Random(1)
    for _ in range(20_000):
        histogram.record(10 ** chance.uniform(-7, 6))
    assert len(histogram._buckets) < 1_200


def test_a_timeline_tells_rates_and_widens_its_slots_for_long_runs() -> None:
    timeline = Timeline()
    for second in range(2_000):
        timeline.add(second + 0.5, "accepted", 3)
    assert timeline.slot_seconds == 4
    rates = timeline.rates("accepted", 2_000)
    assert len(rates) == 500
    assert {rate for _, rate in rates} == {3}
    assert timeline.copy().rates("accepted", 2_000) == rates


def test_the_last_slot_of_a_timeline_counts_as_far_as_it_has_come() -> None:
    timeline = Timeline()
    for at in (0.1, 0.2, 1.1, 1.2, 1.3):
        timeline.add(at, "ended")
    assert timeline.rates("ended", 1.6) == [(0.5, 2.0), (1.3, pytest.approx(3 / 0.6))]
    assert timeline.rates("ended", 1.2) == [(0.5, 2.0)], "of 0.2 s no rate is told"
    assert timeline.rates("errors", 1.6)[0] == (0.5, 0.0)


def test_accepted_ids_are_kept_with_their_states_and_duplicates_are_found() -> None:
    accepted = Accepted()
    ids = [str(uuid.uuid4()) for _ in range(5)]
    places = [accepted.add(job_id) for job_id in [*ids, ids[1]]]
    accepted.end(places[2], "succeeded")
    pages = list(accepted.pages(4))
    assert [len(page) for page in pages] == [4, 2]
    assert pages[0] == {
        **dict.fromkeys(ids[:4], "open"),
        ids[2]: "succeeded",
    }
    assert accepted.given_twice() == [ids[1]]
    with pytest.raises(ValueError, match="badly formed"):
        accepted.add("no id")
