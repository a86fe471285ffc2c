"""Requests a second: a bucket of tokens for each client in each process, filled at the client's
whole rate, and emptied by what the other processes let in.

No request waits for that: the processes tell each other through Redis every 0.5 s, in the
background. Over any longer time a client gets its rate, however its requests are spread. Within
half a second each process may let in what half a second's rate allows besides its share of the
burst, which is one second's worth. While Redis is away each process grants the whole rate.
"""

from __future__ import annotations

import math
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from jobresults.accounts.principal import Principal
from jobresults.errors import RedisUnavailable, TooManyRequests
from jobresults.redis_store import Client, guarded
from jobresults.settings import LimitsSettings

_SYNC_SECONDS = 0.5
_IDLE_SECONDS = 60.0
_KEPT_SECONDS = 600
_MAX_RETRY_SECONDS = 30
# Nobody is kept out for longer, whatever the others have let in.
_MAX_DEBT_SECONDS = 5.0


@dataclass
class _Bucket:
    """Tokens of one client at one rate. `spent`: since the last sync; `seen`: what all processes
    together had spent by then, None: not known yet.
    """

    name: str
    per_second: float
    most: float
    tokens: float
    filled_at: float
    spent: int = 0
    seen: int | None = None

    def fill(self, now: float) -> None:
        self.tokens = min(self.most, self.tokens + (now - self.filled_at) * self.per_second)
        self.filled_at = now

    def learn(self, total: int, told: int) -> None:
        """All processes have spent so much, `told` of it by this one since the last sync."""
        self.spent -= told
        others = 0 if self.seen is None else max(0, total - self.seen - told)
        self.seen = total
        self.tokens = max(self.tokens - others, -_MAX_DEBT_SECONDS * self.per_second)


class Rates:
    """Those of all clients, for one process of `processes`."""

    def __init__(self, redis: Client, settings: LimitsSettings, processes: int) -> None:
        self._redis = redis
        self._settings = settings
        self._processes = processes
        self._buckets: dict[tuple[str, float], _Bucket] = {}

    def start(self) -> None:
        """Keep the processes in step from now on."""
        threading.Thread(target=self._sync_for_ever, name="rates", daemon=True).start()

    def let_in(self, principal: Principal) -> None:
        """Count a request. A key's own rate goes before its client's.

        Raises:
            TooManyRequests: not counted.
        """
        bucket = self._bucket(principal)
        if bucket is None:
            return
        bucket.fill(time.monotonic())
        if bucket.tokens < 1:
            raise TooManyRequests(
                f"requests_per_second: this client may send {bucket.per_second:g} requests a "
                "second; send them at that pace, many jobs in one array, or wait for results with "
                "`wait` instead of polling",
                max(1, min(_MAX_RETRY_SECONDS, math.ceil((1 - bucket.tokens) / bucket.per_second))),
                limit="requests_per_second",
                maximum=bucket.per_second,
            )
        bucket.tokens -= 1
        bucket.spent += 1

    def sync(self) -> None:
        """Tell the other processes what was spent here, and learn what they have spent.

        Raises:
            RedisUnavailable: told the next time.
        """
        now = time.monotonic()
        for key, bucket in list(self._buckets.items()):
            if now - bucket.filled_at > _IDLE_SECONDS and not bucket.spent:
                del self._buckets[key]
        buckets = list(self._buckets.values())
        if not buckets:
            return
        told = [bucket.spent for bucket in buckets]
        for bucket, total, own in zip(buckets, self._add(buckets, told), told, strict=True):
            bucket.learn(total, own)

    def _add(self, buckets: Sequence[_Bucket], spent: Sequence[int]) -> list[int]:
        with guarded(self._redis), self._redis.pipeline(transaction=False) as pipeline:
            for bucket, count in zip(buckets, spent, strict=True):
                pipeline.incrby(bucket.name, count)
                pipeline.expire(bucket.name, _KEPT_SECONDS)
            answers: list[Any] = pipeline.execute()
        return [int(answer) for answer in answers[::2]]

    def _bucket(self, principal: Principal) -> _Bucket | None:
        client = principal.client
        rate = principal.requests_per_second or self._settings.of(client).requests_per_second
        if rate is None:
            return None
        bucket = self._buckets.get((client, rate))
        if bucket is None:
            most = max(1.0, rate / self._processes)
            bucket = _Bucket(f"jr:rate:{rate:g}:{client}", rate, most, most, time.monotonic())
            self._buckets[client, rate] = bucket
        return bucket

    def _sync_for_ever(self) -> None:
        while True:
            time.sleep(_SYNC_SECONDS)
            try:
                self.sync()
            except RedisUnavailable:
                continue  # told by the background check of health
