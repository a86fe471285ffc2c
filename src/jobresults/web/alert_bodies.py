"""The shapes of requests and answers about alerts and silences."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, StringConstraints

from jobresults.web.bodies import JobId

StateName = Literal["open", "silenced", "inhibited", "resolved"]
Matcher = Annotated[
    str, StringConstraints(min_length=1, max_length=200, pattern=r"^[^\x00-\x1f\x7f]+$")
]
Reason = Annotated[str, StringConstraints(max_length=500, pattern=r"^[^\x00-\x1f\x7f]*$")]
Name = Annotated[
    str, StringConstraints(min_length=1, max_length=100, pattern=r"^[^\x00-\x1f\x7f]+$")
]


# What is not over 30 days.
_TTL = (
    "^([1-9][0-9]{0,5}s?|[1-9][0-9]{0,3}m|([1-9]|[1-9][0-9]|[1-6][0-9]{2})h|([1-9]|[12][0-9]|30)d)$"
)


class _Request(BaseModel):
    model_config = ConfigDict(extra="forbid")


class AlertQuery(_Request):
    """Filters of the list of alerts."""

    state: list[StateName] = Field(default_factory=list, description="Repeat for several")
    cursor: Annotated[str, StringConstraints(pattern=r"^[0-9]{1,16}_[0-9a-f]{16}$")] | None = Field(
        None, description="`next_cursor` of the page before"
    )
    limit: int = Field(50, ge=1, le=100)


class SilenceQuery(_Request):
    """Filters of the list of silences."""

    active: bool | None = Field(None, description="Only those in force, or only the others")
    cursor: JobId | None = Field(None, description="`next_cursor` of the page before")
    limit: int = Field(50, ge=1, le=100)


class SilenceRequest(_Request):
    """What is not to be told for a while; all that is given must match."""

    model_config = ConfigDict(
        json_schema_extra={
            "anyOf": [
                {"required": [name], "properties": {name: {"type": "string"}}}
                for name in ("fingerprint", "task", "customer")
            ],
            "examples": [{"task": "score", "ttl": "2h"}],
        }
    )

    fingerprint: Matcher | None = Field(None, description="Of one alert")
    task: Matcher | None = Field(None, description="Whatever happens to this task's jobs")
    customer: Matcher | None = Field(
        None, description="What hurts this customer alone, whatever it is"
    )
    ttl: int | str = Field(
        description="Seconds, or 30m, 2h, 1d; at most 30d",
        json_schema_extra={
            "anyOf": [
                {"type": "integer", "minimum": 1, "maximum": 30 * 86_400},
                {"type": "string", "pattern": _TTL},
            ],
            "examples": ["2h"],
        },
    )
    reason: Reason = ""


class SilenceForm(_Request):
    """What a person fills in."""

    ttl: Literal["1h", "4h", "1d", "7d"]
    name: Name = Field(description="Who silences it")
    reason: Reason = ""


class LinkQuery(_Request):
    """What a link in a message carries."""

    fingerprint: str
    expires: str
    signature: str


class SilenceBody(BaseModel):
    """A silence. It is over once `active` is false, by its time or because someone ended it."""

    id: str
    active: bool
    fingerprint: str | None
    task: str | None
    customer: str | None
    reason: str
    created_by: str
    created_at: datetime
    expires_at: datetime
    ended_at: datetime | None
    ended_by: str | None


class SilencePage(BaseModel):
    """Silences, newest first."""

    silences: list[SilenceBody]
    next_cursor: str | None


class SampleBody(BaseModel):
    """The newest event that was kept in full."""

    logger: str
    message: str
    frames: str | None = Field(None, description="Where it came from; only for a single alert")
    request_id: str | None
    trace_id: str | None
    http_route: str | None
    job_id: str | None
    task: str | None
    queue: str | None
    attempt: int | None
    customer: str | None
    client: str | None
    sentry_event_id: str | None
    runbook: str | None = Field(description="Its page of docs/runbooks, if it has one of its own")
    cause: str | None = Field(description="What is out of reach, if it only follows from that")


class ToldBody(BaseModel):
    """What a sink was last told."""

    at: datetime
    count: int
    resolved: bool
    refused: bool = Field(description="The sink will never take it")


class AlertBody(BaseModel):
    """A problem: all events of one kind since it was opened."""

    fingerprint: str
    state: StateName
    severity: Literal["warning", "error", "critical"]
    title: str
    service: str
    environment: str
    count: int
    opened: int = Field(description="How often: 2 means it came back once")
    first_at: datetime
    last_at: datetime
    pods: dict[str, int] = Field(description="Events by pod")
    versions: dict[str, datetime] = Field(description="The first event of each version")
    job_count: int
    customer_count: int
    sample: SampleBody
    told: dict[str, ToldBody] = Field(description="By sink")
    silence: SilenceBody | None


class AlertPage(BaseModel):
    """Alerts, the one with the latest event first."""

    alerts: list[AlertBody]
    next_cursor: str | None
