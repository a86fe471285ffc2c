"""How long things took, in buckets of equal ratio: as exact at 100 µs as at 10 s, in bounded memory
however much is recorded.
"""

from __future__ import annotations

import math
from collections import Counter

_PER_DOUBLING = 32  # a bucket is 2.2 % wide
_LONGEST_SECONDS = 86_400.0


class Histogram:
    """Counts of durations. Not safe to share between threads."""

    def __init__(self) -> None:
        self.count = 0
        self.total_seconds = 0.0
        self.longest_seconds = 0.0
        self._buckets: Counter[int] = Counter()

    def record(self, seconds: float) -> None:
        """One more; below 1 µs is 1 µs, above a day is a day."""
        seconds = min(seconds, _LONGEST_SECONDS)
        self.count += 1
        self.total_seconds += seconds
        self.longest_seconds = max(self.longest_seconds, seconds)
        self._buckets[int(math.log2(max(seconds * 1e6, 1.0)) * _PER_DOUBLING)] += 1

    def quantile(self, share: float) -> float | None:
        """What that share of all did not exceed, at most 2.2 % too high; None without any."""
        left = max(1, math.ceil(share * self.count))
        for bucket in sorted(self._buckets):
            left -= self._buckets[bucket]
            if left <= 0:
                return min(_upper_seconds(bucket), self.longest_seconds)
        return None

    def coarse(self, per_doubling: int = 4) -> list[tuple[float, float, int]]:
        """`(from, to, count)` in seconds of wider buckets without gaps, to be drawn."""
        width = _PER_DOUBLING // per_doubling
        wide: Counter[int] = Counter()
        for bucket, count in self._buckets.items():
            wide[bucket // width] += count
        if not wide:
            return []
        return [
            (_upper_seconds(at * width - 1), _upper_seconds(at * width + width - 1), wide[at])
            for at in range(min(wide), max(wide) + 1)
        ]

    def copy(self) -> Histogram:
        """What it holds now."""
        twin = Histogram()
        twin.count, twin.total_seconds = self.count, self.total_seconds
        twin.longest_seconds = self.longest_seconds
        twin._buckets = self._buckets.copy()
        return twin


def _upper_seconds(bucket: int) -> float:
    return float(2 ** ((bucket + 1) / _PER_DOUBLING)) / 1e6
