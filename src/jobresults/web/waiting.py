"""Waiting for jobs to end: all waiting requests of a process share one Redis subscription."""

from __future__ import annotations

import logging
import socket
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from redis.client import PubSub
from redis.exceptions import RedisError
from redis.exceptions import TimeoutError as RedisTimeoutError

from jobresults.errors import LedgerUnavailable, RedisUnavailable
from jobresults.jobs.reading import JobRecord
from jobresults.redis_store import BELL_CHANNEL, Client, ring_bell
from jobresults.telemetry.metrics import LONG_POLL_WAITERS
from jobresults.web.request_counts import HELD

logger = logging.getLogger(__name__)

_LOOK_SECONDS = 1.0
_RECONNECT_SECONDS = 1.0
# Half of it after the last word the server is asked for one: a connection may be dead and not tell.
_SILENCE_SECONDS = 10.0

_SWEEP_SECONDS = 1.0
# After so many sweeps every job was looked up, every client looked at: thousands must cost little.
_TURNS = 10
_SLICE = 250


class _Waiter:
    """One waiting request. Woken because its job has ended, or because it need not wait longer."""

    __slots__ = ("client", "has_left", "woken")

    def __init__(self, client: Any) -> None:
        self.client = client
        self.has_left = False
        self.woken = threading.Event()


class DoneBell:
    """Wakes waiting requests when their job has ended."""

    def __init__(
        self, redis: Client, max_waiters: int, ended: Callable[[Sequence[str]], Iterable[str]]
    ) -> None:
        """`ended` tells which of some jobs have ended; it may raise LedgerUnavailable."""
        self._redis = redis
        self._max_waiters = max_waiters
        self._ended = ended
        self._waiters: dict[str, set[_Waiter]] = {}
        self._count = 0
        self._connected = False
        self.draining = False

    def start(self) -> None:
        """Listen in the background from now on."""
        threading.Thread(target=self._listen, name="done-bell", daemon=True).start()
        threading.Thread(target=self._sweep_for_ever, name="bell-sweep", daemon=True).start()

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
        self, job_id: str, seconds: float, read: Callable[[], JobRecord], environ: dict[str, Any]
    ) -> JobRecord:
        """Read the job once it has ended, or as it is when the time is over. A request that had to
        wait is noted in its `environ` as held.

        Returns early when the process drains, when the request's socket has hung up, or when more
        than `max_waiters` requests wait already.

        Raises:
            NotFound, LedgerUnavailable: what `read` raises.
        """
        if seconds <= 0 or self._count >= self._max_waiters:
            return read()
        deadline = time.monotonic() + seconds
        with self._registered(job_id, environ.get("gunicorn.socket")) as waiter:
            while True:
                record = read()  # registered before: what ends from now on rings
                left_seconds = deadline - time.monotonic()
                if record.done or left_seconds <= 0 or waiter.has_left or self.draining:
                    return record
                del record  # thousands wait, each with as little as can be
                environ[HELD] = True
                waiter.woken.wait(left_seconds)
                waiter.woken.clear()

    @contextmanager
    def _registered(self, job_id: str, client: Any) -> Iterator[_Waiter]:
        waiter = _Waiter(client)
        self._waiters.setdefault(job_id, set()).add(waiter)
        self._count += 1
        LONG_POLL_WAITERS.inc()
        try:
            yield waiter
        finally:
            self._count -= 1
            LONG_POLL_WAITERS.dec()
            of_job = self._waiters[job_id]
            of_job.discard(waiter)
            if not of_job:
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
            for job_id in bytes(message["data"]).decode("ascii", "replace").split(" "):
                self._wake(job_id)

    def _wake_all(self) -> None:
        for job_id in list(self._waiters):
            self._wake(job_id)

    def _wake(self, job_id: str) -> None:
        for waiter in list(self._waiters.get(job_id, ())):
            waiter.woken.set()

    def _sweep_for_ever(self) -> None:
        """The net below the bell, which may be lost with Redis; and the end of waits for nobody."""
        turn = 0
        while not self.draining:
            time.sleep(_SWEEP_SECONDS)
            turn += 1
            try:
                self._sweep(turn)
            except LedgerUnavailable:
                continue  # at the end of its wait each request is told so, if it still is
            except Exception:
                logger.exception("waiting requests were not looked at")

    def _sweep(self, turn: int) -> None:
        waiting = list(self._waiters)
        for part in _in_slices(_in_turn(waiting, turn, _TURNS)):
            for waiter in [waiter for job_id in part for waiter in self._waiters.get(job_id, ())]:
                if _has_hung_up(waiter.client):
                    waiter.has_left = True
                    waiter.woken.set()
        turns = _TURNS if self._connected else 1
        for part in _in_slices(_in_turn(waiting, turn, turns)):
            for job_id in self._ended(part):
                self._wake(job_id)


def _in_turn(ids: Sequence[str], turn: int, turns: int) -> Sequence[str]:
    """Those whose turn it is: each id once in so many turns, whoever comes and goes."""
    return [job_id for job_id in ids if hash(job_id) % turns == turn % turns]


def _in_slices(ids: Sequence[str]) -> Iterator[Sequence[str]]:
    """Few at a time: in between others run, those whose job has just ended above all."""
    for start in range(0, len(ids), _SLICE):
        yield ids[start : start + _SLICE]
        time.sleep(0)


def _has_hung_up(client: Any) -> bool:
    """Whether the other end of the socket is closed. Data waiting there is the next request, not a
    farewell. Nobody else uses the socket meanwhile: its request waits.
    """
    if client is None:
        return False
    timeout_seconds = client.gettimeout()
    try:
        client.settimeout(0)
        return bool(client.recv(1, socket.MSG_PEEK) == b"")
    except BlockingIOError:
        return False
    except OSError:
        return True
    finally:
        client.settimeout(timeout_seconds)
