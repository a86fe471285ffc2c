"""Callbacks in a ledger, and a server that they are sent to."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import pytest
from sqlalchemy import Row, select, update

from jobresults.jobs.model import callback
from jobresults.settings import CallbacksSettings
from jobresults.webhooks import subscriptions
from jobresults.webhooks.signing_secrets import rotate
from tests.integration.driver import Driver
from tests.services.receiver import Receiver, running_receiver

URL = "https://example.com/callbacks"
ALL = ("job.succeeded", "job.failed", "job.canceled")


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    with running_receiver() as running:
        yield running


def callbacks(driver: Driver, job_id: str | None = None) -> Sequence[Row[Any]]:
    """All there are, or a job's, the oldest first."""
    query = select(callback).order_by(callback.c.id)
    if job_id is not None:
        query = query.where(callback.c.job_id == job_id)
    with driver.database.read() as connection:
        return connection.execute(query).all()


def alter(driver: Driver, id_: str, **columns: Any) -> None:
    """Change a callback, as time would."""
    with driver.database.write() as connection:
        connection.execute(update(callback).where(callback.c.id == id_).values(**columns))


def subscribe(
    driver: Driver, url: str = URL, events: Sequence[str] = ALL, client: str = "me"
) -> tuple[str, str]:
    """The id and the secret of a new subscription."""
    made, secret = subscriptions.subscribe(driver.database, client, url, events)
    return made.id, secret


def secret_of_urls(driver: Driver) -> str:
    """What signs callbacks to the URLs that jobs of `me` name."""
    return rotate(driver.database, "me", None, 60).secret


def local_settings(receiver: Receiver, **changes: Any) -> CallbacksSettings:
    """Callbacks may go to the receiver, and are tried again soon."""
    chosen = {
        "allow_http": True,
        "allowed_ports": [receiver.port],
        "allowed_networks": ["127.0.0.0/8"],
        "retry_seconds": [0.05, 600],
        "poll_seconds": 0.02,
        **changes,
    }
    return CallbacksSettings.model_validate(chosen)
