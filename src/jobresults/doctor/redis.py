"""Redis: there, fast, new enough, keeping what it is given, and letting us do what we do."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import redis
from redis.exceptions import NoPermissionError

from jobresults.doctor.findings import Finding, Subject, error, ok, warning
from jobresults.doctor.places import shown
from jobresults.errors import ConfigurationError, RedisUnavailable
from jobresults.redis_store import BELL_CHANNEL, Client, connect, guarded, ping
from jobresults.settings import Settings

_LEAST_VERSION = (6, 2)
_SLOW_SECONDS = 0.02
_PINGS = 5
# Keys that the shipped users of Redis may use and the service does not.
_KEY, _LIST = "jr:doctor", "rq:queue:jobresults.doctor"
_MAY_NOT_ASK = "run this as the user of maintenance, or let this one ask: docs/redis-users.acl"


def check(subject: Subject) -> Iterator[Finding]:
    """All of it; if it cannot be reached, that alone."""
    settings = subject.settings
    if settings.redis.url is None:
        yield unset("redis", settings)
        return
    where = shown(settings.redis.url)
    try:
        with connect(settings.redis) as client:
            seconds = min(_ping_seconds(client) for _ in range(_PINGS))  # of this busy process
            text = f"{where} answers in {seconds * 1000:.1f} ms"
            if seconds > _SLOW_SECONDS:
                remedy = "every dispatch waits for it: put it nearer, or look what slows it down"
                yield warning("redis.reachable", text, remedy)
            else:
                yield ok("redis.reachable", text)
            for part in (_server, _memory, _persistence, _commands):
                yield from _guarded(part, client, settings)
    except ConfigurationError as problem:
        yield error("redis.reachable", problem.detail, "mend redis.url")
    except RedisUnavailable as problem:
        yield error("redis.reachable", f"{where}: {problem.detail}", _remedy(problem))


def unset(what: str, settings: Settings) -> Finding:
    """There is no URL, which is right for `jobresults up` alone."""
    key, variable = f"{what}.url", f"JOBRESULTS_{what.upper()}__URL"
    text = f"{key} is not set: only `jobresults up` works, and it does not run here"
    make = error if settings.environment == "production" else warning
    return make(f"{what}.reachable", text, f"set {variable}, or start `jobresults up`")


Part = Callable[[Client, Settings], Iterator[Finding]]


def _guarded(part: Part, client: Client, settings: Settings) -> Iterator[Finding]:
    """What a part has found, or that we may not ask."""
    try:
        with guarded(client):
            yield from part(client, settings)
    except RedisUnavailable as problem:
        if not isinstance(problem.__cause__, NoPermissionError):
            raise
        name = f"redis.{part.__name__.removeprefix('_')}"
        yield warning(name, f"unknown: this user may not ask ({problem.__cause__})", _MAY_NOT_ASK)


def _ping_seconds(client: Client) -> float:
    began = time.perf_counter()
    ping(client)
    return time.perf_counter() - began


def _remedy(problem: RedisUnavailable) -> str:
    if isinstance(problem.__cause__, redis.AuthenticationError):
        return "mend user and password in redis.url; the other checks of Redis are left out"
    return "start it, or mend redis.url; the other checks of Redis are left out"


def _server(client: Client, _settings: Settings) -> Iterator[Finding]:
    hello: Any = client.execute_command("HELLO")  # type: ignore[no-untyped-call]  # who may not ask INFO may ask this
    if isinstance(hello, list):
        hello = dict(zip(hello[::2], hello[1::2], strict=True))
    said = {_text(name): _text(value) for name, value in hello.items()}
    version = said.get("version", "0")
    parts = tuple(int(part) for part in version.split(".")[:2] if part.isdecimal())
    text = f"{said.get('server', 'redis')} {version}"
    if parts < _LEAST_VERSION:
        yield error("redis.version", text, "6.2 or newer is needed")
    else:
        yield ok("redis.version", text)
    if said.get("role", "master") not in ("master", "primary"):
        text = "it is a replica, which takes no writes"
        yield error("redis.role", text, "name the primary in redis.url, or redis.sentinels")


def _memory(client: Client, settings: Settings) -> Iterator[Finding]:
    info: Mapping[str, Any] = client.info("memory")
    used_mib, limit_bytes = info["used_memory"] / 2**20, info.get("maxmemory", 0)
    policy = str(info.get("maxmemory_policy", "unknown"))
    remedy = "set maxmemory-policy noeviction: what it evicts are waiting jobs and alerts"
    if policy != "noeviction":
        make = error if limit_bytes else warning
        yield make("redis.maxmemory_policy", f"maxmemory-policy is {policy}", remedy)
    else:
        yield ok("redis.maxmemory_policy", "noeviction")
    if not limit_bytes:
        yield ok("redis.memory", f"{used_mib:.0f} MiB in use, and no limit")
        return
    share = info["used_memory"] / limit_bytes
    text = f"{used_mib:.0f} MiB in use, {share:.0%} of the limit"
    if share > settings.alerts.watch.redis_memory_share:
        yield warning("redis.memory", text, "raise maxmemory, or look what fills it")
    else:
        yield ok("redis.memory", text)


def _persistence(client: Client, _settings: Settings) -> Iterator[Finding]:
    info: Mapping[str, Any] = client.info("persistence")
    for field, what in (
        ("aof_last_write_status", "its last write to the append-only file failed"),
        ("rdb_last_bgsave_status", "its last snapshot failed"),
    ):
        if info.get(field, "ok") != "ok":
            yield error("redis.persistence", what, "look into its log; its disk may be full")
            return
    if info.get("aof_enabled"):
        yield ok("redis.persistence", "append-only file")
    elif _saves(client):
        text = "snapshots alone: a crash loses what came since the last one"
        yield warning("redis.persistence", text, "set appendonly yes")
    else:
        text = "nothing is kept: after a restart jobs are dispatched anew, and open alerts are lost"
        yield warning("redis.persistence", text, "set appendonly yes")


def _saves(client: Client) -> bool:
    """Whether it makes snapshots; as good as not if we may not know."""
    try:
        told: Any = client.config_get("save")
    except NoPermissionError:
        return False
    return any(map(_text, told.values()))


def _commands(client: Client, _settings: Settings) -> Iterator[Finding]:
    """Each kind of command that the service uses, on keys of its kinds that hold nothing."""
    trials: tuple[tuple[str, Callable[[], object]], ...] = (
        ("SET", lambda: client.set(_KEY, "1", px=1_000)),
        ("EXPIRE", lambda: client.pexpire(_KEY, 1_000)),
        ("RPUSH", lambda: client.rpushx(_LIST, "1")),
        ("BLPOP", lambda: client.blpop([_LIST], timeout=0.01)),
        ("HSET", lambda: client.hdel("jr:doctor:none", "1")),
        ("SADD", lambda: client.scard("rq:workers:jobresults.doctor")),
        ("EVAL", lambda: client.eval("return 1", 0)),
        ("PUBLISH", lambda: client.publish("jr:doctor", "")),
        ("SUBSCRIBE", lambda: _subscribe(client)),
        ("TIME", client.time),
    )
    refused = []
    for name, trial in trials:
        try:
            trial()
        except NoPermissionError:
            refused.append(name)
        except redis.ResponseError as problem:  # out of memory, read-only, cannot persist
            remedy = "look into its log, its memory and its role"
            yield error("redis.commands", f"it refuses {name}: {problem}", remedy)
            return
    if refused:
        text = f"this user may not use {', '.join(refused)} on jr:* and rq:*"
        yield error("redis.commands", text, "give it what docs/redis-users.acl gives")
    else:
        yield ok("redis.commands", "this user may do what the service does")


def _subscribe(client: Client) -> None:
    with client.pubsub() as listening:  # type: ignore[no-untyped-call]
        listening.subscribe(BELL_CHANNEL)
        listening.get_message(timeout=1.0)


def _text(value: object) -> str:
    return value.decode("utf-8", "replace") if isinstance(value, bytes) else str(value)
