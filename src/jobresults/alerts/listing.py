"""Looking at groups: what is open, what is silenced, what is over."""

from __future__ import annotations

import itertools
import re
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from jobresults.alerts import scripts
from jobresults.alerts.groups import GroupStore, Tracked
from jobresults.alerts.silences import Silence, Silences
from jobresults.errors import NotFound
from jobresults.redis_store import Client, guarded

_FINGERPRINT = re.compile(r"[0-9a-f]{16}")
_CURSOR = re.compile(r"([0-9]{1,16})_([0-9a-f]{16})")
_CHUNK = 100
_INDEX = scripts.PREFIX + "index"
_FOR_EVER_MS = 10**16


class State(StrEnum):
    """Whether on-call hears of a group. `inhibited`: it follows from an outage that is told."""

    OPEN = "open"
    SILENCED = "silenced"
    INHIBITED = "inhibited"
    RESOLVED = "resolved"


@dataclass(frozen=True)
class Listed:
    """A group as it is now, and the silence that hides it."""

    tracked: Tracked
    state: State
    silence: Silence | None

    @property
    def cursor(self) -> str:
        """Names its place in the list."""
        group = self.tracked.group
        return f"{group.last_ms}_{group.fingerprint}"


class Listing:
    """The groups of one Redis, with the silences of the ledger. Each call raises
    RedisUnavailable.
    """

    def __init__(self, redis: Client, silences: Silences) -> None:
        self._redis = redis
        self._silences = silences
        self._groups = GroupStore(redis)

    def get(self, fingerprint: str) -> Listed:
        """One group.

        Raises:
            NotFound: there is none, or it ended too long ago.
        """
        if _FINGERPRINT.fullmatch(fingerprint):
            for tracked in self._groups.read([fingerprint]):
                return self._listed(tracked, self._groups.clock_ms())
        raise NotFound("no such alert, or it ended too long ago; GET /v1/alerts lists them")

    def page(
        self, *, states: Collection[str] = (), before: str | None = None, limit: int = 50
    ) -> tuple[list[Listed], str | None]:
        """Groups in these states, or in any; the one with the latest event first. And where the
        next page begins; None if this is the last.
        """
        found: list[Listed] = []
        for listed in self._newest(before):
            if states and listed.state not in states:
                continue
            if len(found) == limit:
                return found, found[-1].cursor
            found.append(listed)
        return found, None

    def _newest(self, before: str | None) -> Iterator[Listed]:
        now_ms = self._groups.clock_ms()
        for fingerprints in self._chunks(before):
            for tracked in self._groups.read(fingerprints):
                yield self._listed(tracked, now_ms)

    def _chunks(self, before: str | None) -> Iterator[list[str]]:
        """Fingerprints by their last event, from the place before the cursor."""
        place = None if before is None else _CURSOR.fullmatch(before)
        end = (int(place[1]), place[2]) if place else (_FOR_EVER_MS, "")
        for start in itertools.count(step=_CHUNK):
            with guarded(self._redis):
                rows: Any = self._redis.zrevrangebyscore(
                    _INDEX, end[0], "-inf", start=start, num=_CHUNK, withscores=True
                )
            places = ((int(last_ms), name.decode()) for name, last_ms in rows)
            yield [name for last_ms, name in places if (last_ms, name) < end]
            if len(rows) < _CHUNK:
                return

    def _listed(self, tracked: Tracked, now_ms: int) -> Listed:
        silence = self._silences.find(tracked.group)
        if tracked.is_resolved(now_ms):
            state = State.RESOLVED
        elif silence is not None:
            state = State.SILENCED
        elif (tracked.suppressed or "").startswith("inhibited"):
            state = State.INHIBITED
        else:
            state = State.OPEN
        return Listed(tracked, state, silence)
