"""Waiting for jobs to end: all waiting requests of a process share one Redis subscription."""

from __future__ import annotations

import logging
import select
import socket
import threading
import time
from collections import defaultdict
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from redis.client import PubSub
from redis.exceptions import RedisError
from redis.exceptions import TimeoutError as RedisTimeoutError

from jobresults.errors import RedisUnavailable
from jobresults.jobs.reading import JobRecord
from jobresults.redis_store import BELL_CHANNEL, Client, ring_bell

logger = logging.getLogger(__name__)

_LOOK_SECONDS = 1.0
# The bell may be lost with Redis. So each waiting request reads the ledger now and then.
_SAFETY_NET_SECONDS = 5.0
_SAFETY_NET_WITHOUT_BELL_SECONDS = 1.0
_RECONNECT_SECONDS = 1.0
# Half of it after the last word the server is asked for one: a connection may be dead and not tell.
_SILENCE_SECONDS = 10.0


class DoneBell:
    """Wakes waiting requests when their job has ended."""

    def __init__(self, redis: Client, max_waiters: int) -> None:
        self._redis = redis
        self._max_waiters = max_waiters
        self._waiters: dict[str, set[threading.Event]] = defaultdict(set)
        self._count = 0
        self._connected = False
        self.draining = False

    def start(self) -> None:
        """Listen in the background from now on."""
        threading.Thread(target=self._listen, name="done-bell", daemon=True).start()

    def drain(self) -> None:
        """The process is shutting down: let every waiting request answer now."""
        self.draining = True
        self._wake_all()

    def ring(self, job_id: str) -> None:
        """A job has ended in this process: tell everyone. Without Redis, other processes find out
        by themselves.
        """
        try:
            ring_bell(self._redis, job_id)
        except RedisUnavailable:
            self._wake(job_id)

    def wait(
        self, job_id: str, seconds: float, read: Callable[[], JobRecord], client: Any = None
    ) -> JobRecord:
        """Read the job once it has ended, or as it is when the time is over.

        Returns early when the process drains, when `client` (the request's socket) has hung up, or
        when more than `max_waiters` requests wait already.

        Raises:
            NotFound, LedgerUnavailable: what `read` raises.
        """
        record = read()
        if record.done or seconds <= 0 or self._count >= self._max_waiters:
            return record
        deadline = time.monotonic() + seconds
        with self._registered(job_id) as rung:
            record = read()  # it may have ended before we were registered
            read_at = time.monotonic()
            while not record.done and not self.draining and not _has_hung_up(client):
                left = deadline - time.monotonic()
                if left <= 0:
                    break
                woken = rung.wait(min(left, _LOOK_SECONDS))
                if woken or time.monotonic() - read_at >= self._safety_net_seconds:
                    rung.clear()
                    record, read_at = read(), time.monotonic()
        return record

    @property
    def _safety_net_seconds(self) -> float:
        return _SAFETY_NET_SECONDS if self._connected else _SAFETY_NET_WITHOUT_BELL_SECONDS

    @contextmanager
    def _registered(self, job_id: str) -> Iterator[threading.Event]:
        event = threading.Event()
        self._waiters[job_id].add(event)
        self._count += 1
        try:
            yield event
        finally:
            self._count -= 1
            self._waiters[job_id].discard(event)
            if not self._waiters[job_id]:
                del self._waiters[job_id]

    def _listen(self) -> None:
        while not self.draining:
            try:
                with self._redis.pubsub() as pubsub:  # type: ignore[no-untyped-call]
                    self._listen_to(pubsub)
            except RedisError as error:
                if self._connected:
                    logger.warning(
                        "done-bell lost (%s); waiting requests read the ledger instead", error
                    )
                self._connected = False
                time.sleep(_RECONNECT_SECONDS)

    def _listen_to(self, pubsub: PubSub) -> None:
        """Until the process drains. Raises RedisError, also if the other end falls silent."""
        pubsub.subscribe(BELL_CHANNEL)
        heard_at = asked_at = time.monotonic()
        while not self.draining:
            message = pubsub.get_message(timeout=_LOOK_SECONDS)
            now = time.monotonic()
            if message is not None:
                heard_at = now
                self._hear(message)
            elif now - heard_at > _SILENCE_SECONDS:
                raise RedisTimeoutError("no answer to a ping")
            elif now - max(heard_at, asked_at) > _SILENCE_SECONDS / 2:
                asked_at = now
                pubsub.ping()

    def _hear(self, message: dict[str, Any]) -> None:
        if message["type"] == "subscribe":
            self._connected = True
            self._wake_all()  # what rang before was not heard
        elif message["type"] == "message":
            for job_id in bytes(message["data"]).decode("ascii", "replace").split():
                self._wake(job_id)

    def _wake_all(self) -> None:
        for job_id in list(self._waiters):
            self._wake(job_id)

    def _wake(self, job_id: str) -> None:
        for event in list(self._waiters.get(job_id, ())):
            event.set()


def _has_hung_up(client: Any) -> bool:
    """Whether the other end of the socket is closed. Data waiting there is the next request, not a
    farewell.
    """
    if client is None:
        return False
    try:
        readable, _, _ = select.select([client], [], [], 0)
        return bool(readable) and client.recv(1, socket.MSG_PEEK) == b""
    except (OSError, ValueError):
        return True
