"""What the service must never answer, as it was found."""

from __future__ import annotations

import threading
from collections import Counter
from dataclasses import dataclass
from enum import StrEnum

_MOST_NAMED = 1_000


class Kind(StrEnum):
    """In which way an answer breaks a promise."""

    LOST = "lost"  # an accepted job, or its result, is not there any more
    WRONG = "wrong"  # the answer does not follow from what was handed in
    REPEATED = "repeated"  # another job's answer or id
    CHANGED = "changed"  # an ended job is told of in another way than before


@dataclass(frozen=True)
class Finding:
    """One of them, and the job whose answer it was."""

    kind: Kind
    job_id: str
    detail: str


class Findings:
    """All of them counted, and as many named as a reader would look at; threads share it."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._counts: Counter[Kind] = Counter()
        self._named: list[Finding] = []

    def add(self, kind: Kind, job_id: str, detail: str) -> None:
        """One more."""
        with self._lock:
            self._counts[kind] += 1
            if len(self._named) < _MOST_NAMED:
                self._named.append(Finding(kind, job_id, detail))

    @property
    def counts(self) -> dict[str, int]:
        """By kind; kinds without any are left out."""
        with self._lock:
            return {str(kind): self._counts[kind] for kind in Kind if self._counts[kind]}

    @property
    def named(self) -> list[Finding]:
        """The first thousand."""
        with self._lock:
            return list(self._named)
