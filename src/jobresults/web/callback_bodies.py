"""The shapes of requests and answers about callbacks and webhooks."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

from jobresults.web.bodies import CallbackUrl, JobId

EventName = Literal["job.succeeded", "job.failed", "job.canceled"]
CallbackState = Literal["pending", "delivered", "given_up", "stopped"]
ALL_EVENTS: tuple[EventName, ...] = ("job.succeeded", "job.failed", "job.canceled")


class SubscribeBody(BaseModel):
    """Whom to tell how jobs end."""

    model_config = ConfigDict(extra="forbid")

    url: CallbackUrl = Field(description="Where to POST; https, a public address")
    events: Annotated[list[EventName], Field(min_length=1, max_length=3)] = Field(
        list(ALL_EVENTS), description="Which ends to tell of; default: all"
    )


class SubscriptionBody(BaseModel):
    """A subscription. `disabled_at`: its target answered 410; nothing is sent there since."""

    subscription_id: str
    url: str
    events: list[EventName]
    created_at: datetime
    disabled_at: datetime | None


class NewSubscriptionBody(SubscriptionBody):
    """A new subscription and its secret, which cannot be read again."""

    secret: str = Field(description="What its callbacks are signed with (Standard Webhooks)")


class SubscriptionList(BaseModel):
    """Subscriptions, the oldest first."""

    subscriptions: list[SubscriptionBody]


class SecretBody(BaseModel):
    """A new secret, which cannot be read again."""

    secret: str
    previous_retires_at: datetime | None = Field(
        description="Until then the one before it signs too; null: there was none"
    )


class CallbackQuery(BaseModel):
    """Filters of the list of callbacks."""

    model_config = ConfigDict(extra="forbid")

    state: CallbackState | None = None
    cursor: JobId | None = Field(None, description="`next_cursor` of the page before")
    limit: int = Field(50, ge=1, le=100)


class AttemptBody(BaseModel):
    """One attempt to deliver. `status` is HTTP's, null if there was no answer."""

    at: datetime
    attempt: int
    took_ms: int
    status: int | None
    error: str | None


class CallbackBody(BaseModel):
    """Something to be told to a server. `callback_id` is its `webhook-id`."""

    callback_id: str
    job_id: str
    subscription_id: str | None = Field(description="null: the job named the URL itself")
    url: str
    event: EventName
    state: CallbackState
    attempts: int
    created_at: datetime
    next_attempt_at: datetime | None = Field(description="null: it is not tried any more")
    ended_at: datetime | None


class CallbackLogBody(CallbackBody):
    """A callback and all that was tried, the oldest first."""

    log: list[AttemptBody]


class CallbackPage(BaseModel):
    """Callbacks, newest first."""

    callbacks: list[CallbackBody]
    next_cursor: str | None


class JobCallbacks(BaseModel):
    """All callbacks of a job, the oldest first."""

    callbacks: list[CallbackLogBody]


class WebhookPayload(BaseModel):
    """What the sender has to say; the configured source picks from it."""

    model_config = ConfigDict(extra="allow")


class WebhookAnswer(BaseModel):
    """What became of a genuine webhook."""

    status: Literal["accepted", "ignored", "pong"]
    job_id: str | None = Field(None, description="Of the job it started, the first time it came")
