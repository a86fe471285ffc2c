"""Counting without a lock."""

from __future__ import annotations

import threading

from jobresults.alerts.counts import MAX_FINGERPRINTS, OVERFLOW, Count, Counts


def total(counts: list[Count], key: str | None = None) -> int:
    return sum(count.count for count in counts if key in (None, count.key))


def log(counts: Counts, key: str = "k", at_ms: int = 1, job: str | None = None) -> None:
    counts.entry(key)[0].count("error", at_ms, job, None)


def test_threads_count_exactly_while_another_collects() -> None:
    counts, collected = Counts(), []
    threads, each = 6, 5_000
    done = threading.Event()

    def collect() -> None:
        while not done.is_set():
            collected.extend(counts.collect())

    def count_all() -> None:
        for number in range(each):
            log(counts, f"k{number % 3}", job=f"j{number % 7}")

    collector = threading.Thread(target=collect)
    writers = [threading.Thread(target=count_all) for _ in range(threads)]
    for thread in [collector, *writers]:
        thread.start()
    for thread in writers:
        thread.join()
    done.set()
    collector.join()
    collected += counts.collect()
    assert total(collected) == threads * each
    assert set().union(*(count.jobs for count in collected)) == {f"j{n}" for n in range(7)}


def test_what_is_beyond_the_limit_is_counted_as_overflow() -> None:
    counts = Counts()
    for number in range(MAX_FINGERPRINTS + 40):
        log(counts, f"k{number}")
    collected = counts.collect()
    assert total(collected) == MAX_FINGERPRINTS + 40
    assert total(collected, OVERFLOW) == 40


def test_unused_keys_make_room_and_lose_nothing() -> None:
    counts = Counts()
    late, _ = counts.entry("late")
    log(counts, "late")
    for _ in range(60):
        counts.collect()
    assert counts.entry("late")[1], "it went"
    late.count("error", 1, None, None)  # by a thread that has found it before
    assert total(counts.collect(), "late") == 1


def test_a_count_says_when_how_bad_and_whom() -> None:
    counts = Counts()
    entry, is_new = counts.entry("k")
    assert is_new
    entry.count("error", 10, "j1", "acme")
    entry.count("critical", 20, "j2", "acme")
    entry.count("error", 30, None, None)
    (count,) = counts.collect()
    assert (count.severity, count.first_ms, count.last_ms) == ("critical", 10, 30)
    assert (count.jobs, count.customers) == ({"j1", "j2"}, {"acme"})
    assert Count.from_json(count.as_json()) == count
    assert counts.collect() == []


def test_merged_counts_add_up_with_own_ones() -> None:
    counts = Counts()
    log(counts, at_ms=50)
    entry, _ = counts.entry("k")
    entry.merge(Count("k", "critical", 7, 20, 60, {"title": "t"}, {"j"}, set()))
    entry.merge(Count("k", "error", 2, 90, 90))
    (count,) = counts.collect()
    assert (count.count, count.first_ms, count.last_ms) == (10, 20, 90)
    assert (count.severity, count.sample, count.jobs) == ("critical", {"title": "t"}, {"j"})


def test_the_first_events_of_a_second_are_described() -> None:
    entry, _ = Counts().entry("k")
    wanted = [entry.wants_sample(7, 10) for _ in range(15)]
    assert wanted == [True] * 10 + [False] * 5
    assert entry.wants_sample(8, 10)
