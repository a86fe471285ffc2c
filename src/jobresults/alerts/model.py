"""What an alert is on its way: a group of like events, a notification of it, a sink's receipt.

All times are milliseconds since 1970-01-01 UTC.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Protocol

TRIAL_LOGGER = "jobresults-trial"
"""Who says what `jobresults alerts test` sends: it goes to every sink, once."""


class Severity(StrEnum):
    """How bad; the words of `logging`, lower case."""

    WARNING = "warning"
    ERROR = "error"
    CRITICAL = "critical"


class Kind(StrEnum):
    """Why a notification is sent."""

    FIRST = "first"
    GROWN = "grown"
    NEW_VERSION = "new_version"
    REGRESSION = "regression"
    REPEATED = "repeated"
    RESOLVED = "resolved"
    DIGEST = "digest"
    TEST = "test"


@dataclass(frozen=True)
class Sample:
    """One event of a group, as the process that saw it described it: the newest kept in full."""

    title: str
    """One line: what broke."""
    message: str
    logger: str
    frames: str = ""
    """Stack frames, innermost last; empty if there was no exception."""
    request_id: str | None = None
    trace_id: str | None = None
    http_route: str | None = None
    job_id: str | None = None
    task: str | None = None
    queue: str | None = None
    attempt: int | None = None
    customer: str | None = None
    client: str | None = None
    sentry_event_id: str | None = None
    runbook: str | None = None
    """Which page of docs/runbooks is about it; None: the one for all that has none."""
    cause: str | None = None
    """What is out of reach if this only follows from it: "redis" or "database"."""


@dataclass(frozen=True)
class Group:
    """All events with one fingerprint since the group was opened."""

    fingerprint: str
    severity: Severity
    service: str
    environment: str
    count: int
    first_ms: int
    last_ms: int
    sample: Sample
    pods: Mapping[str, int] = field(default_factory=dict)
    """Events by pod."""
    versions: Mapping[str, int] = field(default_factory=dict)
    """When the first event of each version came."""
    job_count: int = 0
    customer_count: int = 0

    @property
    def is_trial(self) -> bool:
        """Whether nothing is broken: someone tries whether alerts arrive."""
        return self.sample.logger == TRIAL_LOGGER


@dataclass(frozen=True)
class Links:
    """Where a message leads; None is left out of it."""

    runbook: str | None = None
    job: str | None = None
    sentry: str | None = None
    logs: str | None = None
    silence: str | None = None


@dataclass(frozen=True)
class Entry:
    """A group as a notification shows it."""

    group: Group
    links: Links = Links()
    owner: str | None = None
    count_before: int | None = None
    """What the notification before this one said; None: it is the first."""
    quiet_ms: int | None = None
    """For how long nothing came; only if it is resolved."""


@dataclass(frozen=True)
class Notification:
    """One message to one sink: of one group, or a digest of several."""

    kind: Kind
    entries: tuple[Entry, ...]
    slack_channel: str | None = None
    mail_addresses: tuple[str, ...] = ()
    note: str | None = None
    """Said under the headline: why this message is unlike others ("grouping unavailable", …)."""


@dataclass(frozen=True)
class Receipt:
    """What a sink needs to know to edit the message later; empty if it can't."""

    channel: str | None = None
    message_id: str | None = None


class SinkError(Exception):
    """A message was not delivered.

    `permanent`: the same message will never be taken. `retry_after_seconds`: the sink's own wish.
    """

    def __init__(
        self, reason: str, *, permanent: bool = False, retry_after_seconds: float | None = None
    ) -> None:
        super().__init__(reason)
        self.permanent = permanent
        self.retry_after_seconds = retry_after_seconds


class Sink(Protocol):
    """Where notifications go. Not thread-safe; each call ends within the sink's deadline."""

    name: str
    can_edit: bool
    """Whether `update` changes a message in place; else the relay sends follow-ups."""

    def send(self, notification: Notification) -> Receipt:
        """Deliver a new message.

        Raises:
            SinkError
        """
        ...

    def update(self, notification: Notification, receipt: Receipt) -> Receipt:
        """Change the message of a receipt to what the notification says; if it is RESOLVED also
        answer in its thread.

        Raises:
            SinkError
        """
        ...
