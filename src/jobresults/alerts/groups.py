"""Groups of like events in Redis: merging counts, claiming what a sink is to be told, looking."""

from __future__ import annotations

import json
import os
import time
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

from jobresults.alerts import fingerprint as fingerprints
from jobresults.alerts import scripts
from jobresults.alerts.counts import OVERFLOW, Count
from jobresults.alerts.flusher import Batch
from jobresults.alerts.model import Group, Receipt, Sample, Severity
from jobresults.redis_store import Client, guarded
from jobresults.settings import Settings
from jobresults.telemetry import identity

HEARTBEAT_KEY = "alerts heartbeat"


@dataclass(frozen=True)
class Told:
    """What one sink was last told of a group. Times in ms since 1970-01-01 UTC."""

    opening: int = 0
    posted_ms: int | None = None
    """When it last got a new message, and what that counted."""
    posted_count: int = 0
    told_ms: int = 0
    """When it was last told anything, edits included."""
    told_count: int = 0
    versions: tuple[str, ...] = ()
    is_resolved: bool = False
    is_refused: bool = False
    """The sink will never take it."""
    refusal: str | None = None
    """Why it did not take it, the last time it said so for good."""
    receipt: Receipt = field(default_factory=Receipt)

    def as_json(self) -> str:
        return json.dumps(asdict(self))

    @classmethod
    def from_json(cls, text: str | bytes) -> Told:
        members = json.loads(text)
        receipt = Receipt(**members.pop("receipt"))
        return cls(**members | {"versions": tuple(members["versions"]), "receipt": receipt})


@dataclass(frozen=True)
class Tracked:
    """A group, and what became of it."""

    group: Group
    opening: int
    """How often it was opened."""
    resolve_after_ms: int
    told: Mapping[str, Told] = field(default_factory=dict)
    """By sink."""
    suppressed: str | None = None
    """Why nobody is told of it just now."""
    version: int = 0
    """Of the claim."""

    def is_resolved(self, now_ms: int) -> bool:
        """Whether nothing came for so long that it is over."""
        return now_ms - self.group.last_ms >= self.resolve_after_ms


class GroupStore:
    """The groups of one Redis. `now_ms` everywhere: None means Redis' own clock.

    Each call raises RedisUnavailable.
    """

    def __init__(self, redis: Client) -> None:
        self._redis = redis
        self._merge, self._claim, self._acknowledge, self._read, self._turn = (
            redis.register_script(text)
            for text in (
                scripts.MERGE,
                scripts.CLAIM,
                scripts.ACKNOWLEDGE,
                scripts.READ,
                scripts.TURN,
            )
        )

    def merge(self, batch: Mapping[str, Any], now_ms: int | None = None) -> bool:
        """Add a batch's counts. False if that was done before."""
        with guarded(self._redis):
            return bool(self._merge(args=[json.dumps(batch), _or_empty(now_ms)]))

    def claim(
        self,
        sink: str,
        *,
        hold_ms: int,
        limit: int,
        resolve_after_ms: int = 900_000,
        now_ms: int | None = None,
    ) -> tuple[int, list[Tracked]]:
        """What is due for a sink, for this caller alone for so long; and what time it is."""
        with guarded(self._redis):
            now, rows = self._claim(
                args=[sink, _or_empty(now_ms), hold_ms, limit, resolve_after_ms]
            )
        return int(now), [_tracked(row, sink) for row in rows]

    def acknowledge(
        self,
        sink: str,
        tracked: Tracked,
        *,
        told: Told | None,
        look_again_ms: int | None,
        wait_ms: int,
        suppressed: str | None = None,
        now_ms: int | None = None,
    ) -> bool:
        """Note what came of a claimed group, and give it back. False, and nothing is noted, if
        another has claimed it since.
        """
        group = tracked.group
        arguments = [
            sink,
            _or_empty(now_ms),
            group.fingerprint,
            tracked.version,
            tracked.opening,
            group.count,
            "" if told is None else told.as_json(),
            _or_empty(look_again_ms),
            wait_ms,
            suppressed or "",
        ]
        with guarded(self._redis):
            return bool(self._acknowledge(args=arguments))

    def take_turn(self, sink: str, interval_ms: int) -> bool:
        """Whether a message may go to the sink now; the next one may in `interval_ms`."""
        with guarded(self._redis):
            return bool(self._turn(args=[sink, interval_ms]))

    def count_opened(self, since_ms: int) -> int:
        """How many groups were opened since."""
        with guarded(self._redis):
            return int(self._redis.zcount(scripts.PREFIX + "new", since_ms, "+inf"))

    def read(self, wanted: Sequence[str]) -> list[Tracked]:
        """Those of the fingerprints' groups that there are."""
        with guarded(self._redis):
            return [_tracked(row) for row in self._read(args=list(wanted))] if wanted else []

    def newest(self, limit: int) -> list[str]:
        """The fingerprints of the groups with the latest events, the last one first."""
        with guarded(self._redis):
            rows: Any = self._redis.zrevrange(scripts.PREFIX + "index", 0, limit - 1)
        return [row.decode() for row in rows]

    def heartbeat_ms(self, process: str) -> int | None:
        """When the process's last heartbeat came through."""
        with guarded(self._redis):
            beat: Any = self._redis.hget(scripts.PREFIX + "beats", process)
        return None if beat is None else int(beat)

    def clock_ms(self) -> int:
        """What time it is for Redis."""
        with guarded(self._redis):
            seconds, microseconds = self._redis.time()
        return int(seconds) * 1000 + int(microseconds) // 1000


def list_groups(redis: Client, limit: int = 500) -> list[Tracked]:
    """The groups with the latest events, the last one first.

    Raises:
        RedisUnavailable
    """
    store = GroupStore(redis)
    return store.read(store.newest(limit))


def get_group(redis: Client, fingerprint: str) -> Tracked | None:
    """One group; None if there is none, or it ended too long ago.

    Raises:
        RedisUnavailable
    """
    return next(iter(GroupStore(redis).read([fingerprint])), None)


class BatchWriter:
    """Says who sends a batch: this process, as long as it lives."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._pid = 0
        self.process = ""

    def has_new_process(self) -> bool:
        """Whether this is the first call in this process."""
        if os.getpid() == self._pid:
            return False
        self._pid = os.getpid()
        self.process = uuid.uuid4().hex
        return True

    def write(self, batch: Batch, sent_ms: int | None = None) -> dict[str, Any]:
        """The batch as `GroupStore.merge` takes it."""
        alerts, environment = self._settings.alerts, self._settings.environment
        resolve_after_ms = round(alerts.resolve_after_seconds * 1000)
        return {
            "process": self.process,
            "number": batch.number,
            "sent_ms": round(time.time() * 1000) if sent_ms is None else sent_ms,
            "pod": identity.pod(),
            "version": identity.version(),
            "service": alerts.service,
            "environment": environment,
            "overflow": self.fingerprint(OVERFLOW),
            "resolve_after_ms": resolve_after_ms,
            "wait_ms": round(alerts.group_wait_seconds * 1000),
            "keep_ms": resolve_after_ms + alerts.closed_ttl_seconds * 1000,
            "counts": [self._count(count) for count in batch.counts],
        }

    def fingerprint(self, key: str) -> str:
        return fingerprints.of_key(self._settings.alerts.service, self._settings.environment, key)

    def _count(self, count: Count) -> dict[str, Any]:
        members = count.as_json()
        members["fingerprint"] = self.fingerprint(members.pop("key"))
        sample = members["sample"]
        if sample is None and count.key == OVERFLOW:
            sample = overflow_sample()
        members["sample"] = None if sample is None else json.dumps(sample)
        members["is_heartbeat"] = count.key == HEARTBEAT_KEY
        return members


def overflow_sample() -> dict[str, Any]:
    """What is said of events that are not told apart any more."""
    title = "Too many different errors to tell apart; see the logs"
    return {"title": title, "message": title, "logger": "jobresults.alerts"}


def _or_empty(number: int | None) -> int | str:
    return "" if number is None else number


def _pairs(flat: Sequence[bytes]) -> dict[str, bytes]:
    return {flat[at].decode(): flat[at + 1] for at in range(0, len(flat), 2)}


def _tracked(row: Sequence[Any], sink: str | None = None) -> Tracked:
    fingerprint, flat, pods, versions, job_count, customer_count = row
    fields = _pairs(flat)
    sample = json.loads(fields["sample"]) if "sample" in fields else overflow_sample()
    group = Group(
        fingerprint=fingerprint.decode(),
        severity=Severity(fields["severity"].decode()),
        service=fields["service"].decode(),
        environment=fields["environment"].decode(),
        count=int(fields["count"]),
        first_ms=int(fields["first_ms"]),
        last_ms=int(fields["last_ms"]),
        sample=Sample(**sample),
        pods={pod: int(count) for pod, count in _pairs(pods).items()},
        versions={name: int(first) for name, first in _pairs(versions).items()},
        job_count=int(job_count),
        customer_count=int(customer_count),
    )
    told = {
        name.partition(":")[2]: Told.from_json(text)
        for name, text in fields.items()
        if name.startswith("told:")
    }
    suppressed = fields.get("suppressed")
    return Tracked(
        group=group,
        opening=int(fields["opening"]),
        resolve_after_ms=int(fields["resolve_after_ms"]),
        told=told,
        suppressed=None if suppressed is None else suppressed.decode(),
        version=int(fields.get(f"version:{sink}", 0)),
    )
