"""How alerts stand at this moment: groups by state, and since when the oldest waits to be told."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from jobresults.alerts import scripts
from jobresults.alerts.breaker import Breaker
from jobresults.alerts.groups import GroupStore, Told
from jobresults.alerts.listing import State
from jobresults.redis_store import Client, guarded
from jobresults.settings import AlertsSettings

_READ_TOGETHER = 500
_FIELDS = ("opening", "first_ms", "last_ms", "resolve_after_ms", "suppressed")


@dataclass(frozen=True)
class Standing:
    """`failing`: which of the sinks did not take the last message. `oldest_unsent_seconds`: for how
    long the first message of the oldest problem that no sink was told of has been due.
    """

    groups: Mapping[State, int]
    oldest_unsent_seconds: float
    failing: Mapping[str, bool]


@dataclass(frozen=True)
class _Row:
    """What is read of one group."""

    fingerprint: str
    opening: int
    first_ms: int
    last_ms: int
    resolve_after_ms: int
    suppressed: str
    told: Sequence[Told]

    def state(self, now_ms: int) -> State:
        if now_ms - self.last_ms >= self.resolve_after_ms:
            return State.RESOLVED
        if self.suppressed.startswith("silenced"):
            return State.SILENCED
        return State.INHIBITED if self.suppressed else State.OPEN

    @property
    def was_told(self) -> bool:
        return any(it.opening == self.opening and it.posted_ms is not None for it in self.told)


def read_standing(redis: Client, settings: AlertsSettings, sinks: Sequence[str]) -> Standing:
    """A few round trips; reads only groups that are not over, or that a sink is yet to be told of.

    Raises:
        RedisUnavailable
    """
    now_ms = GroupStore(redis).clock_ms()
    since_ms = now_ms - round(settings.resolve_after_seconds * 1000)
    with guarded(redis), redis.pipeline(transaction=False) as pipeline:
        pipeline.zcard(scripts.PREFIX + "index")
        pipeline.zrangebyscore(scripts.PREFIX + "index", since_ms, "+inf")
        pipeline.zrange(scripts.PREFIX + "new", 0, -1, withscores=True)
        for sink in sinks:
            pipeline.zrange(f"{scripts.PREFIX}due:{sink}", 0, -1)
        known, young, opened, *due = pipeline.execute()
    rows = list(_read(redis, sorted({*young, *(name for names in due for name in names)}), sinks))
    states = Counter(row.state(now_ms) for row in rows)
    opened_ms = {name.decode(): int(at_ms) for name, at_ms in opened}
    unsent = [
        now_ms - opened_ms.get(row.fingerprint, row.first_ms)
        for row in rows
        if sinks and not row.was_told and not row.suppressed
    ]
    late_ms = max(unsent, default=0) - round(settings.group_wait_seconds * 1000)
    standing = [State.OPEN, State.SILENCED, State.INHIBITED]
    groups = {state: states[state] for state in standing}
    breaker = Breaker(redis)
    return Standing(
        groups | {State.RESOLVED: max(0, known - sum(groups.values()))},
        max(0, late_ms) / 1000,
        {sink: breaker.health(sink).failing_since_ms is not None for sink in sinks},
    )


def _read(redis: Client, fingerprints: Sequence[bytes], sinks: Sequence[str]) -> Iterator[_Row]:
    fields = [*_FIELDS, *(f"told:{sink}" for sink in sinks)]
    for start in range(0, len(fingerprints), _READ_TOGETHER):
        some = fingerprints[start : start + _READ_TOGETHER]
        with guarded(redis), redis.pipeline(transaction=False) as pipeline:
            for name in some:
                pipeline.hmget(f"{scripts.PREFIX}group:{name.decode()}", fields)
            found: list[Any] = pipeline.execute()
        for name, values in zip(some, found, strict=True):
            if values[0] is not None:  # else forgotten meanwhile
                yield _row(name.decode(), values)


def _row(fingerprint: str, values: Sequence[bytes | None]) -> _Row:
    opening, first_ms, last_ms, resolve_after_ms, suppressed, *told = values
    return _Row(
        fingerprint,
        int(opening or 0),
        int(first_ms or 0),
        int(last_ms or 0),
        int(resolve_after_ms or 0),
        (suppressed or b"").decode(),
        [Told.from_json(text) for text in told if text is not None],
    )
