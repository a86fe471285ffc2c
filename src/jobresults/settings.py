"""Settings: `config.yaml`, then the environment over it; parsed once into frozen models and passed
down.

Environment: `JOBRESULTS_` + the key's path joined by `__` (`JOBRESULTS_WEB__PORT=8080`); lists as
JSON. With `_FILE` behind the name the value is read from that file, as Docker and Kubernetes mount
secrets.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, SecretStr, model_validator

Port = Annotated[int, Field(ge=1, le=65535)]
Count = Annotated[int, Field(ge=1)]
Seconds = Annotated[float, Field(gt=0)]
Bytes = Annotated[int, Field(ge=1)]
LogLevel = Literal["debug", "info", "warning", "error", "critical"]


class _Section(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class WebSettings(_Section):
    """The HTTP server; all but the last five are gunicorn's own settings."""

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
    max_body_bytes: Bytes = 1_048_576
    wait_cap_seconds: Annotated[float, Field(ge=0, le=60)] = 60.0
    max_waiters: Count = 5_000
    result_cache_bytes: Annotated[int, Field(ge=0)] = 67_108_864
    fast_lane: bool = True


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
    max_log_lines: Count = 1_000
    max_log_bytes: Bytes = 262_144


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


class LoggingSettings(_Section):
    """See `dictconfig_logging.py`."""

    level: LogLevel = "info"
    format: Literal["auto", "text", "json"] = "auto"
    directory: str | None = None
    file_max_bytes: Bytes = 10_000_000
    file_backups: Annotated[int, Field(ge=0)] = 10
    debug: bool = False


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
    limits: LimitsSettings = LimitsSettings()
    logging: LoggingSettings = LoggingSettings()

    @property
    def log_format(self) -> Literal["text", "json"]:
        """`auto` means text in development and JSON in production."""
        if self.logging.format == "auto":
            return "json" if self.environment == "production" else "text"
        return self.logging.format
