"""Connections to Redis, and the done-bell that wakes those who wait for a job."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import redis
from redis.backoff import NoBackoff
from redis.retry import Retry

from jobresults.errors import ConfigurationError, RedisUnavailable
from jobresults.settings import RedisSettings

BELL_CHANNEL = "jr:done"

Client = redis.Redis


def connect(settings: RedisSettings, *, socket_timeout_seconds: float | None = None) -> Client:
    """A client for this process, connected on first use. Replies are bytes.

    Timeouts are short and there is one retry, on a fresh connection: the ledger is the truth, so
    nothing here is worth a long wait. redis-py's default would try ten times. Who blocks on purpose
    names a longer `socket_timeout_seconds`.

    Raises:
        ConfigurationError: `redis.url` is missing or malformed.
    """
    if settings.url is None:
        raise ConfigurationError(
            "redis.url is not set; set JOBRESULTS_REDIS__URL (redis://host:6379/0), "
            "or use `jobresults up`"
        )
    url = settings.url.get_secret_value()
    # A Unix socket cannot be half-open, and redis-py refuses the option there.
    keepalive = {} if url.startswith("unix:") else {"socket_keepalive": True}
    try:
        return redis.Redis.from_url(
            url,
            socket_timeout=socket_timeout_seconds or settings.socket_timeout_seconds,
            socket_connect_timeout=settings.connect_timeout_seconds,
            **keepalive,
            retry=Retry(NoBackoff(), 1),
            max_connections=1_000,
        )
    except ValueError as error:
        raise ConfigurationError(
            "redis.url must look like redis://host:6379/0, rediss://… or unix:///path/redis.sock"
        ) from error


@contextmanager
def translated() -> Iterator[None]:
    """Redis' faults as `RedisUnavailable`."""
    try:
        yield
    except redis.RedisError as error:
        raise RedisUnavailable(f"redis: {type(error).__name__}: {error}") from error


def ping(client: Client) -> None:
    """Make sure Redis answers.

    Raises:
        RedisUnavailable
    """
    with translated():
        client.ping()


def ring_bell(client: Client, job_id: str) -> None:
    """Tell every web process that this job has ended. Nobody listening is fine.

    Raises:
        RedisUnavailable: waiting callers will find out by their safety net instead.
    """
    with translated():
        client.publish(BELL_CHANNEL, job_id)
