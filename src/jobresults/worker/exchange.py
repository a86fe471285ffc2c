"""A worker's talk with Redis: what has ended goes out, new dispatches come in, in one round trip.

Nothing of it is needed to be right; the ledger is. So Redis' failure is logged and nothing more.
"""

from __future__ import annotations

import logging
import math
import time
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any

from redis.client import Pipeline

from jobresults.errors import RedisUnavailable
from jobresults.jobs import hot
from jobresults.jobs.dispatch import (
    Dispatch,
    Foreign,
    dispatch,
    forget_strangers,
    parse_entry,
    queue_key,
    wait_for_one,
)
from jobresults.jobs.reading import JobRecord
from jobresults.jobs.running import Claimed
from jobresults.jobs.states import State
from jobresults.redis_store import BELL_CHANNEL, Client, connect, guarded
from jobresults.settings import Settings
from jobresults.worker.presence import Presence

logger = logging.getLogger(__name__)

_POLL_SECONDS = 1
_PAUSED_SECONDS = 0.25
_MAX_PAUSE_SECONDS = 2.0


@dataclass
class News:
    """What Redis has to learn of this worker's jobs. `left` are those it runs no more, `failures`
    counts the attempts among them that failed, `ended` are records of jobs that are done.
    `returned` were taken from their queues, `released` come to them anew.
    """

    started: list[Claimed] = field(default_factory=list)
    left: list[Claimed] = field(default_factory=list)
    failures: int = 0
    ended: list[JobRecord] = field(default_factory=list)
    returned: list[Dispatch] = field(default_factory=list)
    released: list[Dispatch] = field(default_factory=list)
    superseded: list[Dispatch] = field(default_factory=list)
    refused: list[Foreign] = field(default_factory=list)

    def __bool__(self) -> bool:
        return any(vars(self).values())


class Exchange:
    """One worker's connections to Redis."""

    def __init__(self, redis: Client, settings: Settings, tasks: Iterable[str] = ()) -> None:
        self._redis = redis
        self._queues = settings.worker.queues
        self.paused: frozenset[str] = frozenset()
        self.unmet = 0
        """How many more dispatches were wanted the last time than all queues had."""
        # The pop alone may take longer: a Redis that hangs must not hold up leases.
        self._popping = connect(settings.redis, socket_timeout_seconds=_POLL_SECONDS + 4)
        self.presence = Presence(redis, settings.worker, tasks)
        self._copies = _CopyTimes()
        self._pause_seconds = 0.1
        self._resting_until = 0.0

    @property
    def queues(self) -> list[str]:
        """Those that are not paused, in their order."""
        return [name for name in self._queues if name not in self.paused]

    @property
    def is_resting(self) -> bool:
        """Redis did not answer a moment ago."""
        return time.monotonic() < self._resting_until

    def wait(self) -> list[Dispatch | Foreign]:
        """The next dispatch, waited for up to a second by an idle worker."""
        if self.is_resting:
            time.sleep(0.1)
            return []
        try:
            self.presence.beat([])
            if self.presence.is_suspended():
                time.sleep(_POLL_SECONDS)
                return []
            if not self.queues:
                time.sleep(_PAUSED_SECONDS)
                return []
            found = wait_for_one(self._popping, self.queues, _POLL_SECONDS)
        except RedisUnavailable as error:
            self._rest(error)
            return []
        self._pause_seconds = 0.1
        return [] if found is None else [found]

    def beat(self, running: Sequence[Claimed]) -> None:
        """Stay in RQ's register."""
        try:
            self.presence.beat(running)
        except RedisUnavailable as error:
            self._rest(error)

    def trade(
        self, news: News, *, want: int, busy: bool, backlog: Collection[str] = ()
    ) -> list[Dispatch | Foreign]:
        """Tell the news, and take up to `want` dispatches; none of a queue that comes after one
        with a backlog, whose held jobs go first.
        """
        self.unmet = 0
        if self.is_resting:
            return []
        try:
            self.presence.beat([])  # short jobs without a pause leave no other moment for it
            if want and (not self.queues or self.presence.is_suspended()):
                want = 0
            taken = self._round_trip(news, want, busy=busy)
            self._take_more(taken, want, backlog)
            dispatch(self._redis, news.returned, at_front=True)
            dispatch(self._redis, news.released)
        except RedisUnavailable as error:
            self._rest(error)
            return []
        self._pause_seconds = 0.1
        self.unmet = want - len(taken)
        return taken

    def leave(self) -> None:
        """Leave RQ's register."""
        try:
            self.presence.leave()
        except RedisUnavailable as error:
            self._rest(error)

    def _take_more(
        self, taken: list[Dispatch | Foreign], want: int, backlog: Collection[str]
    ) -> None:
        """From the queues after the first one."""
        for before, name in pairwise(self.queues):
            if len(taken) >= want or before in backlog:
                return
            with guarded(self._redis):
                more: Any = self._redis.lpop(queue_key(name), want - len(taken))
            taken += [parse_entry(raw, name) for raw in more or ()]

    def _round_trip(self, news: News, want: int, *, busy: bool) -> list[Dispatch | Foreign]:
        first = self.queues[0] if want else ""
        with guarded(self._redis), self._redis.pipeline(transaction=False) as pipeline:
            if news.ended:  # first: someone is waiting for it
                pipeline.publish(BELL_CHANNEL, " ".join(record.id for record in news.ended))
            if want:
                pipeline.lpop(queue_key(first), want)
            self._note(pipeline, news, busy=busy)
            answers = pipeline.execute()
        popped: Any = answers[1 if news.ended else 0] if want else None
        return [parse_entry(raw, first) for raw in popped or ()]

    def _note(self, pipeline: Pipeline, news: News, *, busy: bool) -> None:
        keep_seconds = self._copies.keep_seconds(len(news.ended))
        hot.store(pipeline, news.ended, keep_seconds)
        succeeded = sum(record.state == State.SUCCEEDED for record in news.ended)
        self.presence.note_started(pipeline, news.started)
        self.presence.note_left(pipeline, news.left)
        self.presence.note_counts(pipeline, succeeded=succeeded, failed=news.failures)
        self.presence.note_state(pipeline, busy=busy)
        strangers = [entry.rq_id.encode() for entry in news.superseded]
        forget_strangers(pipeline, strangers + [entry.raw for entry in news.refused])

    def _rest(self, error: RedisUnavailable) -> None:
        logger.warning("Redis does not answer (%s); the ledger is right all the same", error)
        self._resting_until = time.monotonic() + self._pause_seconds
        self._pause_seconds = min(self._pause_seconds * 2, _MAX_PAUSE_SECONDS)


class _CopyTimes:
    """How long hot copies are kept: 10 minutes, and less where so many jobs end that their copies
    would crowd Redis out.
    """

    _KEEP_SECONDS = 600
    _COPIES = 20_000
    _WINDOW_SECONDS = 10.0

    def __init__(self) -> None:
        self._per_second = 0.0
        self._counted_at = time.monotonic()

    def keep_seconds(self, ended: int) -> int:
        """For copies of so many jobs that end now."""
        now = time.monotonic()
        self._per_second *= math.exp((self._counted_at - now) / self._WINDOW_SECONDS)
        self._per_second += ended / self._WINDOW_SECONDS
        self._counted_at = now
        return max(1, min(self._KEEP_SECONDS, int(self._COPIES / max(self._per_second, 1.0))))
