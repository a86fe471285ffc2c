"""Whether a sink works, as all relays know it, and when to try one again that does not."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from jobresults.alerts import scripts
from jobresults.alerts.model import SinkError
from jobresults.redis_store import Client, guarded

_MAX_PAUSE_MS = 60_000
_MAX_WISH_MS = 3_600_000
_KEPT_MS = 86_400_000


@dataclass(frozen=True)
class Health:
    """Of one sink. `failing_since_ms` None: it works, or was not tried."""

    failing_since_ms: int | None = None
    retry_at_ms: int = 0
    failures: int = 0
    reason: str | None = None
    digest_ms: int = 0
    """When it got its last digest of a storm."""

    def rests(self, now_ms: int) -> bool:
        """Whether it is not to be tried now."""
        return now_ms < self.retry_at_ms

    def has_failed_for(self, now_ms: int, duration_ms: int) -> bool:
        return self.failing_since_ms is not None and now_ms - self.failing_since_ms >= duration_ms


class Breaker:
    """Each call raises RedisUnavailable."""

    def __init__(self, redis: Client) -> None:
        self._redis = redis

    def health(self, sink: str) -> Health:
        with guarded(self._redis):
            row: Any = self._redis.hgetall(_key(sink))
        fields = {name.decode(): text.decode() for name, text in row.items()}
        since = fields.get("failing_since_ms")
        return Health(
            failing_since_ms=None if since is None else int(since),
            retry_at_ms=int(fields.get("retry_at_ms", 0)),
            failures=int(fields.get("failures", 0)),
            reason=fields.get("reason"),
            digest_ms=int(fields.get("digest_ms", 0)),
        )

    def note_success(self, sink: str) -> None:
        with guarded(self._redis):
            self._redis.hdel(_key(sink), "failing_since_ms", "retry_at_ms", "failures", "reason")

    def note_failure(self, sink: str, error: SinkError, now_ms: int) -> int:
        """Returns when to try again: 1, 2, 4 … 60 s later, or when the sink wishes."""
        key = _key(sink)
        with guarded(self._redis):
            failures = int(self._redis.hincrby(key, "failures", 1))
            pause_ms = min(_MAX_PAUSE_MS, 1000 << min(failures - 1, 10))
            if error.retry_after_seconds is not None:
                wish_ms = round(error.retry_after_seconds * 1000)
                pause_ms = min(_MAX_WISH_MS, max(wish_ms, 1000))
            with self._redis.pipeline() as pipeline:
                pipeline.hsetnx(key, "failing_since_ms", now_ms)
                fields: Any = {"retry_at_ms": now_ms + pause_ms, "reason": str(error)[:300]}
                pipeline.hset(key, mapping=fields)
                pipeline.pexpire(key, _KEPT_MS)
                pipeline.execute()
        return now_ms + pause_ms

    def note_digest(self, sink: str, now_ms: int) -> None:
        with guarded(self._redis):
            self._redis.hset(_key(sink), "digest_ms", now_ms)
            self._redis.pexpire(_key(sink), _KEPT_MS)


def _key(sink: str) -> str:
    return f"{scripts.PREFIX}sink:{sink}"
