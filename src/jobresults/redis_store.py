"""Connections to Redis, and the done-bell that wakes those who wait for a job."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, cast

from jobresults.errors import ConfigurationError, RedisUnavailable
from jobresults.settings import RedisSettings


@contextmanager
def _absent(package: str) -> Iterator[None]:
    """Within it the package cannot be imported, unless it has been before."""
    if package in sys.modules:
        yield
        return
    sys.modules[package] = None  # type: ignore[assignment]  # the import system's word for it
    try:
        yield
    finally:
        del sys.modules[package]


# redis-py offers to count for OpenTelemetry. Where that is installed it loads the SDK for it, and
# psutil: 3 MiB a process for what nobody here asks for. Whatever else imports redis comes later.
with _absent("opentelemetry"):
    import redis
    from redis.backoff import NoBackoff
    from redis.exceptions import RedisError as RedisError
    from redis.retry import Retry
    from redis.sentinel import Sentinel

BELL_CHANNEL = "jr:done"

# After a timeout, everyone in this process is told "unavailable" at once for so long.
_REST_SECONDS = 2.0
_URL_HELP = "redis.url must look like redis://host:6379/0, rediss://… or unix:///path/redis.sock"


class Client(redis.Redis):
    """A connection pool of this process, and when it may be tried again after a timeout."""

    resting_until = 0.0


def connect(settings: RedisSettings, *, socket_timeout_seconds: float | None = None) -> Client:
    """A client for this process, connected on first use. Replies are bytes.

    Timeouts are short, and only a lost connection is tried once more: the ledger is the truth, so
    nothing here is worth a long wait. redis-py's default would try ten times. Who blocks on purpose
    names a longer `socket_timeout_seconds`.

    Raises:
        ConfigurationError: `redis.url` or `redis.sentinels` is missing or malformed.
    """
    if settings.url is None:
        raise ConfigurationError(
            "redis.url is not set; set JOBRESULTS_REDIS__URL (redis://host:6379/0), "
            "or use `jobresults up`"
        )
    url = settings.url.get_secret_value()
    options: dict[str, Any] = {
        "socket_timeout": socket_timeout_seconds or settings.socket_timeout_seconds,
        "socket_connect_timeout": settings.connect_timeout_seconds,
        "retry": Retry(NoBackoff(), 1, supported_errors=(redis.ConnectionError,)),
        "max_connections": 1_000,
    }
    if not url.startswith("unix:"):  # which cannot be half-open, and where redis-py refuses it
        options["socket_keepalive"] = True
    try:
        if settings.sentinels:
            return _master(url, settings.sentinels, options)
        return cast(Client, Client.from_url(url, **options))
    except ValueError as error:
        raise ConfigurationError(_URL_HELP) from error


def _master(url: str, sentinels: tuple[str, ...], options: dict[str, Any]) -> Client:
    """Whoever the sentinels call master now, asked anew for each connection."""
    addresses = []
    for sentinel in sentinels:
        host, _, port = sentinel.rpartition(":")
        if not host or not port.isdecimal():
            raise ConfigurationError(f"redis.sentinels: {sentinel!r} must be host:port")
        addresses.append((host, int(port)))
    named: dict[str, Any] = redis.connection.parse_url(url)  # type: ignore[no-untyped-call]
    service = named.pop("host", None)
    if service is None:
        raise ConfigurationError(
            "redis.url must name the sentinels' service as its host: redis://mymaster/0"
        )
    named.pop("port", None)
    kind = named.pop("connection_class", None)
    asking = {name: options[name] for name in ("socket_timeout", "socket_connect_timeout")}
    found = Sentinel(addresses, sentinel_kwargs=asking)  # type: ignore[no-untyped-call]
    client: Client = found.master_for(  # type: ignore[no-untyped-call]
        service, redis_class=Client, ssl=kind is redis.SSLConnection, **named, **options
    )
    return client


@contextmanager
def guarded(client: Client) -> Iterator[None]:
    """Redis' faults as `RedisUnavailable`. After a silence no one waits for it again for 2 s; a
    refusal costs nothing, so it is worth asking each time.

    Raises:
        RedisUnavailable
    """
    if time.monotonic() < client.resting_until:
        raise RedisUnavailable("redis: it did not answer a moment ago")
    try:
        yield
    except redis.TimeoutError as error:
        client.resting_until = time.monotonic() + _REST_SECONDS
        raise RedisUnavailable(f"redis: {type(error).__name__}: {error}") from error
    except redis.RedisError as error:
        raise RedisUnavailable(f"redis: {type(error).__name__}: {error}") from error


def ping(client: Client) -> None:
    """Make sure Redis answers.

    Raises:
        RedisUnavailable
    """
    with guarded(client):
        client.ping()


def note_alive(client: Client, kind: str, seconds: int) -> None:
    """Let it be seen for so long that a process of this kind is at work.

    Raises:
        RedisUnavailable
    """
    with guarded(client):
        client.set(f"jr:alive:{kind}", "1", ex=seconds)


def is_alive(client: Client, kind: str) -> bool:
    """Whether a process of this kind has let itself be seen.

    Raises:
        RedisUnavailable
    """
    with guarded(client):
        return bool(client.exists(f"jr:alive:{kind}"))


def ring_bell(client: Client, job_id: str) -> None:
    """Tell every web process that this job has ended. Nobody listening is fine.

    Raises:
        RedisUnavailable: waiting callers will find out by their safety net instead.
    """
    with guarded(client):
        client.publish(BELL_CHANNEL, job_id)


def info(client: Client, section: str) -> dict[str, Any]:
    """What Redis tells of itself in a section of INFO; nothing if we may not know.

    Raises:
        RedisUnavailable
    """
    try:
        with guarded(client):
            return dict(client.info(section))
    except RedisUnavailable as error:
        if isinstance(error.__cause__, redis.exceptions.NoPermissionError):
            return {}
        raise


def memory_share(client: Client) -> float | None:
    """How much of `maxmemory` is in use; None if there is no limit, or we may not know.

    Raises:
        RedisUnavailable
    """
    memory = info(client, "memory")
    limit_bytes = memory.get("maxmemory", 0)
    return float(memory["used_memory"]) / limit_bytes if limit_bytes else None
