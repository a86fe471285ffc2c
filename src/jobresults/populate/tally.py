"""What a run has counted so far: all its threads write here, what shows it reads snapshots."""

from __future__ import annotations

import threading
import time
from collections import Counter
from dataclasses import dataclass

from jobresults.populate.histogram import Histogram
from jobresults.populate.timeline import Timeline


@dataclass(frozen=True)
class Figures:
    """A moment of a run. `latencies` by operation, `errors` by what went wrong, `states` how jobs
    ended; `late` is how long after its due time the caller itself sent a request.
    """

    elapsed_seconds: float
    accepted: int
    verified: int
    requests: int
    states: dict[str, int]
    errors: dict[str, int]
    latencies: dict[str, Histogram]
    late: Histogram
    timeline: Timeline

    @property
    def ended(self) -> int:
        """Accepted jobs whose end was seen."""
        return sum(self.states.values())

    @property
    def open(self) -> int:
        """Accepted jobs whose end was not seen yet."""
        return self.accepted - self.ended


class Tally:
    """Counts; the run begins when it is made."""

    def __init__(self) -> None:
        self._began = time.monotonic()
        self._stopped: float | None = None
        self._lock = threading.Lock()
        self._accepted = self._verified = self._requests = 0
        self._states: Counter[str] = Counter()
        self._errors: Counter[str] = Counter()
        self._latencies: dict[str, Histogram] = {}
        self._late = Histogram()
        self._timeline = Timeline()

    def sent(self, late_seconds: float) -> None:
        """A request leaves, so long after it was due."""
        with self._lock:
            self._requests += 1
            self._late.record(late_seconds)

    def took(self, operation: str, seconds: float) -> None:
        """An operation has been answered."""
        with self._lock:
            self._latencies.setdefault(operation, Histogram()).record(seconds)

    def erred(self, what: str) -> None:
        """A request was refused, or not answered."""
        with self._lock:
            self._errors[what] += 1
            self._timeline.add(self._elapsed(), "errors")

    def accepted(self) -> None:
        """The service has taken on a job."""
        with self._lock:
            self._accepted += 1
            self._timeline.add(self._elapsed(), "accepted")

    def ended(self, state: str) -> None:
        """A job's end was seen, for the first time."""
        with self._lock:
            self._states[state] += 1
            self._timeline.add(self._elapsed(), "ended")

    def verified(self) -> None:
        """An answer was held against what must be in it, and is right."""
        with self._lock:
            self._verified += 1

    def stop(self) -> None:
        """The load is over: rates are of the time until now."""
        self._stopped = time.monotonic()

    def figures(self) -> Figures:
        """All of it, as it is now."""
        with self._lock:
            return Figures(
                elapsed_seconds=self._elapsed(),
                accepted=self._accepted,
                verified=self._verified,
                requests=self._requests,
                states=dict(sorted(self._states.items())),
                errors=dict(self._errors.most_common()),
                latencies={name: each.copy() for name, each in sorted(self._latencies.items())},
                late=self._late.copy(),
                timeline=self._timeline.copy(),
            )

    def _elapsed(self) -> float:
        return (self._stopped or time.monotonic()) - self._began
