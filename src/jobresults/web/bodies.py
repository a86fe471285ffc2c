"""The shapes of requests and answers; the OpenAPI document is made from them."""

from __future__ import annotations

import re
from datetime import datetime
from typing import Annotated, Any, Literal

from pydantic import (
    AwareDatetime,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    RootModel,
    StringConstraints,
    model_validator,
)

MAX_BULK_JOBS = 1_000

StateName = Literal["queued", "running", "succeeded", "failed", "canceled"]
# Without U+FFFD: that is how bytes of a path that are not UTF-8 arrive, whichever they were.
CustomerName = Annotated[
    str,
    StringConstraints(min_length=1, max_length=200, pattern=r"^[^\x00-\x1f\x7f\ufffd]+$"),
    Field(examples=["ann"]),
]
Tag = Annotated[
    str,
    StringConstraints(min_length=1, max_length=100, pattern=r"^[^\x00-\x1f\x7f]+$"),
    Field(examples=["nightly"]),
]
CallbackUrl = Annotated[
    str,
    StringConstraints(max_length=2000),
    Field(examples=["https://hooks.example.com/jobs"], json_schema_extra={"format": "uri"}),
]
FilterText = Annotated[str, StringConstraints(max_length=200, pattern=r"^[^\x00]*$")]
JobId = Annotated[
    str,
    StringConstraints(pattern=r"^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$"),
    Field(examples=["019a0000-0000-7000-8000-000000000000"]),
]


_RFC3339 = re.compile(r"\d{4}-\d\d-\d\d[Tt ]\d\d:\d\d:\d\d(\.\d+)?([Zz]|[+-]\d\d:\d\d)", re.ASCII)


def _rfc3339(value: object) -> object:
    if not (isinstance(value, str) and _RFC3339.fullmatch(value)):
        raise ValueError("must be a time with its offset, like 2026-01-31T12:00:00Z")
    return value


def _no_text(value: object) -> object:
    if isinstance(value, str | bool):
        raise ValueError("must be a number, not a text or a truth value")
    return value


# pydantic would take numbers for times, and texts for numbers, which the document does not say.
Time = Annotated[AwareDatetime, BeforeValidator(_rfc3339)]
Whole = Annotated[int, BeforeValidator(_no_text)]
Number = Annotated[float, BeforeValidator(_no_text)]


class _Request(BaseModel):
    model_config = ConfigDict(extra="forbid")


class SubmitBody(_Request):
    """A job to be done."""

    task: str = Field(
        max_length=100,
        examples=["score"],
        description="Name of a registered task; GET /v1/tasks lists them",
    )
    params: dict[str, Any] = Field(default_factory=dict, description="The task's parameters")
    customer: CustomerName | None = Field(None, description="Whose data this is")
    queue: str | None = Field(None, max_length=100, description="Default: the task's")
    delay_seconds: Number | None = Field(None, ge=0, description="Run not before so many seconds")
    run_at: Time | None = Field(None, description="Run not before this time (RFC 3339 with offset)")
    max_attempts: Whole | None = Field(
        None, ge=1, description="Starts at most; default: the task's"
    )
    timeout_seconds: Number | None = Field(
        None, gt=0, description="Of one attempt; default: the task's"
    )
    tags: list[Tag] = Field(default_factory=list, max_length=20, description="For finding it again")
    callback_url: CallbackUrl | None = Field(
        None, description="POST there how it ended (https, a public address)"
    )

    @model_validator(mode="after")
    def _one_time(self) -> SubmitBody:
        if self.run_at is not None and self.delay_seconds is not None:
            raise ValueError("give either run_at or delay_seconds, not both")
        return self


class SubmitRequest(
    RootModel[
        SubmitBody | Annotated[list[SubmitBody], Field(min_length=1, max_length=MAX_BULK_JOBS)]
    ]
):
    """A job to be done, or an array of them."""


class DeviceSmsBody(BaseModel):
    """Messages of a customer's device; the other members are the ingest task's parameters."""

    model_config = ConfigDict(extra="allow")

    cust_id: CustomerName


class ListQuery(_Request):
    """Filters of the list of jobs."""

    id: list[JobId] = Field(
        default_factory=list, max_length=100, description="Up to 100: read these jobs"
    )
    state: list[StateName] = Field(default_factory=list, description="Repeat for several")
    task: FilterText | None = None
    customer: FilterText | None = None
    tag: FilterText | None = None
    q: FilterText | None = Field(None, description="Text in task, customer or error; or a job's id")
    created_after: Time | None = None
    created_before: Time | None = None
    cursor: JobId | None = Field(None, description="`next_cursor` of the page before")
    limit: int = Field(50, ge=1, le=100)


class JobsPageQuery(_Request):
    """Filters of the page of jobs, as its form sends them; what is empty filters nothing."""

    state: StateName | Literal[""] = ""
    task: FilterText = ""
    customer: FilterText = ""
    q: FilterText = Field("", description="Text in task, customer or error; or a job's id")
    cursor: JobId | None = Field(None, description="Of the link to older jobs")
    limit: int = Field(50, ge=1, le=100)


class LogQuery(_Request):
    """Where to go on reading log lines."""

    after: int = Field(0, ge=0, le=2**63 - 1, description="`next_after` of the page before")
    limit: int = Field(500, ge=1, le=1000)


class Progress(BaseModel):
    """How far a job is."""

    done: int
    total: int | None
    message: str | None


class JobErrorBody(BaseModel):
    """Why a job did not succeed."""

    type: str
    title: str
    detail: str
    code: str
    retryable: bool = Field(description="Whether a rerun may help")
    traceback: str | None = Field(None, description="For operators only")


class Links(BaseModel):
    """Where to go from a job."""

    self: str
    result: str
    cancel: str
    rerun: str
    logs: str
    events: str


class JobBody(BaseModel):
    """A job. Once `done`, exactly one of `result` and `error` is there (lists leave `result`
    out).
    """

    job_id: str
    task: str
    customer: str | None
    queue: str
    state: StateName
    done: bool
    created_at: datetime
    started_at: datetime | None
    ended_at: datetime | None
    expires_at: datetime | None
    attempt: int
    max_attempts: int
    progress: Progress | None
    position: int | None = Field(description="1 runs next; null if unknown")
    eta_seconds: float | None = Field(
        description="Until done, from the task's real run times; null if unknown"
    )
    waiting_on: (
        Literal["worker", "retry", "schedule", "customer_limit", "task_limit", "queue_paused"]
        | None
    )
    tags: list[str]
    rerun_of: str | None
    links: Links
    result: Any = Field(None, description="Only once succeeded")
    error: JobErrorBody | None = Field(None, description="Only once failed, canceled or expired")
    sentry_event_id: str | None = Field(None, description="For operators only")


class JobPage(BaseModel):
    """Jobs, newest first."""

    jobs: list[JobBody]
    next_cursor: str | None


class LogLineBody(BaseModel):
    """A line the task logged or, if its logger is `stdout` or `stderr`, printed."""

    seq: int
    at: datetime
    attempt: int
    level: str
    logger: str
    message: str


class LogPage(BaseModel):
    """Log lines, oldest first. `complete`: the job has ended and these were the last."""

    logs: list[LogLineBody]
    next_after: int
    complete: bool


class EventBody(BaseModel):
    """Something that happened to a job."""

    at: datetime
    event: str
    attempt: int
    detail: dict[str, Any]


class Timeline(BaseModel):
    """All that happened to a job, oldest first."""

    events: list[EventBody]


class TaskBody(BaseModel):
    """A registered task."""

    name: str
    doc: str
    queue: str
    timeout_seconds: float
    max_attempts: int
    result_ttl_seconds: int
    params_schema: dict[str, Any]
    result_schema: dict[str, Any]


class TaskList(BaseModel):
    """All registered tasks."""

    tasks: list[TaskBody]


class QueueBody(BaseModel):
    """A queue, over all clients."""

    name: str
    queued: int = Field(description="Jobs that wait, for whatever")
    held: int = Field(description="Those among them that wait for their customer's turn or a limit")
    running: int
    oldest_seconds: float | None = Field(
        description="How long the first of those that wait for a worker could have run by now"
    )
    workers: int = Field(description="That serve it, at the latest check")
    paused: bool
    paused_at: datetime | None
    paused_by: str | None


class QueueList(BaseModel):
    """All queues."""

    queues: list[QueueBody]


class WorkerBody(BaseModel):
    """A worker. What is null is not known: it holds jobs, and Redis' register has lost it."""

    name: str
    host: str | None
    version: str | None = Field(description="Of this package; null for a worker that is not ours")
    state: Literal["busy", "idle"]
    queues: list[str] | None
    job_ids: list[str] = Field(description="The jobs it holds, by the ledger")
    started_at: datetime | None
    last_seen_at: datetime | None = Field(description="Its latest heartbeat, by its own clock")


class WorkerList(BaseModel):
    """All workers, by name."""

    workers: list[WorkerBody]


class StatusBody(BaseModel):
    """How this process is. Details come from a check in the background."""

    success: Literal["OK"] | None = None
    ready: bool
    version: str
    draining: bool
    ledger: str
    redis: str
    checked_seconds_ago: float | None
    workers: dict[str, int] = Field(description="By queue")


class ProblemBody(BaseModel):
    """RFC 9457 problem details."""

    model_config = ConfigDict(extra="allow")

    type: str
    title: str
    status: int
    detail: str
    instance: str
    code: str
    request_id: str | None
    error: str


class AcceptedItem(BaseModel):
    """A job of the array that is committed, without position and result; 200 if it has ended, as
    one of an earlier request with the same key may have.
    """

    status: Literal[200, 202]
    job: JobBody


class RefusedItem(BaseModel):
    """A job of the array that was refused. Paths in the problem begin with its place: `[3]`."""

    status: Literal[400, 429]
    problem: ProblemBody


class BulkBody(BaseModel):
    """What became of each job of the array, in its order."""

    accepted: int
    rejected: int
    jobs: list[AcceptedItem | RefusedItem]


class TaskParams(BaseModel):
    """The parameters of the configured ingest task; GET /v1/tasks gives their schema."""

    model_config = ConfigDict(extra="allow")
