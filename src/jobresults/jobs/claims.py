"""The claim: a worker takes dispatched jobs, many with one statement."""

from __future__ import annotations

import json
from collections.abc import Collection, Sequence
from functools import cache
from typing import Any

from sqlalchemy import (
    ARRAY,
    Connection,
    Executable,
    Integer,
    Text,
    Update,
    bindparam,
    cast,
    column,
    func,
    insert,
    literal,
    select,
    tuple_,
    update,
)

from jobresults.database import Database
from jobresults.jobs import events, outbox
from jobresults.jobs.model import Identifier, job, job_event
from jobresults.jobs.running import IS_DUE, Claimed, Fence, once_found
from jobresults.jobs.states import Event, State

_CLAIMED = [*(job.c[name] for name in Claimed._fields if name != "calls_back"), outbox.CALLS_BACK]


def claim(
    database: Database,
    connection: Connection,
    fences: Sequence[Fence],
    *,
    worker: str,
    lease_seconds: float,
    tasks: Collection[str],
    now_ms: int,
) -> list[Claimed]:
    """Take dispatched jobs: compare-and-set from queued to running, in the order given. A dispatch
    that is superseded, or whose task is not among `tasks`, gives nothing.
    """
    detail = {"worker": worker}
    values: dict[str, Any] = {
        "holder": worker,
        "until_ms": now_ms + round(lease_seconds * 1000),
        "now_ms": now_ms,
    }
    if database.dialect == "sqlite":
        statement = _on_sqlite()
        values["fences"] = json.dumps([(job_id.replace("-", ""), n) for job_id, n in fences])
        values["tasks"] = json.dumps([*tasks])
    else:
        statement = _on_postgresql()
        values["ids"], values["epochs"] = map(list, zip(*fences, strict=True))
        values |= {"tasks": [*tasks], "detail": json.dumps(detail)}
    claimed = {
        item.fence: item for item in map(Claimed._make, connection.execute(statement, values))
    }
    if database.dialect == "sqlite":
        started = [
            events.Entry(item.id, Event.STARTED, item.attempt, detail) for item in claimed.values()
        ]
        events.append(database, connection, started, at_ms=now_ms)
    return [claimed[fence] for fence in dict.fromkeys(fences) if fence in claimed]


# Made once, and of one text however many jobs there are, so that databases plan them once as well.
@cache
def _on_sqlite() -> Executable:
    pair = func.json_each(bindparam("fences", type_=Text)).table_valued("value")
    fences = select(
        func.json_extract(pair.c.value, "$[0]"), func.json_extract(pair.c.value, "$[1]")
    )
    name = func.json_each(bindparam("tasks", type_=Text)).table_valued("value")
    return (
        _claim()
        .where(
            tuple_(job.c.id, job.c.epoch).in_(fences),
            IS_DUE,
            job.c.state == State.QUEUED,
            job.c.task.in_(select(name.c.value)),
        )
        .returning(*_CLAIMED)
    )


@cache
def _on_postgresql() -> Executable:
    """With the lines of the timeline, so that they cost no round trip."""
    fence = (
        func.unnest(
            cast(bindparam("ids", type_=ARRAY(Text)), ARRAY(Identifier)),
            bindparam("epochs", type_=ARRAY(Integer)),
        )
        .table_valued(column("id", Identifier), column("epoch", Integer), name="fence")
        .render_derived()
    )
    claimed = (
        _claim()
        .where(
            job.c.id == fence.c.id,
            job.c.epoch == fence.c.epoch,
            once_found(
                IS_DUE,
                job.c.state == State.QUEUED,
                job.c.task == func.any(bindparam("tasks", type_=ARRAY(Text))),
            ),
        )
        .returning(*_CLAIMED)
        .cte("claimed")
    )
    line = select(
        claimed.c.id,
        bindparam("now_ms"),
        literal(Event.STARTED.value),
        claimed.c.attempt,
        bindparam("detail", type_=Text),
    )
    columns = ["job_id", "at_ms", "event", "attempt", "detail"]
    history = insert(job_event).from_select(columns, line).cte("history")
    return select(*claimed.c).add_cte(history)


def _claim() -> Update:
    return update(job).values(
        dispatched_at_ms=func.coalesce(job.c.dispatched_at_ms, bindparam("now_ms")),
        turn=None,
        limited_by=None,
        state=State.RUNNING,
        waiting_on=None,
        attempt=job.c.attempt + 1,
        worker=bindparam("holder"),
        lease_until_ms=bindparam("until_ms"),
        started_at_ms=bindparam("now_ms"),
        progress_done=None,
        progress_total=None,
        progress_message=None,
    )
