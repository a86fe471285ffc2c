"""Writing the timeline of a job: what happened to it, when, in which attempt."""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import Any, NamedTuple

from sqlalchemy import Connection, insert

from jobresults.database import Database
from jobresults.jobs.model import job_event
from jobresults.jobs.states import Event


class Entry(NamedTuple):
    """One line of a timeline; `detail` must be JSON."""

    job_id: str
    event: Event
    attempt: int
    detail: dict[str, Any]


def append(
    database: Database,
    connection: Connection,
    entries: Iterable[Entry],
    *,
    at_ms: int | None = None,
) -> None:
    """Write entries within the caller's transaction, so that a timeline never tells what did not
    happen. `at_ms` is the database's clock where the caller has read it already.
    """
    rows = [
        {
            "job_id": entry.job_id,
            "event": entry.event.value,
            "attempt": entry.attempt,
            "detail": json.dumps(entry.detail) if entry.detail else "{}",
        }
        for entry in entries
    ]
    if not rows:
        return
    if at_ms is None:
        connection.execute(insert(job_event).values(at_ms=database.now_ms()), rows)
    else:
        connection.execute(insert(job_event), [{**row, "at_ms": at_ms} for row in rows])
