"""The states of a job, why a queued one waits, and the names of events. There are no others."""

from __future__ import annotations

from enum import StrEnum


class State(StrEnum):
    """`queued → running → succeeded | failed | canceled`; a job may go back from running to
    queued.
    """

    QUEUED = "queued"
    RUNNING = "running"
    SUCCEEDED = "succeeded"
    FAILED = "failed"
    CANCELED = "canceled"

    @property
    def done(self) -> bool:
        """Terminal: it never changes again."""
        return self in TERMINAL


TERMINAL = frozenset({State.SUCCEEDED, State.FAILED, State.CANCELED})


class WaitingOn(StrEnum):
    """What a queued job waits for."""

    WORKER = "worker"
    RETRY = "retry"
    SCHEDULE = "schedule"
    CUSTOMER_LIMIT = "customer_limit"
    TASK_LIMIT = "task_limit"
    QUEUE_PAUSED = "queue_paused"


class Event(StrEnum):
    """What the timeline of a job tells."""

    SUBMITTED = "submitted"
    DISPATCHED = "dispatched"
    HELD = "held"
    STARTED = "started"
    PROGRESS = "progress"
    RETRIED = "retried"
    REQUEUED = "requeued"
    CANCEL_REQUESTED = "cancel_requested"
    SUCCEEDED = "succeeded"
    FAILED = "failed"
    CANCELED = "canceled"
    EXPIRED = "expired"
    CALLBACK_DELIVERED = "callback_delivered"
    CALLBACK_GIVEN_UP = "callback_given_up"
    CALLBACK_STOPPED = "callback_stopped"
