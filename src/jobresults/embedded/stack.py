"""The service on one machine: Redis, then web, workers and maintenance, watched until a signal."""

from __future__ import annotations

import http.client
import os
import socket
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from itertools import zip_longest
from pathlib import Path

from jobresults import redis_store
from jobresults.accounts import api_keys
from jobresults.accounts.key_ring import KeyRing
from jobresults.configuration import load_settings
from jobresults.database import open_database
from jobresults.embedded.child import Program
from jobresults.embedded.data_directory import DataDirectory, exclusive_data_directory
from jobresults.embedded.redis import PrivateRedis, private_redis, running_url
from jobresults.embedded.supervisor import StartFailed, Supervisor
from jobresults.errors import ConfigurationError, RedisUnavailable, Unauthenticated
from jobresults.schema import migrate
from jobresults.settings import MetricsSettings, Settings
from jobresults.telemetry.metrics_server import PATH as METRICS_PATH
from jobresults.telemetry.metrics_server import listen

START_SECONDS = 60.0
# Less than the supervisor gives them, so that web and workers end by themselves.
GRACE_SECONDS = 6
LAST_PORT = 65_535
# Where to reach a server that listens on every address.
_ANY = "0.0.0.0"  # nosec B104  # noqa: S104 - nothing is bound here
_REACHED_AT = {_ANY: "127.0.0.1", "::": "::1"}


@dataclass(frozen=True)
class Options:
    """What a person chooses for one machine. Port 0: any free one."""

    host: str
    port: int
    workers: int
    data_directory: Path


@dataclass(frozen=True)
class Ready:
    """What a person needs to know of a stack that serves requests."""

    url: str
    api_key: Path
    api_key_is_accepted: bool
    metrics_urls: tuple[str, ...] = ()


def run_stack(settings: Settings, options: Options, announce: Callable[[Ready], None]) -> None:
    """Start everything, `announce` once requests are served, keep it running until a signal.

    The Redis and the database that `settings` name are used; others are made in the data directory.
    No process is left, however this returns.

    Raises:
        ConfigurationError: the port or the directory is in use, no Redis is installed, …
        StartFailed: a process ended while starting, or was not ready within 60 s.
        LedgerUnavailable, RedisUnavailable: the named one does not answer; none takes its place.
    """
    with ExitStack() as held:
        data = held.enter_context(exclusive_data_directory(options.data_directory))
        port = usable_port(options.host, options.port)
        metrics_ports = _metrics_ports(settings.metrics, port, options.workers)
        private = None
        if settings.redis.url is None:
            private = held.enter_context(private_redis(settings, data.redis))
        environ = dict(os.environ) | _environment(settings, options.host, port, data, private)
        settings = load_settings(environ=environ)
        supervisor = held.enter_context(Supervisor())
        if not _redis_answers(supervisor, settings, private):
            return
        migrate(settings.database)
        accepted = _operator_key_is_accepted(settings, data)
        for program in _programs(environ, options.workers, metrics_ports):
            supervisor.start(program)
        if supervisor.wait_until(lambda: _is_ready(options.host, port), START_SECONDS):
            url = _url(options.host, port)
            with data.announced(url):
                metrics = [_url(settings.metrics.host, number) for number in metrics_ports]
                urls = tuple(f"{each}{METRICS_PATH}" for each in metrics)
                announce(Ready(url, data.api_key, accepted, urls))
                supervisor.keep_running()


def local_environment(settings: Settings, path: Path) -> dict[str, str]:
    """What the processes of a stack that has its data at `path` read, where `settings` name no
    Redis and no database of their own. Nothing if there is no such stack.
    """
    data = DataDirectory(path.resolve())
    redis_url = running_url(data.redis)
    environ = {}
    if settings.redis.url is None and redis_url is not None:
        environ["JOBRESULTS_REDIS__URL"] = redis_url
    if settings.database.url is None and data.has_ledger:
        environ["JOBRESULTS_DATABASE__URL"] = data.database_url
        if not settings.accounts.token_keys and data.has_token_keys:
            environ["JOBRESULTS_ACCOUNTS__TOKEN_KEYS_FILE"] = str(data.token_keys())
    return environ


def usable_port(host: str, port: int) -> int:
    """The port, if it can be listened on; for 0 a free one.

    Raises:
        ConfigurationError: it is in use, not allowed, or the host is not of this machine.
    """
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
        family, kind, protocol, _, address = found[0]
        with socket.socket(family, kind, protocol) as listener:
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            listener.bind(address)
            return int(listener.getsockname()[1])
    except OSError as error:
        raise ConfigurationError(
            f"cannot listen on {host}, port {port}: {error.strerror}; choose with --host and --port"
        ) from error


def _environment(
    settings: Settings, host: str, port: int, data: DataDirectory, private: PrivateRedis | None
) -> dict[str, str]:
    """What the children read their settings from, over our own environment."""
    web_grace = min(GRACE_SECONDS, settings.web.graceful_timeout_seconds)
    worker_grace = min(GRACE_SECONDS, settings.worker.shutdown_grace_seconds)
    environ = {
        "JOBRESULTS_DATA_DIR": str(data.path),
        "JOBRESULTS_WEB__HOST": host,
        "JOBRESULTS_WEB__PORT": str(port),
        "JOBRESULTS_WEB__GRACEFUL_TIMEOUT_SECONDS": str(web_grace),
        "JOBRESULTS_WORKER__SHUTDOWN_GRACE_SECONDS": str(worker_grace),
    }
    if private is not None:
        environ["JOBRESULTS_REDIS__URL"] = private.url
    if settings.database.url is None:
        environ["JOBRESULTS_DATABASE__URL"] = data.database_url
    if not settings.accounts.token_keys:
        environ["JOBRESULTS_ACCOUNTS__TOKEN_KEYS_FILE"] = str(data.token_keys())
    return environ


def _redis_answers(
    supervisor: Supervisor, settings: Settings, private: PrivateRedis | None
) -> bool:
    """Whether Redis is there; False if a signal came first. Our own is started, and waited for."""
    with redis_store.connect(settings.redis) as client:
        if private is None:
            redis_store.ping(client)
            return True
        supervisor.start(Program("redis", private.command, stops_last=True))
        try:
            return supervisor.wait_until(lambda: _answers(client), START_SECONDS)
        except StartFailed as failure:
            raise StartFailed(f"{failure.detail}; see {private.log}") from None


def _answers(client: redis_store.Client) -> bool:
    try:
        redis_store.ping(client)
    except RedisUnavailable:
        return False
    return True


def _operator_key_is_accepted(settings: Settings, data: DataDirectory) -> bool:
    """Issue the operator's key on the first start; later, tell whether this ledger knows it."""
    database = open_database(settings.database)
    try:
        key = data.operator_key(issue=lambda: api_keys.issue(database, client="operator"))
        KeyRing(database).authenticate(key)
    except Unauthenticated:
        return False
    finally:
        database.close()
    return True


def _metrics_ports(settings: MetricsSettings, web_port: int, workers: int) -> Sequence[int]:
    """One for each program, counted up from `metrics.port`: web, maintenance, the workers. None if
    that is null.

    Raises:
        ConfigurationError: one of them cannot be listened on.
    """
    first = settings.port
    if first is None:
        return ()
    ports = range(first, first + 2 + workers)
    if web_port in ports or ports[-1] > LAST_PORT:
        raise ConfigurationError(
            f"metrics.port: the processes take ports {first} to {ports[-1]}; choose it so that"
            f" they end at {LAST_PORT} and leave out {web_port}, the port of web"
        )
    for port in ports:
        listen(settings.host, port).close()
    return ports


def _programs(
    environ: dict[str, str], workers: int, metrics_ports: Sequence[int]
) -> Iterator[Program]:
    names = ["web", "maintenance", *(f"worker {number}" for number in range(1, workers + 1))]
    for name, port in zip_longest(names, metrics_ports):
        own = {} if port is None else {"JOBRESULTS_METRICS__PORT": str(port)}
        command = (sys.executable, "-m", "jobresults.cli.main", name.split()[0])
        yield Program(name, command, environ | own)


def _is_ready(host: str, port: int) -> bool:
    connection = http.client.HTTPConnection(_REACHED_AT.get(host, host), port, timeout=2.0)
    try:
        connection.request("GET", "/status/ready")
        return connection.getresponse().status == http.client.OK
    except (OSError, http.client.HTTPException):
        return False
    finally:
        connection.close()


def _url(host: str, port: int) -> str:
    name = _REACHED_AT.get(host, host)
    return f"http://[{name}]:{port}" if ":" in name else f"http://{name}:{port}"
