"""Counting events in the process that logs them: without a lock, exactly, in bounded memory."""

from __future__ import annotations

import itertools
import time
from collections import deque
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

from jobresults.alerts.model import Severity

MAX_FINGERPRINTS = 500
OVERFLOW = "overflow"
_MAX_IDS = 1_000
_RETIRE_AFTER_ROUNDS = 50
_RETIRED_SECONDS = 10.0
_RANKS = {severity.value: rank for rank, severity in enumerate(Severity)}


def worse(one: str, other: str) -> str:
    """The graver of two severities."""
    return one if _RANKS[one] >= _RANKS[other] else other


@dataclass
class Count:
    """So many events with one key; what travels. Times in ms since 1970-01-01 UTC."""

    key: str
    severity: str
    count: int
    first_ms: int
    last_ms: int
    sample: Mapping[str, Any] | None = None
    jobs: set[str] = field(default_factory=set)
    customers: set[str] = field(default_factory=set)

    def add(self, other: Count) -> None:
        """Take in the events of another count."""
        self.severity = worse(self.severity, other.severity)
        self.count += other.count
        self.first_ms = min(self.first_ms, other.first_ms)
        self.last_ms = max(self.last_ms, other.last_ms)
        self.sample = other.sample or self.sample
        for mine, others in ((self.jobs, other.jobs), (self.customers, other.customers)):
            mine.update(itertools.islice(others, max(0, _MAX_IDS - len(mine))))

    def as_json(self) -> dict[str, Any]:
        return asdict(self) | {"jobs": sorted(self.jobs), "customers": sorted(self.customers)}

    @classmethod
    def from_json(cls, members: Mapping[str, Any]) -> Count:
        return cls(
            **{
                **members,
                "jobs": set(members["jobs"]),
                "customers": set(members["customers"]),
            }
        )


class Entry:
    """One key's events since they were last collected.

    Any thread may count, one collects. Each step is a single operation of the interpreter: a lock
    could be held by a thread that a fork leaves behind, or by the very code a signal interrupts.
    """

    __slots__ = (
        "_collected",
        "_ids",
        "_merged",
        "_reads",
        "_ticks",
        "first_ms",
        "key",
        "last_ms",
        "sample",
        "second",
        "second_samples",
        "severity",
        "unused_rounds",
    )

    def __init__(self, key: str) -> None:
        self.key = key
        self.severity = Severity.WARNING.value
        self.first_ms: int | None = None
        self.last_ms = 0
        self.sample: Mapping[str, Any] | None = None
        self.second = self.second_samples = 0
        self.unused_rounds = 0
        self._ticks = itertools.count()
        self._reads = self._collected = 0
        self._ids: deque[tuple[str | None, str | None]] = deque(maxlen=_MAX_IDS)
        self._merged: deque[Count] = deque()

    def count(self, severity: str, at_ms: int, job: str | None, customer: str | None) -> None:
        """One more event."""
        next(self._ticks)
        self.last_ms = at_ms
        if self.first_ms is None:
            self.first_ms = at_ms
        if severity != self.severity:
            self.severity = worse(severity, self.severity)
        if job is not None or customer is not None:
            ids = (job, customer)
            if not self._ids or self._ids[-1] != ids:
                self._ids.append(ids)

    def merge(self, count: Count) -> None:
        """Events that another process has counted."""
        self._merged.append(count)

    def wants_sample(self, second: int, limit: int) -> bool:
        """Whether this second's events are few enough to describe each in full."""
        if second != self.second:
            self.second, self.second_samples = second, 0
        self.second_samples += 1
        return self.second_samples <= limit

    def collect(self) -> Count | None:
        """What came since the last call; None if nothing did."""
        total = next(self._ticks) - self._reads  # reading is counting, too
        self._reads += 1
        new, self._collected = total - self._collected, total
        first_ms, self.first_ms = self.first_ms, None
        collected = None
        if new:
            sample, self.sample = self.sample, None
            collected = Count(
                self.key, self.severity, new, first_ms or self.last_ms, self.last_ms, sample
            )
            self._collect_ids(collected)
        while self._merged:
            merged = self._merged.popleft()
            if collected is None:
                collected = merged
            else:
                collected.add(merged)
        return collected

    def _collect_ids(self, collected: Count) -> None:
        while self._ids:
            job, customer = self._ids.popleft()
            if job is not None:
                collected.jobs.add(job)
            if customer is not None:
                collected.customers.add(customer)


class Counts:
    """All keys of this process; what comes beyond the 500th is counted as one `overflow`."""

    def __init__(self) -> None:
        self._entries: dict[str, Entry] = {}
        self._retired: deque[tuple[int, float, Entry]] = deque()
        self._round = 0
        self.has_news = False
        """Something was counted since `collect` began."""

    def entry(self, key: str) -> tuple[Entry, bool]:
        """Where a key's events are counted, and whether it is new."""
        found = self._entries.get(key)
        if found is not None:
            return found, False
        if len(self._entries) >= MAX_FINGERPRINTS and key != OVERFLOW:
            return self.entry(OVERFLOW)
        return self._entries.setdefault(key, Entry(key)), True

    def collect(self) -> list[Count]:
        """What came since the last call. One thread at a time."""
        self.has_news = False
        self._round += 1
        collected = []
        for entry in list(self._entries.values()):
            if (count := entry.collect()) is not None:
                entry.unused_rounds = 0
                collected.append(count)
                continue
            entry.unused_rounds += 1
            if entry.unused_rounds > _RETIRE_AFTER_ROUNDS:
                del self._entries[entry.key]
                self._retired.append((self._round, time.monotonic(), entry))
        return collected + self._collect_retired()

    def _collect_retired(self) -> list[Count]:
        """A thread may have found its entry just before that went: look at it for a while. Rounds
        pass while that thread sleeps, time passes while this process is stopped; so both.
        """
        while self._retired:
            retired_round, retired_at, _ = self._retired[0]
            is_young = time.monotonic() - retired_at < _RETIRED_SECONDS
            if is_young or self._round - retired_round < _RETIRE_AFTER_ROUNDS:
                break
            self._retired.popleft()
        counts = (entry.collect() for *_, entry in self._retired)
        return [count for count in counts if count is not None]
