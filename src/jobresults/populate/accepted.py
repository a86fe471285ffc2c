"""Every job the service has accepted, in 17 bytes each, so that all of them can be asked for at the
end.
"""

from __future__ import annotations

import threading
import uuid
from collections.abc import Iterator
from itertools import pairwise

OPEN, LOST = "open", "lost"
_STATES = (OPEN, "succeeded", "failed", "canceled", "expired", LOST)
_ID_BYTES = 16


class Accepted:
    """Ids and how the jobs were seen to end; threads share it."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._ids = bytearray()
        self._states = bytearray()

    def __len__(self) -> int:
        return len(self._states)

    def add(self, job_id: str) -> int:
        """The place of a new one.

        Raises:
            ValueError: that is no job's id.
        """
        packed = uuid.UUID(job_id).bytes
        with self._lock:
            self._ids += packed
            self._states.append(0)
            return len(self._states) - 1

    def end(self, place: int, state: str) -> None:
        """How the one at that place has ended."""
        self._states[place] = _STATES.index(state)

    def pages(self, size: int) -> Iterator[dict[str, str]]:
        """All of them: state by id, so many at once."""
        for start in range(0, len(self), size):
            yield {
                self._id(place): _STATES[self._states[place]]
                for place in range(start, min(start + size, len(self)))
            }

    def given_twice(self) -> list[str]:
        """Ids that two submissions got."""
        ids = sorted(
            bytes(self._ids[start : start + _ID_BYTES])
            for start in range(0, len(self._ids), _ID_BYTES)
        )
        return [str(uuid.UUID(bytes=one)) for one, other in pairwise(ids) if one == other]

    def _id(self, place: int) -> str:
        packed = bytes(self._ids[place * _ID_BYTES : (place + 1) * _ID_BYTES])
        return str(uuid.UUID(bytes=packed))
