"""Writing the timeline of a job: what happened to it, when, in which attempt."""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import Any, NamedTuple

from sqlalchemy import Connection, bindparam, insert

from jobresults.database import Database
from jobresults.jobs.model import job_event
from jobresults.jobs.prepared import Prepared
from jobresults.jobs.states import Event

_NAMES = ("job_id", "at_ms", "event", "attempt", "detail")
_INSERT = Prepared(
    insert(job_event).values({name: bindparam(name) for name in _NAMES}).inline(), *_NAMES
)


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
    entries = list(entries)
    if not entries:
        return
    if at_ms is None:
        at_ms = database.read_clock_ms(connection)
    # Those of a batch often share one.
    details = {id(entry.detail): entry.detail for entry in entries}
    texts = {key: json.dumps(detail) for key, detail in details.items()}
    rows = [(id_, at_ms, word.value, n, texts[id(detail)]) for id_, word, n, detail in entries]
    _INSERT.execute(connection, rows)
