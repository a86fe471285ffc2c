"""Settings: `config.yaml`, then the environment over it; parsed once into frozen models and passed
down.

Environment: `JOBRESULTS_` + the key's path joined by `__` (`JOBRESULTS_WEB__PORT=8080`); lists as
JSON. With `_FILE` behind the name the value is read from that file, as Docker and Kubernetes mount
secrets; with a hyphen before its path the file may be missing.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Mapping
from string import Formatter
from typing import Annotated, Literal
from urllib.parse import urlsplit

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    IPvAnyNetwork,
    SecretStr,
    field_validator,
    model_validator,
)

Port = Annotated[int, Field(ge=1, le=65535)]
Count = Annotated[int, Field(ge=1)]
Seconds = Annotated[float, Field(gt=0)]
Bytes = Annotated[int, Field(ge=1)]
Network = ipaddress.IPv4Network | ipaddress.IPv6Network
_HEADER = re.compile(r"\s*[A-Za-z0-9!#$%&'*+.^_`|~-]+\s*=[\x20-\x2b\x2d-\x7e]+")
LogLevel = Literal["debug", "info", "warning", "error", "critical"]
# What the URLs of `alerts.links` may name in braces.
ALERT_LINK_FIELDS = frozenset(
    [
        "fingerprint",
        "service",
        "environment",
        "request_id",
        "trace_id",
        "job_id",
        "task",
        "queue",
        "customer",
        "client",
        "sentry_event_id",
        "runbook",
    ]
)


class _Section(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class WebSettings(_Section):
    """The HTTP server; all but the last seven are gunicorn's own settings."""

    host: str = "127.0.0.1"
    port: Port = 8000
    workers: Count = 2
    worker_connections: Count = 6000
    max_requests: Annotated[int, Field(ge=0)] = 1_000_000
    max_requests_jitter: Annotated[int, Field(ge=0)] = 100_000
    timeout_seconds: Count = 300
    graceful_timeout_seconds: Count = 25
    keepalive_seconds: Annotated[int, Field(ge=0)] = 2
    limit_request_line_bytes: Annotated[int, Field(ge=0, le=8190)] = 8190
    limit_request_fields: Annotated[int, Field(ge=1, le=32768)] = 100
    log_level: LogLevel = "info"
    forwarded_allow_ips: str = "127.0.0.1"
    trusted_proxies: Annotated[int, Field(ge=0, le=10)] = 0
    max_body_bytes: Bytes = 1_048_576
    body_timeout_seconds: Seconds = 30.0
    wait_cap_seconds: Annotated[float, Field(ge=0, le=60)] = 60.0
    max_waiters: Count = 5_000
    result_cache_bytes: Annotated[int, Field(ge=0)] = 67_108_864
    fast_lane: bool = True

    @field_validator("forwarded_allow_ips")
    @classmethod
    def _names_each_proxy(cls, text: str) -> str:
        try:
            _networks(text)
        except ValueError as error:
            raise ValueError(
                "must list the proxies' addresses or networks, like 10.0.0.5,10.1.0.0/16; "
                "'*' would let every caller choose its address"
            ) from error
        return text

    @property
    def proxy_networks(self) -> tuple[Network, ...]:
        """`forwarded_allow_ips`, parsed."""
        return _networks(self.forwarded_allow_ips)


def _networks(text: str) -> tuple[Network, ...]:
    names = [name.strip() for name in text.split(",") if name.strip()]
    return tuple(ipaddress.ip_network(name) for name in names)


class RedisSettings(_Section):
    """Where dispatch and the done-bell live; without a URL only `jobresults up` works (embedded
    Redis).
    """

    url: SecretStr | None = None
    sentinels: tuple[str, ...] = ()
    socket_timeout_seconds: Seconds = 1.0
    connect_timeout_seconds: Seconds = 1.0


class DatabaseSettings(_Section):
    """The ledger; without a URL only `jobresults up` works (SQLite in its data directory)."""

    url: SecretStr | None = None
    pool_size: Count = 20
    pool_timeout_seconds: Seconds = 2.0
    connect_timeout_seconds: Count = 2
    lock_timeout_seconds: Seconds = 2.0
    statement_timeout_seconds: Seconds = 10.0


class TasksSettings(_Section):
    """Which tasks there are, and which of them the customer routes run."""

    modules: tuple[str, ...] = ("jobresults.tasks.score",)
    ingest: str = "score"
    score: str = "score"


class JobsSettings(_Section):
    """Defaults and bounds of jobs; a task or a submission may choose within them."""

    timeout_seconds: Seconds = 300.0
    max_timeout_seconds: Seconds = 86_400.0
    max_attempts_limit: Count = 25
    result_ttl_seconds: Count = 7 * 86_400
    tombstone_seconds: Count = 30 * 86_400
    idempotency_ttl_seconds: Count = 86_400
    max_result_bytes: Bytes = 16_777_216
    max_delay_seconds: Count = 365 * 86_400
    retry_base_seconds: Seconds = 2.0
    retry_max_seconds: Seconds = 300.0
    log_level: Literal["info", "warning", "error"] = "info"
    max_log_lines: Count = 1_000
    max_log_bytes: Bytes = 262_144
    start_within_seconds: Seconds = 60.0
    queue_start_within_seconds: Mapping[str, Seconds] = Field(default_factory=dict)

    def start_within_seconds_of(self, queue: str) -> float:
        """How long after it was due a job of this queue may begin, by the objective."""
        return self.queue_start_within_seconds.get(queue, self.start_within_seconds)


class ClientLimits(_Section):
    """What one client may take; None means no limit."""

    requests_per_second: Annotated[float, Field(gt=0)] | None = None
    max_queued_jobs: Count | None = None
    max_stored_bytes: Bytes | None = None


class LimitsSettings(ClientLimits):
    """What a client may take, if `clients` says nothing else of it; what may run at once; and how
    customers take turns.
    """

    max_running_per_customer: Count | None = None
    max_running_per_task: Count | None = None
    turn_jobs: Annotated[int, Field(ge=0)] = 4
    clients: Mapping[str, ClientLimits] = Field(default_factory=dict)

    def of(self, client: str) -> ClientLimits:
        """The limits of one client: its own where they are given, `null` included."""
        own = self.clients.get(client)
        if own is None:
            return self
        given = {name: getattr(own, name) for name in own.model_fields_set}
        return self.model_copy(update=given)


class WorkerSettings(_Section):
    """A worker process: one job at a time, in an executor that is replaced now and then."""

    queues: tuple[str, ...] = ("default",)
    lease_seconds: Seconds = 15.0
    heartbeat_seconds: Seconds = 5.0
    shutdown_grace_seconds: Annotated[float, Field(ge=0)] = 25.0
    cancel_grace_seconds: Annotated[float, Field(ge=0, le=1.0)] = 0.5
    executor_max_jobs: Count = 10_000
    executor_max_rss_mib: Count = 512

    @model_validator(mode="after")
    def _lease_outlives_heartbeats(self) -> WorkerSettings:
        if self.lease_seconds < 2 * self.heartbeat_seconds:
            raise ValueError("lease_seconds must be at least twice heartbeat_seconds")
        return self


class MaintenanceSettings(_Section):
    """The reconciler's rhythm."""

    sweep_seconds: Seconds = 2.0
    dispatch_lost_after_seconds: Seconds = 5.0
    batch_size: Count = 1_000


class TokenKey(_Section):
    """A key that people's tokens are signed with."""

    id: Annotated[str, Field(pattern=r"^[A-Za-z0-9._-]{1,50}$")]
    secret: Annotated[SecretStr, Field(min_length=32)]


class AccountsSettings(_Section):
    """People who log in."""

    registration: Literal["closed", "open"] = "closed"
    token_keys: tuple[TokenKey, ...] = ()
    token_ttl_seconds: Count = 3_600
    login_attempts: Count = 5
    login_attempts_per_address: Count = 50
    login_attempts_per_name: Count = 20
    login_window_seconds: Count = 300

    @model_validator(mode="after")
    def _ids_differ(self) -> AccountsSettings:
        if len({key.id for key in self.token_keys}) < len(self.token_keys):
            raise ValueError("token_keys: each must have an id of its own")
        return self


class CallbacksSettings(_Section):
    """What is told to callers' servers when their jobs end, and where such servers may be."""

    base_url: str | None = None
    max_result_bytes: Annotated[int, Field(ge=0)] = 16_384
    timeout_seconds: Seconds = 10.0
    retry_seconds: Annotated[tuple[Seconds, ...], Field(min_length=1)] = (
        *(5.0, 30.0, 120.0, 600.0, 1_800.0, 3_600.0),
        *(7_200.0, 10_800.0, 14_400.0, 21_600.0, 28_800.0),
    )
    secret_overlap_seconds: Count = 86_400
    concurrency: Count = 32
    per_target: Count = 4
    poll_seconds: Seconds = 0.5
    allow_http: bool = False
    allowed_ports: tuple[Port, ...] = (443, 8443)
    allowed_networks: tuple[IPvAnyNetwork, ...] = ()
    ca_file: str | None = None


class WebhookSource(_Section):
    """Somebody whose signed requests to `/webhook/<name>` become jobs."""

    name: Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9_-]{0,49}$")]
    kind: Literal["github", "standard", "hmac"]
    secrets: Annotated[tuple[SecretStr, ...], Field(min_length=1, max_length=2)]
    task: str
    client: Annotated[str, Field(min_length=1, max_length=100)]
    params: dict[str, str] = {}
    customer: str | None = None
    events: tuple[str, ...] = ()
    match: dict[str, str] = {}
    tolerance_seconds: Count = 300
    allow_sha1: bool = False
    header: str | None = None
    encoding: Literal["hex", "base64"] = "hex"
    prefix: str = ""
    event: str | None = None


class WebhooksSettings(_Section):
    """Whose webhooks start jobs."""

    sources: tuple[WebhookSource, ...] = ()


class LoggingSettings(_Section):
    """See `dictconfig_logging.py`."""

    level: LogLevel = "info"
    format: Literal["auto", "text", "json"] = "auto"
    directory: str | None = None
    file_max_bytes: Bytes = 10_000_000
    file_backups: Annotated[int, Field(ge=0)] = 10
    debug: bool = False


class MetricsSettings(_Section):
    """Where each process is scraped; without a port it is not."""

    host: str = "127.0.0.1"
    port: Port | None = None


class AlertRoute(_Section):
    """Whose alerts go where. All it names of task, queue and logger must fit; a logger means those
    below it, too. The first route that fits holds.
    """

    task: str | None = None
    queue: str | None = None
    logger: str | None = None
    slack_channel: str | None = None
    mail_addresses: tuple[str, ...] = ()
    owner: str | None = None
    runbook: str | None = None

    @model_validator(mode="after")
    def _names_something(self) -> AlertRoute:
        if not (self.task or self.queue or self.logger):
            raise ValueError("name a task, a queue or a logger whose alerts it is for")
        return self


class AlertLinksSettings(_Section):
    """Where messages lead. `{...}` in a URL is replaced by the alert's field of that name."""

    base_url: str | None = None
    logs_url: str | None = None
    runbook_url: str | None = None
    sentry_url: str | None = None
    signing_key: Annotated[SecretStr, Field(min_length=32)] | None = None

    @field_validator("logs_url", "runbook_url", "sentry_url")
    @classmethod
    def _names_known_fields(cls, url: str | None) -> str | None:
        try:
            named = {part[1] for part in Formatter().parse(url or "") if part[1] is not None}
        except ValueError as error:
            raise ValueError(f"not a template: {error}") from error
        if unknown := named - ALERT_LINK_FIELDS:
            known = ", ".join(sorted(ALERT_LINK_FIELDS))
            raise ValueError(f"unknown field {{{min(unknown)}}}; known: {known}")
        return url


class SlackSettings(_Section):
    """A webhook, or a bot token and a channel: with a token messages are edited in place."""

    webhook_url: SecretStr | None = None
    bot_token: SecretStr | None = None
    channel: str | None = None
    api_url: str = "https://slack.com/api/"
    deadline_seconds: Seconds = 5.0

    @model_validator(mode="after")
    def _token_has_a_channel(self) -> SlackSettings:
        if self.bot_token is not None and self.channel is None:
            raise ValueError("bot_token needs channel, where messages without a route go")
        return self


class EmailSettings(_Section):
    """The mail server; without a host no mail is sent."""

    host: str | None = None
    port: Port = 587
    tls: Literal["none", "starttls", "implicit"] = "starttls"
    username: str | None = None
    password: SecretStr | None = None
    from_address: str = "jobresults@localhost"
    to_addresses: tuple[str, ...] = ()
    deadline_seconds: Seconds = 10.0

    @model_validator(mode="after")
    def _host_has_recipients(self) -> EmailSettings:
        if self.host is not None and not self.to_addresses:
            raise ValueError("host needs to_addresses, who gets what no route sends elsewhere")
        return self


class WatchSettings(_Section):
    """What maintenance looks at, and what is too much."""

    interval_seconds: Seconds = 15.0
    queue_oldest_seconds: Seconds = 300.0
    redis_memory_share: Annotated[float, Field(gt=0, le=1)] = 0.85
    disk_share: Annotated[float, Field(gt=0, le=1)] = 0.9


class AlertsSettings(_Section):
    """From an error to a message: how errors are grouped, when a message is sent, and where."""

    service: str = "jobresults"
    in_app_modules: tuple[str, ...] = ()
    group_wait_seconds: Annotated[float, Field(ge=0)] = 5.0
    group_interval_seconds: Seconds = 300.0
    repeat_interval_seconds: Seconds = 14_400.0
    resolve_after_seconds: Seconds = 900.0
    storm_groups: Count = 10
    storm_window_seconds: Seconds = 60.0
    takeover_seconds: Seconds = 120.0
    closed_ttl_seconds: Count = 86_400
    heartbeat_url: SecretStr | None = None
    routes: tuple[AlertRoute, ...] = ()
    watch: WatchSettings = WatchSettings()
    links: AlertLinksSettings = AlertLinksSettings()
    slack: SlackSettings = SlackSettings()
    email: EmailSettings = EmailSettings()


class SentrySettings(_Section):
    """Failures as Sentry events; without a DSN none are sent."""

    dsn: SecretStr | None = None
    sample_rate: Annotated[float, Field(ge=0, le=1)] = 1.0
    traces_sample_rate: Annotated[float, Field(ge=0, le=1)] = 0.0
    timeout_seconds: Seconds = 5.0
    flush_seconds: Annotated[float, Field(ge=0, le=2)] = 2.0


class TracingSettings(_Section):
    """Spans for an OpenTelemetry collector; without an endpoint none are made."""

    otlp_endpoint: str | None = None
    headers: SecretStr | None = None
    sample_ratio: Annotated[float, Field(ge=0, le=1)] = 1.0
    service_name: Annotated[str, Field(min_length=1)] = "jobresults"
    timeout_seconds: Seconds = 5.0
    flush_seconds: Annotated[float, Field(ge=0, le=2)] = 1.0

    @field_validator("otlp_endpoint")
    @classmethod
    def _is_an_address(cls, url: str | None) -> str | None:
        parts = urlsplit(url or "http://none")
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise ValueError("must be the collector's address, like http://collector:4318")
        return url

    @field_validator("headers")
    @classmethod
    def _are_pairs(cls, headers: SecretStr | None) -> SecretStr | None:
        if headers is not None and not all(
            _HEADER.fullmatch(pair) for pair in headers.get_secret_value().split(",")
        ):
            raise ValueError("must be name=value, several with a comma between them")
        return headers

    @property
    def header_items(self) -> dict[str, str]:
        """`headers`, parsed."""
        text = "" if self.headers is None else self.headers.get_secret_value()
        pairs = (pair.partition("=") for pair in text.split(",") if pair)
        return {name.strip().lower(): value.strip() for name, _, value in pairs}


class Settings(_Section):
    """All of them. `jobresults.configuration.load_settings` reads them from their sources."""

    environment: Literal["development", "production"] = "development"
    web: WebSettings = WebSettings()
    redis: RedisSettings = RedisSettings()
    database: DatabaseSettings = DatabaseSettings()
    tasks: TasksSettings = TasksSettings()
    jobs: JobsSettings = JobsSettings()
    worker: WorkerSettings = WorkerSettings()
    maintenance: MaintenanceSettings = MaintenanceSettings()
    accounts: AccountsSettings = AccountsSettings()
    callbacks: CallbacksSettings = CallbacksSettings()
    webhooks: WebhooksSettings = WebhooksSettings()
    limits: LimitsSettings = LimitsSettings()
    logging: LoggingSettings = LoggingSettings()
    metrics: MetricsSettings = MetricsSettings()
    alerts: AlertsSettings = AlertsSettings()
    sentry: SentrySettings = SentrySettings()
    tracing: TracingSettings = TracingSettings()

    @property
    def log_format(self) -> Literal["text", "json"]:
        """`auto` means text in development and JSON in production."""
        if self.logging.format == "auto":
            return "json" if self.environment == "production" else "text"
        return self.logging.format
